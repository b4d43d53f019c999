/* throttle - see the header. */
#include "control/throttle.h"

void throttle_start(struct throttle *t, int64_t now)
{
    t->started = now;
    t->worked = 0;
}

void throttle_works(struct throttle *t, int64_t now)
{
    t->worked = now;
}

static int64_t doubled(int ends)
{
    int64_t wait = THROTTLE_FIRST;

    for (int i = 2; i < ends && wait < THROTTLE_MOST; i++)
        wait *= 2;
    return wait < THROTTLE_MOST ? wait : THROTTLE_MOST;
}

int64_t throttle_end(struct throttle *t, int64_t now)
{
    int64_t there = now - t->worked, wait;

    if (now - t->started >= THROTTLE_STABLE)
        t->ends = 0;
    t->ends++;
    wait = t->ends == 1 ? 0 : doubled(t->ends);
    t->had_worked = t->worked != 0;
    if (!t->had_worked || wait == 0)
        return wait;
    if (there < THROTTLE_FIRST)
        return THROTTLE_FIRST;
    if (wait > THROTTLE_WORKED)
        wait = THROTTLE_WORKED;
    return wait < there ? wait : there;
}

bool throttle_failing(const struct throttle *t, int64_t now)
{
    return t->ends >= THROTTLE_FAILING && now - t->started < THROTTLE_STABLE;
}

bool throttle_promising(const struct throttle *t, int64_t now)
{
    return !throttle_failing(t, now) || t->had_worked;
}
