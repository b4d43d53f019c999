/*
 * wire - protobuf messages as typed C structs.
 *
 * The files of proto/ are our own copies of the SDKs' contract.  tools/pbgen
 * turns them into one header each, "datastore_v3.pb.h", of typed inline
 * accessors over upb, which knows proto2 groups and keeps unknown fields:
 *
 *     struct datastore_v3_Query *q = datastore_v3_Query_decode(ctx, body);
 *     if (datastore_v3_Query_has_kind(q))
 *         kind = datastore_v3_Query_kind(q);
 *     for (size_t i = 0; i < datastore_v3_Query_n_filter(q); i++)
 *         f = datastore_v3_Query_filter(q, i);
 *     r = datastore_v3_QueryResult_add_result(ctx, out);
 *
 * The names: FILE_Message_field.  A group Foo of message M is the message
 * M_Foo and the field `foo`.
 *
 * Ownership: a message lives in ctx->arena.  Decoded strings and bytes point
 * into the input, which must live as long; a string that is set is referenced,
 * not copied.  Thread rule: that of the ctx.
 *
 * Where bytes are only passed on - entities in a Get or a query - wire/pb.h
 * reads and writes single fields without a message.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/ctx.h"
#include "wire_tables.h"

#include "upb/message/accessors.h"
#include "upb/message/array.h"
#include "upb/message/message.h"
#include "upb/mini_table/field.h"
#include "upb/mini_table/message.h"

/* Build the tables from the descriptors, once, before any thread starts. */
void wire_init(void);

/* For the accessors: the tables, filled by wire_init(). */
extern const upb_MiniTable *wire_types[WIRE_N_TYPES];
extern const upb_MiniTableField *wire_fields[WF_N_FIELDS];

/* A new, empty message of `type`. */
void *wire_new(struct ctx *ctx, enum wire_type type);

/*
 * Decode `in`; NULL with ERR_INVALID in ctx->err when the bytes are no message
 * or a required field is missing.  Nesting deeper than 100 is refused.
 */
void *wire_decode(struct ctx *ctx, enum wire_type type, struct bytes in);

/* Encode into the arena.  ERR_INTERNAL when a required field is missing. */
int wire_encode(struct ctx *ctx, enum wire_type type, const void *m,
                struct bytes *out);

/* The full protobuf name of a type, "datastore_v3.Query". */
const char *wire_type_name(enum wire_type type);

/* The rest serves the generated accessors. */
#define WIRE_MSG(m_)  ((const upb_Message *)(const void *)(m_))
#define WIRE_MUT(m_)  ((upb_Message *)(void *)(m_))
#define WIRE_VIEW(b_) upb_StringView_FromDataAndSize((b_).p, (b_).n)

/*
 * upb's view of ctx->arena, made at the first use; whatever upb allocates goes
 * when that arena does.
 */
upb_Arena *wire_arena(struct ctx *ctx);

/* The message in a field, made empty when it is not set yet. */
void *wire_mut_message(struct ctx *ctx, void *m, enum wire_field f,
                       enum wire_type type);

/* A new, empty message at the end of a repeated field. */
void *wire_add_message(struct ctx *ctx, void *m, enum wire_field f,
                       enum wire_type type);

/* Append a value to a repeated field; a string is referenced, not copied. */
void wire_array_add(struct ctx *ctx, void *m, enum wire_field f,
                    upb_MessageValue v);

static inline struct bytes wire_get_string(const void *m, enum wire_field f,
                                           const char *dflt)
{
    upb_StringView v = upb_Message_GetString(WIRE_MSG(m), wire_fields[f],
                                             upb_StringView_FromString(dflt));

    return BYTES(v.data, v.size);
}

static inline size_t wire_array_size(const void *m, enum wire_field f)
{
    const upb_Array *a = upb_Message_GetArray(WIRE_MSG(m), wire_fields[f]);

    return a ? upb_Array_Size(a) : 0;
}

static inline upb_MessageValue wire_array_get(const void *m, enum wire_field f,
                                              size_t i)
{
    return upb_Array_Get(upb_Message_GetArray(WIRE_MSG(m), wire_fields[f]), i);
}

#endif
