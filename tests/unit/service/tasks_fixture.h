/*
 * tasks_fixture - queues over the fixture's store, without a dispatcher: what
 * is added waits.
 */
#ifndef TESTS_UNIT_SERVICE_TASKS_FIXTURE_H
#define TESTS_UNIT_SERVICE_TASKS_FIXTURE_H

#include "fixture.h"

#include "service/taskqueue/taskqueue.h"

static inline void tasks_fixture_start(struct fixture *f, const char *yaml)
{
    struct taskqueue_options o;

    fixture_start(f);
    o = (struct taskqueue_options){.storage = f->env.storage,
                                   .engine = f->env.engine,
                                   .platform = f->env.platform,
                                   .domain = "localhost"};
    assert_int_equal(taskqueue_open(&f->ctx, &o, &f->env.taskqueue), 0);
    assert_int_equal(taskqueue_set_yaml(&f->ctx, f->env.taskqueue, f->ctx.app,
                                        "queue.yaml", bytes_str(yaml)),
                     0);
}

static inline void tasks_fixture_stop(struct fixture *f)
{
    taskqueue_close(f->env.taskqueue);
    fixture_stop(f);
}

/* Add a task named `name`, due `eta` microseconds since 1970. */
static inline void tasks_fixture_add(struct fixture *f, const char *queue,
                                     const char *name, int64_t eta, bool pull,
                                     const char *tag)
{
    struct taskqueue_TaskQueueAddRequest *m =
        taskqueue_TaskQueueAddRequest_new(&f->ctx);
    struct buf out = BUF_IN(&f->arena);
    struct bytes in;

    taskqueue_TaskQueueAddRequest_set_queue_name(m, bytes_str(queue));
    taskqueue_TaskQueueAddRequest_set_task_name(m, bytes_str(name));
    taskqueue_TaskQueueAddRequest_set_eta_usec(m, eta);
    taskqueue_TaskQueueAddRequest_set_body(m, BYTES_LIT("body"));
    if (pull)
        taskqueue_TaskQueueAddRequest_set_mode(m, taskqueue_TaskQueueMode_PULL);
    else
        taskqueue_TaskQueueAddRequest_set_url(m, BYTES_LIT("/work"));
    if (tag)
        taskqueue_TaskQueueAddRequest_set_tag(m, bytes_str(tag));
    assert_int_equal(taskqueue_TaskQueueAddRequest_encode(&f->ctx, m, &in), 0);
    assert_int_equal(taskqueue_add(&f->ctx, in, &out), 0);
}

#endif
