/* upload - ask, send pieces, have them joined. */
#include "cli/upload.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE = 4 * 1024 * 1024,
    WHOLE = 128 * 1024, /* less is sent whole: asking costs as much */
};

/* A file that travels. */
struct parcel {
    int fd;
    int64_t size;
    const char *sha256;
};

/* ---- a file, in pieces ---- */

/* Where the controller wants to go on; -1 when it has everything. */
static int64_t state_at(const json_t *state)
{
    if (json_is_true(json_object_get(state, "complete")))
        return -1;
    return json_integer_value(json_object_get(state, "size"));
}

static int ask_state(struct upload *u, const char *sha256, int64_t *at)
{
    json_t *state = NULL;
    int rc = api_call(u->api, "GET", &state, NULL, "/v1/uploads/%s", sha256);

    *at = rc == 0 ? state_at(state) : 0;
    json_decref(state);
    if (rc == ERR_NOT_FOUND) {
        ctx_err_clear(&u->cli->ctx);
        rc = 0;
    }
    return rc;
}

static int send_piece(struct upload *u, const struct parcel *p, uint8_t *piece,
                      int64_t *at)
{
    int64_t left = p->size - *at;
    size_t want = left < PIECE ? (size_t)left : PIECE;
    ssize_t n = pread(p->fd, piece, want, *at);
    json_t *state = NULL;
    int rc;

    if (n != (ssize_t)want)
        return ctx_err(&u->cli->ctx, ERR_IO, "cannot read the archive back");
    rc = api_send(u->api, "POST", &state, BYTES(piece, want),
                  "/v1/uploads/%s?offset=%" PRId64 "&total=%" PRId64, p->sha256,
                  *at, p->size);
    if (rc == 0) {
        u->sent += n;
        *at = state_at(state);
    }
    json_decref(state);
    return rc;
}

static int send_parcel(struct upload *u, const struct parcel *p, int64_t at)
{
    uint8_t *piece = arena_alloc(&u->cli->arena, PIECE);
    int rc = 0;

    while (rc == 0 && at >= 0) {
        progress_tick(u->progress);
        rc = send_piece(u, p, piece, &at);
    }
    return rc;
}

/* ---- what has changed ---- */

static json_t *members_json(const struct members *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(list, json_string(m->list[i].sha256));
    return json_pack("{s:o}", "members", list);
}

/* A list of indices into the members, each once. */
static bool missing_ok(const json_t *missing, size_t n)
{
    json_int_t last = -1;
    const json_t *one;
    size_t i;

    json_array_foreach(missing, i, one)
    {
        json_int_t at = json_integer_value(one);

        if (!json_is_integer(one) || at <= last || at >= (json_int_t)n)
            return false;
        last = at;
    }
    return json_is_array(missing);
}

static int64_t size_of(const struct members *m, const json_t *missing)
{
    int64_t size = 0;
    const json_t *one;
    size_t i;

    json_array_foreach(missing, i, one) size +=
        m->list[json_integer_value(one)].size;
    return size;
}

static int copy_member(struct upload *u, const struct member *m, int to,
                       crypto_hash_sha256_state *sum)
{
    uint8_t room[64 * 1024];

    for (int64_t at = 0; at < m->size;) {
        size_t want = m->size - at < (int64_t)sizeof(room)
                          ? (size_t)(m->size - at)
                          : sizeof(room);
        ssize_t n = pread(u->archive->fd, room, want, m->offset + at);

        if (n <= 0 || write(to, room, (size_t)n) != n)
            return ctx_err(&u->cli->ctx, ERR_IO,
                           "cannot pack what has changed: %s", strerror(errno));
        crypto_hash_sha256_update(sum, room, (size_t)n);
        at += n;
    }
    return 0;
}

/* The missing members as a file; close p->fd. */
static int make_parcel(struct upload *u, const json_t *missing,
                       struct parcel *p)
{
    const struct members *m = &u->archive->members;
    char *hex = arena_alloc(&u->cli->arena, MEMBERS_SHA + 1);
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state sum;
    const json_t *one;
    size_t i;
    int rc = archive_temporary(&u->cli->ctx);

    *p = (struct parcel){rc, size_of(m, missing), hex};
    if (rc < 0)
        return rc;
    rc = 0;
    crypto_hash_sha256_init(&sum);
    json_array_foreach(missing, i, one) if (rc == 0) rc =
        copy_member(u, &m->list[json_integer_value(one)], p->fd, &sum);
    crypto_hash_sha256_final(&sum, digest);
    sodium_bin2hex(hex, MEMBERS_SHA + 1, digest, sizeof(digest));
    return rc;
}

static int send_missing(struct upload *u, const json_t *missing,
                        const json_t *members)
{
    struct parcel p = {.fd = -1};
    const char *pack = "";
    int64_t at = -1;
    int rc = 0;

    progress_step(u->progress, "Uploading what has changed, %.0f of %.0f kB",
                  (double)size_of(&u->archive->members, missing) / 1e3,
                  (double)u->archive->size / 1e3);
    if (json_array_size(missing)) {
        rc = make_parcel(u, missing, &p);
        if (rc == 0)
            rc = ask_state(u, p.sha256, &at);
        if (rc == 0)
            rc = send_parcel(u, &p, at);
        pack = arena_printf(&u->cli->arena, "&pack=%s", p.sha256);
    }
    if (p.fd >= 0)
        close(p.fd);
    if (rc == 0)
        rc = api_call(u->api, "POST", NULL, members,
                      "/v1/archives/%s:join?project=%s&service=%s%s",
                      u->archive->sha256, api_escape(u->cli, u->project),
                      api_escape(u->cli, u->service), pack);
    return rc;
}

/*
 * *done: the controller has the archive.  What goes wrong on the way is no
 * failure: it was worth a try.
 */
static int send_changes(struct upload *u, bool *done)
{
    json_t *members = members_json(&u->archive->members), *plan = NULL;
    const json_t *missing;
    int rc = api_call(u->api, "POST", &plan, members,
                      "/v1/archives/%s:plan?project=%s&service=%s",
                      u->archive->sha256, api_escape(u->cli, u->project),
                      api_escape(u->cli, u->service));

    *done = false;
    missing = json_object_get(plan, "missing");
    if (rc == 0 && missing_ok(missing, u->archive->members.n) &&
        json_array_size(missing) < u->archive->members.n) {
        rc = send_missing(u, missing, members);
        *done = rc == 0;
    }
    json_decref(plan);
    json_decref(members);
    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID) {
        ctx_err_clear(&u->cli->ctx);
        rc = 0;
    }
    return rc;
}

/* ---- the whole ---- */

int upload_archive(struct upload *u)
{
    const struct archive *archive = u->archive;
    const struct parcel whole = {archive->fd, archive->size, archive->sha256};
    bool done = false;
    int64_t at;
    int rc = ask_state(u, archive->sha256, &at);

    u->sent = 0;
    if (rc || at < 0)
        return rc;
    if (at == 0 && archive->size >= WHOLE)
        rc = send_changes(u, &done);
    if (rc || done)
        return rc;
    progress_step(u->progress, "Uploading %d files, %.0f kB", archive->files,
                  (double)archive->size / 1e3);
    return send_parcel(u, &whole, at);
}
