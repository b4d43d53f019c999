/*
 * arena - memory that is given back all at once.
 *
 * A request owns one arena; whatever it allocates lives until arena_reset(),
 * which keeps the first block for the next request.  There is no free().  What
 * is not memory (a socket, a lock, a foreign handle) is tied to the arena with
 * arena_on_reset().  Thread rule: an arena belongs to one thread at a time.
 *
 * An allocation never returns NULL: running out of memory ends the process in
 * arena.c, the one place that knows.  The server bounds what a request may ask
 * for long before (http body limit, rows in a page, keys in a call).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

#include <stdarg.h>

struct arena_block;
struct arena_hook;

struct arena {
    uint8_t *at;               /* next free byte of the newest block */
    uint8_t *end;              /* first byte after it */
    struct arena_block *first; /* newest block; the oldest is kept by reset */
    struct arena_hook *hooks;  /* newest first */
};

#define ARENA_INIT                                                             \
    {                                                                          \
        0                                                                      \
    }

/* Release everything and run the hooks; the arena can be used again. */
void arena_reset(struct arena *a);

/* As arena_reset(), and the last block goes too.  Accepts a zeroed arena. */
void arena_release(struct arena *a);

/* `n` bytes aligned for any type, contents undefined. */
void *arena_alloc(struct arena *a, size_t n);

/* As arena_alloc(), all zero. */
void *arena_zalloc(struct arena *a, size_t n);

/* One zeroed object, or an array of them. */
#define ARENA_NEW(a_, type_) ((type_ *)arena_zalloc((a_), sizeof(type_)))
#define ARENA_ARRAY(a_, type_, n_)                                             \
    ((type_ *)arena_array((a_), sizeof(type_), (n_)))

/* A zeroed array; `size * n` is checked for overflow. */
void *arena_array(struct arena *a, size_t size, size_t n);

/* A copy of the bytes that lives as long as the arena. */
struct bytes arena_dup(struct arena *a, struct bytes b);

/* A copy of the string that lives as long as the arena. */
char *arena_strdup(struct arena *a, const char *s);

/* The view as a C string: a copy with a NUL behind it. */
char *arena_cstr(struct arena *a, struct bytes b);

/* A formatted C string. */
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As arena_printf(); `ap` is used up. */
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

/*
 * Make an allocation larger: in place when it was the last one, else as a
 * copy.  `p` may be NULL with `old` 0.  The old memory is not given back.
 */
void *arena_grow(struct arena *a, void *p, size_t old, size_t n);

/* Call fn(obj) at the next reset, the latest registered first. */
void arena_on_reset(struct arena *a, void (*fn)(void *obj), void *obj);

#endif
