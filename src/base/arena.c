/* arena - blocks in a list, the newest first; allocation moves a pointer. */
#include "base/arena.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

/*
 * Blocks double up to the maximum, so that a small request takes one block and
 * a large one few.  With AddressSanitizer every allocation is a block of its
 * own, which lets it see an overrun by one byte and a use after reset.
 */
enum {
    BLOCK_MIN = 16 * 1024,
    BLOCK_MAX = 1024 * 1024,
    ALIGN = 16,
};

struct arena_block {
    struct arena_block *next;
    size_t size; /* bytes after the header */
};

struct arena_hook {
    struct arena_hook *next;
    void (*fn)(void *obj);
    void *obj;
};

static uint8_t *block_start(struct arena_block *b)
{
    return (uint8_t *)b + ((sizeof(*b) + ALIGN - 1) & ~(size_t)(ALIGN - 1));
}

static void block_add(struct arena *a, size_t n)
{
    size_t head =
        (sizeof(struct arena_block) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t size = BLOCK_MIN - head;
    struct arena_block *b;

    if (a->first) {
        size = a->first->size * 2;
        if (size > BLOCK_MAX)
            size = BLOCK_MAX;
    }
    if (size < n)
        size = n;
#ifdef ARENA_ASAN
    size = n;
#endif
    b = malloc(head + size);
    if (!b)
        die("out of memory allocating %zu bytes for a request", size);
    b->size = size;
    b->next = a->first;
    a->first = b;
    a->at = block_start(b);
    a->end = a->at + size;
}

static void run_hooks(struct arena *a)
{
    while (a->hooks) {
        struct arena_hook *h = a->hooks;

        a->hooks = h->next;
        h->fn(h->obj);
    }
}

static void free_blocks(struct arena *a, bool keep_oldest)
{
    while (a->first) {
        struct arena_block *b = a->first;

        if (keep_oldest && !b->next)
            break;
        a->first = b->next;
        free(b);
    }
}

void arena_reset(struct arena *a)
{
    run_hooks(a);
#ifdef ARENA_ASAN
    free_blocks(a, false);
#else
    free_blocks(a, true);
    /* A huge oldest block (a 50 MiB body) is not worth keeping. */
    if (a->first && a->first->size > BLOCK_MAX)
        free_blocks(a, false);
#endif
    a->at = a->first ? block_start(a->first) : NULL;
    a->end = a->first ? a->at + a->first->size : NULL;
}

void arena_release(struct arena *a)
{
    run_hooks(a);
    free_blocks(a, false);
    a->at = a->end = NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t want = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    uint8_t *p;

    if (want < n)
        die("an allocation of %zu bytes cannot be meant", n);
#ifdef ARENA_ASAN
    block_add(a, n);
    p = a->at;
    a->at = a->end;
    return p;
#endif
    if ((size_t)(a->end - a->at) < want)
        block_add(a, want);
    p = a->at;
    a->at += want;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

void *arena_array(struct arena *a, size_t size, size_t n)
{
    size_t all;

    if (__builtin_mul_overflow(size, n, &all))
        die("an array of %zu items cannot be meant", n);
    return arena_zalloc(a, all);
}

struct bytes arena_dup(struct arena *a, struct bytes b)
{
    if (b.n == 0)
        return BYTES_NONE;
    return BYTES(memcpy(arena_alloc(a, b.n), b.p, b.n), b.n);
}

char *arena_cstr(struct arena *a, struct bytes b)
{
    char *s = arena_alloc(a, b.n + 1);

    if (b.n)
        memcpy(s, b.p, b.n);
    s[b.n] = '\0';
    return s;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_cstr(a, bytes_str(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    char *s;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        BUG("bad format: %s", fmt);
    s = arena_alloc(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void *arena_grow(struct arena *a, void *p, size_t old, size_t n)
{
    size_t had = (old + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t want = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    void *q;

#ifndef ARENA_ASAN
    if (p && (uint8_t *)p + had == a->at &&
        (size_t)(a->end - (uint8_t *)p) >= want) {
        a->at = (uint8_t *)p + want;
        return p;
    }
#else
    (void)had;
    (void)want;
#endif
    q = arena_alloc(a, n);
    if (old)
        memcpy(q, p, old < n ? old : n);
    return q;
}

void arena_on_reset(struct arena *a, void (*fn)(void *obj), void *obj)
{
    struct arena_hook *h = arena_alloc(a, sizeof(*h));

    h->fn = fn;
    h->obj = obj;
    h->next = a->hooks;
    a->hooks = h;
}
