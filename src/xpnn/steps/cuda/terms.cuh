// Losses of one row: its part of the value, and its gradient.

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

// A row's part of a loss, and its gradient into dz, which may be z; z has bias added. Lanes of
// threads go over its outputs, each of which gets the part of its own; `width` is 0 for no row.
__device__ T loss_of_row(
    const int name, const T* z, T* dz, const T* bias, const T* target, const char* label,
    const long long bytes, const long long row, const long long outputs, const long long width,
    const T factor, const T p, const int lane, const int lanes)
{
    T top = LOWEST, norm = 0, sum = 0;
    for (long long j = lane; j < width; j += lanes) {
        const T o = bias ? z[j] + bias[j] : z[j];
        if (name == SOFTMAX_CROSS_ENTROPY) {
            dz[j] = o;
            top = o > top || o != o ? o : top;
        } else {
            const Term f = term(name, o, target[row * outputs + j], p);
            sum += f.value;
            dz[j] = f.slope * factor;
        }
    }
    if (name != SOFTMAX_CROSS_ENTROPY) return sum * factor;
    top = most_of_group(top, lanes);
    for (long long j = lane; j < width; j += lanes) norm += exp(dz[j] - top);
    norm = sum_of_group(norm, lanes);
    const T high = log(norm);
    for (long long j = lane; j < width; j += lanes) {
        const T s = target_of(target, label, bytes, row, j, outputs) * ((T)1 - p) + p / (T)outputs;
        const T v = dz[j] - top;
        if (s != 0) sum += s * (high - v);
        dz[j] = (exp(v) / norm - s) * factor;
    }
    return sum * factor;
}

