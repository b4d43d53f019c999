/*
 * value - property values as bytes whose memcmp() order is the datastore's.
 *
 * One byte says the type, the field number of PropertyValue, 0 for null, which
 * is the order across types; what follows keeps the order inside the type and
 * ends itself, so that a path or another value can stand behind it, and so
 * that flipping every byte reverses the order exactly (descending columns of
 * composite indexes).  Meanings play no part.  An encoded value decodes back
 * to a PropertyValue, which is how projections answer from index rows alone.
 *
 * Users: the id of a user is a function of the email (value_user_id) in stored
 * and in filter values, whatever an SDK sent, so that they compare equal.
 *
 * Thread rule: pure functions.
 */
#ifndef ENGINE_VALUE_H
#define ENGINE_VALUE_H

#include "base/buf.h"
#include "base/ctx.h"

enum value_tag {
    VALUE_NULL = 0,
    VALUE_INT64 = 1,
    VALUE_BOOL = 2,
    VALUE_STRING = 3,
    VALUE_DOUBLE = 4,
    VALUE_POINT = 5,
    VALUE_USER = 8,
    VALUE_REFERENCE = 12,
};

/* What a PropertyValue holds: which one field, and it as found on the wire. */
struct value {
    enum value_tag tag;
    uint64_t u64;       /* int64, bool, or the double's bits */
    struct bytes bytes; /* string, or the contents of the group */
    bool several;       /* more than one value field is set */
};

/* Look into the contents of a PropertyValue.  False when malformed. */
bool value_read(struct bytes pv, struct value *out);

/*
 * Append the encoding of a PropertyValue (its contents).  ERR_INVALID when it
 * is malformed, has several fields set, or holds a key that cannot be one.
 */
int value_encode(struct ctx *ctx, struct buf *out, struct bytes pv);

/* Bytes of the encoded value at the front of `in`, written flipped when
 * `desc`; 0 when malformed. */
size_t value_size(struct bytes in, bool desc);

/* Flip every byte: ascending to descending and back. */
void value_flip(uint8_t *p, size_t n);

/*
 * Append the contents of the PropertyValue that the one encoded (not flipped)
 * value `in` stands for; the scratch is `a`.  ERR_CORRUPT when malformed.
 */
int value_decode(struct arena *a, struct bytes in, struct buf *pv);

/* The type of an encoded, not flipped value. */
static inline enum value_tag value_tag(struct bytes in)
{
    return in.n ? (enum value_tag)bytes_u8(in)[0] : VALUE_NULL;
}

/* "1" and 20 digits at most from the MD5 of the lower-cased email. */
struct bytes value_user_id(struct arena *a, struct bytes email);

/*
 * Append the contents of a PropertyValue with its user's id set as above and
 * gaiaid present (Python needs it, Go does not know it).  Other fields, and
 * values that are no users, are copied.
 */
void value_fix_user(struct buf *out, struct arena *a, struct bytes pv);

/* Append an integer by itself: 8 bytes that keep the order. */
void value_put_int64(struct buf *b, int64_t v);

/*
 * The same for a double, given by its bits: a set sign turns all of them
 * around.
 */
void value_put_double(struct buf *b, uint64_t bits);

#endif
