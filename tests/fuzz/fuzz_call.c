/*
 * fuzz_call - any bytes as a call.
 *
 * The first byte chooses: 0 takes the rest for a whole envelope, any other a
 * method of the server's table with the rest as its request, so that every
 * handler is reached.  The store is in memory, there is no memcached.  Whatever
 * is asked, exactly one well-formed answer comes.
 */
#include "engine/engine.h"
#include "net/http_int.h"
#include "rpc/rpc.h"
#include "service/platform/platform.h"
#include "service/system/system.h"
#include "service/taskqueue/taskqueue.h"
#include "service/user/users.h"
#include "storage/storage.h"
#include "wire/pb.h"
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_server server;
static struct http_loop loop;
static struct service_env env = {.domain = "localhost", .emulator = true};
static struct rpc *rpc;
static struct arena process_arena;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void start_once(void)
{
    const struct storage_options so = {.backend = "memory"};
    const struct rpc_options ro = {
        .env = &env, .project = "guest", .workers = 1};
    static struct ctx ctx;

    if (rpc)
        return;
    wire_init();
    ctx_init(&ctx, &process_arena);
    ctx.env = &env;
    require(storage_open(&ctx, &so, &env.storage) == 0);
    require(engine_open(&ctx, env.storage, &env.engine) == 0);
    require(platform_open(&ctx, env.storage, BYTES_NONE, &env.platform) == 0);
    require(users_open(&ctx, env.storage, &env.users) == 0);
    /* Nowhere to send tasks: they wait. */
    require(taskqueue_open(&ctx,
                           &(struct taskqueue_options){
                               .storage = env.storage,
                               .engine = env.engine,
                               .platform = env.platform,
                               .domain = env.domain,
                           },
                           &env.taskqueue) == 0);
    /* An app that listens nowhere: no background requests. */
    require(system_open(&ctx, &(struct system_options){.domain = env.domain},
                        &env.system) == 0);
    require(rpc_start(&ctx, &ro, &rpc) == 0);
    server.o.unix_path = "";
    server.loops = &loop;
    server.n_loops = 1;
    require(http_loop_init(&ctx, &loop, &server) == 0);
    http_loop_self = &loop;
}

static int count_methods(void)
{
    int n = 0;

    for (const struct rpc_service *const *s = rpc_services; *s; s++) {
        for (const struct rpc_method *m = (*s)->methods; m->method; m++)
            n++;
    }
    return n;
}

/* The envelope of method number `i`. */
static struct bytes wrap(struct arena *a, int i, struct bytes request)
{
    struct buf b = BUF_IN(a);

    for (const struct rpc_service *const *s = rpc_services; *s; s++) {
        for (const struct rpc_method *m = (*s)->methods; m->method; m++) {
            if (i-- > 0)
                continue;
            pb_put_bytes(&b, 2, bytes_str((*s)->name));
            pb_put_bytes(&b, 3, bytes_str(m->method));
            pb_put_bytes(&b, 4, request);
            pb_put_bytes(&b, 5, BYTES_LIT("fuzz.1"));
            return buf_view(&b);
        }
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_exchange *x;
    struct bytes in;

    if (size == 0)
        return 0;
    start_once();
    x = http_exchange_new(&loop);
    in = arena_dup(&x->arena, BYTES(data + 1, size - 1));
    if (data[0])
        in = wrap(&x->arena, data[0] % count_methods(), in);
    x->started = clock_mono();
    x->req.method = BYTES_LIT("POST");
    x->req.target = x->req.path = BYTES_LIT("/rpc_http");
    x->req.body = in;
    x->req.keep_alive = true;
    rpc_handle(x, rpc);
    /* It has no connection, so the answer ends it: here or in the inbox. */
    while (loop.n_out)
        uv_run(&loop.uv, UV_RUN_ONCE);
    return 0;
}
