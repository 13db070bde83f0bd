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
