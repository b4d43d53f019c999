/*
 * errinj - named faults, switched on by tests.
 *
 *     if (errinj("storage.commit.no_space"))
 *         return ctx_err(ctx, ERR_NO_SPACE, ...);
 *
 * A fault fires `count` times after letting `skip` hits pass.  A process under
 * test gets its faults from the environment:
 *
 *     APPSCALE_ERRINJ="storage.commit.no_space=1,rocksdb.commit.crash=1@20"
 *
 * means: fail once; crash on the 21st hit.  errinj_crash() ends the process as
 * kill -9 would.  With no fault set the cost is one relaxed load.  Any thread.
 */
#ifndef BASE_ERRINJ_H
#define BASE_ERRINJ_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Count a hit of the fault and say whether it fires; errinj() is the cheap way
 * in.
 */
bool errinj_hit(const char *name);

/*
 * Set a fault, or set it anew.  Names are shorter than 64 bytes and at most 32
 * are set; more ends the process.
 */
void errinj_set(const char *name, int64_t count, int64_t skip);

/* Forget all faults; tests call it between cases. */
void errinj_clear(void);

/* Read APPSCALE_ERRINJ; a bad one ends the process with the reason. */
void errinj_from_env(void);

extern bool errinj_any; /* relaxed */

static inline bool errinj(const char *name)
{
    return __builtin_expect(__atomic_load_n(&errinj_any, __ATOMIC_RELAXED),
                            0) &&
           errinj_hit(name);
}

/* kill -9 of this process if the fault `name` fires. */
void errinj_crash(const char *name);

#endif
