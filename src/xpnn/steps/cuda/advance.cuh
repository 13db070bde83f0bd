// What changes between two steps, for those that come, out of tables on the device. A place is the
// step in the tables, the batch's first row in the order, and the next one's.
extern "C" __global__ void advance(
    long long* place, double* now, unsigned int* keys, const double* coefficients,
    const unsigned int* words, const long long count, const long long rows)
{
    const long long step = place[0];
    for (long long i = threadIdx.x; i < count; i += blockDim.x) keys[i] = words[step * count + i];
    if (threadIdx.x < 2) now[threadIdx.x] = coefficients[2 * step + threadIdx.x];
    __syncthreads();
    if (threadIdx.x != 0) return;
    place[0] = step + 1;
    place[1] = place[2];
    place[2] += rows;
}
