/* throttle - see the header. */
#include "control/throttle.h"

void throttle_start(struct throttle *t, int64_t now)
{
    t->started = now;
}

int64_t throttle_end(struct throttle *t, int64_t now)
{
    int64_t wait = THROTTLE_FIRST;

    if (now - t->started >= THROTTLE_STABLE)
        t->ends = 0;
    t->ends++;
    if (t->ends == 1)
        return 0;
    for (int i = 2; i < t->ends && wait < THROTTLE_MOST; i++)
        wait *= 2;
    return wait < THROTTLE_MOST ? wait : THROTTLE_MOST;
}

bool throttle_failing(const struct throttle *t, int64_t now)
{
    return t->ends >= THROTTLE_FAILING && now - t->started < THROTTLE_STABLE;
}
