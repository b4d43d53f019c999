/* state - the document of the children. */
#include "control/state.h"

#include "control/proc.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

static int parse_record(struct ctx *ctx, const json_t *v,
                        struct state_record *r)
{
    const char *name, *digest;
    json_int_t pid, start, port = 0;
    json_error_t why;

    if (json_unpack_ex((json_t *)(uintptr_t)v, &why, 0,
                       "{s:s, s:I, s:I, s:s, s?I}", "name", &name, "pid", &pid,
                       "startTime", &start, "digest", &digest, "port",
                       &port) != 0)
        return ctx_err(ctx, ERR_CORRUPT, "a record of a process: %s", why.text);
    if (pid <= 1 || pid > INT32_MAX || start < 0 ||
        strlen(digest) > STATE_DIGEST || port < 0 || port > 65535)
        return ctx_err(ctx, ERR_CORRUPT, "the record of %s is out of range",
                       name);
    r->name = arena_strdup(ctx->arena, name);
    r->pid = (pid_t)pid;
    r->start_time = (uint64_t)start;
    r->port = (int)port;
    memcpy(r->digest, digest, strlen(digest));
    return 0;
}

int state_parse(struct ctx *ctx, struct bytes text, struct state *out)
{
    json_error_t why;
    json_t *root = json_loadb(text.p, text.n, 0, &why);
    const json_t *list = json_object_get(root, "processes");
    size_t n = json_array_size(list);
    int rc = 0;

    *out = (struct state){0};
    if (!json_is_array(list))
        rc = ctx_err(ctx, ERR_CORRUPT, "no list of processes: %s",
                     root ? "another document" : why.text);
    out->records = ARENA_ARRAY(ctx->arena, struct state_record, n + 1);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = parse_record(ctx, json_array_get(list, i), &out->records[i]);
        if (rc == 0)
            out->n++;
    }
    json_decref(root);
    return rc;
}

void state_format(const struct state *s, struct buf *out)
{
    json_t *list = json_array();
    json_t *root;
    char *text;

    for (size_t i = 0; i < s->n; i++) {
        const struct state_record *r = &s->records[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:I, s:s, s:i}", "name",
                                        r->name, "pid", (json_int_t)r->pid,
                                        "startTime", (json_int_t)r->start_time,
                                        "digest", r->digest, "port", r->port));
    }
    root = json_pack("{s:o}", "processes", list);
    text = json_dumps(root, JSON_INDENT(1));
    buf_add_str(out, text);
    buf_add_str(out, "\n");
    free(text);
    json_decref(root);
}

const struct state_record *state_find(const struct state *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->records[i].name, name) == 0)
            return &s->records[i];
    return NULL;
}

bool state_running(const struct state *s, const char *name)
{
    const struct state_record *r = state_find(s, name);

    return r && r->start_time && proc_start_time(r->pid) == r->start_time;
}

static void digest_list(crypto_generichash_state *h, const char *const *list)
{
    for (; *list; list++)
        crypto_generichash_update(h, (const unsigned char *)*list,
                                  strlen(*list) + 1);
    crypto_generichash_update(h, (const unsigned char *)"", 1);
}

void state_digest(const char *const *argv, const char *const *env,
                  char out[STATE_DIGEST + 1])
{
    unsigned char sum[STATE_DIGEST / 2];
    crypto_generichash_state h;

    crypto_generichash_init(&h, NULL, 0, sizeof(sum));
    digest_list(&h, argv);
    digest_list(&h, env);
    crypto_generichash_final(&h, sum, sizeof(sum));
    sodium_bin2hex(out, STATE_DIGEST + 1, sum, sizeof(sum));
}
