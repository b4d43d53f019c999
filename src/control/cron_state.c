/*
 * cron_state - where a job stands, as a row of the table "cronjobs".
 *
 * A JSON object: `base`; `run`, the run under way, when there is one; `last`,
 * the one that ended last.  A row is replaced only if it is, to the byte, what
 * this controller knows it to be.
 */
#include "base/log.h"
#include "control/cron_int.h"
#include "control/text.h"
#include "platform.pb.h"

#include <stdlib.h>

/* ---- texts ---- */

static char *copy(const char *s)
{
    char *c = s ? strdup(s) : NULL;

    if (s && !c)
        abort();
    return c;
}

struct cron_state cron_state_copy(const struct cron_state *s)
{
    struct cron_state c = *s;

    c.reason = copy(s->reason);
    c.haproxy = copy(s->haproxy);
    c.last_reason = copy(s->last_reason);
    c.answer = copy(s->answer);
    return c;
}

void cron_state_release(struct cron_state *s)
{
    free(s->reason);
    free(s->haproxy);
    free(s->last_reason);
    free(s->answer);
    s->reason = s->haproxy = s->last_reason = s->answer = NULL;
}

/* ---- JSON ---- */

#define STR(p_, name_)                                                         \
    {                                                                          \
        name_, offsetof(struct cron_state, p_), 's'                            \
    }
#define INT(p_, name_)                                                         \
    {                                                                          \
        name_, offsetof(struct cron_state, p_), 'i'                            \
    }
#define WIDE(p_, name_)                                                        \
    {                                                                          \
        name_, offsetof(struct cron_state, p_), 'w'                            \
    }
#define NAME(p_, name_)                                                        \
    {                                                                          \
        name_, offsetof(struct cron_state, p_), 'n'                            \
    }
#define BOOL(p_, name_)                                                        \
    {                                                                          \
        name_, offsetof(struct cron_state, p_), 'b'                            \
    }

struct member {
    const char *name;
    size_t at;
    char type;
};

static const struct member run_members[] = {
    NAME(name, "name"),      WIDE(slot, "slot"),
    WIDE(eta, "eta"),        BOOL(manual, "manual"),
    WIDE(first, "first"),    INT(failures, "failures"),
    INT(reached, "reached"), INT(status, "status"),
    STR(reason, "reason"),   WIDE(next, "next"),
    WIDE(sent, "sent"),      INT(deliveries, "deliveries"),
    STR(haproxy, "haproxy"), {0},
};

static const struct member last_members[] = {
    NAME(last_name, "name"),
    WIDE(last_slot, "slot"),
    BOOL(last_manual, "manual"),
    WIDE(last_first, "first"),
    WIDE(last_end, "end"),
    INT(last_attempts, "attempts"),
    INT(last_status, "status"),
    INT(last_outcome, "outcome"),
    STR(last_reason, "reason"),
    STR(answer, "answer"),
    {0},
};

_Static_assert(sizeof(enum cron_outcome) == sizeof(int), "read as an int");

static json_t *member_json(const void *p, char type)
{
    switch (type) {
    case 's':
        return *(char *const *)p ? text_json(*(char *const *)p) : NULL;
    case 'n':
        return json_string(p);
    case 'w':
        return json_integer(*(const int64_t *)p);
    case 'b':
        return json_boolean(*(const bool *)p);
    default:
        return json_integer(*(const int *)p);
    }
}

static json_t *format(const struct cron_state *s, const struct member *m)
{
    json_t *o = json_object();

    for (; m->name; m++) {
        json_t *v = member_json((const char *)s + m->at, m->type);

        if (v)
            json_object_set_new(o, m->name, v);
    }
    return o;
}

char *cron_state_format(const struct cron_state *s)
{
    json_t *o = json_pack("{s:I}", "base", (json_int_t)s->base);
    char *text;

    if (*s->name)
        json_object_set_new(o, "run", format(s, run_members));
    if (*s->last_name)
        json_object_set_new(o, "last", format(s, last_members));
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        abort();
    return text;
}

/* Numbers of a size that no arithmetic with them overflows. */
static bool number(const json_t *v, int64_t max, int64_t *out)
{
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0 && *out <= max;
}

static bool take_member(void *p, char type, const json_t *v)
{
    const char *text = json_string_value(v);
    int64_t n;

    switch (type) {
    case 's':
        *(char **)p = copy(text);
        return !v || text;
    case 'n':
        if (!text || strlen(text) != CRON_NAME)
            return false;
        memcpy(p, text, CRON_NAME + 1);
        return true;
    case 'b':
        *(bool *)p = json_is_true(v);
        return json_is_boolean(v);
    case 'w':
        return number(v, INT64_MAX / 4, p);
    default:
        if (!number(v, INT32_MAX / 2, &n))
            return false;
        *(int *)p = (int)n;
        return true;
    }
}

