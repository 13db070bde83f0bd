/* Where a step's numbers lie in the one piece of memory that it works in. */
#ifndef XPNN_ROOM_H
#define XPNN_ROOM_H

#include "losses.h"
#include "normalization.h"
#include "plan.h"
#include "products.h"
#include "scale.h"
#include "threefry.h"

#define LEARNED_AT_ONCE ((int64_t)1 << 19) /* weights whose gradient stays in the cache */
#define NOT_LONG 1000000000 /* multiplications of a step while it learns, when nothing ends it */

/* What is kept of a layer's forward pass and made in its backward one, for a batch's rows. */
typedef struct {
    real *y;        /* outputs */
    real *saved;    /* the activation's, see activations.h, or an embedding's cosines; or NULL */
    real *unit;     /* of a normalization, or an embedding's sines; or NULL */
    real *inverse;  /* of the standard deviations: of rows; or of neurons, a copy a thread */
    real *gradient; /* with respect to the outputs, then to the affine map's */
} layer_room;

/* One thread's own. */
typedef struct {
    real *vectors; /* the gradient of biases and scales: of its rows, in the order of theta */
    real *weights; /* of weights, or of a piece of them */
    real *factors; /* two numbers for each unit of the widest layer */
    double *sums;   /* of columns: twice two numbers for each unit of the widest layer */
    double *totals; /* all threads' sums, two numbers for each unit */
    int64_t exchanges; /* of sums so far */
    double squares;    /* of its share of the gradient */
    double value;      /* its share of the loss */
    int cut;           /* whether it has seen, before anything was learned, that it is to stop */
    uint64_t *draws;
    void *scratch; /* for the loss */
    multiplier by;
} thread_room;

typedef struct {
    const plan *p;
    real *x; /* the batch's features, the first layer's inputs */
    layer_room *layer;
    thread_room *thread;
    int64_t largest; /* rows of a batch */
    int by_rows;     /* each thread makes the weights' gradient of its rows; else of its weights */
    int whole;       /* the gradient of all weights is made before any of them learns */
    int scaled;      /* the first layer multiplies the second one's weights, see scale.h */
} room;

/* Hands out aligned pieces, or only counts where there is no memory yet. */
typedef struct { char *base; size_t used; } dispenser;

static void *take(dispenser *d, int64_t count, size_t size) {
    void *piece = d->base ? d->base + d->used : NULL;
    d->used += ((size_t)count * size + 63) / 64 * 64;
    return piece;
}

/* Whether the first layer takes CSR rows without their zeros. */
INLINE int takes_sparse(const plan *p) { return p->row_starts && p->layer[0].kind == DENSE; }

static int64_t widest(const plan *p) {
    int64_t found = takes_sparse(p) ? 1 : p->layer[0].n_in;
    for (int64_t k = 0; k < p->layers; k++)
        found = larger(found, larger(p->layer[k].n_out, p->layer[k].row));
    return found;
}

static int64_t numbers_of_rows(const plan *p) {
    int64_t found = takes_sparse(p) ? 0 : p->layer[0].n_in;
    for (int64_t k = 0; k < p->layers; k++) found += p->layer[k].n_out;
    return found;
}

/* The weights whose gradient one thread makes at a time. */
static int64_t weights_at_once(const plan *p, const room *r) {
    if (r->whole) return p->weights;
    int64_t most = 0;
    for (int64_t k = 0; k < p->layers; k++) {
        const layer *l = &p->layer[k];
        most = larger(most, (weighted_inputs(l) + p->parts - 1) / p->parts * l->row);
    }
    return smaller(most, larger(LEARNED_AT_ONCE, widest(p)));
}

static void take_layer(const plan *p, const layer *l, int64_t rows, layer_room *r, dispenser *d) {
    const int64_t inverses = l->normalization == OF_BATCH ? p->parts * l->n_out : rows;
    const int keeps = saves_slope(l->activation) || of_whole_rows(l->activation);
    const int64_t waves = l->kind == EMBEDDING ? rows * weighted_inputs(l) * l->frequencies : 0;
    r->y = take(d, rows * l->n_out, sizeof(real));
    r->gradient = take(d, rows * l->n_out, sizeof(real));
    r->saved = keeps || waves ? take(d, waves ? waves : rows * l->n_out, sizeof(real)) : NULL;
    r->unit = l->normalization || waves ? take(d, waves ? waves : rows * l->n_out, sizeof(real))
                                        : NULL;
    r->inverse = l->normalization ? take(d, inverses, sizeof(real)) : NULL;
}

static void take_thread(const plan *p, const room *r, thread_room *t, dispenser *d) {
    const int64_t wide = widest(p), outputs = p->layer[p->layers - 1].n_out;
    t->vectors = take(d, p->parameters - p->weights, sizeof(real));
    t->weights = take(d, weights_at_once(p, r), sizeof(real));
    t->factors = take(d, 2 * wide, sizeof(real));
    t->sums = take(d, 4 * wide, sizeof(double));
    t->totals = take(d, 2 * wide, sizeof(double));
    t->draws = take(d, draw_room(wide), sizeof(uint64_t));
    t->scratch = take(d, (int64_t)loss_room(outputs), 1);
    t->by = (multiplier){p->product, p->alone, p->tiles, tiles_for(p, r->largest),
                         take(d, numbers_of_panels(p, r->largest), sizeof(real)), p->stop};
}

/* Lay everything out for a plan; the number of bytes that it takes. */
static size_t lay_out(const plan *p, room *r) {
    dispenser d = {p->room, 0};
    if (d.base) d.base += (64 - (uintptr_t)d.base % 64) % 64;
    r->p = p;
    r->largest = smaller(p->batch, p->rows);
    r->by_rows = p->weights <= r->largest * numbers_of_rows(p);
    r->whole = r->by_rows || p->clip > 0 || p->gradient != NULL
               || (p->stop && p->weights * r->largest > NOT_LONG);
    r->scaled = r->whole && scale_before_dense(p);
    layer_room nowhere_layer;
    thread_room nowhere_thread;
    r->layer = take(&d, p->layers, sizeof(layer_room));
    r->thread = take(&d, p->parts, sizeof(thread_room));
    r->x = take(&d, takes_sparse(p) ? 0 : r->largest * p->layer[0].n_in, sizeof(real));
    for (int64_t k = 0; k < p->layers; k++)
        take_layer(p, &p->layer[k], r->largest, d.base ? &r->layer[k] : &nowhere_layer, &d);
    for (int64_t i = 0; i < p->parts; i++)
        take_thread(p, r, d.base ? &r->thread[i] : &nowhere_thread, &d);
    return d.used + 64;
}

#endif
