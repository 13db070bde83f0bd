/* What a fit is: steps.py fills these structures in once, and a few numbers a call. */
#ifndef XPNN_PLAN_H
#define XPNN_PLAN_H

#include "pool.h"
#include "real.h"

/* Numbers that stay in the first cache while several loops pass over them. */
#define BLOCK ((int64_t)(16384 / sizeof(real)))

enum kind { DENSE, SCALE, EMBEDDING };

typedef struct {
    int64_t kind;
    int64_t n_in, n_out;
    int64_t row;         /* weights of an input: n_out of a dense layer */
    int64_t frequencies; /* of an embedding */
    int64_t passed;      /* its last inputs, which pass as they are */
    int64_t weight, bias, scale, phase; /* where in theta; -1: there is none */
    int64_t activation;
    int64_t kept; /* of 65,536 draws of dropout */
    int64_t normalization;
    int64_t statistics; /* where in buffers the mean begins; the variance follows */
    double limit;       /* of the norm of a neuron's incoming weights; 0: none */
} layer;

/* Inputs that have weights. */
INLINE int64_t weighted_inputs(const layer *l) { return l->n_in - l->passed; }

/* Consecutive entries of theta whose factors are the same (steps/rules.py). */
typedef struct {
    double start, stop, rate, decay, penalty;
} segment;

/* sgemm or dgemm, as Fortran has it. */
typedef void gemm(char *, char *, int *, int *, int *, real *, const real *, int *, const real *,
                  int *, real *, real *, int *);

typedef struct {
    int64_t layers, input_kept, parameters, weights; /* theta begins with the weights */
    const layer *layer;
    int64_t loss, labels; /* whether targets are class numbers */
    double loss_parameter;
    int64_t optimizer;
    double beta_1, beta_2, epsilon; /* beta_1 is the momentum, beta_2 the rho of others */
    double l1, l2, clip;            /* 0: none */
    int64_t limits;                 /* whether any layer has one */
    int64_t segments;
    const segment *segment;
    gemm *product;
    int64_t tiles; /* of our own products, tiles.h; 0: none */
    real *theta, *buffers, *moments[2];
    int64_t rows, batch; /* of the data; of a step */
    const real *x;
    int64_t x_stride; /* numbers from a row to the next */
    const int64_t *row_starts; /* of CSR data, whose numbers are x; else NULL */
    const int32_t *columns;
    const void *y;
    const real *weight; /* or NULL */
    void *room;
    pool *pool;
    int64_t parts; /* threads that share a step */
    int64_t alone; /* whether BLAS keeps to the thread that asks, however large a product is */
    const int64_t *stop; /* of long steps: once it is set, a step that has not begun to learn ends */
    /* of a call */
    const int64_t *order; /* or NULL: the rows as they lie */
    int64_t order_stride; /* from one of its numbers to the next */
    int64_t start, steps, coefficients_of_step;
    int64_t first_row; /* of each step's rows in its batch, of which they may be a part */
    int64_t member;    /* is added to the keys' second words */
    const double *coefficients;
    const uint32_t *keys; /* two words a layer and step, the input's first; or NULL */
    real *gradient;       /* has the gradients added, and nothing is learned; or NULL */
    double over;          /* and what they are divided by */
    double total;         /* the sum of losses */
    double *totals;       /* or each thread's of each epoch, if a call takes several epochs: their
                             orders lie one behind the other */
} plan;

INLINE int64_t row_of(const plan *p, int64_t i) {
    return p->order ? p->order[(p->start + i) * p->order_stride] : p->start + i;
}

#endif
