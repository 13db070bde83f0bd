// One step of any built-in optimizer. What changes from step to step may lie in memory: `now` is
// the step size, and the share of the weights that decays.
extern "C" __global__ void update(
    T* theta, const T* gradient, T* m, T* v, const T* rates, const T* decays, const T* shares,
    const T* sums, const long long* places, const T* clip, const double* now, const long long size,
    const long long entries, const long long members, const long long weights,
    const long long own_sums, const long long n, const double l1, const double l2,
    const long long name, const double step_size, const double decay, const double b1,
    const double b2, const double epsilon)
{
    const double step = now ? now[0] : step_size, shrink = now ? now[1] : decay;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += (long long)gridDim.x * blockDim.x) {
        const T w = theta[i], rate = rates ? rates[i] : (T)1;
        const bool penalized = l1 != 0 || l2 != 0;
        const long long member = members == 1 || !(clip || (sums && penalized))
            ? 0 : member_of(places, entries, members, i);
        T g = gradient[i];
        if (penalized)
            g = pushed(w, g, l1, l2, share_of(shares, weights, i), over_of(sums, own_sums, n, member));
        if (clip) g *= clip[member];
        T moved = w - rate * move_of(name, g, m ? m + i : 0, v ? v + i : 0, step, b1, b2, epsilon);
        if (shrink != 0) moved -= rate * ((T)shrink * w * share_of(decays, weights, i));
        theta[i] = moved;
    }
}
