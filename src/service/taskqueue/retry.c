/* retry - the schedule, and the message it is read from. */
#include "service/taskqueue/retry.h"

#include "wire/pb.h"

#include <math.h>

/* ldexp() beyond this is infinite anyway. */
enum { DOUBLINGS_MAX = 1023 };

bool retry_may(const struct retry *r, int64_t n, int64_t age)
{
    bool by_limit = r->has_limit && n <= r->limit;
    bool by_age = r->has_age && (double)age / 1e6 <= (double)r->age;

    return by_limit || by_age || (!r->has_limit && !r->has_age);
}

int64_t retry_wait(const struct retry *r, int64_t n)
{
    int64_t doublings = n - 1 < r->max_doublings ? n - 1 : r->max_doublings;
    int64_t steps = n - doublings;
    double wait;

    if (doublings < 0)
        doublings = 0;
    wait = ldexp(r->min,
                 doublings < DOUBLINGS_MAX ? (int)doublings : DOUBLINGS_MAX);
    if (steps > 1)
        wait *= (double)steps;
    if (!(wait < r->max))
        wait = r->max;
    return wait < 9e12 ? (int64_t)(wait * 1e6) : INT64_MAX / 2;
}

static double double_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

bool retry_read(struct bytes message, struct retry *out)
{
    enum { LIMIT = 1, AGE = 2, MIN = 3, MAX = 4, DOUBLINGS = 5 };
    struct pb_reader r = PB_READER(message);

    *out = RETRY_DEFAULTS;
    while (pb_next(&r)) {
        if (r.field == LIMIT && r.kind == PB_VARINT) {
            out->has_limit = true;
            out->limit = (int32_t)r.u64;
        } else if (r.field == AGE && r.kind == PB_VARINT) {
            out->has_age = true;
            out->age = (int64_t)r.u64;
        } else if (r.field == MIN && r.kind == PB_FIXED64) {
            out->min = double_of(r.u64);
        } else if (r.field == MAX && r.kind == PB_FIXED64) {
            out->max = double_of(r.u64);
        } else if (r.field == DOUBLINGS && r.kind == PB_VARINT) {
            out->max_doublings = (int32_t)r.u64;
        }
    }
    return !r.bad;
}

const char *retry_complaint(const struct retry *r)
{
    if (r->has_limit && r->limit < 0)
        return "retry_limit is below 0";
    if (r->has_age && r->age <= 0)
        return "age_limit_sec is not above 0";
    if (!(r->min >= 0) || !(r->max >= 0))
        return "a backoff is below 0";
    if (r->max_doublings < 0)
        return "max_doublings is below 0";
    return NULL;
}
