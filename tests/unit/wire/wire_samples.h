/*
 * wire_samples - serialized messages that the wire tests share, put together
 * field by field with pb.h.
 */
#ifndef TESTS_WIRE_SAMPLES_H
#define TESTS_WIRE_SAMPLES_H

#include "wire/pb.h"

/* Path { Element { type, id } }, as a group. */
static inline void sample_path(struct buf *out, uint32_t field)
{
    struct buf path = BUF_HEAP;

    pb_put_tag(&path, 1, PB_GROUP);
    pb_put_bytes(&path, 2, BYTES_LIT("Kind"));
    pb_put_u64(&path, 3, 1234567890123);
    pb_put_tag(&path, 1, PB_END_GROUP);
    pb_put_bytes(out, field, buf_view(&path));
    buf_release(&path);
}

/* A property x = (1.5, -2.5), a group in a group's place. */
static inline void sample_point(struct buf *out)
{
    struct buf p = BUF_HEAP, value = BUF_HEAP;

    pb_put_tag(&value, 5, PB_GROUP);
    pb_put_fixed64(&value, 6, 0x3ff8000000000000);
    pb_put_fixed64(&value, 7, 0xc004000000000000);
    pb_put_tag(&value, 5, PB_END_GROUP);
    pb_put_bytes(&p, 3, BYTES_LIT("x"));
    pb_put_u64(&p, 4, 0);
    pb_put_bytes(&p, 5, buf_view(&value));
    pb_put_bytes(out, 14, buf_view(&p));
    buf_release(&value);
    buf_release(&p);
}

/* An EntityProto, with fields 900 and 901 that no schema knows. */
static inline void sample_entity(struct buf *out)
{
    struct buf key = BUF_HEAP;

    pb_put_bytes(&key, 13, BYTES_LIT("s~app"));
    sample_path(&key, 14);
    pb_put_bytes(out, 13, buf_view(&key));
    sample_path(out, 16);
    sample_point(out);
    pb_put_bytes(out, 900, BYTES_LIT("from the future"));
    pb_put_tag(out, 901, PB_GROUP);
    pb_put_u64(out, 1, 7);
    pb_put_tag(out, 901, PB_END_GROUP);
    buf_release(&key);
}

#endif
