// What is looked at after an epoch: the scores of rows held out, and whether parameters are finite.
// Sums are added in an order that the shapes fix.

// The sum over a block's threads, for all of them.
__device__ T sum_of_block(T sums[THREADS], const T sum)
{
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    const T total = sums[0];
    __syncthreads();
    return total;
}

// The first of the largest outputs of a row, 0 where one is NaN.
__device__ long long class_of(const T* output, const long long outputs)
{
    long long found = 0;
    for (long long j = 0; j < outputs; ++j) {
        if (output[j] != output[j]) return 0;
        if (output[j] > output[found]) found = j;
    }
    return found;
}

__device__ long long truth_at(const char* truth, const long long at, const long long bytes)
{
    return bytes == 8 ? ((const long long*)truth)[at] : ((const int*)truth)[at];
}

// Whether a row's outputs say what is true of it. By rule: 0, the largest is the class; 1, one
// above zero is class 1; 2, each above zero is a label of its own; 3, class 0 is all there is.
__device__ bool is_right(
    const T* output, const char* truth, const long long outputs, const long long rule,
    const long long bytes)
{
    if (rule == 0) return truth_at(truth, 0, bytes) == class_of(output, outputs);
    if (rule == 1) return truth_at(truth, 0, bytes) == (output[0] > 0);
    if (rule == 3) return truth_at(truth, 0, bytes) == 0;
    for (long long j = 0; j < outputs; ++j)
        if (truth_at(truth, j, bytes) != (output[j] > 0)) return false;
    return true;
}

// The weighted fraction of rows that are right.
extern "C" __global__ void accuracy(
    const T* output, const char* truth, const T* weight, T* score, T* partial,
    unsigned int* arrived, const long long n, const long long outputs, const long long rule,
    const long long bytes)
{
    __shared__ T sums[THREADS];
    const long long labels = rule == 2 ? outputs : 1;
    T right = 0, all = 0;
    for (long long row = blockIdx.x * (long long)THREADS + threadIdx.x; row < n;
         row += (long long)gridDim.x * THREADS) {
        all += weight[row];
        if (is_right(output + row * outputs, truth + row * labels * bytes, outputs, rule, bytes))
            right += weight[row];
    }
    right = sum_of_block(sums, right);
    all = sum_of_block(sums, all);
    volatile T* each = partial;
    if (threadIdx.x == 0) {
        each[2 * blockIdx.x] = right;
        each[2 * blockIdx.x + 1] = all;
    }
    if (!is_last_block(arrived, gridDim.x)) return;
    right = all = 0;
    for (long long b = threadIdx.x; b < gridDim.x; b += THREADS) {
        right += each[2 * b];
        all += each[2 * b + 1];
    }
    right = sum_of_block(sums, right);
    all = sum_of_block(sums, all);
    if (threadIdx.x == 0) *score = right / all;
}

// The coefficient of determination, the mean over outputs. A block an output.
extern "C" __global__ void r2(
    const T* output, const T* target, const T* weight, T* score, T* partial,
    unsigned int* arrived, const long long n, const long long outputs)
{
    __shared__ T sums[THREADS];
    const long long j = blockIdx.x;
    T all = 0, mean = 0, residual = 0, spread = 0;
    for (long long row = threadIdx.x; row < n; row += THREADS) {
        const T t = target[row * outputs + j], r = t - output[row * outputs + j];
        all += weight[row];
        mean += weight[row] * (t - target[j]);  // of a constant it is exactly zero
        residual += weight[row] * (r * r);
    }
    all = sum_of_block(sums, all);
    mean = sum_of_block(sums, mean) / all;
    residual = sum_of_block(sums, residual);
    for (long long row = threadIdx.x; row < n; row += THREADS) {
        const T d = target[row * outputs + j] - target[j] - mean;
        spread += weight[row] * (d * d);
    }
    spread = sum_of_block(sums, spread);
    volatile T* each = partial;
    if (threadIdx.x == 0)
        each[j] = (T)1 - (spread == 0 ? (T)(residual > 0) : residual / spread);
    if (!is_last_block(arrived, gridDim.x)) return;
    T sum = 0;
    for (long long b = threadIdx.x; b < outputs; b += THREADS) sum += each[b];
    sum = sum_of_block(sums, sum);
    if (threadIdx.x == 0) *score = sum / (T)outputs;
}

// The first of each row's largest outputs, 0 where one is NaN. A thread a row.
extern "C" __global__ void largest(
    const T* output, char* found, const long long n, const long long outputs,
    const long long bytes)
{
    for (long long row = blockIdx.x * (long long)THREADS + threadIdx.x; row < n;
         row += (long long)gridDim.x * THREADS) {
        const T* own = output + row * outputs;
        const long long c = class_of(own, outputs);
        if (bytes == 8) ((long long*)found)[row] = c;
        else ((int*)found)[row] = (int)c;
    }
}

// Two numbers, in one piece for the one copy to the host.
extern "C" __global__ void pair(const T* first, const T* second, T* both)
{
    if (threadIdx.x < 2) both[threadIdx.x] = threadIdx.x ? *second : *first;
}

// The mean loss of an epoch, and 1 if all parameters are finite.
extern "C" __global__ void look(
    const T* theta, const T* total, T* both, unsigned int* partial, unsigned int* arrived,
    const long long size, const long long n)
{
    __shared__ T sums[THREADS];
    T bad = 0;
    for (long long i = blockIdx.x * (long long)THREADS + threadIdx.x; i < size;
         i += (long long)gridDim.x * THREADS)
        if (theta[i] - theta[i] != 0) bad = 1;
    bad = sum_of_block(sums, bad);
    volatile unsigned int* each = partial;
    if (threadIdx.x == 0) each[blockIdx.x] = bad != 0;
    if (!is_last_block(arrived, gridDim.x)) return;
    bad = 0;
    for (long long b = threadIdx.x; b < gridDim.x; b += THREADS) bad += each[b];
    bad = sum_of_block(sums, bad);
    if (threadIdx.x != 0) return;
    both[0] = *total / (T)n;
    both[1] = bad == 0;
}
