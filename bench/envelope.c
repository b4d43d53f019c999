#include "envelope.h"

#include "script.h"
#include "task_script.h"

#include "base/log.h"
#include "wire/pb.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APP "s~benchmark"

enum {
    PROPERTIES = 10, /* of a benchmark entity, about 500 bytes in all */
    QUERY_ROWS = 20,
};

static struct bytes keep(const struct buf *b)
{
    return buf_view(b); /* prepared requests live as long as the process */
}

void envelope_post(struct buf *http, const char *service, const char *method,
                   struct bytes request)
{
    struct buf body = BUF_HEAP;

    pb_put_bytes(&body, 2, bytes_str(service));
    pb_put_bytes(&body, 3, bytes_str(method));
    pb_put_bytes(&body, 4, request);
    pb_put_bytes(&body, 5, BYTES_LIT("bench.1"));
    buf_printf(http,
               "POST /rpc_http HTTP/1.1\r\n"
               "Host: 127.0.0.1\r\n"
               "Accept-Encoding: identity\r\n"
               "Content-type: application/octet-stream\r\n"
               "X-Google-RPC-Service-Endpoint: app-engine-apis\r\n"
               "X-Google-RPC-Service-Method: /VMRemoteAPI.CallRemoteAPI\r\n"
               "X-Google-RPC-Service-Deadline: 60\r\n"
               "Content-Length: %zu\r\n\r\n",
               body.n);
    buf_add(http, buf_view(&body));
    buf_release(&body);
}

static struct bytes http_post(const char *service, const char *method,
                              struct bytes request)
{
    struct buf http = BUF_HEAP;

    envelope_post(&http, service, method, request);
    return keep(&http);
}

/* ---- datastore ---- */

static void put_path(struct buf *b, const char *kind, const char *name)
{
    struct buf path = BUF_HEAP;

    pb_put_tag(&path, 1, PB_GROUP);
    pb_put_bytes(&path, 2, bytes_str(kind));
    if (name)
        pb_put_bytes(&path, 4, bytes_str(name));
    pb_put_tag(&path, 1, PB_END_GROUP);
    pb_put_bytes(b, 14, buf_view(&path));
    buf_release(&path);
}

static void put_key(struct buf *b, uint32_t field, const char *kind,
                    const char *name)
{
    struct buf key = BUF_HEAP;

    pb_put_bytes(&key, 13, BYTES_LIT(APP));
    put_path(&key, kind, name);
    pb_put_bytes(b, field, buf_view(&key));
    buf_release(&key);
}

void envelope_key(struct buf *b, uint32_t field, const char *name)
{
    put_key(b, field, "Bench", name);
}

static void put_property(struct buf *entity, const char *name, bool number,
                         uint64_t n)
{
    struct buf value = BUF_HEAP, p = BUF_HEAP;
    char text[48];

    if (number) {
        pb_put_u64(&value, 1, n);
    } else {
        snprintf(text, sizeof(text), "%s-value-%020llu", name,
                 (unsigned long long)n);
        pb_put_bytes(&value, 3, bytes_str(text));
    }
    pb_put_bytes(&p, 3, bytes_str(name));
    pb_put_u64(&p, 4, 0);
    pb_put_bytes(&p, 5, buf_view(&value));
    pb_put_bytes(entity, 14, buf_view(&p));
    buf_release(&value);
    buf_release(&p);
}

/* A root entity of ten indexed properties, half numbers and half strings, with
 * values scattered over their index. */
void envelope_entity(struct buf *put, const char *name, uint64_t i)
{
    struct buf entity = BUF_HEAP;
    char p[8];

    put_key(&entity, 13, "Bench", name);
    pb_put_bytes(&entity, 16, BYTES_NONE);
    for (int k = 0; k < PROPERTIES; k++) {
        snprintf(p, sizeof(p), "p%d", k);
        put_property(&entity, p, k % 2 == 0,
                     bytes_hash(BYTES(&i, sizeof(i))) >> (1 + k));
    }
    pb_put_bytes(put, 1, buf_view(&entity));
    buf_release(&entity);
}

static struct bytes put_request(const char *name, uint64_t i)
{
    struct buf put = BUF_HEAP;

    envelope_entity(&put, name, i);
    return http_post("datastore_v3", "Put", buf_view(&put));
}

static struct bytes row_put(size_t i)
{
    char name[32];

