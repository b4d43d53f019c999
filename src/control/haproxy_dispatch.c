/* haproxy_dispatch - the rules as conditions over txn.app, host and path. */
#include "control/haproxy_dispatch.h"

#include "control/routing.h"

void haproxy_dispatch_paths(struct buf *out)
{
    buf_add_str(out, "    http-request set-var(" HAPROXY_DISPATCHED
                     ") bool(true) if "
                     "!{ path -m beg /_ah/ } || "
                     "{ path -m beg /_ah/queue/deferred /_ah/api }\n");
}

/* A word that stands for itself: 'it'\''s'. */
static void add_quoted(struct buf *out, const char *s, size_t n)
{
    buf_add_u8(out, '\'');
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\'')
            buf_add_str(out, "'\\'");
        buf_add_u8(out, (uint8_t)s[i]);
    }
    buf_add_u8(out, '\'');
}

/* As txn.host has it: dots between the labels. */
static const char *dotted(struct arena *a, const char *host)
{
    struct buf out = BUF_IN(a);

    for (; *host; host++) {
        bool dot = strncmp(host, "-dot-", 5) == 0;

        buf_add_u8(&out, dot ? '.' : (uint8_t)*host);
        host += dot ? 4 : 0;
    }
    return buf_cstr(&out);
}

/* " { SAMPLE -m HOW 'TEXT' }", or nothing where every text fits. */
static void add_match(struct buf *out, const char *sample, const char *how,
                      const char *text, size_t n)
{
    if (n == 0)
        return;
    buf_printf(out, " { %s -m %s -- ", sample, how);
    add_quoted(out, text, n);
    buf_add_str(out, " }");
}

/* "*.x" as a host ends like that, "/x*" as a path begins like that. */
static void add_conditions(struct buf *out, const struct dispatch_rule *rule)
{
    struct arena a = ARENA_INIT;
    const char *host = dotted(&a, rule->host), *path = rule->path;
    size_t n = strlen(path);
    bool any_head = *host == '*', any_tail = n > 0 && path[n - 1] == '*';

    add_match(out, "var(txn.host)", any_head ? "end" : "str", host + any_head,
              strlen(host + any_head));
    add_match(out, "path", any_tail ? "beg" : "str", path, n - any_tail);
    arena_release(&a);
}

void haproxy_dispatch_rules(const struct app *app, struct buf *out)
{
    struct arena a = ARENA_INIT;
    struct dispatch_rule rule;

    for (size_t i = 0; model_dispatch(app, i, &rule); i++) {
        const struct service *s = model_service(app, rule.service);
        const struct version *v = s ? model_serving(s) : NULL;

        if (!v)
            continue;
        buf_printf(out,
                   "    use_backend %s if { var(txn.app) -m str %s } "
                   "{ var(" HAPROXY_DISPATCHED ") -m bool }",
                   v->stopped ? HAPROXY_STOPPED : routing_backend(&a, v),
                   app->id);
        add_conditions(out, &rule);
        buf_add_str(out, "\n");
    }
    arena_release(&a);
}

void haproxy_dispatch_stopped(struct buf *out)
{
    buf_add_str(out, "backend " HAPROXY_STOPPED "\n"
                     "    http-request return status 503\n\n");
}
