/* Queues and tasks as the platform service tells and handles them. */
#include "tasks_fixture.h"

#include "service/taskqueue/admin.h"

static struct fixture f;

static const char yaml[] = "queue:\n"
                           "- name: default\n"
                           "  rate: 5/s\n"
                           "- name: aimed\n"
                           "  rate: 30/m\n"
                           "  bucket_size: 9\n"
                           "  max_concurrent_requests: 4\n"
                           "  target: worker\n"
                           "  retry_parameters:\n"
                           "    task_retry_limit: 7\n"
                           "    task_age_limit: 2m\n"
                           "    min_backoff_seconds: 3\n"
                           "- name: stopped\n"
                           "  rate: 0/s\n"
                           "- name: pull\n"
                           "  mode: pull\n"
                           "  acl:\n"
                           "  - user_email: reader@example.com\n"
                           "  - writer_email: writer@example.com\n";

static int start(void **state)
{
    tasks_fixture_start(&f, yaml);
    return 0;
}

static int stop(void **state)
{
    tasks_fixture_stop(&f);
    return 0;
}

/* As the controller: no app of its own. */
static struct ctx *as_platform(void)
{
    f.ctx.app = BYTES_NONE;
    ctx_err_clear(&f.ctx);
    return &f.ctx;
}

static const struct platform_ListQueuesResponse *
ask_queues(const char *name, const char *after, int limit, int want)
{
    struct ctx *ctx = as_platform();
    struct platform_ListQueuesRequest *in = platform_ListQueuesRequest_new(ctx);
    struct platform_ListQueuesResponse *out =
        platform_ListQueuesResponse_new(ctx);

    platform_ListQueuesRequest_set_app(in, BYTES_LIT("guestbook"));
    if (name)
        platform_ListQueuesRequest_set_name(in, bytes_str(name));
    if (after)
        platform_ListQueuesRequest_set_after(in, bytes_str(after));
    if (limit)
        platform_ListQueuesRequest_set_limit(in, limit);
    assert_int_equal(taskqueue_admin_queues(ctx, in, out), want);
    return out;
}

static const struct platform_Queue *queue(const char *name)
{
    return platform_ListQueuesResponse_queue(ask_queues(name, NULL, 0, 0), 0);
}

static void queues_come_by_name_in_pages(void **state)
{
    const char *const want[] = {"aimed", "default", "pull", "stopped"};
    const char *after = NULL;

    for (int i = 0; i < 4; i++) {
        const struct platform_ListQueuesResponse *page =
            ask_queues(NULL, after, 1, 0);

        assert_int_equal(platform_ListQueuesResponse_n_queue(page), 1);
        assert_bytes(
            platform_Queue_name(platform_ListQueuesResponse_queue(page, 0)),
            bytes_str(want[i]));
        assert_int_equal(platform_ListQueuesResponse_more(page), i < 3);
        after = want[i];
    }
    assert_int_equal(
        platform_ListQueuesResponse_n_queue(ask_queues(NULL, "stopped", 0, 0)),
        0);
}

static void a_queue_tells_what_it_was_defined_as(void **state)
{
    const struct platform_Queue *q = queue("aimed");

    assert_false(platform_Queue_pull(q));
    assert_true(platform_Queue_rate(q) == 0.5);
    assert_bytes(platform_Queue_user_rate(q), BYTES_LIT("30/m"));
    assert_int_equal(platform_Queue_bucket_size(q), 9);
    assert_int_equal(platform_Queue_max_concurrent(q), 4);
    assert_bytes(platform_Queue_target(q), BYTES_LIT("worker"));
    assert_int_equal(platform_Queue_retry_limit(q), 7);
    assert_int_equal(platform_Queue_retry_age_sec(q), 120);
    assert_true(platform_Queue_min_backoff_sec(q) == 3);
    assert_false(platform_Queue_paused(q));
    assert_true(platform_Queue_enforced_rate(q) == 0.5);

    q = queue("default");
    assert_false(platform_Queue_has_retry_limit(q));
    assert_true(platform_Queue_min_backoff_sec(q) == 0.1);
    assert_int_equal(platform_Queue_max_doublings(q), 16);
    assert_int_equal(platform_Queue_max_concurrent(q), 1000);

    assert_true(platform_Queue_paused(queue("stopped")));
    q = queue("pull");
    assert_true(platform_Queue_pull(q));
    assert_false(platform_Queue_paused(q));
    assert_bytes(platform_Queue_user_email(q, 0),
                 BYTES_LIT("reader@example.com"));
    assert_bytes(platform_Queue_writer_email(q, 0),
                 BYTES_LIT("writer@example.com"));
}

