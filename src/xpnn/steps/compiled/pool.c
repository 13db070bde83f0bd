/* Threads that wait for each other by looking for some microseconds, and then by sleeping.

   A step of a small network takes less time than the system needs to wake a thread, so whoever
   waits looks first, and now and then lets another thread have the processor, which may be the one
   that is waited for; but an idle pool takes no processor. Everything waits for one number to
   change: that of the work given, or that of the barriers passed. */
#include "pool.h"

#include <stdlib.h>

#include "system_threads.h"
#include "xpnn.h"

#define LOOKS 2000 /* before sleeping: 20 to 100 microseconds */
#define LOOKS_IN_A_ROW 100

/* Nanoseconds that a number takes there and back: 30 to 120 by a cache in common, else 300. */
#define APART 200
#define TRIPS 20

struct pool {
    shared_number given, passed, arrived, sleepers, turn, trip;
    int64_t parts;
    pool_work *work; /* NULL: end */
    void *argument;
    mutex lock;
    condition changed;
    struct worker { pool *of; int64_t part; thread handle; } workers[];
};

/* Wait until a number is no longer `old`. */
static void wait_for_change(pool *p, shared_number *number, int64_t old) {
    for (int i = 0; i < LOOKS; i++) {
        if (look(number) != old) return;
        if (i % LOOKS_IN_A_ROW < LOOKS_IN_A_ROW - 1)
            pause_between_looks();
        else
            let_others_run();
    }
    lock_mutex(&p->lock);
    add_to(&p->sleepers, 1); /* before the last look: who changes the number looks afterwards */
    while (look(number) == old) sleep_until_woken(&p->changed, &p->lock);
    add_to(&p->sleepers, -1);
    unlock_mutex(&p->lock);
}

static void change(pool *p, shared_number *number) {
    add_to(number, 1);
    if (look(&p->sleepers) == 0) return;
    lock_mutex(&p->lock);
    wake_all(&p->changed);
    unlock_mutex(&p->lock);
}

void pool_barrier(pool *p) {
    if (!p) return;
    const int64_t passed = look(&p->passed);
    if (add_to(&p->arrived, 1) == p->parts) {
        add_to(&p->arrived, -p->parts);
        change(p, &p->passed);
    } else {
        wait_for_change(p, &p->passed, passed);
    }
}

void pool_measure(pool *p, int64_t part) {
    if (!p || part > 1 || look(&p->trip)) return;
    int64_t quickest = INT64_MAX;
    for (int64_t turn = 0; turn < 2 * TRIPS; turn += 2) {
        const int64_t begin = nanoseconds();
        if (part == 1) wait_for_change(p, &p->turn, turn);
        change(p, &p->turn);
        if (part == 1) continue;
        wait_for_change(p, &p->turn, turn + 1);
        const int64_t took = nanoseconds() - begin;
        quickest = took < quickest ? took : quickest;
    }
    if (part == 0) add_to(&p->trip, quickest + 1); /* 0: not yet measured */
}

int pool_is_apart(pool *p) { return look(&p->trip) > APART; }

void pool_lock(pool *p) {
    if (p) lock_mutex(&p->lock);
}

void pool_unlock(pool *p) {
    if (p) unlock_mutex(&p->lock);
}

static thread_result THREAD_CALL help(void *argument) {
    struct worker *me = argument;
    pool *p = me->of;
    for (int64_t seen = 0;; seen++) {
        wait_for_change(p, &p->given, seen);
        if (!p->work) break;
        p->work(p->argument, me->part);
        pool_barrier(p);
    }
    return 0;
}

void pool_run(pool *p, pool_work *work, void *argument) {
    if (!p) {
        work(argument, 0);
        return;
    }
    p->work = work;
    p->argument = argument;
    change(p, &p->given);
    work(argument, 0);
    pool_barrier(p);
}

/* End the threads and free the pool. Not in a forked child: there are no such threads there. */
XPNN_EXPORT void xpnn_pool_end(pool *p) {
    p->work = NULL;
    change(p, &p->given);
    for (int64_t i = 1; i < p->parts; i++) join_thread(p->workers[i].handle);
    end_condition(&p->changed);
    end_mutex(&p->lock);
    free(p);
}

/* A pool of `parts` threads, the caller's among them, or of as many as the system gives. NULL if
   that is one. */
XPNN_EXPORT pool *xpnn_pool_begin(int64_t parts) {
    if (parts < 2) return NULL;
    pool *p = calloc(1, sizeof *p + (size_t)parts * sizeof p->workers[0]);
    if (!p) return NULL;
    begin_mutex(&p->lock);
    begin_condition(&p->changed);
    for (p->parts = 1; p->parts < parts; p->parts++) {
        struct worker *next = &p->workers[p->parts];
        next->of = p;
        next->part = p->parts;
        if (!start_thread(&next->handle, help, next)) break;
    }
    if (p->parts > 1) return p;
    xpnn_pool_end(p);
    return NULL;
}

XPNN_EXPORT int64_t xpnn_pool_parts(const pool *p) { return p ? p->parts : 1; }

/* How far apart the threads are, for the tests; as they say if that is not 0. */
XPNN_EXPORT int64_t xpnn_pool_trip(pool *p, int64_t said) {
    if (said) add_to(&p->trip, said - look(&p->trip));
    return look(&p->trip);
}
