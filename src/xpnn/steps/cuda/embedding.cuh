// Waves of numbers, see xpnn.model.embedding. Parameters are (members, features, ...).

// A thread a row's feature; those that pass come after the embedded ones.
extern "C" __global__ void embed(
    const T* x, T* y, T* cosine, T* sine, const T* frequency, const T* phase, const T* weight,
    const T* bias, const long long members, const long long n, const long long features,
    const long long passed, const long long waves, const long long size, const long long own)
{
    const long long width = features + passed, outputs = features * (1 + size) + passed;
    const long long all = members * n * width;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < all;
         i += (long long)gridDim.x * blockDim.x) {
        const long long j = i % width, row = i / width % n, member = i / width / n;
        const T v = x[(own ? i / width : row) * width + j];
        T* out = y + (member * n + row) * outputs;
        if (j >= features) {
            out[features * (1 + size) + j - features] = v;
            continue;
        }
        const long long p = member * features + j, at = ((member * n + row) * features + j) * waves;
        for (long long f = 0; f < waves; ++f) {
            const T turn = (T)TWO_PI * frequency[p * waves + f] * v + phase[p * waves + f];
            cosine[at + f] = cos(turn);
            sine[at + f] = sin(turn);
        }
        out[j * (1 + size)] = v;
        for (long long d = 0; d < size; ++d) {
            T sum = 0;
            for (long long f = 0; f < waves; ++f)
                sum += cosine[at + f] * weight[(p * waves + f) * size + d];
            out[j * (1 + size) + 1 + d] = sum + bias[p * size + d];
        }
    }
}

// A block a member's feature: a thread has some waves and every LANES-th row.
extern "C" __global__ void embed_back(
    const T* grad, const T* x, const T* cosine, const T* sine, const T* weight, T* dfrequency,
    T* dphase, T* dweight, T* dbias, const long long n, const long long features,
    const long long passed, const long long waves, const long long size, const long long own)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long j = blockIdx.x, member = blockIdx.y, p = member * features + j;
    const long long width = features + passed, outputs = features * (1 + size) + passed;
    const T* g = grad + member * n * outputs + j * (1 + size) + 1;
    const long long step = waves > size ? waves : size;
    for (long long f = threadIdx.x; f - threadIdx.x < step; f += COLUMNS) {
        T of_frequency = 0, of_phase = 0;
        for (long long row = threadIdx.y; f < waves && row < n; row += LANES) {
            const long long at = ((member * n + row) * features + j) * waves + f;
            T turn = 0;
            for (long long d = 0; d < size; ++d)
                turn += g[row * outputs + d] * weight[(p * waves + f) * size + d];
            turn *= -sine[at];
            of_phase += turn;
            of_frequency += (T)TWO_PI * turn * x[((own ? member * n : 0) + row) * width + j];
        }
        for (long long k = -2; k < size + 1; ++k) {  // frequency, phase, weights, bias
            T sum = k == -2 ? of_frequency : k == -1 ? of_phase : (T)0;
            if (k >= 0 && k < size)
                for (long long row = threadIdx.y; f < waves && row < n; row += LANES)
                    sum += cosine[((member * n + row) * features + j) * waves + f] *
                           g[row * outputs + k];
            if (k == size)
                for (long long row = threadIdx.y; f < size && row < n; row += LANES)
                    sum += g[row * outputs + f];
            sums[threadIdx.y][threadIdx.x] = sum;
            __syncthreads();
            if (threadIdx.y == 0) {
                sum = 0;
                for (int i = 0; i < LANES; ++i) sum += sums[i][threadIdx.x];
                if (k == size && f < size) dbias[p * size + f] = sum;
                if (f < waves && k == -2) dfrequency[p * waves + f] = sum;
                if (f < waves && k == -1) dphase[p * waves + f] = sum;
                if (f < waves && k >= 0 && k < size) dweight[(p * waves + f) * size + k] = sum;
            }
            __syncthreads();
        }
    }
}
