#include "load.h"

#include "wire/pb.h"

#include <stdlib.h>

/* How many different requests a load has: enough that rows and keys spread,
 * few enough that they stay in the generator's cache. */
enum { VARIANTS = 1024, PROPERTIES = 10, QUERY_ROWS = 20, CACHE_BYTES = 500 };

/* ---- messages, field by field (proto/) ---- */

static struct bytes path(struct arena *a, const char *kind, const char *name)
{
    struct buf b = BUF_IN(a);

    pb_put_tag(&b, 1, PB_GROUP); /* Path.Element */
    pb_put_bytes(&b, 2, bytes_str(kind));
    if (name)
        pb_put_bytes(&b, 4, bytes_str(name));
    pb_put_tag(&b, 1, PB_END_GROUP);
    return buf_view(&b);
}

static struct bytes reference(struct arena *a, const char *app,
                              const char *kind, const char *name)
{
    struct buf b = BUF_IN(a);

    pb_put_bytes(&b, 13, bytes_str(app));
    pb_put_bytes(&b, 14, path(a, kind, name));
    return buf_view(&b);
}

static struct bytes property(struct arena *a, int i)
{
    struct buf value = BUF_IN(a), b = BUF_IN(a);

    if (i % 2)
        pb_put_u64(&value, 1, (uint64_t)random());
    else
        pb_put_bytes(&value, 3,
                     bytes_str(arena_printf(a, "value %08lx of property %d",
                                            random(), i)));
    pb_put_bytes(&b, 3, bytes_str(arena_printf(a, "property%d", i)));
    pb_put_u64(&b, 4, 0);
    pb_put_bytes(&b, 5, buf_view(&value));
    return buf_view(&b);
}

/* About 500 bytes; a new id is given when `name` is NULL. */
static struct bytes entity(struct arena *a, const char *app, const char *kind,
                           const char *name)
{
    struct buf b = BUF_IN(a);

    pb_put_bytes(&b, 13, reference(a, app, kind, name));
    pb_put_bytes(&b, 16, name ? path(a, kind, name) : BYTES_NONE);
    for (int i = 0; i < PROPERTIES; i++)
        pb_put_bytes(&b, 14, property(a, i));
    return buf_view(&b);
}

static struct bytes wrap(struct arena *a, uint32_t field, struct bytes v)
{
    struct buf b = BUF_IN(a);

    pb_put_bytes(&b, field, v);
    return buf_view(&b);
}

/* ---- HTTP ---- */

static struct bytes call(struct arena *a, const char *service,
                         const char *method, struct bytes request)
{
    struct buf env = BUF_IN(a), http = BUF_IN(a);

    pb_put_bytes(&env, 2, bytes_str(service));
    pb_put_bytes(&env, 3, bytes_str(method));
    pb_put_bytes(&env, 4, request);
    pb_put_bytes(&env, 5, BYTES_LIT("bench.1"));
    /* The fields of the Python SDK (wire contract 1.1). */
    buf_printf(&http,
               "POST /rpc_http HTTP/1.1\r\n"
               "Host: 127.0.0.1\r\n"
               "Accept-Encoding: identity\r\n"
               "Content-Length: %zu\r\n"
               "User-Agent: bench\r\n"
               "X-Google-RPC-Service-Endpoint: app-engine-apis\r\n"
               "X-Google-RPC-Service-Method: /VMRemoteAPI.CallRemoteAPI\r\n"
               "X-Google-RPC-Service-Deadline: 60\r\n"
               "Content-type: application/octet-stream\r\n\r\n",
               env.n);
    buf_add(&http, buf_view(&env));
    return buf_view(&http);
}

/* ---- the loads ---- */

static char *variant(struct arena *a, size_t i)
{
    return arena_printf(a, "name%zu", i);
}

static void make_null(struct arena *a, const char *app, struct load *l)
{
    (void)app;
    l->n_requests = 1;
    l->requests[0] = call(a, "appscale", "Null", BYTES_NONE);
}

static void make_memcache(struct arena *a, const char *app, struct load *l)
{
    char *value = arena_zalloc(a, CACHE_BYTES);

    (void)app;
    l->n_setup = l->n_requests = VARIANTS;
    for (size_t i = 0; i < VARIANTS; i++) {
        struct bytes key = bytes_str(variant(a, i));
        struct buf set = BUF_IN(a);

        pb_put_tag(&set, 1, PB_GROUP);
        pb_put_bytes(&set, 2, key);
        pb_put_bytes(&set, 3, BYTES(value, CACHE_BYTES));
        pb_put_tag(&set, 1, PB_END_GROUP);
        l->setup[i] = call(a, "memcache", "Set", buf_view(&set));
        l->requests[i] = call(a, "memcache", "Get", wrap(a, 1, key));
    }
}

static void make_get(struct arena *a, const char *app, struct load *l)
{
    l->n_setup = l->n_requests = VARIANTS;
    for (size_t i = 0; i < VARIANTS; i++) {
        const char *name = variant(a, i);

        l->setup[i] = call(a, "datastore_v3", "Put",
                           wrap(a, 1, entity(a, app, "Bench", name)));
        l->requests[i] = call(a, "datastore_v3", "Get",
                              wrap(a, 1, reference(a, app, "Bench", name)));
    }
}

static void make_put(struct arena *a, const char *app, struct load *l)
{
    l->n_requests = VARIANTS;
    for (size_t i = 0; i < VARIANTS; i++)
        l->requests[i] = call(a, "datastore_v3", "Put",
                              wrap(a, 1, entity(a, app, "BenchPut", NULL)));
}

static void make_query(struct arena *a, const char *app, struct load *l)
{
    struct buf q = BUF_IN(a);

    l->n_setup = 2 * QUERY_ROWS;
    for (size_t i = 0; i < l->n_setup; i++)
        l->setup[i] =
            call(a, "datastore_v3", "Put",
                 wrap(a, 1, entity(a, app, "BenchQuery", variant(a, i))));
    pb_put_bytes(&q, 1, bytes_str(app));
    pb_put_bytes(&q, 3, BYTES_LIT("BenchQuery"));
    pb_put_u64(&q, 16, QUERY_ROWS); /* limit */
    pb_put_u64(&q, 23, QUERY_ROWS); /* count, the batch size */
    l->n_requests = 1;
    l->requests[0] = call(a, "datastore_v3", "RunQuery", buf_view(&q));
}

const char load_names[] = "null, memcache-get, get, put, query";

static const struct load_row {
    const char *name;
    void (*make)(struct arena *a, const char *app, struct load *l);
} rows[] = {
    {"null", make_null},   {"get", make_get},
    {"put", make_put},     {"memcache-get", make_memcache},
    {"query", make_query},
};

bool load_make(struct arena *a, const char *name, const char *app,
               struct load *out)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        *out = (struct load){
            .setup = ARENA_ARRAY(a, struct bytes, VARIANTS),
            .requests = ARENA_ARRAY(a, struct bytes, VARIANTS),
            .enveloped = true,
        };
        rows[i].make(a, app, out);
        return true;
    }
    return false;
}

void load_static(struct arena *a, const char *file, struct load *out)
{
    *out = (struct load){
        .requests = ARENA_ARRAY(a, struct bytes, 1),
        .n_requests = 1,
    };
    out->requests[0] = bytes_str(arena_printf(
        a, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\r\n",
        file));
}
