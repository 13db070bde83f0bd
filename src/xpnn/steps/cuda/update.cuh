// One step of any built-in optimizer, see xpnn.parts.optimizers.
extern "C" __global__ void update(
    T* theta, const T* gradient, T* m, T* v, const T* rates, const T* decays, const T* shares,
    const T* sums, const long long* places, const T* clip, const long long size,
    const long long entries, const long long members, const long long weights,
    const long long own_sums, const long long n, const double l1, const double l2,
    const long long name, const double step, const double shrink, const double b1, const double b2,
    const double epsilon)
{
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += (long long)gridDim.x * blockDim.x) {
        const T w = theta[i], rate = rates ? rates[i] : (T)1;
        const bool penalized = l1 != 0 || l2 != 0;
        const long long member = members == 1 || !(clip || (sums && penalized))
            ? 0 : member_of(places, entries, members, i);
        T g = gradient[i], move;
        if (penalized)
            g = pushed(w, g, l1, l2, share_of(shares, weights, i), over_of(sums, own_sums, n, member));
        if (clip) g *= clip[member];
        switch (name) {
        case MOMENTUM_RULE: m[i] = (T)b1 * m[i] - (T)step * g; move = -m[i]; break;
        case NESTEROV:
            m[i] = (T)b1 * m[i] - (T)step * g;
            move = (T)step * g - (T)b1 * m[i];
            break;
        case ADAGRAD:
            m[i] += g * g;
            move = (T)step * g / (sqrt(m[i]) + (T)epsilon);
            break;
        case RMSPROP:
            m[i] = (T)b1 * m[i] + (T)(1.0 - b1) * (g * g);
            move = (T)step * g / (sqrt(m[i]) + (T)epsilon);
            break;
        case ADAM:
            m[i] = (T)b1 * m[i] + (T)(1.0 - b1) * g;
            v[i] = (T)b2 * v[i] + (T)(1.0 - b2) * (g * g);
            move = (T)step * m[i] / (sqrt(v[i]) + (T)epsilon);
            break;
        default: move = (T)step * g;
        }
        T moved = w - rate * move;
        if (shrink != 0) moved -= rate * ((T)shrink * w * share_of(decays, weights, i));
        theta[i] = moved;
    }
}
