/*
 * Fuzz the envelope: remote_api.Request, then its payload as a message.
 *
 * The first byte of the input chooses the payload's type among all that there
 * are.  What decodes must encode, and decode again to the same bytes.  The
 * field reader of pb.h walks the same input: a group that it took whole must
 * hold nothing bad.  (It is the stricter of the two: upb lets a field number 0
 * pass inside a group that it does not know.)
 */
#include "base/log.h"
#include "wire/pb.h"
#include "wire/wire.h"

#include "remote_api.pb.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    wire_init();
    return 0;
}

/* Every field, and every field of what may be a message within. */
static bool walk(struct bytes in, int depth)
{
    struct pb_reader r = PB_READER(in);

    while (pb_next(&r)) {
        if (r.whole.n == 0 || r.field == 0)
            BUG("a field of %zu bytes, number %u", r.whole.n, r.field);
        if (r.kind == PB_GROUP && depth > 0 && !walk(r.bytes, depth - 1))
            BUG("the group %u was taken, its contents are bad", r.field);
        if (r.kind == PB_BYTES && depth > 0)
            walk(r.bytes, depth - 1);
    }
    return !r.bad;
}

static void check_message(struct ctx *ctx, enum wire_type type, struct bytes in)
{
    struct bytes first, second;
    void *m = wire_decode(ctx, type, in);

    if (!m)
        return;
    if (wire_encode(ctx, type, m, &first) != 0)
        BUG("%s decodes and does not encode", wire_type_name(type));
    m = wire_decode(ctx, type, first);
    if (!m || wire_encode(ctx, type, m, &second) != 0)
        BUG("%s does not read what it wrote", wire_type_name(type));
    if (!bytes_eq(first, second))
        BUG("%s changes when it is written again", wire_type_name(type));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct remote_api_Request *envelope;
    enum wire_type type;
    struct bytes in;
    struct ctx ctx;

    if (n == 0)
        return 0;
    type = (enum wire_type)(1 + data[0] % (WIRE_N_TYPES - 1));
    in = BYTES(data + 1, n - 1);
    ctx_init(&ctx, &arena);
    walk(in, 3);
    check_message(&ctx, type, in);
    envelope = remote_api_Request_decode(&ctx, in);
    if (envelope)
        check_message(&ctx, type, remote_api_Request_request(envelope));
    arena_release(&arena);
    return 0;
}
