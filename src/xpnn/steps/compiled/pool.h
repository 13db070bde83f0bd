/* A few threads that share one fit's steps. */
#ifndef XPNN_POOL_H
#define XPNN_POOL_H

#include <stdint.h>

typedef struct pool pool;
typedef void pool_work(void *argument, int64_t part);

/* Let each of the pool's threads, the caller as part 0, do its part; return when all have.
   Without a pool the caller does the only part. */
void pool_run(pool *p, pool_work *work, void *argument);

/* Within pool_run: wait until all threads have come here. */
void pool_barrier(pool *p);

/* Within pool_run, by all threads: see how far apart the first two are, once for all runs. */
void pool_measure(pool *p, int64_t part);

/* Whether a number takes so long from one to the other as between processors without a cache in
   common. */
int pool_is_apart(pool *p);

/* Within pool_run: one thread at a time from here to there. */
void pool_lock(pool *p);
void pool_unlock(pool *p);

#endif
