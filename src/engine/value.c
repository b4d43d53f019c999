/* value - encode, step over, decode. */
#include "engine/value.h"

#include "engine/key.h"
#include "wire/pb.h"

#include <openssl/evp.h>

/* Fields of the groups inside a PropertyValue. */
enum {
    POINT_X = 6,
    POINT_Y = 7,
    USER_EMAIL = 9,
    USER_AUTH_DOMAIN = 10,
    USER_NICKNAME = 11,
    USER_GAIAID = 18,
    USER_ID = 19, /* obfuscated_gaiaid */
    USER_FEDERATED_IDENTITY = 21,
    USER_FEDERATED_PROVIDER = 22,
};

/* ---- reading ---- */

/* Whether r is at a value field of the right wire type. */
static bool value_field(const struct pb_reader *r)
{
    switch (r->field) {
    case VALUE_INT64:
    case VALUE_BOOL:
        return r->kind == PB_VARINT;
    case VALUE_STRING:
        return r->kind == PB_BYTES;
    case VALUE_DOUBLE:
        return r->kind == PB_FIXED64;
    case VALUE_POINT:
    case VALUE_USER:
    case VALUE_REFERENCE:
        return r->kind == PB_GROUP;
    default:
        return false;
    }
}

bool value_read(struct bytes pv, struct value *out)
{
    struct pb_reader r = PB_READER(pv);

    *out = (struct value){.tag = VALUE_NULL};
    while (pb_next(&r)) {
        if (!value_field(&r))
            continue;
        out->several = out->tag != VALUE_NULL;
        out->tag = (enum value_tag)r.field;
        if (r.kind == PB_BYTES || r.kind == PB_GROUP)
            out->bytes = r.bytes;
        else
            out->u64 = r.u64;
    }
    return !r.bad;
}

struct point {
    uint64_t x, y; /* bits of doubles */
    bool has_x, has_y;
};

static bool point_read(struct bytes in, struct point *out)
{
    struct pb_reader r = PB_READER(in);

    *out = (struct point){0};
    while (pb_next(&r)) {
        if (r.kind != PB_FIXED64)
            continue;
        if (r.field == POINT_X) {
            out->x = r.u64;
            out->has_x = true;
        } else if (r.field == POINT_Y) {
            out->y = r.u64;
            out->has_y = true;
        }
    }
    return !r.bad && out->has_x && out->has_y;
}

/* The strings of a user in field order; an absent one has p == NULL. */
static const uint8_t user_strings[] = {
    USER_EMAIL, USER_AUTH_DOMAIN,        USER_NICKNAME,
    USER_ID,    USER_FEDERATED_IDENTITY, USER_FEDERATED_PROVIDER,
};

enum { USER_N_STRINGS = sizeof(user_strings) };

struct user {
    struct bytes strings[USER_N_STRINGS];
    int64_t gaiaid; /* stands between nickname (2) and id (3) */
};

enum { AT_EMAIL = 0, AT_AUTH_DOMAIN = 1, AT_ID = 3 };

static void user_field(struct user *u, uint32_t field, struct bytes v)
{
    for (int i = 0; i < USER_N_STRINGS; i++) {
        if (user_strings[i] == field)
            u->strings[i] = v.p ? v : BYTES_LIT("");
    }
}

static bool user_read(struct bytes in, struct user *u)
{
    struct pb_reader r = PB_READER(in);

    *u = (struct user){0};
    while (pb_next(&r)) {
        if (r.kind == PB_BYTES)
            user_field(u, r.field, r.bytes);
        else if (r.field == USER_GAIAID && r.kind == PB_VARINT)
            u->gaiaid = (int64_t)r.u64;
    }
    return !r.bad && u->strings[AT_EMAIL].p && u->strings[AT_AUTH_DOMAIN].p;
}

struct bytes value_user_id(struct arena *a, struct bytes email)
{
    enum { ID_DIGITS = 20, MD5 = 16 };
    uint8_t *lower = arena_alloc(a, email.n + 1), md[EVP_MAX_MD_SIZE];
    char *id = arena_alloc(a, 1 + MD5 * 3 + 1);
    size_t n = 0;

    for (size_t i = 0; i < email.n; i++) {
        uint8_t c = bytes_u8(email)[i];

        lower[i] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    }
    EVP_Digest(lower, email.n, md, NULL, EVP_md5(), NULL);
    id[n++] = '1';
    for (int i = 0; i < MD5 && n < 1 + ID_DIGITS; i++) {
        if (md[i] >= 100)
            id[n++] = (char)('0' + md[i] / 100);
        id[n++] = (char)('0' + md[i] / 10 % 10);
        id[n++] = (char)('0' + md[i] % 10);
    }
    return BYTES(id, n < 1 + ID_DIGITS ? n : 1 + ID_DIGITS);
}

/* ---- encoding ---- */

static const uint64_t sign_bit = UINT64_C(1) << 63;

void value_put_int64(struct buf *b, int64_t v)
{
    buf_add_be64(b, (uint64_t)v ^ sign_bit);
}

