#include "envelope.h"

#include "base/log.h"
#include "wire/pb.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APP "bench"

enum {
    PROPERTIES = 10, /* of a benchmark entity, about 500 bytes in all */
    QUERY_ROWS = 20,
};

static struct bytes keep(const struct buf *b)
{
    return buf_view(b); /* prepared requests live as long as the process */
}

static struct bytes http_post(const char *service, const char *method,
                              struct bytes request)
{
    struct buf body = BUF_HEAP, http = BUF_HEAP;

    pb_put_bytes(&body, 2, bytes_str(service));
    pb_put_bytes(&body, 3, bytes_str(method));
    pb_put_bytes(&body, 4, request);
    pb_put_bytes(&body, 5, BYTES_LIT("bench.1"));
    buf_printf(&http,
               "POST /rpc_http HTTP/1.1\r\n"
               "Host: 127.0.0.1\r\n"
               "Accept-Encoding: identity\r\n"
               "Content-type: application/octet-stream\r\n"
               "X-Google-RPC-Service-Endpoint: app-engine-apis\r\n"
               "X-Google-RPC-Service-Method: /VMRemoteAPI.CallRemoteAPI\r\n"
               "X-Google-RPC-Service-Deadline: 60\r\n"
               "Content-Length: %zu\r\n\r\n",
               body.n);
    buf_add(&http, buf_view(&body));
    buf_release(&body);
    return keep(&http);
}

/* ---- datastore ---- */

static void put_path(struct buf *b, const char *name)
{
    struct buf path = BUF_HEAP;

    pb_put_tag(&path, 1, PB_GROUP);
    pb_put_bytes(&path, 2, BYTES_LIT("Bench"));
    if (name)
        pb_put_bytes(&path, 4, bytes_str(name));
    pb_put_tag(&path, 1, PB_END_GROUP);
    pb_put_bytes(b, 14, buf_view(&path));
    buf_release(&path);
}

static void put_key(struct buf *b, uint32_t field, const char *name)
{
    struct buf key = BUF_HEAP;

    pb_put_bytes(&key, 13, BYTES_LIT(APP));
    put_path(&key, name);
    pb_put_bytes(b, field, buf_view(&key));
    buf_release(&key);
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
static struct bytes put_request(const char *name, uint64_t i)
{
    struct buf entity = BUF_HEAP, put = BUF_HEAP;
    char p[8];

    put_key(&entity, 13, name);
    pb_put_bytes(&entity, 16, BYTES_NONE);
    for (int k = 0; k < PROPERTIES; k++) {
        snprintf(p, sizeof(p), "p%d", k);
        put_property(&entity, p, k % 2 == 0,
                     bytes_hash(BYTES(&i, sizeof(i))) >> (1 + k));
    }
    pb_put_bytes(&put, 1, buf_view(&entity));
    buf_release(&entity);
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
    put_key(&get, 1, name);
    return http_post("datastore_v3", "Get", buf_view(&get));
}

/* WHERE p0 >= (somewhere) ORDER BY p0 LIMIT 20 */
static struct bytes row_query(size_t i)
{
    struct buf q = BUF_HEAP, value = BUF_HEAP, p = BUF_HEAP;

    pb_put_u64(&value, 1, bytes_hash(BYTES(&i, sizeof(i))) >> 3);
    pb_put_bytes(&p, 3, BYTES_LIT("p0"));
    pb_put_u64(&p, 4, 0);
    pb_put_bytes(&p, 5, buf_view(&value));
    pb_put_bytes(&q, 1, BYTES_LIT(APP));
    pb_put_bytes(&q, 3, BYTES_LIT("Bench"));
    pb_put_tag(&q, 4, PB_GROUP);
    pb_put_u64(&q, 6, 4); /* >= */
    pb_put_bytes(&q, 14, buf_view(&p));
    pb_put_tag(&q, 4, PB_END_GROUP);
    pb_put_u64(&q, 16, QUERY_ROWS);
    pb_put_u64(&q, 23, QUERY_ROWS);
    return http_post("datastore_v3", "RunQuery", buf_view(&q));
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
} workloads[] = {
    {"null", null_call, NULL, 1},
    {"memcache-get", memcache_get, memcache_set, 1000},
    {"get", row_get, row_put, 0},
    {"put", new_put, NULL, 0},
    {"query", row_query, row_put, 0},
};

enum { N_WORKLOADS = sizeof(workloads) / sizeof(workloads[0]) };

const char *envelope_names(void)
{
    return "null, memcache-get, get, put, query";
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

struct load_requests envelope_make(const char *workload, size_t n)
{
    const struct workload *w = find(workload);

    if (w->at_most && n > w->at_most)
        n = w->at_most;
    return prepare(w->request, n);
}

struct load_requests envelope_setup(const char *workload, size_t n)
{
    const struct workload *w = find(workload);
    struct load_requests r = {0};

    if (w->at_most && n > w->at_most)
        n = w->at_most;
    if (w->setup) {
        r = prepare(w->setup, n);
        r.once = true;
    }
    return r;
}

struct load_requests envelope_get(const char *path)
{
    struct load_requests r = {.n = 1};
    struct buf b = BUF_HEAP;

    buf_printf(&b, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
    r.list = calloc(1, sizeof(*r.list));
    if (!r.list)
        die("out of memory");
    r.list[0] = keep(&b);
    return r;
}
