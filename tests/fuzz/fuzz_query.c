/*
 * fuzz_query - any bytes as a Query, and as the choices of a game of queries.
 *
 * An even first byte: the rest is a Query of a small world, with and without
 * the right to make indexes.  What is refused has a story; what is answered
 * is run to its end, a row at a time and in one go, and gives as many rows.
 * An odd one: the rest makes a world and queries of its own, whose answers
 * are those of naive.h (tests/unit/engine/game.h).
 */
#include "game.h"

enum { NEXT_MAX = 400, WORLD = 12, QUERIES = 6 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct game game; /* large */
static struct answer answer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    log_set_level(LOG_ERROR);
    return 0;
}

static struct bytes cut_to(struct bytes in, int count)
{
    struct buf b = BUF_IN(&game.bed.arena);

    buf_add(&b, in);
    pb_put_u64(&b, 23, (uint64_t)count);
    return buf_view(&b);
}

/* Rows and skipped ones of the whole query; -1: refused. */
static int64_t count_all(struct bytes in, bool auto_index, int count)
{
    struct bed *bed = &game.bed;
    int rc = answer_try(bed, auto_index, false, cut_to(in, count), &answer);
    int64_t rows = 0;

    for (int i = 0; rc == 0 && i < NEXT_MAX; i++) {
        rows += (int64_t)answer.n + answer.skipped;
        if (!answer.more)
            return rows;
        rc = answer_try(
            bed, auto_index, true,
            answer_next_request(&bed->arena, answer.handle, count, true),
            &answer);
    }
    if (rc == 0)
        BUG("a query without end");
    if (!bed->ctx.err.code)
        BUG("refused with %d and no story", rc);
    ctx_err_clear(&bed->ctx);
    return -1;
}

/* Most bytes are refused, for which no world is needed. */
static bool may_be_asked(struct bytes in)
{
    struct arena arena = ARENA_INIT;
    struct query q;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &arena);
    ctx.app = BYTES_LIT("shop");
    rc = query_read(&ctx, in, &q);
    if (rc == 0)
        rc = query_check(&ctx, &q);
    if (rc != 0 && !ctx.err.code)
        BUG("refused with %d and no story", rc);
    arena_release(&arena);
    return rc == 0;
}

static void fuzz_bytes(struct bytes in)
{
    int64_t whole;

    if (!may_be_asked(in))
        return;
    game_begin(&game, dice_seeded(7), "memory", WORLD);
    count_all(in, false, 300);
    whole = count_all(in, true, 300);
    if (whole != count_all(in, true, 1))
        BUG("%lld rows in one go, others one by one", (long long)whole);
    game_end(&game);
}

static void fuzz_game(struct bytes in)
{
    game_begin(&game, dice_of(in), "memory", WORLD);
    game.label = "fuzz";
    for (int i = 0; i < QUERIES && game.dice.rest.n; i++)
        game_query(&game);
    game_end(&game);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (data[0] % 2)
        fuzz_game(BYTES(data + 1, n - 1));
    else
        fuzz_bytes(BYTES(data + 1, n - 1));
    return 0;
}
