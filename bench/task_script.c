/* task_script - the body of a task begins with the moment it was added. */
#include "task_script.h"

#include "envelope.h"

#include "base/clock.h"
#include "wire/pb.h"

#include <inttypes.h>
#include <stdio.h>

enum { BULK = 100, PAYLOAD = 100 };

static const char *queue = "default";
static int64_t eta;
static uint64_t total;

void script_task_queue(const char *name)
{
    queue = name;
}

void script_task_eta(double seconds)
{
    eta = clock_wall() + (int64_t)(seconds * CLOCK_SEC);
}

void script_task_total(uint64_t n)
{
    total = n;
}

static void add_task(struct buf *in)
{
    enum { QUEUE = 1, NAME = 2, ETA = 3, URL = 4, BODY = 9 };
    char body[PAYLOAD];
    struct buf add = BUF_HEAP;

    memset(body, ' ', sizeof(body));
    body[snprintf(body, sizeof(body), "%" PRId64, clock_mono())] = ' ';
    pb_put_bytes(&add, QUEUE, bytes_str(queue));
    pb_put_bytes(&add, NAME, BYTES_NONE);
    pb_put_u64(&add, ETA, (uint64_t)eta);
    pb_put_bytes(&add, URL, BYTES_LIT("/work"));
    pb_put_bytes(&add, BODY, BYTES(body, sizeof(body)));
    pb_put_bytes(in, 1, buf_view(&add));
    buf_release(&add);
}

static bool add_tasks(struct load_sequence *s, int *error, struct buf *out,
                      uint64_t n)
{
    struct buf in = BUF_HEAP;

    if (*error || s->step > 0 || (total && s->serial * n >= total))
        return false;
    for (uint64_t i = 0; i < n; i++)
        add_task(&in);
    envelope_post(out, "taskqueue", "BulkAdd", buf_view(&in));
    buf_release(&in);
    return true;
}

bool script_task(struct load_sequence *s, struct bytes answer, int *error,
                 struct buf *out)
{
    return add_tasks(s, error, out, 1);
}

bool script_tasks(struct load_sequence *s, struct bytes answer, int *error,
                  struct buf *out)
{
    return add_tasks(s, error, out, BULK);
}
