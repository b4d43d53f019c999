/*
 * servers - ask, compare, tell, until nothing differs.
 *
 * A server that is no longer wanted goes to maintenance, where it finishes what
 * it has; haproxy deletes it only when that is done, so the deletion is asked
 * for again and again, and is not waited for.
 */
#include "control/servers.h"

#include "base/log.h"
#include "control/haproxy_ask.h"
#include "control/instance.h"
#include "control/routing.h"

#include <stdlib.h>

enum {
    ROUNDS = 100,
    AGAIN_MS = 20,
    COMMANDS_MAX = 12 * 1024, /* haproxy reads a line of tune.bufsize */
};

struct waiter {
    servers_fn *fn;
    void *arg;
    struct waiter *next;
};

struct servers {
    struct control *ctl;
    uv_timer_t timer;
    bool busy, again; /* at work; asked for once more meanwhile */
    int rounds;
    struct waiter *now, *later;
};

static void ask(struct servers *s);

/* ---- reading haproxy's answer ---- */

static struct bytes word(struct bytes *line)
{
    const char *p = line->p;
    size_t n = 0, skip = 0;
    struct bytes w;

    while (skip < line->n && p[skip] == ' ')
        skip++;
    while (skip + n < line->n && p[skip + n] != ' ')
        n++;
    w = BYTES(p + skip, n);
    *line = bytes_from(*line, skip + n);
    return w;
}

static long number(struct bytes w)
{
    long n = 0;

    for (size_t i = 0; i < w.n && bytes_u8(w)[i] >= '0'; i++)
        n = n * 10 + (bytes_u8(w)[i] - '0');
    return n;
}

static struct bytes next_line(struct bytes *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - (const char *)text->p) : text->n;
    struct bytes line = BYTES(text->p, n);

    *text = bytes_from(*text, end ? n + 1 : n);
    return line;
}

/* Columns (management guide, "show servers state"): be_id be_name srv_id
 * srv_name srv_addr srv_op_state srv_admin_state ... srv_port, the 19th. */
bool servers_next(struct bytes *answer, struct servers_row *out)
{
    enum { BACKEND = 1, NAME = 3, ADMIN = 6, PORT = 18, COLUMNS };

    while (answer->n > 0) {
        struct bytes line = next_line(answer), w[COLUMNS];

        for (int i = 0; i < COLUMNS; i++)
            w[i] = word(&line);
        if (w[PORT].n == 0 || bytes_u8(w[0])[0] == '#')
            continue;
        *out = (struct servers_row){.backend = w[BACKEND],
                                    .name = w[NAME],
                                    .port = (int)number(w[PORT]),
                                    .out = number(w[ADMIN]) & 1};
        return true;
    }
    return false;
}

/* ---- the difference, as commands ---- */

static struct version *version_of(const struct control *ctl,
                                  struct bytes backend)
{
    struct arena a = ARENA_INIT;
    struct version *found = NULL;

    for (struct app *app = ctl->model.apps; app; app = app->next)
        for (struct service *s = app->services; s; s = s->next)
            for (struct version *v = s->versions; v; v = v->next)
                if (bytes_eq_str(backend, routing_backend(&a, v)))
                    found = v;
    arena_release(&a);
    return found;
}

static struct instance *instance_of(const struct version *v, struct bytes name)
{
    struct arena a = ARENA_INIT;
    struct instance *found = NULL;

    for (size_t i = 0; v && i < v->n_instances; i++)
        if (bytes_eq_str(name, instance_server(&a, v->instances[i])))
            found = v->instances[i];
    arena_release(&a);
    return found;
}

/* haproxy's word for a server: "backend/name". */
static const char *full_name(struct arena *a, const struct instance *in)
{
    return arena_printf(a, "%s/%s", routing_backend(a, in->version),
                        instance_server(a, in));
}

static void correct(struct instance *in, const struct servers_row *r,
                    struct buf *out)
{
    struct arena a = ARENA_INIT;
    const char *name = full_name(&a, in);

    if (r->port != in->process->port)
        buf_printf(out, "set server %s addr 127.0.0.1 port %d;", name,
                   in->process->port);
    if (r->out)
        buf_printf(out, "set server %s state ready;", name);
    if (in->told_concurrent != in->version->concurrent)
        buf_printf(out, "set maxconn server %s %d;", name,
                   in->version->concurrent);
    in->told_concurrent = in->version->concurrent;
    arena_release(&a);
}

/* What is there: right it, or take it out.  Whether anything is awaited. */
static bool compare_rows(struct servers *s, struct bytes answer,
                         struct buf *out)
{
    struct servers_row r;
    bool differs = false;

    while (servers_next(&answer, &r)) {
        struct version *v = version_of(s->ctl, r.backend);
        struct instance *in = instance_of(v, r.name);
        size_t before = out->n;

        if (!v || bytes_u8(r.name)[0] != 'i')
            continue; /* not an instance, or a reload will take it */
        if (in && instance_takes(in)) {
            in->seen = true;
            correct(in, &r, out);
            differs = differs || out->n > before;
        } else if (!r.out) {
            buf_printf(out, "set server %.*s/%.*s state maint;",
                       BYTES_FMT(r.backend), BYTES_FMT(r.name));
            differs = true;
        } else {
            buf_printf(out, "del server %.*s/%.*s;", BYTES_FMT(r.backend),
                       BYTES_FMT(r.name));
        }
    }
    return differs;
}

