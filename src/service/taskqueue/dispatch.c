/* dispatch - to come with the next commit: until then push tasks wait. */
#include "service/taskqueue/dispatch.h"

int dispatch_start(struct ctx *ctx, struct taskqueue *tq)
{
    return 0;
}

void dispatch_stop(struct taskqueue *tq)
{
}

void dispatch_offer(struct taskqueue *tq, struct queue *q, const struct task *t)
{
}

void dispatch_forget(struct taskqueue *tq, struct queue *q, struct bytes name)
{
}

void dispatch_changed(struct taskqueue *tq, struct queue *q)
{
}
