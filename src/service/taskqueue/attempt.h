/*
 * attempt - the HTTP request that runs a task.
 *
 * What the app's own headers may not say is left out, what the platform says
 * is put in; the SDKs and libraries read these (Fantasm lives by the retry
 * count).  Behind haproxy some are set again there: whoever comes through its
 * socket for tasks is trusted, and only the dispatcher does.  Pure; any thread.
 */
#ifndef SERVICE_TASKQUEUE_ATTEMPT_H
#define SERVICE_TASKQUEUE_ATTEMPT_H

#include "base/buf.h"
#include "service/taskqueue/task.h"

struct attempt {
    struct bytes app, queue;
    struct bytes target;      /* of the queue's definition, or empty */
    const char *default_host; /* "guestbook.localhost" */
    const struct task *task;
    const struct task_request *request;
    const char *id;     /* 32 hexadecimal digits, of this attempt alone */
    const char *reason; /* of a retry; or NULL */
    int64_t deadline;   /* microseconds the app has */
    bool direct;        /* to the app itself: no haproxy adds the rest */
};

/* Append the request, head and body. */
void attempt_write(struct buf *out, const struct attempt *a);

/* Where it goes, for Host: the queue's target, else what the task says, else
 * the default host; in the arena. */
struct bytes attempt_host(struct arena *arena, const struct attempt *a);

#endif