    snprintf(name, sizeof(name), "row-%zu", i);
    return put_request(name, i);
}

/* Without a name: however often it is sent, each is a new entity. */
static struct bytes new_put(size_t i)
{
    return put_request(NULL, i * 2654435761U);
}

static struct bytes row_get(size_t i)
{
    struct buf get = BUF_HEAP;
    char name[32];

    snprintf(name, sizeof(name), "row-%zu", i);
    put_key(&get, 1, "Bench", name);
    return http_post("datastore_v3", "Get", buf_view(&get));
}

/* Entities of their own: who reads rows shall find them. */
static struct bytes doomed_put(size_t i)
{
    char name[32];

    snprintf(name, sizeof(name), "doomed-%zu", i);
    return put_request(name, i);
}

static struct bytes doomed_delete(size_t i)
{
    struct buf d = BUF_HEAP;
    char name[32];

    snprintf(name, sizeof(name), "doomed-%zu", i);
    put_key(&d, 6, "Bench", name);
    return http_post("datastore_v3", "Delete", buf_view(&d));
}

static void begin_query(struct buf *q, const char *kind)
{
    pb_put_bytes(q, 1, BYTES_LIT(APP));
    pb_put_bytes(q, 3, bytes_str(kind));
}

static void add_filter(struct buf *q, const char *name, uint64_t op,
                       uint64_t value)
{
    struct buf v = BUF_HEAP, p = BUF_HEAP;

    pb_put_u64(&v, 1, value);
    pb_put_bytes(&p, 3, bytes_str(name));
    pb_put_u64(&p, 4, 0);
    pb_put_bytes(&p, 5, buf_view(&v));
    pb_put_tag(q, 4, PB_GROUP);
    pb_put_u64(q, 6, op);
    pb_put_bytes(q, 14, buf_view(&p));
    pb_put_tag(q, 4, PB_END_GROUP);
    buf_release(&v);
    buf_release(&p);
}

static struct bytes end_query(struct buf *q)
{
    pb_put_u64(q, 16, QUERY_ROWS);
    pb_put_u64(q, 23, QUERY_ROWS);
    return http_post("datastore_v3", "RunQuery", buf_view(q));
}

/* WHERE p0 >= (somewhere) ORDER BY p0 LIMIT 20 */
static struct bytes row_query(size_t i)
{
    struct buf q = BUF_HEAP;

    begin_query(&q, "Bench");
    add_filter(&q, "p0", 4, bytes_hash(BYTES(&i, sizeof(i))) >> 3);
    return end_query(&q);
}

/* SELECT p0 WHERE p0 >= (somewhere) LIMIT 20 */
static struct bytes row_projection(size_t i)
{
    struct buf q = BUF_HEAP;

    begin_query(&q, "Bench");
    add_filter(&q, "p0", 4, bytes_hash(BYTES(&i, sizeof(i))) >> 3);
    pb_put_bytes(&q, 33, BYTES_LIT("p0"));
    return end_query(&q);
}

/* ---- the zigzag: WHERE a = x AND b = y AND c = z LIMIT 20 ---- */

/*
 * However many entities there are, a has a value for each thousand of them, b
 * and c have ten: ten entities match on the average.
 */
static size_t zig_entities = 100000;

static uint64_t zig_value(uint64_t i, int which)
{
    uint64_t seed[2] = {i, (uint64_t)which};
    uint64_t h = bytes_hash(BYTES(seed, sizeof(seed)));

    return h % (which == 0 ? (zig_entities + 999) / 1000 : 10);
}

void envelope_entities(size_t n)
{
    zig_entities = n;
}

static bool zig_setup(struct load_sequence *s, struct bytes answer, int *error,
                      struct buf *out)
{
    enum { BATCH = 100 };
    uint64_t first = s->serial * BATCH;
    struct buf put = BUF_HEAP;
    static const char *const names[] = {"a", "b", "c"};

    if (s->step > 0 || first >= zig_entities)
        return false;
    for (uint64_t i = first; i < first + BATCH && i < zig_entities; i++) {
        struct buf entity = BUF_HEAP;
        char name[32];

        snprintf(name, sizeof(name), "z%llu", (unsigned long long)i);
        put_key(&entity, 13, "Zig", name);
        pb_put_bytes(&entity, 16, BYTES_NONE);
        for (int k = 0; k < 3; k++)
            put_property(&entity, names[k], true, zig_value(i, k));
        pb_put_bytes(&put, 1, buf_view(&entity));
        buf_release(&entity);
    }
    envelope_post(out, "datastore_v3", "Put", buf_view(&put));
    buf_release(&put);
    return true;
}