static int pause_queue(const char *name, bool pause)
{
    struct ctx *ctx = as_platform();
    struct platform_PauseQueueRequest *in = platform_PauseQueueRequest_new(ctx);

    platform_PauseQueueRequest_set_app(in, BYTES_LIT("guestbook"));
    platform_PauseQueueRequest_set_queue(in, bytes_str(name));
    platform_PauseQueueRequest_set_pause(in, pause);
    return taskqueue_admin_pause(ctx, in, platform_Void_new(ctx));
}

static void a_queue_is_paused_and_goes_on(void **state)
{
    assert_int_equal(pause_queue("aimed", true), 0);
    assert_true(platform_Queue_paused(queue("aimed")));
    assert_true(platform_Queue_enforced_rate(queue("aimed")) == 0);
    assert_int_equal(pause_queue("aimed", false), 0);
    assert_false(platform_Queue_paused(queue("aimed")));
}

static void what_left_the_file_is_disabled_and_keeps_its_tasks(void **state)
{
    tasks_fixture_add(&f, "aimed", "t", 0, false, NULL);
    assert_int_equal(taskqueue_set_yaml(&f.ctx, f.env.taskqueue, f.ctx.app,
                                        "queue.yaml", BYTES_LIT("queue:\n")),
                     0);
    assert_true(platform_Queue_disabled(queue("aimed")));
    assert_int_equal(platform_Queue_tasks(queue("aimed")), 1);
}

/* ---- tasks ---- */

static int ask_tasks(const char *queue_name, struct bytes *place, int limit,
                     const struct platform_ListTasksResponse **answer)
{
    struct ctx *ctx = as_platform();
    struct platform_ListTasksRequest *in = platform_ListTasksRequest_new(ctx);
    struct platform_ListTasksResponse *out =
        platform_ListTasksResponse_new(ctx);
    int rc;

    platform_ListTasksRequest_set_app(in, BYTES_LIT("guestbook"));
    platform_ListTasksRequest_set_queue(in, bytes_str(queue_name));
    if (place->n)
        platform_ListTasksRequest_set_after(in, *place);
    platform_ListTasksRequest_set_limit(in, limit);
    rc = taskqueue_admin_tasks(ctx, in, out);
    *place = platform_ListTasksResponse_next(out);
    *answer = out;
    return rc;
}

/* Page after page; how many pages there were. */
static int all_tasks(const char *queue_name, int limit, char *names,
                     size_t room)
{
    const struct platform_ListTasksResponse *page;
    struct bytes place = BYTES_NONE;
    int pages = 0;

    *names = '\0';
    do {
        assert_int_equal(ask_tasks(queue_name, &place, limit, &page), 0);
        assert_true(platform_ListTasksResponse_n_task(page) <= (size_t)limit);
        for (size_t i = 0; i < platform_ListTasksResponse_n_task(page); i++)
            snprintf(names + strlen(names), room - strlen(names), "%.*s ",
                     BYTES_FMT(platform_Task_name(
                         platform_ListTasksResponse_task(page, i))));
        pages++;
    } while (place.n);
    return pages;
}

static void tasks_come_as_they_are_due_in_pages(void **state)
{
    int64_t now = clock_wall();
    char names[256];

    /* Long past ETAs do not sort by ETA alone: nothing may come twice. */
    tasks_fixture_add(&f, "default", "late", now + 100, false, NULL);
    tasks_fixture_add(&f, "default", "b", 1, false, NULL);
    tasks_fixture_add(&f, "default", "a", 2, false, NULL);
    tasks_fixture_add(&f, "default", "never", now + 3600 * CLOCK_SEC, false,
                      NULL);
    for (int limit = 1; limit <= 5; limit++) {
        all_tasks("default", limit, names, sizeof(names));
        assert_string_equal(names, "b a late never ");
    }
    all_tasks("stopped", 3, names, sizeof(names));
    assert_string_equal(names, "");
}

static int purge(const char *name)
{
    struct ctx *ctx = as_platform();
    struct platform_PurgeQueueRequest *in = platform_PurgeQueueRequest_new(ctx);

    platform_PurgeQueueRequest_set_app(in, BYTES_LIT("guestbook"));
    platform_PurgeQueueRequest_set_queue(in, bytes_str(name));
    return taskqueue_admin_purge(ctx, in, platform_Void_new(ctx));
}

