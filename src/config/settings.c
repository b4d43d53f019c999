/*
 * settings - the table, and what follows from it.
 *
 * Adding a setting is a field of struct settings and a row here.
 */
#include "config/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define NUMBER(name_, default_, min_, max_, unit_, sentence_)                  \
    {                                                                          \
        .name = #name_, .type = SETTING_NUMBER,                                \
        .offset = offsetof(struct settings, name_), .number = (default_),      \
        .min = (min_), .max = (max_), .unit = (unit_), .sentence = (sentence_) \
    }
#define TEXT(name_, default_, sentence_)                                       \
    {                                                                          \
        .name = #name_, .type = SETTING_TEXT,                                  \
        .offset = offsetof(struct settings, name_), .text = (default_),        \
        .unit = "", .sentence = (sentence_)                                    \
    }

#define ADDRESS(name_, default_, also_, sentence_)                             \
    {                                                                          \
        .name = #name_, .type = SETTING_TEXT,                                  \
        .offset = offsetof(struct settings, name_), .text = (default_),        \
        .also = (also_), .unit = "", .sentence = (sentence_)                   \
    }

#define CHOICE(name_, default_, choices_, sentence_)                           \
    {                                                                          \
        .name = #name_, .type = SETTING_TEXT,                                  \
        .offset = offsetof(struct settings, name_), .text = (default_),        \
        .choices = (choices_), .unit = "", .sentence = (sentence_)             \
    }

#define RABBITMQ "rabbitmq"

static const char *const switches[] = {"on", "off", NULL};
static const char *const brokers[] = {"none", RABBITMQ, NULL};

const struct setting settings_table[] = {
    NUMBER(http_port, 8080, 1, 65535, "",
           "port on which browsers reach the applications"),
    TEXT(http_address, "0.0.0.0", "address on which the HTTP port listens"),
    NUMBER(https_port, 8443, 0, 65535, "",
           "port on which they are reached by https, at the same address; 0: "
           "there is none"),
    TEXT(domain, "localhost",
         "applications answer as PROJECT.DOMAIN; names below localhost need "
         "no DNS"),
    TEXT(storage, "rocksdb",
         "storage backend: rocksdb, or another of `appscale storage list`"),
    NUMBER(api_port, 6103, 1, 65535, "",
           "loopback port on which instances reach the services"),
    NUMBER(memcached_mb, 64, 8, 1048576, "MiB", "memory of memcached"),
    NUMBER(instance_port_first, 20000, 1024, 65535, "",
           "first loopback port given to instances"),
    NUMBER(instance_port_last, 20999, 1024, 65535, "",
           "last loopback port given to instances"),
    NUMBER(instances_max, 20, 1, 1000, "",
           "instances of one version on this machine"),
    NUMBER(start_seconds, 60, 1, 3600, "s",
           "time an instance has to listen on its PORT, and a request to find "
           "one that takes it"),
    NUMBER(build_seconds, 900, 1, 36000, "s",
           "time a build (pip install, for one) may take"),
    NUMBER(drain_seconds, 30, 1, 3600, "s",
           "time requests have to finish on an instance that is replaced"),
    NUMBER(migration_seconds, 240, 1, 86400, "s",
           "time a gradual migration of traffic takes, in ten steps"),
    NUMBER(request_seconds, 600, 1, 86400, "s",
           "time a request may take (Google: 10 minutes)"),
    NUMBER(body_mb, 32, 1, 1024, "MiB",
           "size of a request's body (Google: 32 MB)"),
    NUMBER(archive_mb, 512, 1, 16384, "MiB",
           "size of an application's archive"),
    ADDRESS(acme_directory, SETTING_NONE, "/~?=&%",
            "who signs certificates for own domains: letsencrypt, or the "
            "https URL of another ACME server's directory; none: nobody is "
            "asked. Setting it accepts that server's terms of service"),
    ADDRESS(acme_email, SETTING_NONE, "@+",
            "whom the ACME server may write to about them"),
    ADDRESS(acme_ca, SETTING_NONE, "/",
            "PEM file of the authority that an ACME server of one's own is "
            "known by; none: those of the machine"),
    NUMBER(log_mb, 8, 1, 4096, "MiB", "size at which a log file is rotated"),
    NUMBER(log_files, 3, 1, 100, "",
           "old files that are kept of each log beside the newest"),
    NUMBER(log_days, 30, 1, 3650, "days",
           "age at which old files, and the logs of what no longer runs, are "
           "deleted"),
    NUMBER(stats_hours, 24, 0, 8760, "h",
           "age at which the datastore's statistics are counted anew; 0: only "
           "on request"),
    CHOICE(task_broker, "none", brokers,
           "what push tasks go through on their way to workers: none, or "
           "rabbitmq, which is then started here"),
    NUMBER(rabbitmq_port, 6104, 1, 65535, "",
           "loopback port of RabbitMQ, with task_broker: rabbitmq"),
    NUMBER(rabbitmq_mb, 384, 256, 1048576, "MiB",
           "memory at which RabbitMQ takes no more messages"),
    CHOICE(sandbox, "on", switches,
           "whether instances and builds run confined (src/sandbox/README.md "
           "says to what)"),
    NUMBER(sandbox_uid_first, 2000000000, 1000, 2147483646, "",
           "first user id given to a project, where the platform runs as root"),
    NUMBER(sandbox_uids, 100000, 1, 1000000000, "",
           "user ids from there on that are the platform's to give"),
    {.name = NULL},
};

