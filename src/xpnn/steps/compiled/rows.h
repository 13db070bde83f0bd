/* Some rows of a batch, forward and back. Each thread does its own. */
#ifndef XPNN_ROWS_H
#define XPNN_ROWS_H

#include "activations.h"
#include "caches.h"
#include "embedding.h"
#include "losses.h"
#include "normalization.h"
#include "products.h"
#include "room.h"
#include "sparse.h"

/* The rows of a step's batch that one thread does. */
typedef struct {
    const room *r;
    thread_room *mine;
    int64_t part, begin, n; /* the batch's first row in the call, and its number of rows */
    int64_t first, count;   /* the thread's rows within the batch */
    const uint32_t *keys;   /* of the step, or NULL */
    double over;            /* the sum of the batch's weights */
} task;

/* The thread's rows, or none once the step is to end: a pass over none is over at once, and all
   barriers are passed as always. */
INLINE int64_t rows_left(const task *t) { return is_set(t->r->p->stop) ? 0 : t->count; }

/* What is dropped, of the batch's rows from `row` on. */
static drop drop_at(const task *t, int64_t index, int64_t kept, int64_t row) {
    drop d = {kept, {0, 0}, t->r->p->first_row + row};
    if (t->keys) memcpy(d.key, t->keys + 2 * index, sizeof d.key);
    d.key[1] += (uint32_t)t->r->p->member;
    return d;
}

/* The same of the thread's rows from `first` on. */
static drop drop_of(const task *t, int64_t index, int64_t kept, int64_t first) {
    return drop_at(t, index, kept, t->first + first);
}

/* Whether features are read where they lie: nobody shuffles or changes them, or a product takes
   them as CSR. */
INLINE int reads_in_place(const plan *p) {
    return takes_sparse(p) || (!p->row_starts && !p->order && p->input_kept == KEEP_ALL);
}

/* Whether layer k is the one whose weights the first layer multiplies. */
INLINE int has_scaled_weights(const room *r, int64_t k) { return k == 1 && r->scaled; }

/* What layer k takes in, from the batch's row `first` on; and how far apart its rows are. */
static const real *inputs_of(const room *r, int64_t k, int64_t begin, int64_t first, int64_t *ld) {
    const plan *p = r->p;
    if (has_scaled_weights(r, k)) k = 0;
    *ld = k == 0 && reads_in_place(p) ? p->x_stride : p->layer[k].n_in;
    if (k > 0) return r->layer[k - 1].y + first * *ld;
    if (takes_sparse(p)) return NULL;
    return reads_in_place(p) ? p->x + row_of(p, begin + first) * *ld : r->x + first * *ld;
}

/* Copy the thread's rows of the features, and drop some. */
static void gather_features(const task *t) {
    const plan *p = t->r->p;
    const int64_t n_in = p->layer[0].n_in;
    const int64_t most = rows_of_block(n_in);
    for (int64_t i = 0; i < rows_left(t); i += most) {
        const int64_t rows = smaller(most, t->count - i), at = t->begin + t->first + i;
        real *x = t->r->x + (t->first + i) * n_in;
        if (p->row_starts) dense_rows(p, at, rows, x, n_in);
        for (int64_t j = 0; !p->row_starts && j < rows; j++)
            memcpy(x + j * n_in, p->x + row_of(p, at + j) * p->x_stride, (size_t)n_in * sizeof *x);
        if (p->input_kept < KEEP_ALL) {
            const drop d = drop_of(t, 0, p->input_kept, i);
            drop_rows(x, NULL, rows, n_in, &d, t->mine->draws);
        }
    }
}

/* A thread's two sums of each column of its rows, for all threads to read after a barrier. Two
   places take turns: between two writes into one lies a barrier. */
static double *place_for_sums(const task *t) {
    return t->mine->sums + (t->mine->exchanges++ % 2) * 2 * widest(t->r->p);
}

/* `count` numbers added up over the threads, which `place` is one's part of. */
static double *sum_over_threads(const task *t, const double *place, int64_t count) {
    const int64_t at = place - t->mine->sums;
    double *into = t->mine->totals;
    for (int64_t j = 0; j < count; j++) into[j] = 0;
    for (int64_t i = 0; i < t->r->p->parts; i++) {
        const double *sums = t->r->thread[i].sums + at;
        for (int64_t j = 0; j < count; j++) into[j] += sums[j];
    }
    return into;
}

