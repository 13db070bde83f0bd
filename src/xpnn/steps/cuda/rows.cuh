// Rows of a batch: those of an order, with the input's dropout; and sums of weights.

extern "C" __global__ void gather(
    const T* x, const char* y, const T* weight, const long long* order, const long long* begin,
    T* to_x, char* to_y, T* to_weight, const long long members, const long long n,
    const long long width, const long long x_row, const long long x_column,
    const long long targets, const long long y_row, const long long y_column,
    const long long y_bytes, const long long w_row, const long long w_column,
    const long long own, const long long kept, const double scale,
    const unsigned int* key, const long long k0, const long long k1)
{
    // order: (n,), or (n, members) for rows of each member's own, from `begin` on if that is given;
    // x: (copies, n, width)
    const long long groups = (width + 3) / 4, copies = own || kept < 65536 ? members : 1;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < copies * n * groups;
         i += (long long)gridDim.x * blockDim.x) {
        const long long group = i % groups, row = i / groups % n, member = i / groups / n;
        const long long at = row + (begin ? *begin : 0);
        const long long from = order[own ? at * members + member : at];
        unsigned int keep = 15;
        if (kept < 65536) keep = kept_of_member(kept, key, k0, k1, member, row, group);
        for (int j = 0; j < 4 && 4 * group + j < width; ++j) {
            const long long column = 4 * group + j;
            const T v = x[from * x_row + column * x_column];
            to_x[(member * n + row) * width + column] =
                kept == 65536 ? v : keep >> j & 1 ? v * (T)scale : (T)0;
        }
        if (group != 0 || (member != 0 && !own)) continue;
        for (long long j = 0; j < targets; ++j) {
            const long long a = (from * y_row + j * y_column) * y_bytes;
            const long long b = ((member * n + row) * targets + j) * y_bytes;
            for (int k = 0; k < y_bytes; ++k) to_y[b + k] = y[a + k];
        }
        if (weight)
            to_weight[member * n + row] = weight[from * w_row + (own ? member * w_column : 0)];
    }
}

// Each member's sum of weights, 1 where all are zero. A block a member.
extern "C" __global__ void sum_weights(const T* weight, T* total, const long long n)
{
    __shared__ T sums[THREADS];
    T sum = 0;
    for (long long i = threadIdx.x; i < n; i += THREADS) sum += weight[blockIdx.x * n + i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) total[blockIdx.x] = sums[0] == 0 ? (T)1 : sums[0];
}
