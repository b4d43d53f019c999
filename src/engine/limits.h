/*
 * limits - bounds of the engine that a test or an operator may want otherwise,
 * as rows of one table: name, value, unit, source.
 *
 * What the arrays of a struct are made for, and what is written into the
 * format of the store, is an enum beside its struct instead.  A process under
 * test gets its values from the environment, as it gets its faults:
 *
 *     APPSCALE_LIMITS="txn.idle_ms=200,txn.entities=10"
 *
 * Thread rule: any thread; a change counts for what looks at it afterwards.
 */
#ifndef ENGINE_LIMITS_H
#define ENGINE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* LIMIT(constant, name, value, source) */
#define LIMITS_TABLE(LIMIT)                                                    \
    /* milliseconds between two calls on a transaction */                      \
    LIMIT(TXN_IDLE_MS, "txn.idle_ms", 30 * 1000, "Google: idle 30 s")          \
    /* milliseconds of a transaction in all */                                 \
    LIMIT(TXN_LIFE_MS, "txn.life_ms", 60 * 1000, "Google: 60 s in all")        \
    /* transactions open at once */                                            \
    LIMIT(TXN_OPEN, "txn.open", 10000, "ours")                                 \
    /* entities that a commit changes */                                       \
    LIMIT(TXN_ENTITIES, "txn.entities", 500, "Google: 500 of a commit")        \
    /* bytes of the mutations of a transaction */                              \
    LIMIT(TXN_BYTES, "txn.bytes", 10 * 1024 * 1024, "Google: 10 MiB")          \
    /* milliseconds an open query waits for Next */                            \
    LIMIT(QUERY_IDLE_MS, "query.idle_ms", 600 * 1000, "ours")                  \
    /* milliseconds an open query sees the moment it began at */               \
    LIMIT(QUERY_VIEW_MS, "query.view_ms", 60 * 1000, "ours")                   \
    /* queries that do so at once */                                           \
    LIMIT(QUERY_VIEWS, "query.views", 1000, "ours")

#define LIMIT_ENUM(constant_, name_, value_, source_) LIMIT_##constant_,
enum limit { LIMITS_TABLE(LIMIT_ENUM) LIMIT_N };
#undef LIMIT_ENUM

/* The value that counts now. */
int64_t limit_of(enum limit limit);

/* Set the row of that name; false when there is none. */
bool limit_set(const char *name, int64_t value);

/* Every row as the table has it; tests call it between cases. */
void limits_reset(void);

/* Read APPSCALE_LIMITS; a bad one ends the process with the reason. */
void limits_from_env(void);

#endif