/* The running statistics take in those of a batch of n rows. */
static void remember_statistic(real *old, const double *total, int64_t units, double divisor) {
    for (int64_t j = 0; j < units; j++)
        old[j] = (1 - RUNNING) * old[j] + RUNNING * NUMBER(total[j] / divisor);
}

/* A batch of one row has no variance: it goes by the running statistics. */
static int goes_by_running(const task *t, const layer *l) {
    return t->n == 1 && l->statistics >= 0 && t->r->p->buffers;
}

/* The means of `rows` rows from their sums. */
static void means_of(const double *sums, real *mean, int64_t rows, int64_t units) {
    const double n = (double)larger(rows, 1);
    for (int64_t j = 0; j < units; j++) mean[j] = NUMBER(sums[j] / n);
}

/* The batch's columns: their sums, and behind them those of squares around the mean. Each thread
   takes the squares around its own rows' mean, which are put together as by Chan, Golub and LeVeque
   (1979): the threads meet once. `mean` has the batch's means. */
static const double *statistics_of_batch(const task *t, const real *u, real *mean, int64_t units) {
    const plan *p = t->r->p;
    double *place = place_for_sums(t);
    sums_of_columns(u, place, rows_left(t), units);
    means_of(place, mean, rows_left(t), units);
    squares_of_columns(u, mean, place + units, rows_left(t), units);
    if (p->parts == 1) return place;
    pool_barrier(p->pool);
    double *total = sum_over_threads(t, place, 2 * units);
    for (int64_t i = 0; i < p->parts; i++) {
        const int64_t rows = t->n * (i + 1) / p->parts - t->n * i / p->parts;
        const double *sums = t->r->thread[i].sums + (place - t->mine->sums);
        means_of(sums, mean, rows, units);
        for (int64_t j = 0; j < units; j++) {
            const double apart = (double)mean[j] - total[j] / (double)t->n;
            total[units + j] += (double)rows * apart * apart;
        }
    }
    means_of(total, mean, t->n, units);
    return total;
}

/* unit in place of u, by the statistics of all threads' rows, and z = unit scale. */
static void normalize_batch(const task *t, const layer *l, real *u, real *inverse,
                            const real *scale, real *z) {
    const int64_t units = l->n_out, n = t->n;
    if (goes_by_running(t, l)) {
        normalize_by_running(t->r->p->buffers + l->statistics, u, inverse, rows_left(t), units);
        scale_rows(u, units, scale, z, rows_left(t), units);
        return;
    }
    real *mean = t->mine->factors;
    const double *total = statistics_of_batch(t, u, mean, units);
    for (int64_t j = 0; j < units; j++)
        inverse[j] = 1 / ROOT(NUMBER(total[units + j] / (double)n) + EPSILON);
    if (t->part == 0 && n > 1 && l->statistics >= 0 && t->r->p->buffers) {
        real *running = t->r->p->buffers + l->statistics;
        remember_statistic(running, total, units, (double)n);
        remember_statistic(running + units, total + units, units, (double)(n - 1));
    }
    normalize_columns(u, mean, inverse, scale, z, rows_left(t), units);
}

/* du in place of dz, of batch normalization; the thread's gradients of shift (or NULL) and scale.

   Sums over rows of dunit = dz scale are those of dz times the scale. */
static void normalized_batch_back(const task *t, const layer *l, real *g, const real *unit,
                                  const real *scale, const real *inverse, real *dshift,
                                  real *dscale) {
    const int64_t units = l->n_out;
    double *place = place_for_sums(t);
    sums_of_columns(g, place, rows_left(t), units);
    products_of_columns(g, unit, place + units, rows_left(t), units);
    for (int64_t j = 0; j < units; j++) {
        if (dshift) dshift[j] += NUMBER(place[j]);
        dscale[j] += NUMBER(place[units + j]);
    }
    if (goes_by_running(t, l)) {
        multiply_rows(g, scale, rows_left(t), units);
        multiply_rows(g, inverse, rows_left(t), units);
        return;
    }
    pool_barrier(t->r->p->pool);
    const double *total = sum_over_threads(t, place, 2 * units);
    real *mean = t->mine->factors, *along = mean + units;
    for (int64_t j = 0; j < units; j++) {
        mean[j] = NUMBER(total[j] / (double)t->n * (double)scale[j]);
        along[j] = NUMBER(total[units + j] / (double)t->n * (double)scale[j]);
    }
    normalized_columns_back(g, unit, scale, mean, along, inverse, rows_left(t), units);
}

