/*
 * fuzz_key - any bytes as a key, as a property value, and as stored rows.
 *
 * What parses must encode to a path and a value that decode to the same thing
 * again; what is compared encoded must order as it does decoded, which naive.h
 * says; what does not parse must only be refused.
 */
#include "engine/entity.h"
#include "order.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_reference(struct ctx *ctx, struct bytes in)
{
    struct buf out = BUF_IN(ctx->arena);
    struct key key, again;

    if (key_parse(ctx, in, &key) != 0)
        return;
    key_write_reference(&out, key.app, key.space, key.path);
    require(key_parse(ctx, buf_view(&out), &again) == 0);
    require(bytes_eq(again.path, key.path));
    require(again.root_n == key.root_n && again.depth == key.depth);
    require(again.complete == key.complete);
    require(!key.complete || key_path_first(key.path) == key.root_n);
}

static void fuzz_value(struct ctx *ctx, struct bytes in)
{
    struct buf enc = BUF_IN(ctx->arena), pv = BUF_IN(ctx->arena),
               enc2 = BUF_IN(ctx->arena);

    if (value_encode(ctx, &enc, in) != 0)
        return;
    require(value_size(buf_view(&enc), false) == enc.n);
    require(value_decode(ctx->arena, buf_view(&enc), &pv) == 0);
    require(value_encode(ctx, &enc2, buf_view(&pv)) == 0);
    require(bytes_eq(buf_view(&enc), buf_view(&enc2)));
    value_flip(enc.p, enc.n);
    require(value_size(buf_view(&enc), true) == enc.n);
}

/* Two halves of the input, escaped, keep their order. */
static void fuzz_order(struct ctx *ctx, struct bytes in)
{
    struct bytes x = BYTES(in.p, in.n / 2), y = bytes_from(in, in.n / 2);
    struct buf a = BUF_IN(ctx->arena), b = BUF_IN(ctx->arena);
    struct bytes rest, back;
    int want = bytes_cmp(x, y), got;

    key_put_escaped(&a, x);
    key_put_escaped(&b, y);
    got = bytes_cmp(buf_view(&a), buf_view(&b));
    require((want > 0) == (got > 0) && (want < 0) == (got < 0));
    rest = buf_view(&a);
    require(key_take_escaped(ctx->arena, &rest, &back));
    require(rest.n == 0 && bytes_eq(back, x));
}

/* Bytes as they might stand in a damaged store. */
static void fuzz_rows(struct ctx *ctx, struct bytes in)
{
    struct entity_walk walk = ENTITY_WALK(in);
    struct entity_indexed indexed = ENTITY_INDEXED(ctx->arena, in);
    struct buf pv = BUF_IN(ctx->arena), ref = BUF_IN(ctx->arena);
    struct entity_prop p;
    struct entity_row row;
    struct key_elem e;
    struct bytes path = in;

    while (entity_next(&walk, &p)) {
    }
    while (entity_indexed_next(&indexed, &p)) {
    }
    entity_row_read(in, &row);
    value_decode(ctx->arena, in, &pv);
    value_size(in, true);
    while (key_path_next(ctx->arena, &path, &e)) {
    }
    key_path_first(in);
    key_write_path(&ref, in);
}

/* Two values and two keys, chosen by the input (tests/unit/engine/order.h). */
static void fuzz_pairs(struct ctx *ctx, struct bytes in)
{
    struct dice dice = dice_of(in);

    order_of_values(ctx, &dice);
    order_of_keys(ctx, &dice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t empty[1];
    struct bytes in = BYTES(n ? data : empty, n);
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    fuzz_reference(&ctx, in);
    fuzz_value(&ctx, in);
    fuzz_order(&ctx, in);
    fuzz_rows(&ctx, in);
    ctx.app = BYTES_LIT("shop");
    fuzz_pairs(&ctx, in);
    arena_release(&arena);
    return 0;
}
