// A loss of a linear last layer: value, gradient and the bias's gradient in one launch.

// Lanes of a row's threads go over its outputs; z gets bias, and dz (which may be z) the gradient.
extern "C" __global__ void loss_rows(
    T* z, T* dz, const T* bias, const T* target, const char* label, const T* weight,
    const T* weights, T* db, T* value, T* total, T* partial, unsigned int* arrived,
    const long long n, const long long outputs, const long long rows, const long long name,
    const long long own_target, const long long own_weight, const long long bytes,
    const double parameter)
{
    __shared__ T sums[THREADS];
    const int lanes = blockDim.x, threads = lanes * blockDim.y;
    const int lane = threadIdx.x, thread = threadIdx.y * lanes + lane;
    const long long members = gridDim.y, member = blockIdx.y, begin = blockIdx.x * rows;
    const long long stop = min(begin + rows, n);
    const T p = parameter;
    T loss = 0;
    for (long long r = begin; r < stop; r += blockDim.y) {
        const long long row = r + threadIdx.y, i = member * n + row, at = i * outputs;
        const long long width = row < stop ? outputs : 0;
        const long long t = own_target ? i : row, w = own_weight ? i : row;
        T factor = 1;
        if (width && weight)
            factor = weight[w] / (name == SUM_SQUARED_ERROR ? (T)1 : weights[own_weight * member]);
        else if (name != SUM_SQUARED_ERROR)
            factor = (T)1 / (T)n;
        if (name == SQUARED_ERROR) factor /= (T)outputs;
        const T part = loss_of_row(
            name, z + at, dz + at, bias ? bias + member * outputs : 0, target, label, bytes, t,
            outputs, width, factor, p, lane, lanes);
        if (width) loss += part;
    }
    sums[thread] = loss;
    __syncthreads();  // the block's gradients are there, and its sums
    volatile T* mine = partial + (member * gridDim.x + blockIdx.x) * (outputs + 1);
    if (thread == 0) {
        for (int i = 1; i < threads; ++i) loss += sums[i];
        mine[outputs] = loss;
    }
    for (long long j = thread; db && j < outputs; j += threads) {
        T sum = 0;
        for (long long row = begin; row < stop; ++row)
            sum += dz[(member * n + row) * outputs + j];
        mine[j] = sum;
    }
    if (!is_last_block(arrived, gridDim.x * gridDim.y)) return;
    volatile T* all = partial;
    const long long blocks = gridDim.x;
    for (long long k = thread; db && k < members * outputs; k += threads) {
        T sum = 0;
        for (long long b = 0; b < blocks; ++b)
            sum += all[(k / outputs * blocks + b) * (outputs + 1) + k % outputs];
        db[k] = sum;
    }
    T sum = 0;
    for (long long b = thread; b < members * blocks; b += threads)
        sum += all[b * (outputs + 1) + outputs];
    sums[thread] = sum;
    __syncthreads();
    if (thread != 0) return;
    for (int i = 1; i < threads; ++i) sum += sums[i];
    *value = sum / (T)members;
    if (total) *total += *value * (T)n;
}
