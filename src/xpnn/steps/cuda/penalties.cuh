// What is done with a gradient: penalties, clipping, the optimizer, limits of norms.

// The member that a parameter belongs to; `places` are the ends of the flat vector's entries.
__device__ long long member_of(
    const long long* places, const long long entries, const long long members, const long long i)
{
    if (members == 1) return 0;
    long long e = 0, begin = 0;
    while (e < entries - 1 && i >= places[e]) begin = places[e++];
    return (i - begin) * members / (places[e] - begin);
}

// A weight's share of penalties: a vector's, or one for the first `weights` and no others.
__device__ T share_of(const T* vector, const long long weights, const long long i)
{
    return vector ? vector[i] : (T)(i < weights);
}

// What penalties are divided by: rows, or the sum of their weights.
__device__ T over_of(const T* sums, const long long own, const long long n, const long long member)
{
    return sums ? sums[own * member] : (T)n;
}

__device__ T pushed(const T w, const T g, const double l1, const double l2, const T share, const T over)
{
    if (l1 == 0 && l2 == 0) return g;
    T push = (T)l2 * w;
    if (l1 != 0) push += (T)l1 * ((T)(w > 0) - (T)(w < 0));
    return g + push * share / over;
}

