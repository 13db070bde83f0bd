// Between the products: bias, activation, dropout, and the way back. Arrays are (members, n, units).

// One thread for four neighbouring units, which share a draw.
extern "C" __global__ void activate(
    T* z, T* y, const T* bias, const long long members, const long long n, const long long units,
    const long long name, const long long kept, const double scale,
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
            const T v = bias ? z[at] + bias[member * units + unit] : z[at];
            const T a = activated(name, v);
            if (y != z && bias) z[at] = v;
            y[at] = kept < 65536 ? dropped_out(a, keep >> j & 1, scale) : a;
        }
    }
}

// The gradient with respect to z, in place, and the bias's. A block has some rows of 32 columns.
extern "C" __global__ void pull_back(
    T* grad, const T* __restrict__ y, const T* z, T* db, T* partial, unsigned int* arrived,
    const long long n, const long long units, const long long rows, const long long name,
    const long long drops, const double scale)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long column = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    const long long stop = min((blockIdx.y + 1) * rows, n);
    T sum = 0;
    if (column < units) {
        for (long long row = blockIdx.y * rows + threadIdx.y; row < stop; row += LANES) {
            const long long at = (blockIdx.z * n + row) * units + column;
            const T dz = pulled_back(name, grad[at], y[at], z[at], drops, scale);
            grad[at] = dz;
            sum += dz;
        }
    }
    finish_columns(sums, sum, db, partial, arrived, units, column);
}