/* y = dropout(f(z + b)) of the thread's rows, in blocks that stay in the cache. */
static void activate_rows(const task *t, int64_t k, real *y, const real *b) {
    const layer *l = &t->r->p->layer[k];
    real *saved = t->r->layer[k].saved;
    const int64_t units = l->n_out, most = rows_of_block(units);
    if (saved) saved += t->first * units;
    for (int64_t i = 0; i < rows_left(t); i += most) {
        const int64_t rows = smaller(most, t->count - i);
        real *here = y + i * units, *slope = saved ? saved + i * units : NULL;
        if (b) add_to_rows(here, b, rows, units);
        activate(l->activation, here, slope, rows, units);
        if (l->kept < KEEP_ALL) {
            const drop d = drop_of(t, k + 1, l->kept, i);
            drop_rows(here, saves_slope(l->activation) ? slope : NULL, rows, units, &d,
                      t->mine->draws);
        }
    }
}

/* z = x W of the thread's rows of CSR features. */
static void sparse_forward(const task *t, const real *w, real *z, int64_t units) {
    const drop d = drop_of(t, 0, t->r->p->input_kept, 0);
    sparse_product(t->r->p, t->begin + t->first, rows_left(t), &d, w, z, units);
}

/* A dense layer's weights as its inputs meet them; s W lies where their gradient will be. */
static const real *met_weights(const task *t, int64_t k) {
    const plan *p = t->r->p;
    const layer *l = &p->layer[k];
    if (!has_scaled_weights(t->r, k)) return p->theta + l->weight;
    real *to = t->mine->weights + l->weight;
    scale_weights(p->theta + p->layer[0].scale, p->theta + l->weight, to, l->n_in, l->n_out);
    return to;
}

/* A dense layer's outputs of the thread's rows. */
static void dense_forward(const task *t, int64_t k, const real *x, int64_t ld) {
    const plan *p = t->r->p;
    const layer *l = &p->layer[k];
    const layer_room *r = &t->r->layer[k];
    const int64_t units = l->n_out, at = t->first * units;
    real *y = r->y + at, *u = l->normalization ? r->unit + at : y;
    const real *b = l->bias >= 0 ? p->theta + l->bias : NULL;
    if (stores_past_caches(p)) bring_near(p->theta + l->weight, l->n_in * units);
    if (x)
        product(&t->mine->by, x, ld, met_weights(t, k), u, rows_left(t), l->n_in, units);
    else
        sparse_forward(t, p->theta + l->weight, u, units);
    if (l->normalization == OF_BATCH) {
        normalize_batch(t, l, u, r->inverse + t->part * units, p->theta + l->scale, y);
    } else if (l->normalization == OF_LAYER) {
        normalize_rows(u, r->inverse + t->first, rows_left(t), units);
        scale_rows(u, units, p->theta + l->scale, y, rows_left(t), units);
    }
    activate_rows(t, k, y, b);
}

/* Layer k's outputs of the thread's rows. */
static void layer_forward(const task *t, int64_t k) {
    const plan *p = t->r->p;
    const layer *l = &p->layer[k];
    const layer_room *r = &t->r->layer[k];
    real *y = r->y + t->first * l->n_out;
    int64_t ld;
    const real *x = inputs_of(t->r, k, t->begin, t->first, &ld);
    if (l->kind == DENSE) {
        dense_forward(t, k, x, ld);
    } else if (l->kind == SCALE) {
        scale_rows(x, ld, p->theta + l->scale, y, rows_left(t), l->n_out);
        activate_rows(t, k, y, NULL);
    } else {
        const int64_t at = t->first * weighted_inputs(l) * l->frequencies;
        embed_rows(l, p->theta, x, ld, y, r->saved + at, r->unit + at, rows_left(t));
    }
}

