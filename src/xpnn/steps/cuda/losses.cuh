// A loss of a linear last layer: value, gradient and the bias's gradient in one launch.

struct Term {
    T value, slope;
};

// One output's part of an elementwise loss, and its derivative.
__device__ Term term(const int name, const T o, const T t, const T p)
{
    const T r = o - t;
    Term f = {r * r, (T)2 * r};  // squared_error and sum_squared_error
    switch (name) {
    case HALF_SQUARED_ERROR: f = {(T)0.5 * r * r, r}; break;
    case ABSOLUTE_ERROR: f = {fabs(r), (T)(r > 0) - (T)(r < 0)}; break;
    case HUBER: {
        const T g = r > p ? p : r < -p ? -p : r;
        f = {g * (r - (T)0.5 * g), g};
        break;
    }
    case LOG_COSH: {
        const T a = fabs(r);
        f = {a + log1p(exp((T)-2 * a)) - (T)0.69314718055994530942, tanh(r)};
        break;
    }
    case PINBALL: {
        const T g = (T)(r > 0) - p;
        f = {g * r, g};
        break;
    }
    case POISSON: {
        const T most = (T)(LARGEST_EXPONENT - 20.0), rate = exp(o > most ? most : o);
        f = {rate + t * (log(t < (T)1e-37 ? (T)1e-37 : t) - o - (T)1), rate - t};
        break;
    }
    case BINARY_CROSS_ENTROPY: {
        const T s = t * ((T)1 - p) + (T)0.5 * p, e = exp(-fabs(o));
        f = {(o < 0 ? (T)0 : o) - o * s + log1p(e), (o >= 0 ? (T)1 : e) / ((T)1 + e) - s};
        break;
    }
    case HINGE:
    case PERCEPTRON: {
        const T margin = (name == HINGE ? (T)1 : (T)0) - t * o;
        f = {margin < 0 ? (T)0 : margin, margin >= 0 ? -t : (T)0};
        break;
    }
    }
    return f;
}

// The target of class j: of labels, or of rows of probabilities.
__device__ T target_of(
    const T* target, const char* label, const long long bytes, const long long row,
    const long long j, const long long classes)
{
    if (target) return target[row * classes + j];
    const long long c = bytes == 8 ? ((const long long*)label)[row] : ((const int*)label)[row];
    return (T)(c == j);
}

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
        T top = LOWEST, norm = 0, sum = 0;
        for (long long j = lane; j < width; j += lanes) {
            const T o = bias ? z[at + j] + bias[member * outputs + j] : z[at + j];
            if (name == SOFTMAX_CROSS_ENTROPY) {
                dz[at + j] = o;
                top = o > top || o != o ? o : top;
            } else {
                const Term f = term(name, o, target[t * outputs + j], p);
                sum += f.value;
                dz[at + j] = f.slope * factor;
            }
        }
        if (name == SOFTMAX_CROSS_ENTROPY) {
            top = most_of_group(top, lanes);
            for (long long j = lane; j < width; j += lanes) norm += exp(dz[at + j] - top);
            norm = sum_of_group(norm, lanes);
            const T high = log(norm);
            for (long long j = lane; j < width; j += lanes) {
                const T s = target_of(target, label, bytes, t, j, outputs) * ((T)1 - p) +
                            p / (T)outputs;
                const T v = dz[at + j] - top;
                if (s != 0) sum += s * (high - v);
                dz[at + j] = (exp(v) / norm - s) * factor;
            }
        }
        if (width) loss += sum * factor;
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
