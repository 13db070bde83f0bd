/* Training steps, shared by threads.

   Each thread takes some of the batch's rows forward and back. After a barrier each learns some
   of the weights. A large layer's gradient is made then, of all rows; where the weights are fewer
   than the batch's numbers, each thread has made that of its rows before, as less has to travel
   between processors. So the number of threads changes rounding alone. */
#ifndef XPNN_STEPS_H
#define XPNN_STEPS_H

#include "optimizers.h"
#include "rows.h"

/* The gradient of the weights of CSR features. */
static void sparse_backward(const task *t, int64_t first, int64_t rows, const real *dz, real *dw,
                            int64_t from, int64_t inputs, int64_t units) {
    const drop d = drop_at(t, 0, t->r->p->input_kept, first);
    sparse_gradient(t->r->p, t->begin + first, rows, &d, dz, dw, from, inputs, units);
}

/* The gradient of `inputs` of layer k's inputs, from `from` on, of `rows` rows of the batch. */
static void weight_gradient(const task *t, int64_t k, int64_t first, int64_t rows, int64_t from,
                            int64_t inputs, real *dw) {
    const room *r = t->r;
    const layer *l = &r->p->layer[k];
    int64_t ld;
    const real *x = inputs_of(r, k, t->begin, first, &ld);
    const real *dz = r->layer[k].gradient + first * l->n_out;
    if (l->kind == EMBEDDING)
        embedding_weights(l, r->layer[k].saved + first * weighted_inputs(l) * l->frequencies, dz, dw, rows,
                          from, inputs);
    else if (l->row && !x)
        sparse_backward(t, first, rows, dz, dw, from, inputs, l->n_out);
    else if (l->row)
        product_of_columns(&t->mine->by, x + from, ld, dz, dw, rows, inputs, l->n_out);
}

/* The same, with that of the scales that multiply these weights. */
static void weight_and_scale_gradient(const task *t, int64_t k, int64_t first, int64_t rows,
                                      int64_t from, int64_t inputs, real *dw) {
    const plan *p = t->r->p;
    const layer *l = &p->layer[k];
    weight_gradient(t, k, first, rows, from, inputs, dw);
    if (!has_scaled_weights(t->r, k)) return;
    const int64_t scale = p->layer[0].scale + from;
    scaled_weights_back(p->theta + scale, p->theta + l->weight + from * l->row, dw,
                        t->mine->vectors + (scale - p->weights), inputs, l->row);
}

/* What a step multiplies each thing by. */
typedef struct {
    const double *coefficients;
    double over, scale, l2;
} push;

/* A thread's share of the weights: gradient and update in pieces that stay in the cache. */
static void learn_in_pieces(const task *t, const push *by) {
    const room *r = t->r;
    const plan *p = r->p;
    for (int64_t k = p->layers - 1; k >= 0; k--) {
        const layer *l = &p->layer[k];
        const int64_t n_in = weighted_inputs(l), stop = n_in * (t->part + 1) / p->parts;
        const int64_t most = larger(1, LEARNED_AT_ONCE / larger(1, l->row));
        for (int64_t i = n_in * t->part / p->parts; i < stop; i += most) {
            const int64_t count = smaller(most, stop - i), at = l->weight + i * l->row;
            weight_gradient(t, k, 0, t->n, i, count, t->mine->weights);
            t->mine->value += penalty_of(p, at, count * l->row) / by->over;
            if (p->l1 > 0) add_penalty(p, at, t->mine->weights, count * l->row, by->over);
            learn(p, by->coefficients, at, t->mine->weights, count * l->row, 1, by->l2);
        }
    }
}

/* The gradient of all weights, of the thread's rows. */
static void gradient_of_rows(const task *t) {
    const plan *p = t->r->p;
    for (int64_t k = p->layers - 1; k >= 0; k--)
        if (!is_set(p->stop))
            weight_and_scale_gradient(t, k, t->first, t->count, 0, weighted_inputs(&p->layer[k]),
                                      t->mine->weights + p->layer[k].weight);
}