/* The gradient before activation and dropout, in place of the one after; its columns' sums. */
static void pull_back_rows(const task *t, int64_t k, real *g, real *db) {
    const layer *l = &t->r->p->layer[k];
    const layer_room *r = &t->r->layer[k];
    const int64_t units = l->n_out, most = rows_of_block(units), code = l->activation;
    const real unscale = NUMBER((double)l->kept / 65536);
    for (int64_t i = 0; i < rows_left(t); i += most) {
        const int64_t rows = smaller(most, t->count - i), at = (t->first + i) * units;
        real *here = g + i * units;
        if (l->kept < KEEP_ALL && code == RELU) { /* a dropped unit is a 0, so it needs no draw */
            scale_all(here, rows * units, 1 / unscale);
        } else if (l->kept < KEEP_ALL && !saves_slope(code)) {
            const drop d = drop_of(t, k + 1, l->kept, i);
            drop_rows(here, NULL, rows, units, &d, t->mine->draws);
        }
        pull_back(code, here, r->y + at, r->saved ? r->saved + at : NULL, rows, units, unscale);
        if (db) add_columns(here, db, rows, units);
    }
}

/* The gradient with respect to a dense layer's affine map, in place of that of its outputs; and
   that with respect to its inputs, where somebody asks. */
static void dense_backward(const task *t, int64_t k, real *dx) {
    const plan *p = t->r->p;
    const layer *l = &p->layer[k];
    const layer_room *r = &t->r->layer[k];
    const int64_t units = l->n_out, at = t->first * units;
    real *g = r->gradient + at, *vectors = t->mine->vectors - p->weights;
    real *db = l->bias >= 0 ? vectors + l->bias : NULL, *dscale = vectors + l->scale;
    const real *unit = r->unit + at, *scale = p->theta + l->scale;
    pull_back_rows(t, k, g, l->normalization == OF_BATCH ? NULL : db);
    if (l->normalization == OF_BATCH) {
        normalized_batch_back(t, l, g, unit, scale, r->inverse + t->part * units, db, dscale);
    } else if (l->normalization == OF_LAYER) {
        add_columns_of_products(g, unit, units, dscale, rows_left(t), units);
        normalized_rows_back(g, unit, scale, r->inverse + t->first, rows_left(t), units);
    }
    if (dx)
        product_with_transposed(&t->mine->by, g, p->theta + l->weight, dx, rows_left(t), l->n_in,
                                units);
}

/* All of layer k's gradients but its weights'. */
static void layer_backward(const task *t, int64_t k) {
    const plan *p = t->r->p;
    const layer *l = &p->layer[k];
    const layer_room *r = &t->r->layer[k];
    real *dx = k > t->r->scaled ? t->r->layer[k - 1].gradient + t->first * l->n_in : NULL;
    real *g = r->gradient + t->first * l->n_out, *vectors = t->mine->vectors;
    int64_t ld;
    const real *x = inputs_of(t->r, k, t->begin, t->first, &ld);
    if (l->kind == DENSE) {
        dense_backward(t, k, dx);
    } else if (l->kind == SCALE) {
        pull_back_rows(t, k, g, NULL);
        add_columns_of_products(g, x, ld, vectors + (l->scale - p->weights), rows_left(t),
                                l->n_out);
        if (dx) scale_rows(g, l->n_out, p->theta + l->scale, dx, rows_left(t), l->n_out);
    } else {
        const int64_t at = t->first * weighted_inputs(l) * l->frequencies;
        embedding_back(l, p->theta, x, ld, g, r->unit + at, dx, vectors - p->weights, rows_left(t));
    }
}

/* The thread's rows forward and back: their share of the loss, and all layers' gradients but
   those of the weights. */
static double forward_and_back(const task *t) {
    const plan *p = t->r->p;
    const int64_t last = p->layers - 1, outputs = p->layer[last].n_out;
    const layer_room *end = &t->r->layer[last];
    real *o = end->y + t->first * outputs, *g = end->gradient + t->first * outputs;
    if (!reads_in_place(p)) gather_features(t);
    for (int64_t k = t->r->scaled; k <= last; k++) layer_forward(t, k);
    const double divisor = loss_divisor(p->loss, t->over, outputs);
    const double value = loss_of_rows(p, t->begin + t->first, rows_left(t), o, g, divisor,
                                      t->mine->scratch);
    memset(t->mine->vectors, 0, (size_t)(p->parameters - p->weights) * sizeof *g);
    for (int64_t k = last; k >= t->r->scaled; k--) layer_backward(t, k);
    return value;
}

#endif
