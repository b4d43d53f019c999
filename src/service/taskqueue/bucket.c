/* bucket - tokens are counted when somebody asks. */
#include "service/taskqueue/bucket.h"

#include "base/clock.h"

#include <math.h>

#define SLOW_STEP    (1 * CLOCK_SEC)  /* one halving for a burst of answers */
#define RECOVER_STEP (10 * CLOCK_SEC) /* one doubling back */

/* However ill the backend is, it is asked now and then. */
#define SHARE_MIN (1.0 / 128)

static void recover(struct bucket *b, int64_t now)
{
    if (b->share >= 1)
        return;
    b->share *= exp2((double)(now - b->at) / (double)RECOVER_STEP);
    if (b->share > 1)
        b->share = 1;
}

static void refill(struct bucket *b, int64_t now)
{
    if (now <= b->at)
        return;
    b->tokens += b->rate * b->share * (double)(now - b->at) / 1e6;
    if (b->tokens > b->capacity)
        b->tokens = b->capacity;
    recover(b, now);
    b->at = now;
}

void bucket_init(struct bucket *b, double rate, double capacity, int64_t now)
{
    *b = (struct bucket){
        .rate = rate,
        .capacity = capacity < 1 ? 1 : capacity,
        .at = now,
        .share = 1,
        .slowed = now - SLOW_STEP,
    };
    b->tokens = b->capacity;
}

void bucket_set(struct bucket *b, double rate, double capacity, int64_t now)
{
    refill(b, now);
    b->rate = rate;
    b->capacity = capacity < 1 ? 1 : capacity;
    if (b->tokens > b->capacity)
        b->tokens = b->capacity;
}

bool bucket_take(struct bucket *b, int64_t now)
{
    refill(b, now);
    /* A paused queue keeps what it saved, and spends none of it. */
    if (b->rate <= 0 || b->tokens < 1)
        return false;
    b->tokens -= 1;
    return true;
}

int64_t bucket_next(struct bucket *b, int64_t now)
{
    double wait;

    refill(b, now);
    if (b->rate <= 0)
        return INT64_MAX;
    if (b->tokens >= 1)
        return now;
    wait = ceil((1 - b->tokens) / (b->rate * b->share) * 1e6);
    return wait < 9e17 ? now + (int64_t)wait : INT64_MAX;
}

void bucket_slow(struct bucket *b, int64_t now)
{
    refill(b, now);
    if (now - b->slowed < SLOW_STEP)
        return;
    b->slowed = now;
    b->share /= 2;
    if (b->share < SHARE_MIN)
        b->share = SHARE_MIN;
}

double bucket_enforced(struct bucket *b, int64_t now)
{
    refill(b, now);
    return b->rate * b->share;
}
