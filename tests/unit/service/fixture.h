/*
 * fixture - a store in memory and the services over it, for tests.
 *
 * fixture_ctx() makes a request of an app; release its arena with
 * fixture_done().
 */
#ifndef TESTS_UNIT_SERVICE_FIXTURE_H
#define TESTS_UNIT_SERVICE_FIXTURE_H

#include "test.h"

#include "engine/engine.h"
#include "service/env.h"
#include "service/platform/platform.h"
#include "service/user/users.h"
#include "storage/storage.h"
#include "wire/wire.h"

#define FIXTURE_TOKEN "the controller's own token"

struct fixture {
    struct service_env env;
    struct arena arena;
    struct ctx ctx;
};

static inline void fixture_start(struct fixture *f)
{
    const struct storage_options o = {.backend = "memory"};

    *f = (struct fixture){.env = {.domain = "apps.example.com"}};
    wire_init();
    ctx_init(&f->ctx, &f->arena);
    f->ctx.env = &f->env;
    f->ctx.app = BYTES_LIT("guestbook");
    assert_int_equal(storage_open(&f->ctx, &o, &f->env.storage), 0);
    assert_int_equal(engine_open(&f->ctx, f->env.storage, &f->env.engine), 0);
    assert_int_equal(platform_open(&f->ctx, f->env.storage,
                                   BYTES_LIT(FIXTURE_TOKEN), &f->env.platform),
                     0);
    assert_int_equal(users_open(&f->ctx, f->env.storage, &f->env.users), 0);
}

/* As a restart of the server: the store stays. */
static inline void fixture_restart(struct fixture *f)
{
    platform_close(f->env.platform);
    users_close(f->env.users);
    assert_int_equal(platform_open(&f->ctx, f->env.storage,
                                   BYTES_LIT(FIXTURE_TOKEN), &f->env.platform),
                     0);
    assert_int_equal(users_open(&f->ctx, f->env.storage, &f->env.users), 0);
}

static inline void fixture_stop(struct fixture *f)
{
    platform_close(f->env.platform);
    users_close(f->env.users);
    engine_close(f->env.engine);
    storage_close(f->env.storage);
    arena_release(&f->arena);
}

/* Write a row of a platform table. */
static inline void fixture_put(struct fixture *f, const char *table,
                               const char *row, const char *value)
{
    struct platform_CommitRequest *in = platform_CommitRequest_new(&f->ctx);
    struct platform_CommitResponse *out = platform_CommitResponse_new(&f->ctx);
    struct platform_CommitRequest_Write *w =
        platform_CommitRequest_add_write(&f->ctx, in);
    struct platform_Key *k = platform_CommitRequest_Write_mut_key(&f->ctx, w);

    platform_Key_set_table(k, bytes_str(table));
    platform_Key_set_row(k, bytes_str(row));
    platform_CommitRequest_Write_set_value(w, bytes_str(value));
    assert_int_equal(platform_commit(&f->ctx, in, out), 0);
    assert_true(platform_CommitResponse_committed(out));
}

#endif
