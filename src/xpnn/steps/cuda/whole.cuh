// Whole training steps of a small network of dense layers, one after another in one block: for
// these a launch takes longer than a step's arithmetic. Rooms are those of the largest batch.

struct Layer {
    long long in, out;
    T *w, *b, *dw, *db, *z, *y;  // z is y where the way back needs no z
    int name, kept;
};

__device__ Layer layer_at(const long long* plan, const int i, T* theta, T* gradient, T* room)
{
    const long long* p = plan + 8 * i;
    const Layer l = {
        p[0], p[1], theta + p[2], p[3] < 0 ? 0 : theta + p[3], gradient + p[2],
        p[3] < 0 ? 0 : gradient + p[3], room + p[6], room + p[7], (int)p[4], (int)p[5]};
    return l;
}

// The sum over the block's threads, for all of them.
__device__ T sum_of_block(const T sum)
{
    __shared__ T sums[WHOLE];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = WHOLE / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    const T total = sums[0];
    __syncthreads();
    return total;
}

// Rows of the order, with the input's dropout.
__device__ void gather_rows(
    const T* x, const long long* order, T* out, const long long n, const long long width,
    const long long down, const long long across, const int kept, const unsigned int* key)
{
    for (long long i = threadIdx.x; i < n * width; i += WHOLE) {
        const long long row = i / width, j = i % width;
        const T v = x[order[row] * down + j * across];
        bool keep = true;
        if (kept < 65536) keep = kept_of_four(kept, key[0], key[1], row, j / 4) >> (j & 3) & 1;
        out[i] = kept == 65536 ? v : keep ? v * (T)(65536.0 / kept) : (T)0;
    }
    __syncthreads();
}

// Outputs of n rows. A thread has EACH rows of one unit.
__device__ void forward(const Layer l, const T* x, const long long n, const unsigned int* key)
{
    for (long long i = threadIdx.x; i < (n + EACH - 1) / EACH * l.out; i += WHOLE) {
        const long long unit = i % l.out, first = i / l.out * EACH;
        T sums[EACH] = {0};
        for (long long k = 0; k < l.in; ++k) {
            const T w = l.w[k * l.out + unit];
            #pragma unroll
            for (int r = 0; r < EACH; ++r) sums[r] += x[min(first + r, n - 1) * l.in + k] * w;
        }
        #pragma unroll
        for (int r = 0; r < EACH; ++r) {
            const long long row = first + r, at = row * l.out + unit;
            if (row >= n) continue;
            const T v = l.b ? sums[r] + l.b[unit] : sums[r];
            l.z[at] = v;
            T a = activated(l.name, v);
            if (l.kept < 65536) {
                const unsigned int keep = kept_of_four(l.kept, key[0], key[1], row, unit / 4);
                a = dropped_out(a, keep >> (unit & 3) & 1, (T)(65536.0 / l.kept));
            }
            l.y[at] = a;
        }
    }
    __syncthreads();
}

// The way back: g becomes the gradient with respect to z; the parameters' goes to its place, the
// inputs' into dx unless that is 0.
__device__ void backward(const Layer l, const T* x, T* g, T* dx, const long long n)
{
    for (long long i = threadIdx.x; i < n * l.out; i += WHOLE)
        g[i] = pulled_back(
            l.name, g[i], l.y[i], l.z[i], l.kept < 65536, (T)(65536.0 / l.kept));
    __syncthreads();
    for (long long i = threadIdx.x; i < (l.in + EACH - 1) / EACH * l.out; i += WHOLE) {
        const long long unit = i % l.out, first = i / l.out * EACH;
        T sums[EACH] = {0};
        for (long long row = 0; row < n; ++row) {
            const T d = g[row * l.out + unit];
            #pragma unroll
            for (int r = 0; r < EACH; ++r)
                sums[r] += x[row * l.in + min(first + r, l.in - 1)] * d;
        }
        #pragma unroll
        for (int r = 0; r < EACH; ++r)
            if (first + r < l.in) l.dw[(first + r) * l.out + unit] = sums[r];
    }
    for (long long unit = threadIdx.x; l.db && unit < l.out; unit += WHOLE) {
        T sum = 0;
        for (long long row = 0; row < n; ++row) sum += g[row * l.out + unit];
        l.db[unit] = sum;
    }
    for (long long i = threadIdx.x; dx && i < (n + EACH - 1) / EACH * l.in; i += WHOLE) {
        const long long k = i % l.in, first = i / l.in * EACH;
        T sums[EACH] = {0};
        for (long long unit = 0; unit < l.out; ++unit) {
            const T w = l.w[k * l.out + unit];
            #pragma unroll
            for (int r = 0; r < EACH; ++r)
                sums[r] += g[min(first + r, n - 1) * l.out + unit] * w;
        }
        #pragma unroll
        for (int r = 0; r < EACH; ++r)
            if (first + r < n) dx[(first + r) * l.in + k] = sums[r];
    }
    __syncthreads();
}

