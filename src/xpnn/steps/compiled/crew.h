/* Members: networks of one shape that learn at once, each from its own rows and weights.

   A member's steps are one thread's at a time, so its numbers do not depend on how many threads
   there are; but where there are two and more for each, they share its steps as those of a single
   network. Whoever is free takes the member with the most steps left; where threads and members do
   not come out even, a member's steps are cut, and two threads take them one after the other.

   In the vectors that all share, each entry has the members' numbers one behind the other. A
   member's own lie together while it learns. */
#ifndef XPNN_CREW_H
#define XPNN_CREW_H

#include "steps.h"

typedef struct {
    real *shared, *own; /* an entry of a vector, and the first member's part of it */
    int64_t size;       /* numbers of a member */
    int64_t stride;     /* from a member's own to the next one's */
} piece;

typedef struct {
    int64_t members, pieces;
    plan *const *plan; /* each member's */
    const piece *piece;
    int64_t *done, *taken; /* of each member: steps, and whether a thread has it */
    /* of a call; as a plan has them */
    pool *pool;
    int64_t parts;
    const int64_t *stop; /* of long calls: once it is set, one ends and no member has learned */
    const int64_t *order; /* or (rows, members) with `columns` */
    int64_t columns, start, steps, coefficients_of_step;
    const double *coefficients;
    const uint32_t *keys;
    double total;
} crew;

/* A member's own numbers out of those that all share, or back. */
static void move_member(const crew *c, int64_t m, int back) {
    for (int64_t i = 0; i < c->pieces; i++) {
        const piece *e = &c->piece[i];
        real *own = e->own + m * e->stride, *shared = e->shared + m * e->size;
        memcpy(back ? shared : own, back ? own : shared, (size_t)e->size * sizeof *own);
    }
}

/* `count` steps of a member from the call's step `first` on. */
static void some_steps(const crew *c, int64_t m, int64_t first, int64_t count) {
    plan p = *c->plan[m];
    room r;
    p.member = m;
    p.order = c->order ? c->order + (c->columns > 1 ? m : 0) : NULL;
    p.order_stride = c->columns;
    p.start = c->start + first * p.batch;
    p.steps = count;
    p.coefficients = c->coefficients + first * c->coefficients_of_step;
    p.coefficients_of_step = c->coefficients_of_step;
    p.keys = c->keys ? c->keys + 2 * first * (p.layers + 1) : NULL;
    if (first == 0) p.total = 0;
    lay_out(&p, &r);
    pool_run(p.pool, take_part, &r);
    double total = 0;
    for (int64_t i = 0; i < p.parts; i++) total += r.thread[i].value;
    c->plan[m]->total = total;
}

/* The free member with the most steps left, which is this thread's now; -1: there is none. */
static int64_t take_member(const crew *c) {
    int64_t found = -1, most = 0;
    pool_lock(c->pool);
    for (int64_t m = 0; m < c->members; m++)
        if (!c->taken[m] && c->steps - c->done[m] > most) {
            most = c->steps - c->done[m];
            found = m;
        }
    if (found >= 0) c->taken[found] = 1;
    pool_unlock(c->pool);
    return found;
}

static void take_turns(void *argument, int64_t part) {
    (void)part;
    const crew *c = argument;
    const int64_t even = c->members % c->parts == 0;
    const int64_t most = even ? c->steps : (c->steps + c->parts - 1) / c->parts;
    for (int64_t m; !is_set(c->stop) && (m = take_member(c)) >= 0;) {
        const int64_t first = c->done[m], count = smaller(most, c->steps - first);
        if (first == 0) move_member(c, m, 0);
        some_steps(c, m, first, count);
        if (first + count == c->steps && !c->stop) move_member(c, m, 1);
        pool_lock(c->pool);
        c->done[m] += count;
        c->taken[m] = 0;
        pool_unlock(c->pool);
    }
}

/* A call's steps of all members; their losses' mean into `total`. 0 if it was ended. */
static int work_of_crew(crew *c) {
    for (int64_t m = 0; m < c->members; m++) c->done[m] = c->taken[m] = 0;
    pool_run(c->pool, take_turns, c);
    if (is_set(c->stop)) return 0;
    for (int64_t m = 0; c->stop && m < c->members; m++) move_member(c, m, 1);
    c->total = 0;
    for (int64_t m = 0; m < c->members; m++) c->total += c->plan[m]->total;
    c->total /= (double)c->members;
    return 1;
}

#endif
