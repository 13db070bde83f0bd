// Layer normalization with what follows them, and the way back. u becomes the outputs of
// mean 0 and variance 1, which the way back reads; `inverse` is 1 / standard deviation.

// A warp a row.
extern "C" __global__ void layer_norm(
    T* u, T* y, T* inverse, const T* factor, const T* bias, const long long members,
    const long long n, const long long units, const long long name, const long long kept,
    const double scale,
    const unsigned int* key, const long long k0, const long long k1, const long long first)
{
    const int lane = threadIdx.x;
    const long long i = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    const long long row = i % n, member = i / n, width = i < members * n ? units : 0;
    T sum = 0;
    for (long long unit = lane; unit < width; unit += 32) sum += u[i * units + unit];
    const T mean = sum_of_group(sum, 32) / (T)units;
    sum = 0;
    for (long long unit = lane; unit < width; unit += 32) {
        const T d = u[i * units + unit] - mean;
        sum += d * d;
    }
    const T s = (T)1 / sqrt(sum_of_group(sum, 32) / (T)units + (T)EPSILON);
    for (long long unit = lane; unit < width; unit += 32) {
        const long long at = i * units + unit, own = member * units + unit;
        const T v = (u[at] - mean) * s;
        u[at] = v;
        const T a = activated(name, v * factor[own] + (bias ? bias[own] : (T)0));
        y[at] = a;
        if (kept < 65536) {
            const unsigned int keep =
                kept_of_member(kept, key, k0, k1, member, first + row, unit / 4);
            y[at] = dropped_out(a, keep >> (unit & 3) & 1, scale);
        }
    }
    if (lane == 0 && width) inverse[i] = s;
}

// A block has some rows of one member: its warps take them in turn, then its threads the columns.
// y is used up: it holds the gradient with respect to the activation's input for the second part.
extern "C" __global__ void layer_norm_back(
    T* grad, T* y, const T* unit, const T* inverse, const T* factor, const T* bias, T* dfactor,
    T* dbias, T* partial, unsigned int* arrived, const long long n, const long long units,
    const long long rows, const long long name, const long long drops, const double scale)
{
    const long long member = blockIdx.y, begin = blockIdx.x * rows, stop = min(begin + rows, n);
    const int threads = 32 * blockDim.y, thread = threadIdx.y * 32 + threadIdx.x;
    for (long long r = begin + threadIdx.y; r < stop; r += blockDim.y) {
        const long long i = member * n + r;
        T mean = 0, along = 0;
        for (long long j = threadIdx.x; j < units; j += 32) {
            const long long at = i * units + j, own = member * units + j;
            const T z = unit[at] * factor[own] + (bias ? bias[own] : (T)0);
            const T dz = pulled_back(name, grad[at], y[at], z, drops, scale);
            y[at] = dz;
            mean += dz * factor[own];
            along += dz * factor[own] * unit[at];
        }
        mean = sum_of_group(mean, 32) / (T)units;
        along = sum_of_group(along, 32) / (T)units;
        for (long long j = threadIdx.x; j < units; j += 32) {
            const long long at = i * units + j;
            const T du = y[at] * factor[member * units + j];
            grad[at] = (du - mean - unit[at] * along) * inverse[i];
        }
    }
    __syncthreads();
    volatile T* mine = partial + member * gridDim.x * units * 2;
    for (long long j = thread; j < units; j += threads) {
        T of_factor = 0, of_bias = 0;
        for (long long r = begin; r < stop; ++r) {
            const long long at = (member * n + r) * units + j;
            of_factor += y[at] * unit[at];
            of_bias += y[at];
        }
        mine[(blockIdx.x * units + j) * 2] = of_factor;
        mine[(blockIdx.x * units + j) * 2 + 1] = of_bias;
    }
    if (!is_last_block(arrived + member, gridDim.x)) return;
    for (long long j = thread; j < units; j += threads) {
        T of_factor = 0, of_bias = 0;
        for (long long chunk = 0; chunk < gridDim.x; ++chunk) {
            of_factor += mine[(chunk * units + j) * 2];
            of_bias += mine[(chunk * units + j) * 2 + 1];
        }
        dfactor[member * units + j] = of_factor;
        if (dbias) dbias[member * units + j] = of_bias;
    }
}
