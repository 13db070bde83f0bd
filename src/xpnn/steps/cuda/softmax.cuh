// Softmax (or its logarithm) of rows, for which a warp's threads work together; z keeps the output
// before dropout.
extern "C" __global__ void activate_rows(
    T* z, T* y, const T* bias, const long long members, const long long n, const long long units,
    const long long name, const long long kept, const double scale,
    const unsigned int* key, const long long k0, const long long k1, const long long first)
{
    const int lane = threadIdx.x;
    const long long i = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    const bool there = i < members * n;
    const long long row = i % n, member = i / n;
    T top = LOWEST, total = 0;
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
                kept_of_member(kept, key, k0, k1, member, first + row, unit / 4);
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