/* The gradient of a thread's share of each layer's weights, of all rows, where all can see it. */
static void gradient_of_weights(const task *t) {
    const plan *p = t->r->p;
    for (int64_t k = p->layers - 1; k >= 0; k--) {
        const layer *l = &p->layer[k];
        const int64_t n_in = weighted_inputs(l), i = n_in * t->part / p->parts;
        const int64_t stop = n_in * (t->part + 1) / p->parts;
        if (!is_set(p->stop))
            weight_and_scale_gradient(t, k, 0, t->n, i, stop - i,
                                      t->r->thread[0].weights + l->weight + i * l->row);
    }
}

/* The sum of squares of all threads' entries of the gradient over `unit`. */
static double squares_over(const task *t, const real *g, int64_t n, double unit) {
    const plan *p = t->r->p;
    const double by = 1 / unit;
    double found = 0;
    t->mine->squares = sum_of_scaled_squares(g, n, by);
    if (t->part == 0)
        t->mine->squares += sum_of_scaled_squares(t->mine->vectors, p->parameters - p->weights, by);
    pool_barrier(p->pool);
    for (int64_t i = 0; i < p->parts; i++) found += t->r->thread[i].squares;
    pool_barrier(p->pool); /* the place is free again */
    return found;
}

/* The scale that clipping leaves of the gradient. Where its squares may overflow or vanish, they
   are taken of the gradient over a power of ten; of infinities and NaN comes NaN. */
static double clipped(const task *t, const real *g, int64_t n) {
    const double limit = t->r->p->clip;
    const double squares = squares_over(t, g, n, 1);
    if (squares < 1e300 && limit > 1e-140) return clip_scale(squares, limit);
    const double unit = squares < 1e300 ? 1e-150 : 1e160;
    const double again = squares_over(t, g, n, unit);
    return again < INFINITY ? clip_scale(again, limit / unit) : (double)NAN;
}

/* What comes of the gradient of n entries from `start` on: they learn, or the caller has it. */
static void use_gradient(const plan *p, const push *by, int64_t start, const real *g, int64_t n) {
    if (p->gradient)
        add_scaled(p->gradient + start, g, 1, n);
    else
        learn(p, by->coefficients, start, g, n, by->scale, by->l2);
}

/* A thread's share of the weights from one vector of gradients, or from the sum of the threads'. */
static void learn_whole(const task *t, push *by) {
    const plan *p = t->r->p;
    const int64_t a = p->weights * t->part / p->parts;
    const int64_t n = p->weights * (t->part + 1) / p->parts - a;
    real *g = t->r->thread[0].weights + a;
    if (t->r->by_rows)
        for (int64_t i = 1; i < p->parts; i++) add_scaled(g, t->r->thread[i].weights + a, 1, n);
    t->mine->value += penalty_of(p, a, n) / by->over;
    if (p->l1 > 0 || p->clip > 0) add_penalty(p, a, g, n, by->over);
    if (p->clip > 0) {
        by->scale = clipped(t, g, n);
        by->l2 = 0;
    }
    use_gradient(p, by, a, g, n);
}

/* Biases and scales are few: one thread sums their gradients before the others' need them. */
static void sum_vectors(const task *t) {
    const plan *p = t->r->p;
    const int64_t n = p->parameters - p->weights;
    for (int64_t i = 1; i < p->parts; i++)
        add_scaled(t->mine->vectors, t->r->thread[i].vectors, 1, n);
    t->mine->value += penalty_of(p, p->weights, n) / t->over;
    if (p->l1 > 0 || p->clip > 0) add_penalty(p, p->weights, t->mine->vectors, n, t->over);
}

/* The same of an embedding, whose every input has a matrix of its own. */
static void limit_embedding(const layer *l, real *w, int64_t part, int64_t parts, real *factors) {
    const int64_t f = l->frequencies, d = l->row / f, n_in = weighted_inputs(l);
    for (int64_t j = n_in * part / parts; j < n_in * (part + 1) / parts; j++)
        limit_columns(w + j * l->row, f, d, 0, d, NUMBER(l->limit), factors);
}

