/*
 * regex - whole-value matches with PCRE2.
 *
 * Patterns are our tables' and the files' own.  A pattern is compiled for each
 * use: a configuration file has a hundred of them at most.  Matching is bounded
 * (PCRE2's match limit, lowered), so that a pattern from a file cannot hang
 * the caller; what runs into the bound does not match.  Any thread.
 */
#ifndef CONFIG_REGEX_H
#define CONFIG_REGEX_H

#include "base/arena.h"

struct config_regex;

/*
 * Compile for matching whole values.  On failure NULL, with the reason in
 * `why` (at most `size` bytes).  Free with config_regex_free().
 */
struct config_regex *config_regex_new(const char *pattern, char *why,
                                      size_t size);

/* NULL is allowed. */
void config_regex_free(struct config_regex *re);

/*
 * The pattern with its named groups made plain ones, "(?P<id>x)" as "(x)", in
 * the arena: nginx makes a variable of every name, and some are its own or the
 * platform's.  What refers to a group by its name no longer compiles.
 */
const char *config_regex_unnamed(struct arena *a, const char *pattern);

/* Whether all of `value` matches. */
bool config_regex_match(const struct config_regex *re, struct bytes value);

/* Both at once for a pattern known to be good (BUG otherwise). */
bool config_matches(const char *pattern, const char *value);

#endif