/* The values of some entity: it is among the results. */
static struct bytes zigzag(size_t i)
{
    uint64_t of = bytes_hash(BYTES(&i, sizeof(i))) % zig_entities;
    struct buf q = BUF_HEAP;

    begin_query(&q, "Zig");
    add_filter(&q, "a", 5, zig_value(of, 0));
    add_filter(&q, "b", 5, zig_value(of, 1));
    add_filter(&q, "c", 5, zig_value(of, 2));
    return end_query(&q);
}

/* ---- the rest ---- */

static struct bytes null_call(size_t i)
{
    return http_post("appscale", "Null", BYTES_NONE);
}

static struct bytes memcache_set(size_t i)
{
    struct buf set = BUF_HEAP;
    char key[32], value[500];

    snprintf(key, sizeof(key), "key-%zu", i);
    memset(value, 'v', sizeof(value));
    pb_put_tag(&set, 1, PB_GROUP);
    pb_put_bytes(&set, 2, bytes_str(key));
    pb_put_bytes(&set, 3, BYTES(value, sizeof(value)));
    pb_put_tag(&set, 1, PB_END_GROUP);
    return http_post("memcache", "Set", buf_view(&set));
}

static struct bytes memcache_get(size_t i)
{
    struct buf get = BUF_HEAP;
    char key[32];

    snprintf(key, sizeof(key), "key-%zu", i);
    pb_put_bytes(&get, 1, bytes_str(key));
    return http_post("memcache", "Get", buf_view(&get));
}

static const struct workload {
    const char *name;
    struct bytes (*request)(size_t i);
    struct bytes (*setup)(size_t i);
    size_t at_most; /* different requests; 0: as asked */
    load_script_fn *script, *script_setup;
    bool once; /* a request can be sent but once */
} workloads[] = {
    {"null", null_call, NULL, 1},
    {"memcache-get", memcache_get, memcache_set, 1000},
    {"get", row_get, row_put},
    {"put", new_put},
    {"delete", doomed_delete, doomed_put, .once = true},
    {"query", row_query, row_put},
    {"projection", row_projection, row_put},
    {"zigzag", zigzag, .script_setup = zig_setup},
    {"count", .script = script_count, .script_setup = zig_setup},
    {"transaction", .script = script_transaction, .setup = row_put},
    {"contention", .script = script_contention, .setup = row_put},
    {"task", .script = script_task},
    {"tasks", .script = script_tasks},
};

enum { N_WORKLOADS = sizeof(workloads) / sizeof(workloads[0]) };

const char *envelope_names(void)
{
    return "null, memcache-get, get, put, delete, query, projection, zigzag, "
           "count, transaction, contention, task, tasks";
}

static const struct workload *find(const char *name)
{
    for (int i = 0; i < N_WORKLOADS; i++) {
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    }
    die("no workload '%s'; there are %s", name, envelope_names());
}

static struct load_requests prepare(struct bytes (*make)(size_t i), size_t n)
{
    struct load_requests r = {.n = n};

    r.list = calloc(n, sizeof(*r.list));
    if (!r.list)
        die("out of memory preparing %zu requests", n);
    for (size_t i = 0; i < n; i++)
        r.list[i] = make(i);
    return r;
}

void envelope_make(const char *workload, size_t n, struct load_options *o)
{
    const struct workload *w = find(workload);

    if (w->at_most && n > w->at_most)
        n = w->at_most;
    o->script = w->script;
    if (w->request)
        o->requests = prepare(w->request, n);
    o->requests.once = w->once;
}

bool envelope_setup(const char *workload, size_t n, struct load_options *o)
{
    const struct workload *w = find(workload);

    if (w->at_most && n > w->at_most)
        n = w->at_most;
    o->script = w->script_setup;
    if (w->setup)
        o->requests = prepare(w->setup, n);
    o->requests.once = true;
    return w->setup || w->script_setup;
}

struct load_requests envelope_get(const char *path, const char *name)
{
    struct load_requests r = {.n = 1};
    struct buf b = BUF_HEAP;

    buf_printf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, name);
    r.list = calloc(1, sizeof(*r.list));
    if (!r.list)
        die("out of memory");
    r.list[0] = keep(&b);
    return r;
}
