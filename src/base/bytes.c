#include "base/bytes.h"

#include "base/log.h"

#include <sys/random.h>

/*
 * Keys of the process's own, so that nobody outside can choose bytes that all
 * fall into one bucket.
 */
static uint64_t k0, k1;

__attribute__((constructor)) static void draw_keys(void)
{
    uint64_t k[2];

    if (getrandom(k, sizeof(k), 0) != sizeof(k))
        die("the system gives no random bytes");
    k0 = k[0];
    k1 = k[1];
}

/*
 * The multiply-fold of wyhash: two 64-bit words in, one well-mixed word out.
 */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

uint64_t bytes_hash(struct bytes b)
{
    const uint8_t *p = b.p;
    size_t n = b.n;
    uint64_t h = k0;

    for (; n > 16; n -= 16, p += 16)
        h = fold(load(p, 8) ^ k1, load(p + 8, 8) ^ h);
    if (n > 8)
        h = fold(load(p, 8) ^ k1, load(p + 8, n - 8) ^ h);
    else if (n > 0)
        h ^= load(p, n);
    /* The length goes in apart from the bytes, or "\1" would be "". */
    return fold(h ^ k1, k0 ^ b.n);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool bytes_ieq(struct bytes a, struct bytes b)
{
    const uint8_t *x = a.p, *y = b.p;

    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(x[i]) != lower(y[i]))
            return false;
    }
    return true;
}
