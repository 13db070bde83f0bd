// Batch normalization of many rows, which are shared among blocks: statistics in one launch, whose
// last block adds up those of all in order, and what is done with them in another.

// Mean and variance of columns. Each block has those of its own rows; of two sets of rows the
// squares about the mean of both are those about each, and what lies between the means.
extern "C" __global__ void batch_statistics(
    const T* u, T* center, T* inverse, T* mean, T* variance, T* partial, unsigned int* arrived,
    const long long n, const long long units, const long long rows)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long column = blockIdx.x * (long long)COLUMNS + threadIdx.x, member = blockIdx.z;
    const long long begin = blockIdx.y * rows, end = min(begin + rows, n);
    const long long stop = column < units ? end : begin, chunks = gridDim.y;
    T sum = 0;
    for (long long row = begin + threadIdx.y; row < stop; row += LANES)
        sum += u[(member * n + row) * units + column];
    const T own_mean = sum_for_column(sums, sum) / (T)(end - begin);
    sum = 0;
    for (long long row = begin + threadIdx.y; row < stop; row += LANES) {
        const T d = u[(member * n + row) * units + column] - own_mean;
        sum += d * d;
    }
    sum = sum_for_column(sums, sum);
    volatile T* all = partial + member * chunks * units * 2;
    if (threadIdx.y == 0 && column < units) {
        all[(blockIdx.y * units + column) * 2] = own_mean;
        all[(blockIdx.y * units + column) * 2 + 1] = sum;
    }
    if (!is_last_block(arrived + member * gridDim.x + blockIdx.x, chunks)) return;
    if (threadIdx.y != 0 || column >= units) return;
    T middle = 0, squares = 0;
    for (long long chunk = 0; chunk < chunks; ++chunk) {
        const T before = chunk * rows, here = min(rows, n - chunk * rows);
        const T d = all[(chunk * units + column) * 2] - middle, part = here / (before + here);
        middle += d * part;
        squares += all[(chunk * units + column) * 2 + 1] + d * d * before * part;
    }
    const long long own = member * units + column;
    const T spread = squares / (T)n;
    center[own] = middle;
    inverse[own] = (T)1 / sqrt(spread + (T)EPSILON);
    move_statistics(mean + own, variance + own, middle, spread, n);
}

// Outputs of mean 0 and variance 1 in place, and what follows them. A thread an element.
extern "C" __global__ void batch_normalized(
    T* u, T* y, const T* center, const T* inverse, const T* factor, const T* bias,
    const long long members, const long long n, const long long units, const long long name,
    const long long kept, const double scale, const unsigned int* key, const long long k0,
    const long long k1, const long long first)
{
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < members * n * units;
         i += (long long)gridDim.x * blockDim.x) {
        const long long member = i / units / n, own = member * units + i % units;
        const T v = (u[i] - center[own]) * inverse[own];
        u[i] = v;
        const T a = activated(name, v * factor[own] + (bias ? bias[own] : (T)0));
        y[i] = a;
        if (kept < 65536) {
            const unsigned int keep = kept_of_member(
                kept, key, k0, k1, member, first + i / units % n, i % units / 4);
            y[i] = dropped_out(a, keep >> (i % units & 3) & 1, scale);
        }
    }
}

// The gradient with respect to the activation's input, in place, and the sums over its rows.
extern "C" __global__ void batch_sums_back(
    T* grad, const T* y, const T* unit, const T* factor, const T* bias, T* dfactor, T* dbias,
    T* partial, unsigned int* arrived, const long long n, const long long units,
    const long long rows, const long long name, const long long drops, const double scale)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long column = blockIdx.x * (long long)COLUMNS + threadIdx.x, member = blockIdx.z;
    const long long stop = min((blockIdx.y + 1) * rows, n), own = member * units + column;
    T of_bias = 0, of_factor = 0;
    if (column < units) {
        for (long long row = blockIdx.y * rows + threadIdx.y; row < stop; row += LANES) {
            const long long at = (member * n + row) * units + column;
            const T z = unit[at] * factor[own] + (bias ? bias[own] : (T)0);
            const T dz = pulled_back(name, grad[at], y[at], z, drops, scale);
            grad[at] = dz;
            of_bias += dz;
            of_factor += dz * unit[at];
        }
    }
    const long long blocks = gridDim.x * gridDim.z;
    finish_columns(sums, of_factor, dfactor, partial, arrived, units, column);
    finish_columns(
        sums, of_bias, dbias, partial + gridDim.z * gridDim.y * units,
        arrived + blocks, units, column);
}

// The gradient with respect to the outputs that were normalized, in place. A thread an element.
extern "C" __global__ void batch_back(
    T* grad, const T* unit, const T* inverse, const T* factor, const T* dfactor, const T* dbias,
    const long long members, const long long n, const long long units)
{
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < members * n * units;
         i += (long long)gridDim.x * blockDim.x) {
        const long long own = i / units / n * units + i % units;
        const T centered = grad[i] - dbias[own] / (T)n - unit[i] * (dfactor[own] / (T)n);
        grad[i] = centered * factor[own] * inverse[own];
    }
}