static void hold_norms(const task *t) {
    const plan *p = t->r->p;
    pool_barrier(p->pool);
    for (int64_t k = 0; k < p->layers; k++) {
        const layer *l = &p->layer[k];
        if (l->limit > 0 && l->kind == EMBEDDING)
            limit_embedding(l, p->theta + l->weight, t->part, p->parts, t->mine->factors);
        else if (l->limit > 0)
            limit_columns(p->theta + l->weight, l->n_in, l->n_out, l->n_out * t->part / p->parts,
                          l->n_out * (t->part + 1) / p->parts, NUMBER(l->limit),
                          t->mine->factors);
    }
}

/* The sum of a batch's weights, 1 where all are 0. */
static double sum_of_weights(const plan *p, int64_t begin, int64_t n) {
    double found = 0;
    if (!p->weight) return (double)larger(n, 1);
    for (int64_t i = 0; i < n; i++) found += (double)p->weight[row_of(p, begin + i)];
    return found == 0 ? 1 : found;
}

/* Whether any thread has left out something: all of them have said so before a barrier. */
static int any_cut(const room *r) {
    int64_t i = 0;
    while (i < r->p->parts && !r->thread[i].cut) i++;
    return i < r->p->parts;
}

/* Make the gradient, of which nothing has been learned yet; 0 if it is not whole. */
static int make_gradient(const task *t) {
    const room *r = t->r;
    t->mine->value = forward_and_back(t);
    if (r->by_rows) gradient_of_rows(t);
    if (r->whole && !r->by_rows) {
        pool_barrier(r->p->pool);
        gradient_of_weights(t);
    }
    t->mine->cut = is_set(r->p->stop);
    pool_barrier(r->p->pool);
    return !any_cut(r);
}

/* 0 if it was ended before it learned anything. */
static int one_step(const task *t, const double *coefficients) {
    const plan *p = t->r->p;
    push by = {coefficients, t->over, 1, p->l1 > 0 ? 0 : p->l2 / t->over};
    if (!make_gradient(t)) return 0;
    if (t->part == 0) sum_vectors(t);
    if (t->r->whole)
        learn_whole(t, &by);
    else
        learn_in_pieces(t, &by);
    if (t->part == 0)
        use_gradient(p, &by, p->weights, t->mine->vectors, p->parameters - p->weights);
    if (p->limits) hold_norms(t);
    pool_barrier(p->pool);
    return 1;
}

/* One thread's part of a call's steps. */
static void take_part(void *argument, int64_t part) {
    const room *r = argument;
    const plan *p = r->p;
    const int64_t rows = p->rows - p->start, of_epoch = larger(1, (rows + p->batch - 1) / p->batch);
    double total = part == 0 ? p->total : 0; /* of steps before these */
    pool_measure(p->pool, part);
    r->thread[part].cut = 0;
    for (int64_t step = 0; step < p->steps; step++) {
        const int64_t epoch = step / of_epoch, begin = step % of_epoch * p->batch;
        task t = {.r = r, .mine = &r->thread[part], .part = part, .begin = epoch * p->rows + begin};
        t.n = smaller(p->batch, rows - begin);
        t.first = t.n * part / p->parts;
        t.count = t.n * (part + 1) / p->parts - t.first;
        t.keys = p->keys ? p->keys + 2 * step * (p->layers + 1) : NULL;
        t.over = p->gradient ? p->over : sum_of_weights(p, t.begin, t.n);
        if (step == 0) t.mine->exchanges = 0;
        if (!one_step(&t, p->coefficients + step * p->coefficients_of_step)) break;
        total += t.mine->value * (p->gradient ? 1 : (double)t.n);
        if (p->totals && (step + 1) % of_epoch == 0) {
            p->totals[part * (p->steps / of_epoch) + epoch] = total;
            total = 0;
        }
    }
    r->thread[part].value = total;
}

#endif
