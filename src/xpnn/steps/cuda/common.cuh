// What all files begin with. REAL, and a number for each activation, loss and optimizer, are
// defined by kernels.py. Whole numbers come as long long and others as double, as Python has them.
typedef REAL T;

// Two random words, see xpnn.arrays.random.threefry_2x32.
__device__ void threefry(
    const unsigned int k0, const unsigned int k1, unsigned int* x0, unsigned int* x1)
{
    const unsigned int k[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
    const unsigned int turn[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    unsigned int a = *x0 + k[0], b = *x1 + k[1];
    #pragma unroll
    for (int i = 0; i < 20; ++i) {
        a += b;
        b = ((b << turn[i % 8]) | (b >> (32 - turn[i % 8]))) ^ a;
        if (i % 4 == 3) {
            const int s = i / 4 + 1;
            a += k[s % 3];
            b += k[(s + 1) % 3] + s;
        }
    }
    *x0 = a;
    *x1 = b;
}

// Which of four neighbouring units are kept, as bits.
__device__ unsigned int kept_of_four(
    const unsigned int kept, const unsigned int k0, const unsigned int k1, const unsigned int row,
    const unsigned int group)
{
    unsigned int a = row, b = group;
    threefry(k0, k1, &a, &b);
    return ((a & 0xFFFFu) < kept) | ((a >> 16) < kept) << 1 | ((b & 0xFFFFu) < kept) << 2 |
           ((b >> 16) < kept) << 3;
}

// The same of a member, by a key in memory, or by its two words where there is none.
__device__ unsigned int kept_of_member(
    const unsigned int kept, const unsigned int* key, const long long k0, const long long k1,
    const unsigned int member, const unsigned int row, const unsigned int group)
{
    const unsigned int high = key ? key[0] : (unsigned int)k0;
    const unsigned int low = key ? key[1] : (unsigned int)k1;
    return kept_of_four(kept, high, low + member, row, group);
}

// A dropped unit is minus zero, and a kept one never is: so the way back needs no draw.
__device__ T dropped_out(const T a, const bool kept, const T scale)
{
    return kept ? a * scale + (T)0 : -(T)0;
}

__device__ bool is_dropped(const T y)
{
    return y == 0 && (T)1 / y < 0;
}

__device__ T sigmoid(const T z)
{
    return (T)1 / ((T)1 + exp(-z));
}

__device__ T activated(const int name, const T z)
{
    switch (name) {
    case ONE: return 1;
    case STEP: return z >= 0 ? (T)1 : z < 0 ? (T)0 : z;
    case RELU: return z < 0 ? (T)0 : z;
    case LEAKY_RELU: return z < 0 ? (T)LEAKY_SLOPE * z : z;
    case TANH: return tanh(z);
    case SIGMOID: return sigmoid(z);
    case ELU: return z > 0 ? z : expm1(z);
    case SELU: return z > 0 ? (T)SELU_SCALE * z : (T)(SELU_SCALE * SELU_ALPHA) * expm1(z);
    case GELU:
        return (T)0.5 * z * ((T)1 + tanh((T)GELU_SLOPE * z * ((T)1 + (T)GELU_CUBIC * z * z)));
    case SILU: return z * sigmoid(z);
    case MISH: {
        const T e = exp(z > (T)MISH_LIMIT ? (T)MISH_LIMIT : z), n = e * (e + (T)2);
        return z * (n / (n + (T)2));
    }
    case SOFTPLUS: return (z < 0 ? (T)0 : z) + log1p(exp(-fabs(z)));
    case SOFTSIGN: return z / ((T)1 + fabs(z));
    case HARD_SIGMOID: {
        const T a = z / (T)6 + (T)0.5;
        return a < 0 ? (T)0 : a > 1 ? (T)1 : a;
    }
    case EXP: return exp(z > (T)LARGEST_EXPONENT ? (T)LARGEST_EXPONENT : z);
    }
    return z;
}

// The derivative of an activation with respect to z, given what it made of z.
__device__ T slope(const int name, const T z, const T a)
{
    switch (name) {
    case RELU: return a > 0 ? (T)1 : (T)0;
    case LEAKY_RELU: return a > 0 ? (T)1 : (T)LEAKY_SLOPE;
    case TANH: return (T)1 - a * a;
    case SIGMOID: return a * ((T)1 - a);
    case ELU: return (a > 0 ? (T)0 : a) + (T)1;
    case SELU: return a > 0 ? (T)SELU_SCALE : a + (T)(SELU_SCALE * SELU_ALPHA);
    case GELU: {
        const T cubic = (T)GELU_CUBIC * z * z, t = tanh((T)GELU_SLOPE * z * ((T)1 + cubic));
        const T inner = (T)GELU_SLOPE * ((T)1 + (T)3 * cubic);
        return (T)0.5 * ((T)1 + t) * ((T)1 + z * ((T)1 - t) * inner);
    }
    case SILU: {
        const T s = sigmoid(z);
        return s + z * s * ((T)1 - s);
    }
    case MISH: {
        const T e = exp(z > (T)MISH_LIMIT ? (T)MISH_LIMIT : z), n = e * (e + (T)2), m = n + (T)2;
        return (n + (T)4 * z * e * ((T)1 + e) / m) / m;
    }
    case SOFTPLUS: return -expm1(-a);
    case SOFTSIGN: {
        const T r = (T)1 / ((T)1 + fabs(z));
        return r * r;
    }
    case HARD_SIGMOID: return a > 0 && a < 1 ? (T)1 / (T)6 : (T)0;
    case EXP: return a;
    }
    return (T)1;
}

// The gradient with respect to z, given that of the output y after dropout.
__device__ T pulled_back(
    const int name, const T g, const T y, const T z, const bool drops, const T scale)
{
    if (!drops) return g * slope(name, z, y);
    return is_dropped(y) ? (T)0 : g * scale * slope(name, z, y / scale);
}

// Whether this block is the last of a launch to get here, so that it sees what all others wrote.
__device__ bool is_last_block(unsigned int* arrived, const unsigned int blocks)
{
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last = atomicInc(arrived, blocks - 1) == blocks - 1;  // and is 0 again
        __threadfence();
    }
    __syncthreads();
    return last;
}

// Sums over the lanes of a group of threads of one warp, the same for all of them.
__device__ T sum_of_group(T x, const int lanes)
{
    for (int far = lanes / 2; far > 0; far /= 2) x += __shfl_xor_sync(0xffffffffu, x, far, lanes);
    return x;
}

__device__ T most_of_group(T x, const int lanes)
{
    for (int far = lanes / 2; far > 0; far /= 2) {
        const T other = __shfl_xor_sync(0xffffffffu, x, far, lanes);
        x = other > x || other != other ? other : x;
    }
    return x;
}
