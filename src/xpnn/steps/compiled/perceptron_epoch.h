/* Included by perceptron.c for float and for double. `at` has the columns of a CSR row's entries;
   it is NULL for a dense row, and each function is inlined for the two cases. */

#define AT(j) (at ? at[j] : (int64_t)(j))

/* What a problem answers to a sample, summed in order. */
XPNN_INLINE double NAME(score)(const REAL *w, const REAL *x, const int32_t *at, int64_t size,
                               REAL scale, double intercept)
{
    double sum = 0.0;
    for (int64_t j = 0; j < size; j++) {
        REAL product = w[AT(j)] * x[j];
        sum += product;
    }
    return (REAL)(sum * scale) + intercept;
}

/* Ask for a part of the row that comes, for rows in random order are what takes the time: of a long
   one into the second cache, as the first cannot ask for many lines at once. */
XPNN_INLINE void NAME(ask)(const REAL *next, int64_t size, int far)
{
    for (int64_t j = 0; j < size; j += 64 / (int64_t)sizeof(REAL))
        if (far)
            XPNN_PREFETCH_FAR(next + j);
        else
            XPNN_PREFETCH(next + j);
}

/* Whether a dense row is answered rightly (1) or wrongly (-1), in whatever order the products are
   added; 0 where the order could tell. On the way the row `next` is asked for, bit by bit.

   Two sums of d products differ by 2 d u times the sum of their absolute values at most (Higham
   2002, 3.1); twice that covers the rounding of the bound. A product by a scale below the least
   normal number loses digits. */
XPNN_INLINE int NAME(sure)(const REAL *w, const REAL *x, const REAL *next, int64_t size, double sign,
                           REAL scale, double intercept)
{
    enum { LINE = 64 / sizeof(REAL), CHUNK = 16 * LINE };
    const double apart = 4.0 * (double)(size + 1) * EPSILON;
    REAL abouts[LINE] = {0}, absolutes[LINE] = {0}, about = 0, absolute = 0;
    for (int64_t first = 0; first < size; first += CHUNK) {
        int64_t j = first, last = size - first < CHUNK ? size : first + CHUNK;
        if (next)
            NAME(ask)(next + first, last - first, size > CHUNK);
        for (; j + LINE <= last; j += LINE) {
#pragma omp simd
            for (int i = 0; i < LINE; i++) {
                REAL product = w[j + i] * x[j + i];
                abouts[i] += product;
                absolutes[i] += ABSOLUTE(product);
            }
        }
        for (; j < last; j++) {
            REAL product = w[j] * x[j];
            about += product;
            absolute += ABSOLUTE(product);
        }
    }
    for (int i = 0; i < LINE; i++) {
        about += abouts[i];
        absolute += absolutes[i];
    }
    double margin = sign * about * scale + sign * intercept;
    double reach = apart * (absolute * scale + fabs(intercept)) + LEAST;
    return margin > reach ? 1 : margin < -reach ? -1 : 0;
}

/* Count the mistakes kept, in order. Each sum waits for its last addition: several at once. */
XPNN_INLINE void NAME(count)(xpnn_perceptron *p)
{
    const double *products = p->products;
    double sums[KEPT] = {0};
    for (int64_t j = 0; p->kept && j < p->features; j++)
        for (int i = 0; i < KEPT; i++)
            sums[i] += products[i * p->features + j];
    for (int i = 0; i < p->kept; i++) {
        int64_t k = p->of_problem[i];
        double margin = p->with_sign[i] * ((REAL)(sums[i] * (REAL)p->scale) + p->with_intercept[i]);
        p->sums[k] -= margin;
        p->sums[p->problems + k] -= margin;
    }
    p->kept = 0;
}

