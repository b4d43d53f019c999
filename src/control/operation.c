/* operation - the list of changes. */
#include "control/operation.h"

#include "base/log.h"
#include "control/control_int.h"
#include "control/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

const char *operation_time(struct arena *a, int64_t wall)
{
    time_t s = (time_t)(wall / CLOCK_SEC);
    struct tm tm;

    gmtime_r(&s, &tm);
    return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                        tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                        tm.tm_hour, tm.tm_min, tm.tm_sec,
                        (int)(wall % CLOCK_SEC / CLOCK_MS));
}

static void operation_free(struct operation *op)
{
    free(op->app);
    free(op->method);
    free(op->target);
    free(op->error);
    json_decref(op->warnings);
    json_decref(op->response);
    free(op);
}

/* Forget finished ones beyond the newest hundred. */
static void operations_trim(struct control *ctl)
{
    struct operation **at = &ctl->operations;

    for (int n = 0; *at; n++) {
        struct operation *op = *at;

        if (n >= OPERATIONS_KEPT && op->done) {
            *at = op->next;
            operation_free(op);
        } else {
            at = &op->next;
        }
    }
}

static struct operation *operation_new(struct control *ctl, const char *app,
                                       const char *method, const char *target)
{
    struct operation *op = calloc(1, sizeof(*op));

    if (!op)
        abort();
    op->app = strdup(app);
    op->method = strdup(method);
    op->target = strdup(target);
    op->inserted = clock_wall();
    op->warnings = json_array();
    snprintf(op->id, sizeof(op->id), "%" PRIx64, (uint64_t)op->inserted);
    op->next = ctl->operations;
    ctl->operations = op;
    operations_trim(ctl);
    return op;
}

static const struct operation *under_way(const struct control *ctl,
                                         const char *app)
{
    const struct operation *op = ctl->operations;

    while (op && (op->done || op->aside || strcmp(op->app, app) != 0))
        op = op->next;
    return op;
}

bool operation_busy(const struct control *ctl, const char *app)
{
    return under_way(ctl, app) != NULL;
}

int operation_begin(struct ctx *ctx, struct control *ctl, const char *app,
                    const char *method, const char *target,
                    struct operation **out)
{
    const struct operation *op = under_way(ctl, app);

    if (op)
        return ctx_err(ctx, ERR_CONFLICT,
                       "another change of %s is under way (%s, %s): wait until "
                       "it is done",
                       app, op->target, op->message);
    *out = operation_new(ctl, app, method, target);
    return 0;
}

struct operation *operation_begin_aside(struct control *ctl, const char *app,
                                        const char *method, const char *target)
{
    struct operation *op = operation_new(ctl, app, method, target);

    op->aside = true;
    return op;
}

void operation_lost(struct control *ctl, const char *app, const char *id)
{
    struct operation *op = operation_new(ctl, app, "lost", app);

    snprintf(op->id, sizeof(op->id), "%s", id);
    op->done = true;
    op->ended = clock_wall();
    op->code = ERR_ABORTED;
    op->error = strdup("the controller was restarted during this change; "
                       "nothing was changed, try again");
}

void operation_say(struct operation *op, const char *sentence)
{
    snprintf(op->message, sizeof(op->message), "%s", sentence);
    if (!op->aside) /* its step is a figure that moves */
        log_info(NULL, "operation.step", "app", op->app, "step", sentence);
}

void operation_warn(struct operation *op, const char *sentence)
{
    json_array_append_new(op->warnings, text_json(sentence));
}

void operation_end(struct operation *op, struct ctx *ctx, int rc,
                   json_t *response)
{
    op->done = true;
    op->ended = clock_wall();
    op->code = rc;
    if (rc) {
        op->error = strdup(ctx_err_text(ctx, rc));
        json_decref(response);
        log_warn(NULL, "operation.failed", "app", op->app, "target", op->target,
                 "why", op->error);
        return;
    }
    op->response = response ? response : json_object();
    log_info(NULL, "operation.done", "app", op->app, "target", op->target, "ms",
             log_int((op->ended - op->inserted) / CLOCK_MS));
}

struct operation *operation_find(struct control *ctl, const char *app,
                                 const char *id)
{
    struct operation *op = ctl->operations;

    while (op && (strcmp(op->id, id) != 0 || strcmp(op->app, app) != 0))
        op = op->next;
    return op;
}

json_t *operation_json(const struct operation *op)
{
    struct arena a = ARENA_INIT;
    json_t *o, *meta;

    meta = json_pack("{s:s, s:s, s:s, s:o, s:O}", "method", op->method,
                     "target", op->target, "insertTime",
                     operation_time(&a, op->inserted), "ephemeralMessage",
                     text_json(op->message), "warning", op->warnings);
    o = json_pack("{s:s, s:o, s:b}", "name",
                  arena_printf(&a, "apps/%s/operations/%s", op->app, op->id),
                  "metadata", meta, "done", op->done);
    if (op->done)
        json_object_set_new(meta, "endTime",
                            json_string(operation_time(&a, op->ended)));
    if (op->done && op->code)
        json_object_set_new(o, "error",
                            json_pack("{s:i, s:s, s:o}", "code",
                                      err_http_status(op->code), "status",
                                      err_name(op->code), "message",
                                      text_json(op->error)));
    else if (op->done)
        json_object_set(o, "response", op->response);
    arena_release(&a);
    return o;
}
