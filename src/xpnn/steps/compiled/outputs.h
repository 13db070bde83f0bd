/* Outputs of a network outside of training, in blocks of rows that stay in the cache. */
#ifndef XPNN_OUTPUTS_H
#define XPNN_OUTPUTS_H

#include "activations.h"
#include "caches.h"
#include "embedding.h"
#include "normalization.h"
#include "products.h"
#include "room.h"
#include "sparse.h"

typedef struct {
    const plan *p; /* its layers and products, and the features if they are CSR */
    const real *theta, *buffers;
    const real *x;
    int64_t x_stride, rows;
    real *outputs;
    int64_t link; /* an activation of the outputs */
    int64_t block, parts;
    char *room; /* a piece for each part */
} request;

INLINE int64_t block_of_rows(int64_t width) { return smaller(1024, larger(64, 65536 / width)); }

/* Numbers that a part works in: two blocks of outputs, and one for what `activate` saves or for
   the waves of a row; and before them those that products pack. */
static int64_t numbers_of_part(const plan *p, int64_t block) {
    const int64_t wide = widest(p);
    int64_t spare = larger(BLOCK, wide);
    for (int64_t k = 0; k < p->layers; k++)
        spare = larger(spare, 2 * weighted_inputs(&p->layer[k]) * p->layer[k].frequencies);
    const int64_t all = numbers_of_panels(p, block) + 2 * block * wide + spare;
    return (all + LINE - 1) / LINE * LINE;
}

static void activate_block(int64_t code, real *y, const real *b, real *spare, int64_t rows,
                           int64_t units) {
    const int64_t most = rows_of_block(units);
    for (int64_t i = 0; i < rows; i += most) {
        const int64_t count = smaller(most, rows - i);
        if (b) add_to_rows(y + i * units, b, count, units);
        activate(code, y + i * units, spare, count, units);
    }
}

static const drop NOTHING_DROPPED = {KEEP_ALL, {0, 0}, 0};

static void outputs_of_layer(const request *q, const multiplier *by, const layer *l, const real *x,
                             int64_t ld, real *y, real *spare, int64_t first, int64_t rows) {
    const int64_t units = l->n_out;
    if (l->kind == SCALE) {
        scale_rows(x, ld, q->theta + l->scale, y, rows, units);
        return;
    }
    if (l->kind == EMBEDDING) {
        embed_rows(l, q->theta, x, ld, y, spare, NULL, rows);
        return;
    }
    if (x)
        product(by, x, ld, q->theta + l->weight, y, rows, l->n_in, units);
    else
        sparse_product(q->p, first, rows, &NOTHING_DROPPED, q->theta + l->weight, y, units);
    if (l->normalization == OF_BATCH)
        normalize_by_running(q->buffers + l->statistics, y, spare, rows, units);
    else if (l->normalization == OF_LAYER)
        normalize_rows(y, NULL, rows, units);
    if (l->normalization) multiply_rows(y, q->theta + l->scale, rows, units);
    activate_block(l->activation, y, l->bias >= 0 ? q->theta + l->bias : NULL, spare, rows, units);
}

/* One block: the layers' outputs take turns in two places, the last one's lie where they stay. */
static void outputs_of_block(const request *q, const multiplier *by, int64_t first, int64_t rows,
                             real *places[2], real *spare) {
    const plan *p = q->p;
    const real *x = p->row_starts ? NULL : q->x + first * q->x_stride;
    int64_t ld = q->x_stride;
    if (p->row_starts && !takes_sparse(p)) { /* the place of the second layer's outputs */
        ld = p->layer[0].n_in;
        dense_rows(p, first, rows, places[1], ld);
        x = places[1];
    }
    for (int64_t k = 0; k < p->layers; k++) {
        const layer *l = &p->layer[k];
        real *y = k + 1 < p->layers ? places[k % 2] : q->outputs + first * l->n_out;
        outputs_of_layer(q, by, l, x, ld, y, spare, first, rows);
        x = y;
        ld = l->n_out;
    }
    activate_block(q->link, q->outputs + first * ld, NULL, spare, rows, ld);
}

static void outputs_of_part(void *argument, int64_t part) {
    const request *q = argument;
    const int64_t wide = widest(q->p);
    real *mine = (real *)q->room + part * numbers_of_part(q->p, q->block);
    const multiplier by = {q->p->product, q->p->alone, q->p->tiles, tiles_for(q->p, q->block),
                           mine, NULL};
    mine += numbers_of_panels(q->p, q->block);
    real *places[2] = {mine, mine + q->block * wide}, *spare = mine + 2 * q->block * wide;
    const int64_t stop = q->rows * (part + 1) / q->parts;
    for (int64_t i = q->rows * part / q->parts; i < stop; i += q->block)
        outputs_of_block(q, &by, i, smaller(q->block, stop - i), places, spare);
}

#endif
