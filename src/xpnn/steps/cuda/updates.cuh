// What is done with a gradient: penalties, clipping, the optimizer, limits of norms.

// The member that a parameter belongs to; `places` are the ends of the flat vector's entries.
__device__ long long member_of(
    const long long* places, const long long entries, const long long members, const long long i)
{
    if (members == 1) return 0;
    long long e = 0, begin = 0;
    while (e < entries - 1 && i >= places[e]) begin = places[e++];
    return (i - begin) * members / (places[e] - begin);
}

// A weight's share of penalties: a vector's, or one for the first `weights` and no others.
__device__ T share_of(const T* vector, const long long weights, const long long i)
{
    return vector ? vector[i] : (T)(i < weights);
}

// What penalties are divided by: rows, or the sum of their weights.
__device__ T over_of(const T* sums, const long long own, const long long n, const long long member)
{
    return sums ? sums[own * member] : (T)n;
}

__device__ T pushed(const T w, const T g, const double l1, const double l2, const T share, const T over)
{
    if (l1 == 0 && l2 == 0) return g;
    T push = (T)l2 * w;
    if (l1 != 0) push += (T)l1 * ((T)(w > 0) - (T)(w < 0));
    return g + push * share / over;
}

// Of each member: the factor that clips its gradient, with the penalties' push in it, to a norm;
// and the penalties of all, added to `total`. Squares are summed in double, the large ones apart.
extern "C" __global__ void measure(
    const T* theta, const T* gradient, const T* shares, const T* sums, const long long* places,
    T* clip, T* total, double* partial, unsigned int* arrived, const long long size,
    const long long entries, const long long members, const long long weights,
    const long long own_sums, const long long n, const double l1, const double l2,
    const double max_norm)
{
    __shared__ double found[3][THREADS];
    const int thread = threadIdx.x;
    const long long member = blockIdx.y;
    double squares = 0, large = 0, penalty = 0;
    for (long long i = blockIdx.x * (long long)THREADS + thread; i < size;
         i += (long long)gridDim.x * THREADS) {
        if (member_of(places, entries, members, i) != member) continue;
        const T w = theta[i], share = share_of(shares, weights, i);
        const T over = over_of(sums, own_sums, n, member);
        if (l1 != 0 || l2 != 0)
            penalty += (double)((T)(0.5 * l2) * w * w * share + (T)l1 * fabs(w) * share) / over;
        if (clip) {
            const double g = pushed(w, gradient[i], l1, l2, share, over);
            if (fabs(g) > 1e140) large += g * 1e-200 * (g * 1e-200);
            else squares += g * g;
        }
    }
    found[0][thread] = squares;
    found[1][thread] = large;
    found[2][thread] = penalty;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        for (int k = 0; k < 3; ++k)
            if (thread < half) found[k][thread] += found[k][thread + half];
        __syncthreads();
    }
    volatile double* all = partial;
    if (thread < 3) all[(member * gridDim.x + blockIdx.x) * 3 + thread] = found[thread][0];
    if (!is_last_block(arrived, gridDim.x * gridDim.y)) return;
    for (long long m = thread; m < members; m += THREADS) {
        squares = large = penalty = 0;
        for (long long b = 0; b < gridDim.x; ++b) {
            squares += all[(m * gridDim.x + b) * 3];
            large += all[(m * gridDim.x + b) * 3 + 1];
            penalty += all[(m * gridDim.x + b) * 3 + 2];
        }
        all[m * gridDim.x * 3 + 2] = penalty;  // each member's, in its first block's place
        if (clip) {
            const double norm = large > 0 ? 1e200 * sqrt(large + squares * 1e-200 * 1e-200)
                                          : sqrt(squares);
            const double factor = max_norm / (norm > max_norm ? norm : max_norm);
            clip[m] = norm - norm == 0 ? factor : norm - norm;  // NaN of NaN and of infinity
        }
    }
    __syncthreads();
    if (thread != 0 || total == 0) return;
    penalty = 0;
    for (long long m = 0; m < members; ++m) penalty += all[m * gridDim.x * 3 + 2];
    *total += (T)(penalty / members) * (T)n;
}

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

// The columns of some matrices, each one unit's incoming weights, scaled down to a largest norm.
// A place is (offset, rows, columns) of a matrix; blocks of 32 columns go over all matrices.
extern "C" __global__ void limit_columns(T* theta, const long long* places, const double* limits)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long* place = places + 3 * blockIdx.y;
    const long long rows = place[1], columns = place[2];
    const long long column = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    T* w = theta + place[0] + column;
    T sum = 0;
    for (long long row = threadIdx.y; column < columns && row < rows; row += LANES)
        sum += w[row * columns] * w[row * columns];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    sum = 0;
    for (int i = 0; i < LANES; ++i) sum += sums[i][threadIdx.x];
    const T norm = sqrt(sum), limit = limits[blockIdx.y];
    const T factor = limit / (norm < limit ? limit : norm);
    for (long long row = threadIdx.y; column < columns && row < rows; row += LANES)
        w[row * columns] *= factor;
}
