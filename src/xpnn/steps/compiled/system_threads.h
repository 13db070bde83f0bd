/* Threads, locks and numbers that threads share, as POSIX and Windows have them. */
#ifndef XPNN_SYSTEM_THREADS_H
#define XPNN_SYSTEM_THREADS_H

#include <stdint.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <process.h>
#include <windows.h>
#define THREAD_CALL __stdcall
typedef unsigned thread_result;
typedef HANDLE thread;
typedef SRWLOCK mutex;
typedef CONDITION_VARIABLE condition;
static void begin_mutex(mutex *m) { InitializeSRWLock(m); }
static void end_mutex(mutex *m) { (void)m; }
static void lock_mutex(mutex *m) { AcquireSRWLockExclusive(m); }
static void unlock_mutex(mutex *m) { ReleaseSRWLockExclusive(m); }
static void begin_condition(condition *c) { InitializeConditionVariable(c); }
static void end_condition(condition *c) { (void)c; }
static void sleep_until_woken(condition *c, mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static void wake_all(condition *c) { WakeAllConditionVariable(c); }
static int start_thread(thread *t, thread_result(THREAD_CALL *f)(void *), void *argument) {
    *t = (HANDLE)_beginthreadex(NULL, 0, f, argument, 0, NULL);
    return *t != 0;
}
static void let_others_run(void) { SwitchToThread(); }
static void join_thread(thread t) { WaitForSingleObject(t, INFINITE); CloseHandle(t); }
static int64_t nanoseconds(void) {
    LARGE_INTEGER ticks, of_a_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&of_a_second);
    return (int64_t)((double)ticks.QuadPart * 1e9 / (double)of_a_second.QuadPart);
}
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#define THREAD_CALL
typedef void *thread_result;
typedef pthread_t thread;
typedef pthread_mutex_t mutex;
typedef pthread_cond_t condition;
static void begin_mutex(mutex *m) { pthread_mutex_init(m, NULL); }
static void end_mutex(mutex *m) { pthread_mutex_destroy(m); }
static void lock_mutex(mutex *m) { pthread_mutex_lock(m); }
static void unlock_mutex(mutex *m) { pthread_mutex_unlock(m); }
static void begin_condition(condition *c) { pthread_cond_init(c, NULL); }
static void end_condition(condition *c) { pthread_cond_destroy(c); }
static void sleep_until_woken(condition *c, mutex *m) { pthread_cond_wait(c, m); }
static void wake_all(condition *c) { pthread_cond_broadcast(c); }
static int start_thread(thread *t, thread_result (*f)(void *), void *argument) {
    sigset_t all, before; /* signals such as Ctrl-C are for Python's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(t, NULL, f, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}
static void let_others_run(void) { sched_yield(); }
static void join_thread(thread t) { pthread_join(t, NULL); }
static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
#endif

/* A number in a cache line of its own; each change is seen by all threads in one order. */
#if defined(_MSC_VER) && !defined(__clang__)
typedef struct { volatile LONG64 value; char rest[56]; } shared_number;
static int64_t look(shared_number *n) { return InterlockedOr64(&n->value, 0); }
static int64_t add_to(shared_number *n, int64_t k) { return InterlockedAdd64(&n->value, k); }
#else
typedef struct { int64_t value; char rest[56]; } shared_number;
static int64_t look(shared_number *n) { return __atomic_load_n(&n->value, __ATOMIC_SEQ_CST); }
static int64_t add_to(shared_number *n, int64_t k) {
    return __atomic_add_fetch(&n->value, k, __ATOMIC_SEQ_CST);
}
#endif

static void pause_between_looks(void) {
#if defined(_MSC_VER)
    YieldProcessor();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
