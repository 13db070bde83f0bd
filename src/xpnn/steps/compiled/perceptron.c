/* The perceptron rule, sample by sample, as xpnn/perceptron/reference.py defines it.

   The order of every addition is scikit-learn's, so that its weights come out to the bit: products
   in the dtype of the weights, summed feature after feature in double. */

#include "xpnn.h"

#include <float.h>
#include <math.h>

enum { KEPT = 8 }; /* mistakes whose sums are made at once */

/* One epoch under way; perceptron/compiled.py has the same fields. REAL is float or double. */
typedef struct {
    /* samples: dense rows where `columns` is NULL, else CSR */
    const void *x; /* REAL */
    const int32_t *columns;
    const int64_t *starts;
    const int32_t *y;
    const void *weight; /* REAL */
    /* K binary problems: the class that is positive, and weights of negative and of positive */
    const int32_t *labels;
    const void *class_weight; /* REAL (2, K) */
    int64_t features, problems;
    /* written: the weights are coef * scale */
    void *coef; /* REAL (K, features) */
    double *intercept;
    void *norms;   /* REAL (2, K): squared L2 norm, L1 norm */
    void *clipped; /* REAL (K, features) */
    double *mean, *mean_intercept;
    double *sums;   /* (3, K): loss, loss plus penalty, mistakes */
    double *update; /* (K,), of one sample */
    /* mistakes that are not in the sums yet */
    double *products; /* (KEPT, features), each rounded to REAL */
    int64_t kept, of_problem[KEPT];
    double with_sign[KEPT], with_intercept[KEPT];
    /* the mean of the weights is (mean + drift coef) / share (Bottou 2012, 5.1) */
    double scale, clip, t, drift, share;
    /* the rule */
    double eta, shrink, l2, l1, l1_step, bias, floor;
    int32_t penalized, averaged, zero_is_positive;
    int32_t not_finite; /* written: whether a score was NaN or infinite; each is, of such a row */
} xpnn_perceptron;

#define REAL float
#define ABSOLUTE fabsf
#define EPSILON FLT_EPSILON
#define LEAST FLT_MIN
#define NAME(name) name##_f32
#include "perceptron_epoch.h"
#undef REAL
#undef ABSOLUTE
#undef EPSILON
#undef LEAST
#undef NAME

#define REAL double
#define ABSOLUTE fabs
#define EPSILON DBL_EPSILON
#define LEAST DBL_MIN
#define NAME(name) name##_f64
#include "perceptron_epoch.h"

/* The reordering before each epoch: a Fisher-Yates shuffle by a 32-bit xorshift generator. */
XPNN_EXPORT void xpnn_permutation(int64_t *order, int64_t n, uint32_t seed)
{
    uint32_t word = seed ? seed : 1;
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = 0; i < n - 1; i++) {
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        int64_t j = i + (int64_t)(word & 0x7FFFFFFF) % (n - i);
        int64_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
