/*
 * memcache_conn - the pool, and commands over libmemcached.
 *
 * A connection is a memcached_st of its own, used by one call at a time; there
 * are as many as workers ever called at once.  Anything odd on a connection -
 * a timeout, a closed socket, an answer that cannot be - closes it, so a
 * connection in the pool is always between two commands.  When memcached goes
 * away every idle connection is of the dead one: all are closed together, and
 * nobody connects again before the back-off has passed.
 */
#include "service/memcache/memcache_int.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    BACKOFF_MIN = 20 * 1000, /* microseconds */
    BACKOFF_MAX = 1000 * 1000,
    CONNECT_MS = 500,
    ANSWER_MS = 2000, /* the longest wait for one answer */
};

/* ---- the pool ---- */

static void conn_free(struct memcache_conn *conn)
{
    memcached_result_free(&conn->result);
    memcached_free(conn->m);
    free(conn);
}

static void conn_free_all(struct memcache_conn *list)
{
    while (list) {
        struct memcache_conn *next = list->next;

        conn_free(list);
        list = next;
    }
}

static struct memcache_conn *conn_new(const struct memcache *mc)
{
    static const struct {
        memcached_behavior_t what;
        uint64_t value;
    } behavior[] = {
        {MEMCACHED_BEHAVIOR_NO_BLOCK, 1},
        {MEMCACHED_BEHAVIOR_TCP_NODELAY, 1},
        {MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1},
        {MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, CONNECT_MS},
    };
    struct memcache_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        die("out of memory for a connection to memcached");
    conn->m = memcached_create(NULL);
    if (!conn->m || !memcached_result_create(conn->m, &conn->result))
        die("out of memory for a connection to memcached");
    for (size_t i = 0; i < sizeof(behavior) / sizeof(behavior[0]); i++)
        memcached_behavior_set(conn->m, behavior[i].what, behavior[i].value);
    if (mc->port)
        memcached_server_add(conn->m, mc->host, (in_port_t)mc->port);
    else
        memcached_server_add_unix_socket(conn->m, mc->host);
    return conn;
}

/* Under the lock. */
static struct memcache_app *app_find(struct memcache *mc, struct bytes id)
{
    struct memcache_app **at = &mc->apps[bytes_hash(id) % MEMCACHE_APP_BUCKETS];

    for (; *at; at = &(*at)->next) {
        if (bytes_eq(BYTES((*at)->id, (*at)->id_n), id))
            return *at;
    }
    *at = calloc(1, sizeof(**at));
    if (!*at || !((*at)->id = malloc(id.n + 1)))
        die("out of memory for the figures of an app");
    if (id.n)
        memcpy((*at)->id, id.p, id.n);
    (*at)->id_n = id.n;
    return *at;
}

int memcache_call_begin(struct ctx *ctx, struct memcache_call *c)
{
    struct memcache *mc = c->mc;
    bool down;

    lock_take(&mc->lock);
    c->app = app_find(mc, ctx->app);
    c->conn = mc->idle;
    if (c->conn)
        mc->idle = c->conn->next;
    down = !c->conn && clock_mono() < mc->down_until;
    lock_drop(&mc->lock);
    if (down)
        return ctx_err(ctx, ERR_UNAVAILABLE, "memcached does not answer");
    if (!c->conn)
        c->conn = conn_new(mc);
    c->conn->answered = false;
    return 0;
}

/* Close everything idle and stay away for a while. */
static void mark_down(struct memcache *mc, const struct memcache_conn *conn)
{
    struct memcache_conn *dead;
    bool first;

    lock_take(&mc->lock);
    dead = mc->idle;
    mc->idle = NULL;
    /* A connection that had worked only says that memcached has gone, perhaps
     * to come back at once; one that never did says that it is not there. */
    first = mc->backoff == 0;
    if (!conn->reused) {
        mc->backoff = first ? BACKOFF_MIN : mc->backoff * 2;
        if (mc->backoff > BACKOFF_MAX)
            mc->backoff = BACKOFF_MAX;
        mc->down_until = clock_mono() + mc->backoff;
    }
    lock_drop(&mc->lock);
    if (first && !conn->reused)
        log_warn(NULL, "memcache.down", "server", mc->host);
    conn_free_all(dead);
}