#undef NUMBER
#undef TEXT
#undef ADDRESS
#undef CHOICE

static int64_t *number_at(struct settings *s, const struct setting *row)
{
    return (int64_t *)(void *)((char *)s + row->offset);
}

static const char **text_at(struct settings *s, const struct setting *row)
{
    return (const char **)(void *)((char *)s + row->offset);
}

static const struct setting *setting_find(const char *name)
{
    for (const struct setting *row = settings_table; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

bool settings_rabbitmq(const struct settings *s)
{
    return strcmp(s->task_broker, RABBITMQ) == 0;
}

bool settings_acme(const struct settings *s)
{
    return strcmp(s->acme_directory, SETTING_NONE) != 0;
}

bool settings_sandbox(const struct settings *s)
{
    return strcmp(s->sandbox, "on") == 0;
}

void settings_default(struct settings *s)
{
    for (const struct setting *row = settings_table; row->name; row++) {
        if (row->type == SETTING_NUMBER)
            *number_at(s, row) = row->number;
        else
            *text_at(s, row) = row->text;
    }
}

static int set_number(struct ctx *ctx, struct settings *s,
                      const struct setting *row, int64_t v)
{
    if (v < row->min || v > row->max)
        return ctx_err(
            ctx, ERR_INVALID,
            "%s is %" PRId64 ", and goes from %" PRId64 " to %" PRId64 "%s%s",
            row->name, v, row->min, row->max, *row->unit ? " " : "", row->unit);
    *number_at(s, row) = v;
    return 0;
}

static bool is_choice(const struct setting *row, const char *v)
{
    for (const char *const *c = row->choices; *c; c++)
        if (strcmp(*c, v) == 0)
            return true;
    return false;
}

static const char *choices_text(struct arena *a, const struct setting *row)
{
    struct buf text = BUF_IN(a);

    for (const char *const *c = row->choices; *c; c++)
        buf_printf(&text, "%s%s", text.n ? " or " : "", *c);
    return buf_cstr(&text);
}

/* Texts end up in generated configuration files: plain characters only. */
static int set_text(struct ctx *ctx, struct arena *a, struct settings *s,
                    const struct setting *row, const char *v)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_";
    const char *also = row->also ? row->also : "";

    if (*v == '\0' ||
        strspn(v, arena_printf(a, "%s%s", plain, also)) != strlen(v))
        return ctx_err(ctx, ERR_INVALID,
                       "%s is \"%s\": only letters, digits and . : - _ %s "
                       "belong there",
                       row->name, v, also);
    if (row->choices && !is_choice(row, v))
        return ctx_err(ctx, ERR_INVALID, "%s is \"%s\", and must be %s",
                       row->name, v, choices_text(a, row));
    *text_at(s, row) = arena_strdup(a, v);
    return 0;
}

static int parse_number(struct ctx *ctx, const struct setting *row,
                        const char *value, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0')
        return ctx_err(ctx, ERR_INVALID, "%s is \"%s\", and must be a number",
                       row->name, value);
    return 0;
}

int settings_set(struct ctx *ctx, struct arena *a, struct settings *s,
                 const char *name, const char *value)
{
    const struct setting *row = setting_find(name);
    int64_t v;
    int rc;

    if (!row)
        return ctx_err(ctx, ERR_INVALID, "there is no setting \"%s\"", name);
    if (row->type == SETTING_TEXT)
        return set_text(ctx, a, s, row, value);
    rc = parse_number(ctx, row, value, &v);
    return rc ? rc : set_number(ctx, s, row, v);
}

static int set_json(struct ctx *ctx, struct arena *a, struct settings *s,
                    const char *name, const json_t *v)
{
    const struct setting *row = setting_find(name);

    if (!row)
        return ctx_err(ctx, ERR_INVALID, "there is no setting \"%s\"", name);
    if (row->type == SETTING_NUMBER && json_is_integer(v))
        return set_number(ctx, s, row, json_integer_value(v));
    if (json_is_string(v))
        return settings_set(ctx, a, s, name, json_string_value(v));
    return ctx_err(ctx, ERR_INVALID, "%s must be a %s", name,
                   row->type == SETTING_NUMBER ? "number" : "text");
}

/* What concerns more than one row. */
static int check_together(struct ctx *ctx, const struct settings *s)
{
    if (s->instance_port_last < s->instance_port_first)
        return ctx_err(ctx, ERR_INVALID,
                       "instance_port_last is below instance_port_first");
    if (s->https_port == s->http_port || s->https_port == s->api_port)
        return ctx_err(ctx, ERR_INVALID, "https_port and %s are both %" PRId64,
                       s->https_port == s->api_port ? "api_port" : "http_port",
                       s->https_port);
    if (s->api_port == s->http_port)
        return ctx_err(ctx, ERR_INVALID,
                       "api_port and http_port are both %" PRId64, s->api_port);
    if (settings_rabbitmq(s) &&
        (s->rabbitmq_port == s->api_port || s->rabbitmq_port == s->http_port))
        return ctx_err(
            ctx, ERR_INVALID, "rabbitmq_port and %s are both %" PRId64,
            s->rabbitmq_port == s->api_port ? "api_port" : "http_port",
            s->rabbitmq_port);
    return 0;
}

int settings_load(struct ctx *ctx, struct arena *a, struct settings *s,
                  const char *path)
{
    json_error_t why;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    const char *name;
    json_t *v;
    int rc = 0;

    settings_default(s);
    if (!root && json_error_code(&why) == json_error_cannot_open_file)
        return ERR_NOT_FOUND;
    if (!json_is_object(root)) {
        json_decref(root);
        return ctx_err(ctx, ERR_INVALID, "%s, line %d: %s", path,
                       root ? 1 : why.line, root ? "not an object" : why.text);
    }
    json_object_foreach(root, name, v) if (rc == 0) rc =
        set_json(ctx, a, s, name, v);
    json_decref(root);
    return rc ? rc : check_together(ctx, s);
}

json_t *settings_json(const struct settings *s)
{
    json_t *o = json_object();

    for (const struct setting *row = settings_table; row->name; row++) {
        const char *at = (const char *)s + row->offset;
        json_t *v;

        if (row->type == SETTING_NUMBER)
            v = json_integer(*(const int64_t *)(const void *)at);
        else
            v = json_string(*(const char *const *)(const void *)at);
        json_object_set_new(o, row->name, v);
    }
    return o;
}

void settings_document(struct buf *out)
{
    struct arena a = ARENA_INIT;

    buf_add_str(out,
                "| setting | default | range | what |\n|---|---|---|---|\n");
    for (const struct setting *row = settings_table; row->name; row++) {
        if (row->type == SETTING_NUMBER)
            buf_printf(out,
                       "| %s | %" PRId64 "%s%s | %" PRId64 " to %" PRId64
                       " | %s |\n",
                       row->name, row->number, *row->unit ? " " : "", row->unit,
                       row->min, row->max, row->sentence);
        else
            buf_printf(out, "| %s | %s |%s%s | %s |\n", row->name, row->text,
                       row->choices ? " " : "",
                       row->choices ? choices_text(&a, row) : "",
                       row->sentence);
    }
    arena_release(&a);
}
