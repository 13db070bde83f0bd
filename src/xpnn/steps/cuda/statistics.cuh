// The sum of a block's threads of one column, for all of them.
__device__ T sum_for_column(T sums[LANES][COLUMNS], const T sum)
{
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    T total = 0;
    for (int i = 0; i < LANES; ++i) total += sums[i][threadIdx.x];
    __syncthreads();
    return total;
}

// The running statistics of a batch normalization move towards those of a batch of n rows.
__device__ void move_statistics(
    T* mean, T* variance, const T center, const T spread, const long long n)
{
    *mean = (T)(1.0 - MOMENTUM) * *mean + (T)MOMENTUM * center;
    *variance = (T)(1.0 - MOMENTUM) * *variance + (T)MOMENTUM * (spread * ((T)n / (T)(n - 1)));
}

