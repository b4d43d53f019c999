/*
 * admin_platform - the part of the API that is ours: status, shutdown, users,
 * uploads.
 */
#include "control/admin.h"

#include "base/files.h"
#include "base/log_writer.h"
#include "config/settings.h"
#include "control/archive.h"
#include "control/certs.h"
#include "control/confine.h"
#include "control/instance.h"
#include "control/proc.h"
#include "control/routing.h"
#include "control/scale.h"
#include "control/server_call.h"
#include "control/text.h"
#include "platform.pb.h"

#include <inttypes.h>
#include <unistd.h>

enum {
    ERROR_LINES = 5,    /* of a process that does not run */
    LINES_SHARED = 200, /* of several instances, to find those of one */
};

json_t *admin_log_lines(struct admin_call *c, const char *path, const char *tag,
                        int lines)
{
    struct arena *a = c->ctx.arena;
    int read = tag ? LINES_SHARED : lines;
    char *text = arena_cstr(a, log_text(a, files_tail(a, path, read), tag));
    json_t *list = json_array();
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        json_array_append_new(list, text_json(line));
    while (json_array_size(list) > (size_t)lines)
        json_array_remove(list, 0);
    return json_pack("{s:o}", "lines", list);
}

/* ---- status ---- */

static json_t *process_json(struct admin_call *c, const struct process *p)
{
    bool alive = child_alive(&p->child);
    int64_t memory = alive ? proc_session_memory(p->child.pid) : 0;
    int64_t up = alive ? (clock_wall() - p->since) / CLOCK_SEC : 0;
    json_t *o, *lines = json_array();

    if (p->state != PROCESS_READY && *p->why) {
        const char *tag = p->arg ? instance_tag(c->ctx.arena, p->arg) : NULL;
        json_t *tail = admin_log_lines(c, p->log, tag, ERROR_LINES);

        json_array_append_new(lines, text_json(p->why));
        json_array_extend(lines, json_object_get(tail, "lines"));
        json_decref(tail);
    }
    o = json_pack(
        "{s:s, s:s, s:I, s:I, s:i, s:I, s:b, s:o}", "name", p->name, "state",
        process_state_text(p), "pid", (json_int_t)(alive ? p->child.pid : 0),
        "uptime", (json_int_t)up, "restarts", p->restarts, "memoryUsage",
        (json_int_t)memory, "adopted", p->adopted, "lastError", lines);
    if (p->port)
        json_object_set_new(o, "port", json_integer(p->port));
    return o;
}

static json_t *controller_json(struct admin_call *c)
{
    pid_t me = getpid();

    return json_pack(
        "{s:s, s:s, s:I, s:I, s:i, s:I, s:[]}", "name", "controller", "state",
        "ready", "pid", (json_int_t)me, "uptime",
        (json_int_t)((clock_mono() - c->ctl->started) / CLOCK_SEC), "restarts",
        0, "memoryUsage", (json_int_t)proc_memory(me), "lastError");
}

/* A version as the operator looks at it: how many, how busy, and why. */
static json_t *version_json(struct admin_call *c, const struct version *v)
{
    struct scaling in_force = scale_parameters(c->ctl, v);
    int requests = 0;

    for (size_t i = 0; i < v->n_instances; i++)
        requests += v->instances[i]->requests;
    return json_pack("{s:s, s:O*, s:f, s:s, s:i, s:i, s:i, s:i, s:o, s:s}",
                     "id", v->id, "url", json_object_get(v->doc, "versionUrl"),
                     "share", model_share(v), "state",
                     v->stopped ? "stopped" : "serving", "instances",
                     (int)v->n_instances, "ready", (int)instances_ready(v),
                     "requests", requests, "waiting", v->queued, "scaling",
                     scaling_json(&in_force), "lastDecision", v->scale_why);
}

static json_t *versions_json(struct admin_call *c, const struct service *s)
{
    json_t *list = json_array();

    for (const struct version *v = s->versions; v; v = v->next)
        if (!v->draining)
            json_array_append_new(list, version_json(c, v));
    return list;
}

static json_t *service_json(struct admin_call *c, const struct service *s)
{
    const struct version *v = model_serving(s);
    struct arena *a = c->ctx.arena;
    const char *url = routing_url(c->ctl, a, s->app);

    if (strcmp(s->id, "default") != 0)
        url = arena_printf(a, "http://%s-dot-%s", s->id, url + 7);
    return json_pack("{s:s, s:s, s:i, s:s, s:o}", "id", s->id, "version",
                     v ? v->id : "", "instances", v ? (int)v->n_instances : 0,
                     "url", url, "versions", versions_json(c, s));
}

static json_t *app_json(struct admin_call *c, const struct app *app)
{
    json_t *list = json_array();

    for (struct service *s = app->services; s; s = s->next)
        json_array_append_new(list, service_json(c, s));
    return json_pack("{s:s, s:s, s:s*, s:o}", "id", app->id, "url",
                     routing_url(c->ctl, c->ctx.arena, app), "localUrl",
                     routing_local_url(c->ctl, c->ctx.arena, app), "services",
                     list);
}

