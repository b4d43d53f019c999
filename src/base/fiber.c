/*
 * fiber - ucontext, and the handshake between going aside and being woken.
 *
 * An event may come while its fiber is still on the way out, on the stack that
 * the next one would go on with.  So a fiber has a state, and whoever comes
 * second acts: the thread that leaves it finds AWAKE and goes straight back,
 * or the event finds ASIDE and calls for a thread.
 */
#include "base/fiber.h"

#include "base/locks.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* RocksDB is the deepest callee; pages that are not touched cost nothing. */
enum { STACK_BYTES = 1024 * 1024 };

enum { RUNNING, ASIDE, AWAKE };

struct fiber {
    ucontext_t here, back; /* the fiber's, and its thread's */
    void (*fn)(void *arg);
    void *arg;
    void (*ready)(struct fiber *f, void *arg);
    void *ready_arg;
    atomic_int state;
    bool ended;
    char *stack; /* with a page that nobody may touch below */
    void *checker, *thread_checker; /* a sanitizer's */
    const void *thread_stack;
    size_t thread_stack_size;
};

static _Thread_local struct fiber *running;

/* Its own function, so that no caller keeps another thread's address. */
static __attribute__((noinline)) struct fiber **self(void)
{
    return &running;
}

/* ---- what sanitizers want to know of a switch ---- */

#if defined(__SANITIZE_ADDRESS__)
#define CHECKED_BY_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define CHECKED_BY_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECKED_BY_ASAN 1
#elif __has_feature(thread_sanitizer)
#define CHECKED_BY_TSAN 1
#endif
#endif

#ifdef CHECKED_BY_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CHECKED_BY_TSAN
#include <sanitizer/tsan_interface.h>
#endif

static void checker_new(struct fiber *f)
{
#ifdef CHECKED_BY_TSAN
    f->checker = __tsan_create_fiber(0);
#else
    (void)f;
#endif
}

static void checker_free(struct fiber *f)
{
#ifdef CHECKED_BY_TSAN
    __tsan_destroy_fiber(f->checker);
#else
    (void)f;
#endif
}

/* From the thread to the fiber. */
static void switch_in(struct fiber *f)
{
#ifdef CHECKED_BY_ASAN
    void *fake;

    __sanitizer_start_switch_fiber(&fake, f->stack, STACK_BYTES);
    swapcontext(&f->back, &f->here);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#elif defined(CHECKED_BY_TSAN)
    f->thread_checker = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->checker, 0);
    swapcontext(&f->back, &f->here);
#else
    swapcontext(&f->back, &f->here);
#endif
}

/* On the fiber: it goes on here. */
static void switched_in(struct fiber *f)
{
#ifdef CHECKED_BY_ASAN
    __sanitizer_finish_switch_fiber(f->checker, &f->thread_stack,
                                    &f->thread_stack_size);
#else
    (void)f;
#endif
}

/* From the fiber to the thread. */
static void switch_out(struct fiber *f)
{
#ifdef CHECKED_BY_ASAN
    f->checker = NULL; /* nothing to come back to when it has ended */
    __sanitizer_start_switch_fiber(f->ended ? NULL : &f->checker,
                                   f->thread_stack, f->thread_stack_size);
#elif defined(CHECKED_BY_TSAN)
    __tsan_switch_to_fiber(f->thread_checker, 0);
#endif
    swapcontext(&f->here, &f->back);
    switched_in(f);
}

/* ---- running ---- */

/* makecontext() passes ints: a pointer in two of them. */
static void begin(unsigned high, unsigned low)
{
    struct fiber *f =
        (struct fiber *)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);

    switched_in(f);
    for (;;) {
        f->fn(f->arg);
        f->ended = true;
        switch_out(f);
    }
}

static bool go(struct fiber *f)
{
    for (;;) {
        int was = RUNNING;

        *self() = f;
        switch_in(f);
        *self() = NULL;
        if (f->ended)
            return true;
        if (atomic_compare_exchange_strong(&f->state, &was, ASIDE))
            return false;
        atomic_store(&f->state, RUNNING); /* it was woken meanwhile */
    }
}

bool fiber_run(struct fiber *f, void (*fn)(void *arg), void *arg)
{
    f->fn = fn;
    f->arg = arg;
    f->ended = false;
    atomic_store(&f->state, RUNNING);
    return go(f);
}

bool fiber_resume(struct fiber *f)
{
    return go(f);
}

static void context_new(struct fiber *f)
{
    getcontext(&f->here);
    f->here.uc_stack.ss_sp = f->stack;
    f->here.uc_stack.ss_size = STACK_BYTES;
    makecontext(&f->here, (void (*)(void))begin, 2,
                (unsigned)((uintptr_t)f >> 16 >> 16), (unsigned)(uintptr_t)f);
}

/* With a page below it that nobody may touch; NULL without memory. */
static char *stack_new(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map =
        mmap(NULL, page + STACK_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, page, PROT_NONE) != 0) {
        munmap(map, page + STACK_BYTES);
        return NULL;
    }
    return map + page;
}

struct fiber *fiber_new(void (*ready)(struct fiber *f, void *arg), void *arg)
{
    struct fiber *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->stack = stack_new();
    if (!f->stack) {
        free(f);
        return NULL;
    }
    f->ready = ready;
    f->ready_arg = arg;
    checker_new(f);
    context_new(f);
    return f;
}

void fiber_free(struct fiber *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    checker_free(f);
    munmap(f->stack - page, page + STACK_BYTES);
    free(f);
}

/* ---- events ---- */

void fiber_event_init(struct fiber_event *e)
{
    e->fiber = locks_held() ? NULL : *self();
    if (!e->fiber)
        sem_init(&e->sem, 0, 0);
}

void fiber_wait(struct fiber_event *e)
{
    if (e->fiber) {
        switch_out(e->fiber);
        return;
    }
    while (sem_wait(&e->sem) != 0)
        ; /* a signal */
    sem_destroy(&e->sem);
}

void fiber_event_set(struct fiber_event *e)
{
    struct fiber *f = e->fiber;

    if (!f) {
        sem_post(&e->sem);
        return;
    }
    /* The event lies on the stack that goes on: no look at it from here. */
    if (atomic_exchange(&f->state, AWAKE) == ASIDE) {
        atomic_store(&f->state, RUNNING);
        f->ready(f, f->ready_arg);
    }
}