static void purged_tasks_are_passed_over(void **state)
{
    char names[256], name[16];

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "old%d", i);
        tasks_fixture_add(&f, "default", name, i, false, NULL);
    }
    assert_int_equal(purge("default"), 0);
    f.ctx.app = BYTES_LIT("guestbook");
    tasks_fixture_add(&f, "default", "new", 0, false, NULL);
    assert_int_equal(platform_Queue_tasks(queue("default")), 1);
    all_tasks("default", 3, names, sizeof(names));
    assert_string_equal(names, "new ");
}

static struct platform_TaskRequest *
task_request_of(struct ctx *ctx, const char *queue_name, const char *task)
{
    struct platform_TaskRequest *in = platform_TaskRequest_new(ctx);

    platform_TaskRequest_set_app(in, BYTES_LIT("guestbook"));
    platform_TaskRequest_set_queue(in, bytes_str(queue_name));
    platform_TaskRequest_set_task(in, bytes_str(task));
    return in;
}

static void a_task_is_told_run_and_deleted(void **state)
{
    int64_t far = clock_wall() + 3600 * CLOCK_SEC;
    struct platform_TaskRequest *in;
    struct platform_Task *out;
    struct ctx *ctx;

    tasks_fixture_add(&f, "default", "t", far, false, NULL);
    tasks_fixture_add(&f, "pull", "p", far, true, "red");
    ctx = as_platform();
    in = task_request_of(ctx, "default", "t");
    out = platform_Task_new(ctx);
    assert_int_equal(taskqueue_admin_task(ctx, in, out), 0);
    assert_int_equal(platform_Task_eta_usec(out), far);
    assert_bytes(platform_Task_method(out), BYTES_LIT("POST"));
    assert_bytes(platform_Task_url(out), BYTES_LIT("/work"));
    assert_int_equal(platform_Task_size(out), 4);
    assert_int_equal(taskqueue_admin_run(ctx, in, platform_Void_new(ctx)), 0);
    out = platform_Task_new(ctx);
    assert_int_equal(taskqueue_admin_task(ctx, in, out), 0);
    assert_true(platform_Task_eta_usec(out) <= clock_wall());

    assert_int_equal(taskqueue_admin_delete(ctx, in, platform_Void_new(ctx)),
                     0);
    assert_int_equal(taskqueue_admin_delete(ctx, in, platform_Void_new(ctx)),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(ctx->err.message, "done or was deleted"));

    in = task_request_of(as_platform(), "pull", "p");
    out = platform_Task_new(ctx);
    assert_int_equal(taskqueue_admin_task(ctx, in, out), 0);
    assert_bytes(platform_Task_tag(out), BYTES_LIT("red"));
    assert_false(platform_Task_has_url(out));
    assert_int_equal(taskqueue_admin_run(ctx, in, platform_Void_new(ctx)),
                     ERR_INVALID);
}

/* What is sent to the controller is our own code, never an enum's number. */
static void what_is_not_there_is_not_found(void **state)
{
    const struct platform_ListTasksResponse *page;
    struct bytes place = BYTES_NONE;
    struct ctx *ctx;

    ask_queues("no-such", NULL, 0, ERR_NOT_FOUND);
    assert_int_equal(f.ctx.err.app_code, 0);
    assert_non_null(strstr(f.ctx.err.message, "no-such"));
    ask_queues("no/queue", NULL, 0, ERR_INVALID);
    assert_int_equal(pause_queue("no-such", true), ERR_NOT_FOUND);
    assert_int_equal(purge("no-such"), ERR_NOT_FOUND);
    assert_int_equal(ask_tasks("no-such", &place, 1, &page), ERR_NOT_FOUND);
    ctx = as_platform();
    assert_int_equal(taskqueue_admin_task(ctx,
                                          task_request_of(ctx, "default", "no"),
                                          platform_Task_new(ctx)),
                     ERR_NOT_FOUND);
    assert_int_equal(f.ctx.err.app_code, 0);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(queues_come_by_name_in_pages),
        TEST(a_queue_tells_what_it_was_defined_as),
        TEST(a_queue_is_paused_and_goes_on),
        TEST(what_left_the_file_is_disabled_and_keeps_its_tasks),
        TEST(tasks_come_as_they_are_due_in_pages),
        TEST(purged_tasks_are_passed_over),
        TEST(a_task_is_told_run_and_deleted),
        TEST(what_is_not_there_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
