// Between the products: bias, activation, dropout, and the way back. Arrays are (members, n, units).

// One thread for four neighbouring units, which share a draw.
extern "C" __global__ void activate(
    T* z, T* y, const T* bias, const long long members, const long long n, const long long units,
    const long long name, const long long kept, const double scale, const long long k0,
    const long long k1, const long long first)
{
    const long long groups = (units + 3) / 4, all = members * n * groups;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < all;
         i += (long long)gridDim.x * blockDim.x) {
        const long long group = i % groups, row = i / groups % n, member = i / groups / n;
        unsigned int keep = 15;
        if (kept < 65536)
            keep = kept_of_four(kept, k0, (unsigned int)k1 + member, first + row, group);
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

// Softmax (or its logarithm) of rows, for which a warp's threads work together; z keeps the output
// before dropout.
extern "C" __global__ void activate_rows(
    T* z, T* y, const T* bias, const long long members, const long long n, const long long units,
    const long long name, const long long kept, const double scale, const long long k0,
    const long long k1, const long long first)
{
    const int lane = threadIdx.x;
    const long long i = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    const bool there = i < members * n;
    const long long row = i % n, member = i / n;
    T top = -INFINITY, total = 0;
    for (long long unit = lane; there && unit < units; unit += 32) {
        const long long at = i * units + unit;
        const T v = bias ? z[at] + bias[member * units + unit] : z[at];
        z[at] = v;
        top = v > top || v != v ? v : top;
    }
    top = most_of_group(top, 32);
    for (long long unit = lane; there && unit < units; unit += 32)
        total += exp(z[i * units + unit] - top);
    total = sum_of_group(total, 32);
    for (long long unit = lane; there && unit < units; unit += 32) {
        const long long at = i * units + unit;
        const T a = name == SOFTMAX ? exp(z[at] - top) / total : z[at] - top - log(total);
        z[at] = a;
        y[at] = a;
        if (kept < 65536) {
            const unsigned int keep =
                kept_of_four(kept, k0, (unsigned int)k1 + member, first + row, unit / 4);
            y[at] = dropped_out(a, keep >> (unit & 3) & 1, scale);
        }
    }
}

extern "C" __global__ void pull_back_rows(
    T* grad, const T* y, const T* a, const long long rows, const long long units,
    const long long name, const long long drops, const double scale)
{
    const int lane = threadIdx.x;
    const long long i = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    T sum = 0;
    for (long long unit = lane; i < rows && unit < units; unit += 32) {
        const long long at = i * units + unit;
        const T g = !drops ? grad[at] : is_dropped(y[at]) ? (T)0 : grad[at] * (T)scale;
        sum += name == SOFTMAX ? g * a[at] : g;
    }
    sum = sum_of_group(sum, 32);
    for (long long unit = lane; i < rows && unit < units; unit += 32) {
        const long long at = i * units + unit;
        const T g = !drops ? grad[at] : is_dropped(y[at]) ? (T)0 : grad[at] * (T)scale;
        grad[at] = name == SOFTMAX ? a[at] * (g - sum) : g - exp(a[at]) * sum;
    }
}

// The sum of a block's threads of one column, in the first of them.
__device__ T sum_of_column(T sums[LANES][COLUMNS], const T sum)
{
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    T total = sum;
    if (threadIdx.y == 0)
        for (int i = 1; i < LANES; ++i) total += sums[i][threadIdx.x];
    __syncthreads();
    return total;
}

// Sums of columns whose rows were shared among blocks: the last block to come adds them in order.
__device__ void finish_columns(
    T sums[LANES][COLUMNS], T sum, T* out, T* partial, unsigned int* arrived,
    const long long units, const long long column)
{
    const long long member = blockIdx.z, chunks = gridDim.y;
    sum = sum_of_column(sums, sum);
    if (out == 0) return;
    if (chunks == 1) {
        if (threadIdx.y == 0 && column < units) out[member * units + column] = sum;
        return;
    }
    volatile T* mine = partial + member * chunks * units;
    if (threadIdx.y == 0 && column < units) mine[blockIdx.y * units + column] = sum;
    if (!is_last_block(arrived + member * gridDim.x + blockIdx.x, chunks)) return;
    sum = 0;
    for (long long chunk = threadIdx.y; column < units && chunk < chunks; chunk += LANES)
        sum += mine[chunk * units + column];
    sum = sum_of_column(sums, sum);
    if (threadIdx.y == 0 && column < units) out[member * units + column] = sum;
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

// A layer that multiplies each feature by a number; x may be the same for all members.
extern "C" __global__ void scale_forward(
    const T* x, const T* factor, T* y, const long long members, const long long n,
    const long long units, const long long own, const long long kept, const double scale,
    const long long k0, const long long k1, const long long first)
{
    const long long groups = (units + 3) / 4, all = members * n * groups;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < all;
         i += (long long)gridDim.x * blockDim.x) {
        const long long group = i % groups, row = i / groups % n, member = i / groups / n;
        unsigned int keep = 15;
        if (kept < 65536)
            keep = kept_of_four(kept, k0, (unsigned int)k1 + member, first + row, group);
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
