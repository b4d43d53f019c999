/*
 * memcache_item - names and headers.
 *
 *   name    base64url(TAG 6 bytes) base64url(DIGEST 24 bytes)
 *   TAG     first bytes of BLAKE2b(app, generation); the census goes by it
 *   DIGEST  BLAKE2b(key = BLAKE2b(app, generation), namespace length,
 *           namespace, key); at 192 bits nobody finds two keys of one name
 *   value   KIND 1, EXPIRES 8, STORED 8 (big-endian microseconds), the app's
 */
#include "service/memcache/memcache_int.h"

#include "base/buf.h"

#include <sodium.h>

enum {
    TAG_BYTES = 6,
    DIGEST_BYTES = 24,
    KEY_BYTES = 32,
    RELATIVE_MAX = 30 * 86400, /* seconds; memcached's own limit */
};

static void app_key(const struct memcache_app *app, uint64_t generation,
                    unsigned char out[KEY_BYTES])
{
    crypto_generichash_state st;
    uint8_t g[8];

    put_be64(g, generation);
    crypto_generichash_init(&st, NULL, 0, KEY_BYTES);
    crypto_generichash_update(&st, g, sizeof(g));
    crypto_generichash_update(&st, (const unsigned char *)app->id, app->id_n);
    crypto_generichash_final(&st, out, KEY_BYTES);
}

/* Base64 without padding; `n` is a multiple of 3. */
static void encode(char *out, const unsigned char *in, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789-_";

    for (; n >= 3; n -= 3, in += 3, out += 4) {
        uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

        for (int i = 3; i >= 0; i--, v >>= 6)
            out[i] = digits[v & 63];
    }
}

void memcache_name_tag(const struct memcache_app *app, uint64_t generation,
                       char tag[MEMCACHE_TAG])
{
    unsigned char k[KEY_BYTES];

    app_key(app, generation, k);
    encode(tag, k, TAG_BYTES);
}

struct memcache_name memcache_name_item(const struct memcache_app *app,
                                        uint64_t generation, struct bytes ns,
                                        struct bytes key)
{
    unsigned char k[KEY_BYTES], digest[DIGEST_BYTES];
    crypto_generichash_state st;
    struct memcache_name name;
    uint8_t ns_n[8];

    app_key(app, generation, k);
    put_be64(ns_n, ns.n);
    crypto_generichash_init(&st, k, sizeof(k), sizeof(digest));
    crypto_generichash_update(&st, ns_n, sizeof(ns_n));
    crypto_generichash_update(&st, ns.p, ns.n);
    crypto_generichash_update(&st, key.p, key.n);
    crypto_generichash_final(&st, digest, sizeof(digest));
    encode(name.text, k, TAG_BYTES);
    encode(name.text + MEMCACHE_TAG, digest, sizeof(digest));
    return name;
}

/* A fixed generation no app ever has: theirs are never 0. */
struct memcache_name memcache_name_generation(const struct memcache_app *app)
{
    return memcache_name_item(app, 0, BYTES_NONE, BYTES_LIT("generation"));
}

struct bytes memcache_item_pack(struct arena *a,
                                const struct memcache_item *item)
{
    struct buf b = BUF_IN(a);

    buf_reserve(&b, MEMCACHE_HEADER + item->value.n);
    buf_add_u8(&b, (uint8_t)item->kind);
    buf_add_be64(&b, (uint64_t)item->expires);
    buf_add_be64(&b, (uint64_t)item->stored);
    buf_add(&b, item->value);
    return buf_view(&b);
}

bool memcache_item_unpack(struct bytes in, struct memcache_item *item)
{
    const uint8_t *p = bytes_u8(in);

    if (in.n < MEMCACHE_HEADER ||
        (p[0] != MEMCACHE_VALUE && p[0] != MEMCACHE_LOCK))
        return false;
    item->kind = p[0];
    item->expires = (int64_t)get_be64(p + 1);
    item->stored = (int64_t)get_be64(p + 9);
    item->value = bytes_from(in, MEMCACHE_HEADER);
    return true;
}

int64_t memcache_expiry(uint32_t seconds)
{
    int64_t at = (int64_t)seconds * CLOCK_SEC;

    if (seconds == 0 || seconds > RELATIVE_MAX)
        return at;
    return clock_wall() + at;
}
