// Batch normalization with what follows them, and the way back. u becomes the outputs of
// mean 0 and variance 1, which the way back reads; `inverse` is 1 / standard deviation.

// A block has 32 columns of one member; rows go to its lanes in turn.
extern "C" __global__ void batch_norm(
    T* u, T* y, T* inverse, const T* factor, const T* bias, T* mean, T* variance,
    const long long n, const long long units, const long long name, const long long kept,
    const double scale,
    const unsigned int* key, const long long k0, const long long k1, const long long first)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long member = blockIdx.y, column = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    const long long own = member * units + column, stop = column < units ? n : 0;
    T sum = 0, center = 0, spread = 1;
    if (n > 1) {
        for (long long row = threadIdx.y; row < stop; row += LANES)
            sum += u[(member * n + row) * units + column];
        center = sum_for_column(sums, sum) / (T)n;
        sum = 0;
        for (long long row = threadIdx.y; row < stop; row += LANES) {
            const T d = u[(member * n + row) * units + column] - center;
            sum += d * d;
        }
        spread = sum_for_column(sums, sum) / (T)n;
    } else if (column < units) { // one row has no variance: the running statistics
        center = mean[own];
        spread = variance[own];
    }
    const T s = (T)1 / sqrt(spread + (T)EPSILON);
    for (long long row = threadIdx.y; row < stop; row += LANES) {
        const long long at = (member * n + row) * units + column;
        const T v = (u[at] - center) * s;
        u[at] = v;
        const T a = activated(name, v * factor[own] + (bias ? bias[own] : (T)0));
        y[at] = a;
        if (kept < 65536) {
            const unsigned int keep =
                kept_of_member(kept, key, k0, k1, member, first + row, column / 4);
            y[at] = dropped_out(a, keep >> (column & 3) & 1, scale);
        }
    }
    if (threadIdx.y != 0 || column >= units) return;
    inverse[own] = s;
    if (n > 1) move_statistics(mean + own, variance + own, center, spread, n);
}

extern "C" __global__ void batch_norm_back(
    T* grad, const T* y, const T* unit, const T* inverse, const T* factor, const T* bias,
    T* dfactor, T* dbias, const long long n, const long long units, const long long name,
    const long long drops, const double scale)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long member = blockIdx.y, column = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    const long long own = member * units + column, stop = column < units ? n : 0;
    T of_bias = 0, of_factor = 0;
    for (long long row = threadIdx.y; row < stop; row += LANES) {
        const long long at = (member * n + row) * units + column;
        const T z = unit[at] * factor[own] + (bias ? bias[own] : (T)0);
        const T dz = pulled_back(name, grad[at], y[at], z, drops, scale);
        grad[at] = dz;
        of_bias += dz;
        of_factor += dz * unit[at];
    }
    of_bias = sum_for_column(sums, of_bias);
    of_factor = sum_for_column(sums, of_factor);
    for (long long row = threadIdx.y; row < stop; row += LANES) {
        const long long at = (member * n + row) * units + column;
        const T centered =
            n > 1 ? grad[at] - of_bias / (T)n - unit[at] * (of_factor / (T)n) : grad[at];
        grad[at] = centered * factor[own] * inverse[own];
    }
    if (threadIdx.y == 0 && column < units) {
        dfactor[own] = of_factor;
        if (dbias) dbias[own] = of_bias;
    }
}

// Out of training: the running statistics, in place. A thread an element.
extern "C" __global__ void running_norm(
    T* u, const T* factor, const T* bias, const T* mean, const T* variance,
    const long long members, const long long n, const long long units, const long long name)
{
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < members * n * units;
         i += (long long)gridDim.x * blockDim.x) {
        const long long own = i / units / n * units + i % units;
        const T s = (T)1 / sqrt(variance[own] + (T)EPSILON);
        const T z = (u[i] - mean[own]) * s * factor[own];
        u[i] = activated(name, bias ? z + bias[own] : z);
    }
}
