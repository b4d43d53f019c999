/*
 * crash_child - the process that writes until it dies.
 */
#include "crash.h"

#include "base/errinj.h"

#include <pthread.h>
#include <signal.h>

struct writer {
    struct storage *st;
    uint32_t id;
    int fd;
    enum plant plant;
    struct arena arena;
    struct ctx ctx;
};

enum {
    PLANT_AT = 20, /* a planted fault shows after so many batches */
    VALUE_WIDTH = 16 * 1024,
};

static struct storage_key head_key(struct writer *w)
{
    return key_of("heads", arena_printf(&w->arena, "%u", w->id));
}

static struct storage_key row_key(struct writer *w, int part, uint32_t n)
{
    return key_of(arena_printf(&w->arena, "part %d", part),
                  arena_printf(&w->arena, "%u/%08u", w->id, n));
}

static struct bytes text(struct writer *w, uint32_t n)
{
    return bytes_str(arena_printf(&w->arena, "%u", n));
}

/* Wide enough that the store also dies while it moves rows to its tables. */
static struct bytes wide_text(struct writer *w, uint32_t n)
{
    return bytes_str(arena_printf(&w->arena, "%-*u", VALUE_WIDTH, n));
}

static void require_head(struct writer *w, struct storage_batch *b, uint32_t n)
{
    if (n == 0)
        storage_batch_require_absent(b, head_key(w));
    else
        storage_batch_require(b, head_key(w), text(w, n));
}

/* The rows of batch `n`, of the partitions from `first` up to `end`. */
static void put_rows(struct writer *w, struct storage_batch *b, uint32_t n,
                     int first, int end)
{
    for (int p = first; p < end; p++) {
        storage_batch_put(b, row_key(w, p, n), wide_text(w, n));
        if (n > WINDOW && !(w->plant == PLANT_STALE && n > PLANT_AT))
            storage_batch_delete(b, row_key(w, p, n - WINDOW));
    }
}

static int commit(struct writer *w, const struct storage_batch *b)
{
    int rc = storage_commit(&w->ctx, w->st, b, NULL);

    if (rc != 0)
        fprintf(stderr, "crash child: %s\n", ctx_err_text(&w->ctx, rc));
    return rc;
}

static int write_batch(struct writer *w, uint32_t n)
{
    struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
    struct storage_batch first = STORAGE_BATCH_IN(&w->arena);
    bool split = w->plant == PLANT_SPLIT && n > PLANT_AT;

    if (w->plant == PLANT_LIE && n > PLANT_AT)
        return 0;
    if (split) {
        put_rows(w, &first, n, 0, 1);
        if (commit(w, &first) != 0)
            return -1;
        kill(getpid(), SIGKILL);
    }
    require_head(w, &b, n - 1);
    storage_batch_put(&b, head_key(w), text(w, n));
    put_rows(w, &b, n, 0, PARTS);
    return commit(w, &b);
}

static uint32_t read_head(struct writer *w)
{
    struct bytes v;
    int rc = storage_get1(&w->ctx, w->st, head_key(w), &v);

    if (rc == ERR_NOT_FOUND)
        return 0;
    return rc == 0 ? (uint32_t)atoi(arena_cstr(&w->arena, v)) : UINT32_MAX;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    uint32_t n;

    ctx_init(&w->ctx, &w->arena);
    for (n = read_head(w) + 1;; n++) {
        struct ack ack = {w->id, n};

        if (write_batch(w, n) != 0)
            exit(1);
        if (write(w->fd, &ack, sizeof(ack)) != sizeof(ack))
            exit(1);
        if (w->plant == PLANT_LIE && n > PLANT_AT)
            kill(getpid(), SIGKILL);
        arena_reset(&w->arena);
    }
    return NULL;
}

int crash_child(char **argv)
{
    static struct writer writers[WRITERS];
    struct arena arena = ARENA_INIT;
    struct ctx ctx;
    struct storage_options o = {.backend = argv[0], .path = argv[1]};
    struct storage *st;
    pthread_t thread;
    int rc;

    errinj_from_env();
    ctx_init(&ctx, &arena);
    rc = storage_open(&ctx, &o, &st);
    if (rc != 0) {
        fprintf(stderr, "crash child: %s\n", ctx_err_text(&ctx, rc));
        return 1;
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.st = st,
                                     .id = i,
                                     .fd = atoi(argv[2]),
                                     .plant = (enum plant)atoi(argv[3])};
        if (pthread_create(&thread, NULL, writer_main, &writers[i]) != 0)
            return 1;
    }
    pthread_join(thread, NULL);
    return 1;
}
