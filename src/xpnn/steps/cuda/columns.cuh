// The sum of a block's threads of one column, in the first of them.
__device__ T sum_of_column(T sums[LANES][COLUMNS], const T sum)
{
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    T total = sum;
    if (threadIdx.y == 0)
        for (int i = 1; i < LANES; ++i) total += sums[i][threadIdx.x];
    __syncthreads();
    return total;
}

// Sums of columns whose rows were shared among blocks: the last block to come adds them in order.
__device__ void finish_columns(
    T sums[LANES][COLUMNS], T sum, T* out, T* partial, unsigned int* arrived,
    const long long units, const long long column)
{
    const long long member = blockIdx.z, chunks = gridDim.y;
    sum = sum_of_column(sums, sum);
    if (out == 0) return;
    if (chunks == 1) {
        if (threadIdx.y == 0 && column < units) out[member * units + column] = sum;
        return;
    }
    volatile T* mine = partial + member * chunks * units;
    if (threadIdx.y == 0 && column < units) mine[blockIdx.y * units + column] = sum;
    if (!is_last_block(arrived + member * gridDim.x + blockIdx.x, chunks)) return;
    sum = 0;
    for (long long chunk = threadIdx.y; column < units && chunk < chunks; chunk += LANES)
        sum += mine[chunk * units + column];
    sum = sum_of_column(sums, sum);
    if (threadIdx.y == 0 && column < units) out[member * units + column] = sum;
}