// A plan is, of each layer: inputs, outputs, places of weights and biases (or -1), activation,
// kept draws, places of z and y in the room. The room begins with rows, and two gradients.
extern "C" __global__ void __launch_bounds__(WHOLE) whole_steps(
    T* theta, T* gradient, T* m, T* v, T* total, const T* x, const T* target, const char* label,
    const T* weight, const long long* order, const long long* plan, T* room,
    const double* coefficients, const unsigned int* words, const T* rates, const T* decays,
    const T* shares, const long long steps, const long long start, const long long size,
    const long long all, const long long layers, const long long down, const long long across,
    const long long w_down, const long long first_gradient, const long long second_gradient,
    const long long kept, const long long parameters, const long long weights,
    const long long loss_name, const double parameter, const double l1, const double l2,
    const long long rule, const double b1, const double b2, const double epsilon)
{
    const long long outputs = plan[8 * (layers - 1) + 1];
    const bool sums = loss_name == SUM_SQUARED_ERROR, penalized = l1 != 0 || l2 != 0;
    for (long long s = 0; s < steps; ++s) {
        const unsigned int* keys = words + 2 * s * (layers + 1);
        const long long begin = start + s * size, n = min(size, all - begin);
        const long long* rows = order + begin;
        gather_rows(x, rows, room, n, plan[0], down, across, kept, keys);
        const T* input = room;
        for (int i = 0; i < layers; ++i) {
            const Layer l = layer_at(plan, i, theta, gradient, room);
            forward(l, input, n, keys + 2 * (i + 1));
            input = l.y;
        }
        T *g = room + first_gradient, *other = room + second_gradient, part = 0;
        for (long long row = threadIdx.x; weight && row < n; row += WHOLE)
            part += weight[rows[row] * w_down];
        T over = weight ? sum_of_block(part) : (T)n;
        over = over == 0 ? (T)1 : over;
        part = 0;
        for (long long row = threadIdx.x; row < n; row += WHOLE) {
            T factor = weight ? weight[rows[row] * w_down] : (T)1;
            if (!sums) factor /= over;
            if (loss_name == SQUARED_ERROR) factor /= (T)outputs;
            part += loss_of_row(
                loss_name, input + row * outputs, g + row * outputs, 0, target, label, 8, rows[row],
                outputs, outputs, factor, (T)parameter, 0, 1);
        }
        const T loss = sum_of_block(part);  // and all gradients are there
        for (int i = layers - 1; i >= 0; --i) {
            const Layer l = layer_at(plan, i, theta, gradient, room);
            const T* before = i ? layer_at(plan, i - 1, theta, gradient, room).y : room;
            backward(l, before, g, i ? other : 0, n);
            T* const swapped = g;
            g = other;
            other = swapped;
        }
        const double step = coefficients[2 * s], shrink = coefficients[2 * s + 1];
        part = 0;
        for (long long i = threadIdx.x; i < parameters; i += WHOLE) {
            const T w = theta[i], rate = rates ? rates[i] : (T)1;
            const T share = share_of(shares, weights, i);
            T d = gradient[i];
            if (penalized) {
                part += ((T)(0.5 * l2) * w * w * share + (T)l1 * fabs(w) * share) / over;
                d = pushed(w, d, l1, l2, share, over);
            }
            T moved = w - rate * move_of(rule, d, m ? m + i : 0, v ? v + i : 0, step, b1, b2, epsilon);
            if (shrink != 0) moved -= rate * ((T)shrink * w * share_of(decays, weights, i));
            theta[i] = moved;
        }
        const T penalty = sum_of_block(part);  // and all parameters are there
        if (threadIdx.x == 0) *total += loss * (T)n + penalty * (T)n;
    }
}