/* Keep a mistake of problem k, to be counted later: the products are those of the weights now. */
XPNN_INLINE void NAME(keep)(xpnn_perceptron *p, const REAL *x, int64_t k, double sign)
{
    int64_t d = p->features;
    const REAL *w = (const REAL *)p->coef + k * d;
    double *products = p->products + p->kept * d;
    for (int64_t j = 0; j < d; j++) {
        REAL product = w[j] * x[j];
        products[j] = product;
    }
    p->of_problem[p->kept] = k;
    p->with_sign[p->kept] = sign;
    p->with_intercept[p->kept] = p->intercept[k];
    if (++p->kept == KEPT)
        NAME(count)(p);
}

/* Judge a sample: how far each problem is wrong, and the steps that follow. Whether any does. */
XPNN_INLINE int NAME(judge)(xpnn_perceptron *p, const REAL *x, const int32_t *at, int64_t size,
                           const REAL *next, int64_t row)
{
    const REAL *w = p->coef, *weight = p->weight, *class_weight = p->class_weight;
    int64_t problems = p->problems;
    int32_t y = p->y[row];
    int any = 0;
    for (int64_t k = 0; k < problems; k++, w += p->features) {
        int positive = y == p->labels[k];
        double sign = positive ? 1.0 : -1.0, intercept = p->intercept[k];
        REAL scale = (REAL)p->scale;
        p->update[k] = 0.0;
        int sure = at ? 0 : NAME(sure)(w, x, k ? NULL : next, size, sign, scale, intercept);
        if (sure > 0)
            continue;
        if (sure < 0 && !p->penalized) {
            NAME(keep)(p, x, k, sign);
        } else {
            double margin = sign * NAME(score)(w, x, at, size, scale, intercept);
            p->not_finite |= !isfinite(margin);
            int tie = margin == 0.0 && !(positive && p->zero_is_positive);
            if (!(margin < 0.0 || tie))
                continue;
            NAME(count)(p);
            p->sums[k] -= margin;
            p->sums[problems + k] -= margin;
        }
        p->sums[2 * problems + k] += 1.0;
        REAL of_sample = class_weight[positive * problems + k] * weight[row];
        p->update[k] = p->eta * sign * of_sample;
        any |= p->update[k] != 0.0;
    }
    return any;
}

/* Fold the scale into the weights before it loses digits. */
static void NAME(fold)(xpnn_perceptron *p)
{
    REAL *w = p->coef, scale = (REAL)p->scale;
    for (int64_t j = 0; j < p->problems * p->features; j++) {
        if (p->averaged)
            p->mean[j] = (p->mean[j] + p->drift * w[j]) / p->share;
        w[j] *= scale;
    }
    if (p->averaged) {
        p->drift = 0.0;
        p->share = 1.0;
    }
    p->scale = 1.0;
}

/* The L2 part of the penalty, and the norms that the objective counts. */
XPNN_INLINE void NAME(shrink)(xpnn_perceptron *p)
{
    int64_t problems = p->problems;
    REAL *square = p->norms, *absolute = square + problems, shrink = (REAL)p->shrink;
    for (int64_t k = 0; k < problems; k++) {
        REAL norm = (REAL)sqrt(square[k]);
        REAL rounded = norm * norm;
        p->sums[problems + k] += p->l2 * rounded + p->l1 * absolute[k];
        square[k] *= shrink * shrink;
        absolute[k] *= shrink;
    }
    p->scale = (REAL)p->scale * shrink;
    if (p->scale < p->floor)
        NAME(fold)(p);
}

/* Add a step to the weights of problem k: w += step x, computed in double. Where the product is
   exact, a sum of floats is the same to the bit without double (Figueroa 1995). */
