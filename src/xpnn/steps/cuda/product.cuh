// A matrix product of each member, out = a b, in tiles that a block keeps close. Strides are
// elements between members, rows and columns, so that an operand may be transposed.
extern "C" __global__ void product(
    const T* a, const T* b, T* out, const long long rows, const long long inner,
    const long long columns, const long long a_member, const long long a_row,
    const long long a_column, const long long b_member, const long long b_row,
    const long long b_column)
{
    __shared__ T left[TILE][TILE + 1], right[TILE][TILE + 1];
    const int x = threadIdx.x, y = threadIdx.y;
    const long long top = blockIdx.x * (long long)TILE, side = blockIdx.y * (long long)TILE;
    // neighbouring threads read what lies side by side
    const int a_i = a_row == 1 ? x : y, a_k = a_row == 1 ? y : x;
    const int b_k = b_row == 1 ? x : y, b_j = b_row == 1 ? y : x;
    a += blockIdx.z * a_member;
    b += blockIdx.z * b_member;
    T sum = 0;
    for (long long k = 0; k < inner; k += TILE) {
        left[a_i][a_k] = top + a_i < rows && k + a_k < inner
            ? a[(top + a_i) * a_row + (k + a_k) * a_column] : (T)0;
        right[b_k][b_j] = side + b_j < columns && k + b_k < inner
            ? b[(k + b_k) * b_row + (side + b_j) * b_column] : (T)0;
        __syncthreads();
        for (int i = 0; i < TILE; ++i) sum += left[y][i] * right[i][x];
        __syncthreads();
    }
    if (top + y < rows && side + x < columns)
        out[(blockIdx.z * rows + top + y) * columns + side + x] = sum;
}
