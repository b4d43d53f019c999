/* wire - upb's tables from the descriptors, and its memory from ctx->arena. */
#include "wire/wire.h"

#include "base/log.h"
#include "wire/wire_int.h"

#include "google/protobuf/descriptor.upb.h"
#include "upb/reflection/def.h"
#include "upb/wire/decode.h"
#include "upb/wire/encode.h"

const upb_MiniTable *wire_types[WIRE_N_TYPES];
const upb_MiniTableField *wire_fields[WF_N_FIELDS];

/*
 * The pool owns the mini tables and lives as long as the process; it is kept
 * reachable so that a leak checker stays quiet.
 */
static upb_DefPool *pool;

static void load_files(void)
{
    upb_Arena *arena = upb_Arena_New();
    google_protobuf_FileDescriptorSet *set;
    const google_protobuf_FileDescriptorProto *const *files;
    upb_Status status;
    size_t n;

    set = google_protobuf_FileDescriptorSet_parse(
        (const char *)wire_descriptors, wire_descriptors_size, arena);
    if (!set)
        BUG("the built-in descriptors do not parse");
    files = google_protobuf_FileDescriptorSet_file(set, &n);
    for (size_t i = 0; i < n; i++) {
        upb_Status_Clear(&status);
        if (!upb_DefPool_AddFile(pool, files[i], &status))
            BUG("descriptor: %s", upb_Status_ErrorMessage(&status));
    }
    upb_Arena_Free(arena);
}

void wire_init(void)
{
    if (pool)
        return;
    pool = upb_DefPool_New();
    load_files();
    for (int i = WIRE_NONE + 1; i < WIRE_N_TYPES; i++) {
        const upb_MessageDef *def =
            upb_DefPool_FindMessageByName(pool, wire_type_names[i]);

        if (!def)
            BUG("no descriptor of %s", wire_type_names[i]);
        wire_types[i] = upb_MessageDef_MiniTable(def);
    }
    for (int i = 0; i < WF_N_FIELDS; i++) {
        const struct wire_field_row *row = &wire_field_rows[i];

        wire_fields[i] = upb_MiniTable_FindFieldByNumber(wire_types[row->type],
                                                         (uint32_t)row->number);
        if (!wire_fields[i])
            BUG("%s has no field %d", wire_type_names[row->type], row->number);
    }
}

const char *wire_type_name(enum wire_type type)
{
    return wire_type_names[type];
}

/*
 * upb's arena draws on ours, so that one reset gives both back.
 */
struct ctx_alloc {
    upb_alloc alloc;
    struct arena *arena;
};

static void *alloc_from_ctx(upb_alloc *alloc, void *p, size_t old, size_t n,
                            size_t *actual)
{
    struct ctx_alloc *c = (struct ctx_alloc *)alloc;

    if (n == 0)
        return NULL;
    if (actual)
        *actual = n;
    return arena_grow(c->arena, p, old, n);
}

upb_Arena *wire_arena(struct ctx *ctx)
{
    struct ctx_alloc *c;

    if (ctx->wire_arena)
        return ctx->wire_arena;
    c = ARENA_NEW(ctx->arena, struct ctx_alloc);
    c->alloc.func = alloc_from_ctx;
    c->arena = ctx->arena;
    ctx->wire_arena =
        upb_Arena_Init(arena_alloc(ctx->arena, 2048), 2048, &c->alloc);
    return ctx->wire_arena;
}

void *wire_new(struct ctx *ctx, enum wire_type type)
{
    return upb_Message_New(wire_types[type], wire_arena(ctx));
}

void *wire_decode(struct ctx *ctx, enum wire_type type, struct bytes in)
{
    enum {
        OPTIONS =
            kUpb_DecodeOption_AliasString | kUpb_DecodeOption_CheckRequired
    };
    upb_Message *m = wire_new(ctx, type);
    upb_DecodeStatus st;

    st = upb_Decode(in.p ? in.p : "", in.n, m, wire_types[type], NULL,
                    OPTIONS | (int)upb_DecodeOptions_MaxDepth(100),
                    wire_arena(ctx));
    if (st == kUpb_DecodeStatus_Ok)
        return m;
    ctx_err(ctx, ERR_INVALID, "not a valid %s: %s", wire_type_names[type],
            st == kUpb_DecodeStatus_MissingRequired ? "a required field is "
                                                      "missing"
                                                    : "malformed");
    return NULL;
}

int wire_encode(struct ctx *ctx, enum wire_type type, const void *m,
                struct bytes *out)
{
    upb_EncodeStatus st;
    size_t n = 0;
    char *p = NULL;

    st = upb_Encode(WIRE_MSG(m), wire_types[type],
                    kUpb_EncodeOption_CheckRequired, wire_arena(ctx), &p, &n);
    if (st != kUpb_EncodeStatus_Ok)
        return ctx_err(ctx, ERR_INTERNAL, "%s cannot be encoded: %s",
                       wire_type_names[type], upb_EncodeStatus_String(st));
    *out = BYTES(p, n);
    return 0;
}

void *wire_mut_message(struct ctx *ctx, void *m, enum wire_field f,
                       enum wire_type type)
{
    upb_Message *sub =
        upb_Message_GetMutableMessage(WIRE_MUT(m), wire_fields[f]);

    if (!sub) {
        sub = upb_Message_New(wire_types[type], wire_arena(ctx));
        upb_Message_SetBaseFieldMessage(WIRE_MUT(m), wire_fields[f], sub);
    }
    return sub;
}

void wire_array_add(struct ctx *ctx, void *m, enum wire_field f,
                    upb_MessageValue v)
{
    upb_Array *a = upb_Message_GetOrCreateMutableArray(
        WIRE_MUT(m), wire_fields[f], wire_arena(ctx));

    upb_Array_Append(a, v, wire_arena(ctx));
}

void *wire_add_message(struct ctx *ctx, void *m, enum wire_field f,
                       enum wire_type type)
{
    upb_Message *sub = upb_Message_New(wire_types[type], wire_arena(ctx));

    wire_array_add(ctx, m, f, (upb_MessageValue){.msg_val = sub});
    return sub;
}