XPNN_INLINE void NAME(learn)(xpnn_perceptron *p, const REAL *x, const int32_t *at, int64_t size,
                             int64_t k)
{
    REAL *w = (REAL *)p->coef + k * p->features, *norms = p->norms;
    REAL scale = (REAL)p->scale;
    double step = (REAL)p->update[k] / scale;
    if (sizeof(REAL) < sizeof(double) && fabs(step) == 1.0)
        for (int64_t j = 0; j < size; j++)
            w[AT(j)] += x[j] * (REAL)step;
    else
        for (int64_t j = 0; j < size; j++)
            w[AT(j)] = (REAL)(w[AT(j)] + x[j] * step);
    p->intercept[k] += p->update[k] * p->bias;
    if (p->penalized) {
        double square = 0.0, absolute = 0.0;
        for (int64_t j = 0; j < size; j++) {
            REAL v = w[AT(j)];
            REAL product = v * v;
            square += product;
            absolute += ABSOLUTE(v);
        }
        norms[k] = (REAL)(square * (scale * scale));
        norms[p->problems + k] = (REAL)(absolute * scale);
    }
    if (p->averaged) {
        double *mean = p->mean + k * p->features;
        for (int64_t j = 0; j < size; j++)
            mean[AT(j)] -= p->drift * (x[j] * step);
    }
}

/* The L1 part of the penalty: each weight in use catches up with what is to be clipped. */
XPNN_INLINE void NAME(clip)(xpnn_perceptron *p, const int32_t *at, int64_t size)
{
    REAL *w = p->coef, *clipped = p->clipped, scale = (REAL)p->scale;
    double *mean = p->mean, u = p->clip += p->l1_step;
    for (int64_t k = 0; k < p->problems; k++) {
        for (int64_t j = 0; j < size; j++) {
            double z = w[AT(j)], q = clipped[AT(j)];
            if (z > 0.0)
                w[AT(j)] = (REAL)fmax(0.0, z - (u + q) / scale);
            else if (z < 0.0)
                w[AT(j)] = (REAL)fmin(0.0, z + (u - q) / scale);
            double change = w[AT(j)] - z;
            clipped[AT(j)] = (REAL)(q + scale * change);
            if (p->averaged)
                mean[AT(j)] -= p->drift * change;
        }
        w += p->features, clipped += p->features, mean += p->features;
    }
}

/* The mean of the weights after each sample. */
XPNN_INLINE void NAME(average)(xpnn_perceptron *p)
{
    if (p->t > 1.0)
        p->share /= 1.0 - 1.0 / p->t;
    p->drift += p->share * p->scale / p->t;
    for (int64_t k = 0; k < p->problems; k++)
        p->mean_intercept[k] += (p->intercept[k] - p->mean_intercept[k]) / p->t;
}

XPNN_INLINE void NAME(visit)(xpnn_perceptron *p, const REAL *x, const int32_t *at, int64_t size,
                             const REAL *next, int64_t row)
{
    int learns = NAME(judge)(p, x, at, size, next, row);
    if (p->penalized)
        NAME(shrink)(p);
    for (int64_t k = 0; learns && k < p->problems; k++)
        if (p->update[k] != 0.0)
            NAME(learn)(p, x, at, size, k);
    if (p->l1_step > 0.0)
        NAME(clip)(p, at, size);
    if (p->averaged)
        NAME(average)(p);
    p->t += 1.0;
}

/* Visit n rows in turn. */
XPNN_EXPORT XPNN_CLONES void NAME(xpnn_perceptron_rows)(xpnn_perceptron *p, const int64_t *order,
                                                        int64_t n)
{
    const REAL *x = p->x;
    int64_t d = p->features, ahead = d * sizeof(REAL) > 1024 ? 2 : 8; /* a row takes that long */
    for (int64_t i = 0; i < n; i++) {
        int64_t row = order[i], soon = order[i + ahead < n ? i + ahead : n - 1];
        XPNN_PREFETCH(p->y + soon);
        XPNN_PREFETCH((const REAL *)p->weight + soon);
        if (p->columns) {
            int64_t start = p->starts[row];
            NAME(visit)(p, x + start, p->columns + start, p->starts[row + 1] - start, NULL, row);
        } else {
            NAME(visit)(p, x + row * d, NULL, d, x + soon * d, row);
        }
    }
    NAME(count)(p);
}

#undef AT