static int platform_status(struct admin_call *c)
{
    struct control *ctl = c->ctl;
    json_t *processes = json_array(), *apps = json_array(), *o;
    json_int_t memory = 0;
    size_t i;
    json_t *p;

    json_array_append_new(processes, controller_json(c));
    for (struct process *at = ctl->processes; at; at = at->next)
        json_array_append_new(processes, process_json(c, at));
    json_array_foreach(processes, i, p) memory +=
        json_integer_value(json_object_get(p, "memoryUsage"));
    for (struct app *a = ctl->model.apps; a; a = a->next)
        json_array_append_new(apps, app_json(c, a));
    o = json_pack("{s:s, s:I, s:s, s:b, s:b, s:I, s:o, s:o}", "version",
                  APPSCALE_VERSION, "httpPort",
                  (json_int_t)ctl->settings.http_port, "domain",
                  ctl->settings.domain, "ready", control_ready(ctl), "stopping",
                  ctl->stopping, "memoryUsage", memory, "processes", processes,
                  "apps", apps);
    if (ctl->settings.https_port)
        json_object_set_new(o, "httpsPort",
                            json_integer(ctl->settings.https_port));
    json_object_set_new(o, "certificates", certs_status(ctl));
    json_object_set_new(o, "sandbox", confine_status(ctl));
    if (ctl->read_only)
        json_object_set(o, "readOnly", ctl->read_only);
    json_object_set_new(
        o, "url",
        json_string(
            ctl->settings.http_port == 80
                ? arena_printf(c->ctx.arena, "http://%s", ctl->settings.domain)
                : arena_printf(c->ctx.arena, "http://%s:%d",
                               ctl->settings.domain,
                               (int)ctl->settings.http_port)));
    admin_reply(c, o);
    return 0;
}

static int platform_shutdown(struct admin_call *c)
{
    struct control *ctl = c->ctl;

    admin_reply(c, json_object());
    control_shutdown(ctl);
    return 0;
}

/* ---- users ---- */

static void on_answered(struct ctx *ctx, int rc, const void *out, void *arg)
{
    (void)out;
    if (rc)
        admin_fail(arg, ctx, rc);
    else
        admin_reply(arg, json_object());
}

static int users_create(struct admin_call *c)
{
    const char *email = json_string_value(json_object_get(c->body, "email"));
    const char *password =
        json_string_value(json_object_get(c->body, "password"));
    struct platform_CreateUserRequest *m;

    if (!email || !password)
        return ctx_err(&c->ctx, ERR_INVALID, "email and password are needed");
    m = platform_CreateUserRequest_new(&c->ctx);
    platform_CreateUserRequest_set_email(m, bytes_str(email));
    platform_CreateUserRequest_set_password(m, bytes_str(password));
    platform_CreateUserRequest_set_admin(
        m, json_is_true(json_object_get(c->body, "admin")));
    platform_CreateUserRequest_set_replace(
        m, json_is_true(json_object_get(c->body, "replace")));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "CreateUser",
                                      .in = WIRE_platform_CreateUserRequest,
                                      .out = WIRE_platform_Void,
                                      .message = m,
                                      .fn = on_answered,
                                      .arg = c});
    return 0;
}

/* ---- uploads ---- */

static int upload_name(struct admin_call *c)
{
    if (archive_name_ok(c->words[0]))
        return 0;
    return ctx_err(&c->ctx, ERR_INVALID,
                   "an upload is named by the SHA-256 of its archive, 64 "
                   "lower-case hexadecimal digits");
}

static void upload_reply(struct admin_call *c)
{
    admin_reply(c,
                json_pack("{s:I, s:b}", "size",
                          (json_int_t)archive_size(c->ctl, c->words[0]),
                          "complete", archive_complete(c->ctl, c->words[0])));
}

static int uploads_get(struct admin_call *c)
{
    int rc = upload_name(c);

    if (rc == 0)
        upload_reply(c);
    return rc;
}

static void on_appended(struct ctx *ctx, int rc, void *arg)
{
    struct admin_call *c = arg;

    if (rc)
        admin_fail(c, ctx, rc);
    else
        upload_reply(c);
}

static int uploads_post(struct admin_call *c)
{
    int64_t most = c->ctl->settings.archive_mb << 20, offset, total;
    struct bytes piece = c->x->req.body;
    int rc = upload_name(c);

    if (rc == 0)
        rc = admin_number(c, "offset", 0, 0, INT64_MAX, &offset);
    if (rc == 0)
        rc = admin_number(c, "total", 0, 0, INT64_MAX, &total);
    if (rc == 0 && total > most)
        rc = ctx_err(&c->ctx, ERR_TOO_LARGE,
                     "the archive has %" PRId64 " bytes, and at most %" PRId64
                     " MiB are taken (setting archive_mb)",
                     total, c->ctl->settings.archive_mb);
    if (rc == 0 &&
        (piece.n == 0 || offset > archive_size(c->ctl, c->words[0]) ||
         offset + (int64_t)piece.n > total))
        rc = ctx_err(&c->ctx, ERR_INVALID,
                     "a piece of %zu bytes at %" PRId64
                     " does not continue an upload that has %" PRId64
                     " of %" PRId64,
                     piece.n, offset, archive_size(c->ctl, c->words[0]), total);
    if (rc)
        return rc;
    if (archive_complete(c->ctl, c->words[0]))
        upload_reply(c);
    else
        archive_append(c->ctl, c->words[0], offset, total, piece, on_appended,
                       c);
    return 0;
}

const struct admin_route admin_platform_routes[] = {
    {"GET", "/v1/platform/status", platform_status},
    {"POST", "/v1/platform:shutdown", platform_shutdown},
    {"POST", "/v1/platform/users", users_create},
    {"GET", "/v1/uploads/*", uploads_get},
    {"POST", "/v1/uploads/*", uploads_post},
    {.path = NULL},
};