void memcache_call_end(struct memcache_call *c, int rc)
{
    struct memcache *mc = c->mc;
    struct memcache_conn *conn = c->conn;
    bool back;

    c->conn = NULL;
    if (rc == ERR_UNAVAILABLE || rc == ERR_DEADLINE) {
        if (rc == ERR_UNAVAILABLE)
            mark_down(mc, conn);
        conn_free(conn);
        return;
    }
    if (!conn->answered && !conn->reused) { /* nothing is known of it */
        conn_free(conn);
        return;
    }
    conn->reused = true;
    lock_take(&mc->lock);
    back = mc->backoff != 0;
    mc->backoff = 0;
    mc->down_until = 0;
    conn->next = mc->idle;
    mc->idle = conn;
    lock_drop(&mc->lock);
    if (back)
        log_info(NULL, "memcache.up", "server", mc->host);
}

static int parse_address(struct ctx *ctx, const char *address,
                         struct memcache *mc)
{
    const char *colon = strrchr(address, ':');
    char *end;
    long port;

    if (address[0] == '/') {
        mc->host = strdup(address);
        return mc->host ? 0 : ctx_err(ctx, ERR_INTERNAL, "out of memory");
    }
    port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || colon == address || *end || port < 1 || port > 65535)
        return ctx_err(ctx, ERR_INVALID,
                       "memcached's address '%s' is neither a path nor "
                       "HOST:PORT",
                       address);
    mc->host = strndup(address, (size_t)(colon - address));
    mc->port = (int)port;
    return mc->host ? 0 : ctx_err(ctx, ERR_INTERNAL, "out of memory");
}

int memcache_open(struct ctx *ctx, const char *address, struct memcache **out)
{
    struct memcache *mc = calloc(1, sizeof(*mc));
    int rc;

    if (!mc)
        return ctx_err(ctx, ERR_INTERNAL, "out of memory");
    lock_init(&mc->lock, LOCK_MEMCACHE_POOL);
    rc = parse_address(ctx, address, mc);
    if (rc) {
        memcache_close(mc);
        return rc;
    }
    *out = mc;
    return 0;
}

void memcache_close(struct memcache *mc)
{
    if (!mc)
        return;
    conn_free_all(mc->idle);
    for (int i = 0; i < MEMCACHE_APP_BUCKETS; i++) {
        while (mc->apps[i]) {
            struct memcache_app *next = mc->apps[i]->next;

            free(mc->apps[i]->id);
            free(mc->apps[i]);
            mc->apps[i] = next;
        }
    }
    lock_release(&mc->lock);
    free(mc->host);
    free(mc);
}

/* ---- commands ---- */

/* What is left of the call's time becomes the wait for an answer. */
static int set_wait(struct ctx *ctx, struct memcache_conn *conn)
{
    int64_t ms = ctx_left(ctx) / CLOCK_MS;

    if (ms <= 0)
        return ctx_err(ctx, ERR_DEADLINE, "no time left to ask memcached");
    if (ms > ANSWER_MS)
        ms = ANSWER_MS;
    memcached_behavior_set(conn->m, MEMCACHED_BEHAVIOR_POLL_TIMEOUT,
                           (uint64_t)ms);
    return 0;
}

/* Results that end a connection. */
static int broken(struct ctx *ctx, struct memcache_conn *conn,
                  memcached_return_t r)
{
    if (r == MEMCACHED_TIMEOUT)
        return ctx_err(ctx, ERR_DEADLINE, "memcached did not answer in time");
    return ctx_err(ctx, ERR_UNAVAILABLE, "memcached: %s",
                   memcached_strerror(conn->m, r));
}

