/*
 * fiber - a call that can be put aside while its thread does something else.
 *
 * A worker that waits for the disk inside a call costs two thread switches and
 * a stack that lies cold.  On a fiber the call keeps its straight line and the
 * thread goes on with the next one: fiber_wait() switches back to the thread,
 * and once the event has come some thread - perhaps another - goes on behind
 * it.
 *
 * Nothing has to know whether it runs on a fiber.  fiber_wait() blocks the
 * thread when there is no fiber, and when the thread holds a lock: whoever
 * waits for that lock must not find its holder put aside.
 *
 *     struct fiber_event done;
 *
 *     fiber_event_init(&done);
 *     ... hand &done to whoever will call fiber_event_set() ...
 *     fiber_wait(&done);
 *
 * Thread rule: a fiber is run by one thread at a time; an event is set from
 * any, once.  What is thread-local may be another's behind fiber_wait().
 */
#ifndef BASE_FIBER_H
#define BASE_FIBER_H

#include <semaphore.h>
#include <stdbool.h>

struct fiber;

/* Something that happens once, awaited by one. */
struct fiber_event {
    struct fiber *fiber; /* put aside for it; NULL: a thread blocks */
    sem_t sem;
};

/* By the one who will wait, before anybody else knows the event. */
void fiber_event_init(struct fiber_event *e);

/* Wait until it is set, if it is not yet; then the event may go away. */
void fiber_wait(struct fiber_event *e);

/* It has happened.  The event may be gone when this returns. */
void fiber_event_set(struct fiber_event *e);

/* ---- for those that run fibers (rpc/pool.c) ---- */

/*
 * A fiber with a stack, to be used for one function after another.  `ready`
 * is called, on any thread, when the event that it was put aside for has come:
 * it has fiber_resume() called, by a thread that holds no lock.  NULL when
 * there is no memory for the stack.
 */
struct fiber *fiber_new(void (*ready)(struct fiber *f, void *arg), void *arg);

/* Free one that runs nothing. */
void fiber_free(struct fiber *f);

/*
 * Run fn(arg) on it.  True when it has returned; false when it was put aside,
 * and then the fiber must not be touched: it may be running elsewhere already.
 */
bool fiber_run(struct fiber *f, void (*fn)(void *arg), void *arg);

/* Go on with one that is ready; returns as fiber_run(). */
bool fiber_resume(struct fiber *f);

#endif
