/*
 * utf8 - is it text?
 *
 * Keys, names and JSON are UTF-8 alone, and what clients and programs send is
 * any bytes.  Well-formed is what Unicode's table 3-7 says: no overlong forms,
 * no surrogates, nothing above U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/arena.h"

/* Whether all of `b` is well-formed; an empty view is. */
bool utf8_valid(struct bytes b);

/* `b` with U+FFFD for every byte that is not part of a well-formed sequence;
 * `b` itself when it is well-formed, else in the arena. */
struct bytes utf8_repair(struct arena *a, struct bytes b);

#endif