static void each_instance(const struct control *ctl,
                          void (*fn)(struct instance *in, void *arg), void *arg)
{
    for (struct app *app = ctl->model.apps; app; app = app->next)
        for (struct service *s = app->services; s; s = s->next)
            for (struct version *v = s->versions; v; v = v->next)
                for (size_t i = 0; i < v->n_instances; i++)
                    fn(v->instances[i], arg);
}

static void forget_seen(struct instance *in, void *arg)
{
    (void)arg;
    in->seen = false;
}

/* What is missing; a server is added in maintenance. */
static void add_missing(struct instance *in, void *arg)
{
    struct arena a = ARENA_INIT;
    struct buf *out = arg;

    if (!in->seen && in->version->routed && instance_takes(in)) {
        const char *name = full_name(&a, in);

        buf_printf(
            out,
            "add server %s 127.0.0.1:%d maxconn %d " ROUTING_SERVER_OPTIONS ";"
            "enable server %s;enable health %s;",
            name, in->process->port, in->version->concurrent, name, name);
        in->told_concurrent = in->version->concurrent;
    }
    arena_release(&a);
}

/* ---- a round ---- */

static void waiters_tell(struct servers *s, int rc)
{
    struct waiter *w = s->now;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (rc)
        ctx_err(&ctx, rc,
                "haproxy does not follow the instances; its log may tell why");
    s->now = NULL;
    while (w) {
        struct waiter *next = w->next;

        if (w->fn)
            w->fn(&ctx, rc, w->arg);
        free(w);
        w = next;
    }
    arena_release(&a);
}

static void follow(struct servers *s)
{
    s->busy = true;
    s->again = false;
    s->rounds = 0;
    s->now = s->later;
    s->later = NULL;
    ask(s);
}

static void round_end(struct servers *s, int rc)
{
    s->busy = false;
    if (rc && !s->ctl->stopping)
        log_warn(NULL, "servers.failed", "rounds", log_int(s->rounds));
    waiters_tell(s, rc);
    if (s->again && !s->busy)
        follow(s);
}

static void on_again(uv_timer_t *t)
{
    ask(t->data);
}

static void again_later(struct servers *s)
{
    if (s->ctl->stopping || ++s->rounds > ROUNDS)
        round_end(s, ERR_UNAVAILABLE);
    else
        uv_timer_start(&s->timer, on_again, AGAIN_MS, 0);
}

static void on_told(struct bytes answer, void *arg)
{
    struct servers *s = arg;

    (void)answer; /* what it did shows when it is asked again */
    if (s->rounds++ == 0)
        ask(s);
    else
        again_later(s);
}

/* Only deletions were asked for: those that came too early come again with the
 * next change. */
static void on_deleted(struct bytes answer, void *arg)
{
    (void)answer;
    round_end(arg, 0);
}

/* Whole commands only; the rest is seen in the next round. */
static void cut_commands(struct buf *commands)
{
    if (commands->n <= COMMANDS_MAX)
        return;
    commands->n = COMMANDS_MAX;
    while (commands->p[commands->n - 1] != ';')
        commands->n--;
}

static void on_state(struct bytes answer, void *arg)
{
    struct servers *s = arg;
    struct arena a = ARENA_INIT;
    struct buf commands = BUF_IN(&a);
    bool differs;
    size_t before;

    if (answer.n == 0) {
        again_later(s); /* it is being started */
        arena_release(&a);
        return;
    }
    each_instance(s->ctl, forget_seen, NULL);
    differs = compare_rows(s, answer, &commands);
    before = commands.n;
    each_instance(s->ctl, add_missing, &commands);
    differs = differs || commands.n > before || commands.n > COMMANDS_MAX;
    cut_commands(&commands);
    if (!differs && commands.n == 0) {
        round_end(s, 0);
    } else if (s->rounds > ROUNDS || s->ctl->stopping) {
        round_end(s, differs ? ERR_UNAVAILABLE : 0);
    } else {
        buf_add_u8(&commands, '\0');
        haproxy_ask(
            &s->ctl->loop, control_path(s->ctl, &a, "run/haproxy.admin.sock"),
            (const char *)commands.p, differs ? on_told : on_deleted, s);
    }
    arena_release(&a);
}

static void ask(struct servers *s)
{
    struct arena a = ARENA_INIT;

    haproxy_ask(&s->ctl->loop,
                control_path(s->ctl, &a, "run/haproxy.admin.sock"),
                "show servers state", on_state, s);
    arena_release(&a);
}

/* ---- what the others call ---- */

void servers_follow(struct control *ctl, servers_fn *fn, void *arg)
{
    struct servers *s = ctl->servers;
    struct waiter *w = calloc(1, sizeof(*w));
    struct waiter **end = &s->later;

    if (!w)
        abort();
    *w = (struct waiter){.fn = fn, .arg = arg};
    while (*end)
        end = &(*end)->next;
    *end = w;
    if (s->busy)
        s->again = true;
    else
        follow(s);
}

void servers_start(struct control *ctl)
{
    struct servers *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->ctl = ctl;
    uv_timer_init(&ctl->loop, &s->timer);
    s->timer.data = s;
    ctl->servers = s;
}
