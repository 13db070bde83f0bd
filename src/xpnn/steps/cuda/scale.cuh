// A layer that multiplies each feature by a number; x may be the same for all members.
extern "C" __global__ void scale_forward(
    const T* x, const T* factor, T* y, const long long members, const long long n,
    const long long units, const long long own, const long long kept, const double scale,
    const unsigned int* key, const long long k0, const long long k1, const long long first)
{
    const long long groups = (units + 3) / 4, all = members * n * groups;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < all;
         i += (long long)gridDim.x * blockDim.x) {
        const long long group = i % groups, row = i / groups % n, member = i / groups / n;
        unsigned int keep = 15;
        if (kept < 65536)
            keep = kept_of_member(kept, key, k0, k1, member, first + row, group);
        for (int j = 0; j < 4; ++j) {
            const long long unit = 4 * group + j, at = (member * n + row) * units + unit;
            if (unit >= units) break;
            const T v = x[(own ? at : row * units + unit)] * factor[member * units + unit];
            y[at] = kept < 65536 ? dropped_out(v, keep >> j & 1, scale) : v;
        }
    }
}

extern "C" __global__ void scale_backward(
    T* grad, const T* y, const T* x, const T* factor, T* dfactor, T* partial,
    unsigned int* arrived, const long long n, const long long units, const long long rows,
    const long long own, const long long drops, const double scale)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long column = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    const long long stop = min((blockIdx.y + 1) * rows, n);
    T sum = 0;
    if (column < units) {
        const T s = factor[blockIdx.z * units + column];
        for (long long row = blockIdx.y * rows + threadIdx.y; row < stop; row += LANES) {
            const long long at = (blockIdx.z * n + row) * units + column;
            const T g = !drops ? grad[at] : is_dropped(y[at]) ? (T)0 : grad[at] * (T)scale;
            sum += g * x[own ? at : row * units + column];
            grad[at] = g * s;
        }
    }
    finish_columns(sums, sum, dfactor, partial, arrived, units, column);
}