/* Negative doubles grow with their bits: flip them all. */
void value_put_double(struct buf *b, uint64_t bits)
{
    buf_add_be64(b, bits & sign_bit ? ~bits : bits | sign_bit);
}

static uint64_t take_double(const uint8_t *p)
{
    uint64_t v = get_be64(p);

    return v & sign_bit ? v & ~sign_bit : ~v;
}

static int bad_value(struct ctx *ctx, const char *what)
{
    return ctx_err(ctx, ERR_MALFORMED, "a %s value is malformed", what);
}

static int encode_point(struct ctx *ctx, struct buf *out, struct bytes in)
{
    struct point p;

    if (!point_read(in, &p))
        return bad_value(ctx, "point");
    value_put_double(out, p.x);
    value_put_double(out, p.y);
    return 0;
}

/*
 * (field, value) pairs in field order and a terminator below any field: the
 * order of the pairs' tuple.
 */
static int encode_user(struct ctx *ctx, struct buf *out, struct bytes in)
{
    struct user u;

    if (!user_read(in, &u))
        return bad_value(ctx, "user");
    u.strings[AT_ID] = value_user_id(ctx->arena, u.strings[AT_EMAIL]);
    for (int i = 0; i < USER_N_STRINGS; i++) {
        if (i == AT_ID) {
            buf_add_u8(out, USER_GAIAID);
            value_put_int64(out, u.gaiaid);
        }
        if (!u.strings[i].p)
            continue;
        buf_add_u8(out, user_strings[i]);
        key_put_escaped(out, u.strings[i]);
    }
    buf_add_u8(out, 0);
    return 0;
}

/* App, namespace, path, and a terminator below any path element. */
static int encode_reference(struct ctx *ctx, struct buf *out, struct bytes in)
{
    struct key key;
    int rc = key_parse_value(ctx, in, &key);

    if (rc)
        return rc;
    key_put_escaped(out, key.app);
    key_put_escaped(out, key.space);
    buf_add(out, key.path);
    buf_add_u8(out, 0);
    return 0;
}

int value_encode(struct ctx *ctx, struct buf *out, struct bytes pv)
{
    struct value v;

    if (!value_read(pv, &v))
        return bad_value(ctx, "property");
    if (v.several)
        return ctx_err(ctx, ERR_INVALID,
                       "PropertyValue has multiple value fields set");
    buf_add_u8(out, (uint8_t)v.tag);
    switch (v.tag) {
    case VALUE_NULL:
        break;
    case VALUE_INT64:
        value_put_int64(out, (int64_t)v.u64);
        break;
    case VALUE_BOOL:
        buf_add_u8(out, v.u64 != 0);
        break;
    case VALUE_STRING:
        key_put_escaped(out, v.bytes);
        break;
    case VALUE_DOUBLE:
        value_put_double(out, v.u64);
        break;
    case VALUE_POINT:
        return encode_point(ctx, out, v.bytes);
    case VALUE_USER:
        return encode_user(ctx, out, v.bytes);
    case VALUE_REFERENCE:
        return encode_reference(ctx, out, v.bytes);
    }
    return 0;
}

void value_flip(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)~p[i];
}

/* ---- walking over encoded values ---- */

/* A walk over bytes written straight (flip 0) or flipped (flip 0xff); `bad`
 * once it would leave them. */
struct walk {
    const uint8_t *p;
    size_t n, at;
    uint8_t flip;
    bool bad;
};

static uint8_t walk_u8(struct walk *w)
{
    if (w->bad || w->at >= w->n) {
        w->bad = true;
        return 0;
    }
    return w->p[w->at++] ^ w->flip;
}

static void walk_skip(struct walk *w, size_t n)
{
    if (w->bad || w->n - w->at < n)
        w->bad = true;
    else
        w->at += n;
}

static void walk_escaped(struct walk *w)
{
    const uint8_t *end;

    if (w->bad || w->at >= w->n) {
        w->bad = true;
        return;
    }
    end = memchr(w->p + w->at, w->flip, w->n - w->at);
    if (end)
        w->at = (size_t)(end - w->p) + 1;
    else
        w->bad = true;
}

static void walk_user(struct walk *w)
{
    uint8_t field;

    while ((field = walk_u8(w)) != 0) {
        if (field == USER_GAIAID)
            walk_skip(w, 8);
        else
            walk_escaped(w);
    }
}

static void walk_reference(struct walk *w)
{
    enum { ELEM_ID = 1, ELEM_NAME = 2 };

    walk_escaped(w);
    walk_escaped(w);
    while (!w->bad) {
        uint8_t first = walk_u8(w);

        if (w->bad || first == 0)
            return;
        walk_escaped(w); /* the rest of the kind */
        first = walk_u8(w);
        if (first == ELEM_ID)
            walk_skip(w, 8);
        else if (first == ELEM_NAME)
            walk_escaped(w);
        else /* the terminator, behind an incomplete element */
            return;
    }
}

