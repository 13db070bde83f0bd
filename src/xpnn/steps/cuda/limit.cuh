// The columns of some matrices, each one unit's incoming weights, scaled down to a largest norm.
// A place is (offset, rows, columns) of a matrix; blocks of 32 columns go over all matrices.
extern "C" __global__ void limit_columns(T* theta, const long long* places, const double* limits)
{
    __shared__ T sums[LANES][COLUMNS];
    const long long* place = places + 3 * blockIdx.y;
    const long long rows = place[1], columns = place[2];
    const long long column = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    T* w = theta + place[0] + column;
    T sum = 0;
    for (long long row = threadIdx.y; column < columns && row < rows; row += LANES)
        sum += w[row * columns] * w[row * columns];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    sum = 0;
    for (int i = 0; i < LANES; ++i) sum += sums[i][threadIdx.x];
    const T norm = sqrt(sum), limit = limits[blockIdx.y];
    const T factor = limit / (norm < limit ? limit : norm);
    for (long long row = threadIdx.y; column < columns && row < rows; row += LANES)
        w[row * columns] *= factor;
}