static bool take(struct cron_state *s, const struct member *m, const json_t *o)
{
    bool ok = !o || json_is_object(o);

    for (; ok && o && m->name; m++)
        ok = take_member((char *)s + m->at, m->type,
                         json_object_get(o, m->name));
    return ok;
}

int cron_state_parse(struct ctx *ctx, const char *text, struct cron_state *out)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bool ok;

    *out = (struct cron_state){.base = 0};
    ok = number(json_object_get(o, "base"), INT64_MAX / 4, &out->base) &&
         take(out, run_members, json_object_get(o, "run")) &&
         take(out, last_members, json_object_get(o, "last")) &&
         out->last_outcome <= CRON_UNKNOWN;
    json_decref(o);
    if (ok)
        return 0;
    cron_state_release(out);
    return ctx_err(ctx, ERR_CORRUPT, "not where a job of cron stands: %.200s",
                   text);
}

/* ---- the row ---- */

struct commit {
    struct cron_job *job;
    struct cron_state next;
    char *text; /* of next */
    char *row;
    server_done_fn *fn;
    void *arg;
};

static void commit_end(struct commit *c, struct ctx *ctx, int rc)
{
    struct cron_job *job = c->job;

    if (rc == 0) {
        cron_state_release(&job->state);
        job->state = c->next;
        free(job->stored);
        job->stored = c->text;
    } else {
        cron_state_release(&c->next);
        free(c->text);
    }
    c->fn(ctx, rc, c->arg);
    free(c->row);
    free(c);
}

/* The store's row is not what we knew: it is ours all the same (the answer to
 * our commit was lost), or somebody else's, which is the truth then. */
static int compare(struct ctx *ctx, struct commit *c,
                   const struct platform_GetResponse *out)
{
    const struct platform_GetResponse_Item *item =
        platform_GetResponse_n_item(out) ? platform_GetResponse_item(out, 0)
                                         : NULL;
    struct cron_job *job = c->job;
    struct cron_state theirs;
    const char *text;

    if (!item || !platform_GetResponse_Item_has_value(item))
        return ctx_err(ctx, ERR_CONFLICT, "the job is no longer there");
    text = arena_cstr(ctx->arena, platform_GetResponse_Item_value(item));
    if (strcmp(text, c->text) == 0)
        return 0;
    free(job->stored);
    job->stored = copy(text);
    if (cron_state_parse(ctx, text, &theirs) == 0) {
        cron_state_release(&job->state);
        job->state = theirs;
    }
    return ctx_err(ctx, ERR_CONFLICT, "somebody else has changed the job");
}

static void on_read(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct commit *c = arg;

    if (rc == 0)
        rc = compare(ctx, c, out);
    commit_end(c, ctx, rc);
}

static void read_row(struct ctx *ctx, struct commit *c)
{
    struct platform_GetRequest *m = platform_GetRequest_new(ctx);
    struct platform_Key *k = platform_GetRequest_add_key(ctx, m);

    platform_Key_set_table(k, BYTES_LIT("cronjobs"));
    platform_Key_set_row(k, bytes_str(c->row));
    server_call(ctx, c->job->ctl,
                &(struct server_call){.method = "Get",
                                      .in = WIRE_platform_GetRequest,
                                      .out = WIRE_platform_GetResponse,
                                      .message = m,
                                      .fn = on_read,
                                      .arg = c});
}

static void on_committed(struct ctx *ctx, int rc, void *arg)
{
    struct commit *c = arg;

    if (rc == ERR_CONFLICT) {
        ctx_err_clear(ctx);
        read_row(ctx, c);
        return;
    }
    commit_end(c, ctx, rc);
}

void cron_state_commit(struct cron_job *job, struct cron_state next,
                       server_done_fn *fn, void *arg)
{
    struct commit *c = calloc(1, sizeof(*c));
    struct arena a = ARENA_INIT;
    struct server_row was, now;
    struct ctx ctx;

    if (!c)
        abort();
    ctx_init(&ctx, &a);
    *c = (struct commit){.job = job,
                         .next = next,
                         .text = cron_state_format(&next),
                         .fn = fn,
                         .arg = arg};
    c->row = copy(arena_printf(&a, "%s/%s", job->app->id, job->id));
    job->busy = true;
    was = (struct server_row){"cronjobs", c->row, job->stored};
    now = (struct server_row){"cronjobs", c->row, c->text};
    server_commit(&ctx, job->ctl, &was, 1, &now, 1, on_committed, c);
    arena_release(&a);
}