static void walk_value(struct walk *w)
{
    switch (walk_u8(w)) {
    case VALUE_NULL:
        break;
    case VALUE_INT64:
    case VALUE_DOUBLE:
        walk_skip(w, 8);
        break;
    case VALUE_BOOL:
        walk_skip(w, 1);
        break;
    case VALUE_STRING:
        walk_escaped(w);
        break;
    case VALUE_POINT:
        walk_skip(w, 16);
        break;
    case VALUE_USER:
        walk_user(w);
        break;
    case VALUE_REFERENCE:
        walk_reference(w);
        break;
    default:
        w->bad = true;
    }
}

size_t value_size(struct bytes in, bool desc)
{
    struct walk w = {
        .p = in.p,
        .n = in.n,
        .flip = desc ? 0xff : 0,
    };

    walk_value(&w);
    return w.bad ? 0 : w.at;
}

/* ---- decoding ---- */

static int decode_string(struct arena *a, struct bytes in, struct buf *pv)
{
    struct bytes s;

    if (!key_take_escaped(a, &in, &s))
        return ERR_CORRUPT;
    pb_put_bytes(pv, VALUE_STRING, s);
    return 0;
}

static void decode_point(struct bytes in, struct buf *pv)
{
    pb_put_fixed64(pv, POINT_X, take_double(in.p));
    pb_put_fixed64(pv, POINT_Y, take_double(bytes_u8(in) + 8));
}

static int decode_user(struct arena *a, struct bytes in, struct buf *pv)
{
    struct bytes s;

    while (in.n && bytes_u8(in)[0] != 0) {
        uint8_t field = bytes_u8(in)[0];

        in = bytes_from(in, 1);
        if (field == USER_GAIAID) {
            if (in.n < 8)
                return ERR_CORRUPT;
            pb_put_u64(pv, field, get_be64(in.p) ^ sign_bit);
            in = bytes_from(in, 8);
        } else {
            if (!key_take_escaped(a, &in, &s))
                return ERR_CORRUPT;
            pb_put_bytes(pv, field, s);
        }
    }
    return 0;
}

static int decode_reference(struct arena *a, struct bytes in, struct buf *pv)
{
    struct bytes app, space;

    if (!key_take_escaped(a, &in, &app) || !key_take_escaped(a, &in, &space) ||
        in.n == 0)
        return ERR_CORRUPT;
    in.n--; /* the terminator */
    key_write_value(pv, app, space, in);
    return 0;
}

static int decode_group(struct arena *a, enum value_tag tag, struct bytes in,
                        struct buf *pv)
{
    int rc = 0;

    pb_put_tag(pv, tag, PB_GROUP);
    if (tag == VALUE_POINT)
        decode_point(in, pv);
    else if (tag == VALUE_USER)
        rc = decode_user(a, in, pv);
    else
        rc = decode_reference(a, in, pv);
    pb_put_tag(pv, tag, PB_END_GROUP);
    return rc;
}

int value_decode(struct arena *a, struct bytes in, struct buf *pv)
{
    enum value_tag tag = value_tag(in);

    if (in.n == 0 || value_size(in, false) != in.n)
        return ERR_CORRUPT;
    in = bytes_from(in, 1);
    switch (tag) {
    case VALUE_NULL:
        return 0;
    case VALUE_INT64:
        pb_put_u64(pv, tag, get_be64(in.p) ^ sign_bit);
        return 0;
    case VALUE_BOOL:
        pb_put_u64(pv, tag, bytes_u8(in)[0]);
        return 0;
    case VALUE_STRING:
        return decode_string(a, in, pv);
    case VALUE_DOUBLE:
        pb_put_fixed64(pv, tag, take_double(in.p));
        return 0;
    default:
        return decode_group(a, tag, in, pv);
    }
}

/* ---- users on their way in ---- */

static void fix_user(struct buf *out, struct arena *a, struct bytes user)
{
    struct pb_reader r = PB_READER(user);
    struct bytes email = BYTES_NONE;
    bool has_gaiaid = false;

    pb_put_tag(out, VALUE_USER, PB_GROUP);
    while (pb_next(&r)) {
        if (r.field == USER_ID)
            continue;
        if (r.field == USER_EMAIL && r.kind == PB_BYTES)
            email = r.bytes;
        has_gaiaid |= r.field == USER_GAIAID;
        buf_add(out, r.whole);
    }
    if (!has_gaiaid)
        pb_put_u64(out, USER_GAIAID, 0);
    pb_put_bytes(out, USER_ID, value_user_id(a, email));
    pb_put_tag(out, VALUE_USER, PB_END_GROUP);
}

void value_fix_user(struct buf *out, struct arena *a, struct bytes pv)
{
    struct pb_reader r = PB_READER(pv);

    while (pb_next(&r)) {
        if (r.field == VALUE_USER && r.kind == PB_GROUP)
            fix_user(out, a, r.bytes);
        else
            buf_add(out, r.whole);
    }
}