int memcache_conn_mget(struct ctx *ctx, struct memcache_conn *conn,
                       const struct memcache_name *names, size_t n,
                       memcache_hit_fn *hit, void *arg)
{
    const char **keys = ARENA_ARRAY(ctx->arena, const char *, n);
    size_t *lens = ARENA_ARRAY(ctx->arena, size_t, n);
    memcached_return_t r;
    int rc;

    rc = set_wait(ctx, conn);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        keys[i] = names[i].text;
        lens[i] = MEMCACHE_NAME;
    }
    r = memcached_mget(conn->m, keys, lens, n);
    if (r != MEMCACHED_SUCCESS)
        return broken(ctx, conn, r);
    while (memcached_fetch_result(conn->m, &conn->result, &r)) {
        const memcached_result_st *res = &conn->result;

        hit(arg,
            BYTES(memcached_result_key_value(res),
                  memcached_result_key_length(res)),
            BYTES(memcached_result_value(res), memcached_result_length(res)),
            memcached_result_flags(res), memcached_result_cas(res));
    }
    if (r != MEMCACHED_END && r != MEMCACHED_NOTFOUND && r != MEMCACHED_SUCCESS)
        return broken(ctx, conn, r);
    conn->answered = true;
    return 0;
}

/* memcached's own seconds, a little late: the header has the exact moment. */
static time_t coarse(int64_t expires)
{
    return expires ? (time_t)(expires / CLOCK_SEC + 2) : 0;
}

int memcache_conn_store(struct ctx *ctx, struct memcache_conn *conn,
                        enum memcache_verb verb,
                        const struct memcache_name *name, struct bytes value,
                        uint32_t flags, int64_t expires, uint64_t cas)
{
    time_t exp = coarse(expires);
    memcached_return_t r = MEMCACHED_FAILURE;
    int rc;

    /* An app may send any number; memcached never gets that far. */
    if (verb == MEMCACHE_CAS && cas >= MEMCACHE_CAS_LIMIT)
        return ERR_CONFLICT;
    rc = set_wait(ctx, conn);
    if (rc)
        return rc;
    switch (verb) {
    case MEMCACHE_SET:
        r = memcached_set(conn->m, name->text, MEMCACHE_NAME, value.p, value.n,
                          exp, flags);
        break;
    case MEMCACHE_ADD:
        r = memcached_add(conn->m, name->text, MEMCACHE_NAME, value.p, value.n,
                          exp, flags);
        break;
    case MEMCACHE_CAS:
        r = memcached_cas(conn->m, name->text, MEMCACHE_NAME, value.p, value.n,
                          exp, flags, cas);
        break;
    }
    switch (r) {
    case MEMCACHED_SUCCESS:
    case MEMCACHED_STORED:
        break;
    case MEMCACHED_NOTSTORED:
    case MEMCACHED_DATA_EXISTS:
        rc = ERR_CONFLICT;
        break;
    case MEMCACHED_NOTFOUND:
        rc = ERR_NOT_FOUND;
        break;
    case MEMCACHED_E2BIG:
    case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
        rc = ERR_EXHAUSTED;
        break;
    default:
        return broken(ctx, conn, r);
    }
    conn->answered = true;
    return rc;
}

int memcache_conn_delete(struct ctx *ctx, struct memcache_conn *conn,
                         const struct memcache_name *name)
{
    memcached_return_t r;
    int rc = set_wait(ctx, conn);

    if (rc)
        return rc;
    r = memcached_delete(conn->m, name->text, MEMCACHE_NAME, 0);
    if (r != MEMCACHED_SUCCESS && r != MEMCACHED_NOTFOUND)
        return broken(ctx, conn, r);
    conn->answered = true;
    return r == MEMCACHED_NOTFOUND ? ERR_NOT_FOUND : 0;
}
