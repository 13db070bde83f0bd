/* A Scale in front of a dense layer: z = (x s) W is x (s W), so that x is left as it is, and with
   P = x^T dz the gradients are dW = s P and ds_j = sum_k W_jk P_jk: no product is made for s. */
#ifndef XPNN_SCALE_H
#define XPNN_SCALE_H

#include "plan.h"
#include "threefry.h"
#include "vector_math.h"

/* Whether the first two layers are such. */
static int scale_before_dense(const plan *p) {
    const layer *l = p->layer;
    return p->layers > 1 && l[0].kind == SCALE && l[0].kept == KEEP_ALL && l[1].kind == DENSE;
}

/* s W */
WIDE static void scale_weights(const real *restrict s, const real *restrict w, real *restrict to,
                               int64_t n_in, int64_t n_out) {
    for (int64_t j = 0; j < n_in; j++, w += n_out, to += n_out)
        for (int64_t k = 0; k < n_out; k++) to[k] = s[j] * w[k];
}

/* dW in place of P, and ds added to what is there. */
WIDE static void scaled_weights_back(const real *restrict s, const real *restrict w,
                                     real *restrict g, real *restrict ds, int64_t n_in,
                                     int64_t n_out) {
    for (int64_t j = 0; j < n_in; j++, w += n_out, g += n_out) {
        ds[j] += NUMBER(sum_of_products(w, g, n_out));
        for (int64_t k = 0; k < n_out; k++) g[k] *= s[j];
    }
}

#endif
