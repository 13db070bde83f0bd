/* What steps.py calls, of one number type. */
#ifndef XPNN_EXPORTS_H
#define XPNN_EXPORTS_H

#include "steps.h"

XPNN_EXPORT int64_t EXPORTED(room)(const plan *p) {
    room r;
    plan counted = *p;
    counted.room = NULL;
    return (int64_t)lay_out(&counted, &r);
}

/* As many steps as the plan says, from its row `start` on; the sum of their losses into `total`. */
XPNN_EXPORT void EXPORTED(steps)(plan *p) {
    room r;
    lay_out(p, &r);
    pool_run(p->pool, take_part, &r);
    p->total = 0;
    for (int64_t i = 0; i < p->parts; i++) p->total += r.thread[i].value;
}

/* One of the elementary functions, for the tests. */
XPNN_EXPORT void EXPORTED(function)(int64_t which, real *x, int64_t n) {
    switch (which) {
    case 0: exp_rows(x, n); break;
    case 1: expm1_rows(x, n); break;
    case 2: tanh_rows(x, n); break;
    case 3: sigmoid_rows(x, n); break;
    case 4: log_rows(x, n); break;
    default: log1p_rows(x, n);
    }
}

#endif
