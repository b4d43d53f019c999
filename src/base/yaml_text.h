/*
 * yaml_text - write a string so that every YAML reader reads that string.
 *
 * A property called `y`, `no`, `1e3` or `null` becomes a boolean, a number or
 * nothing when it is written plainly; such names are put in quotes, and what
 * YAML does not allow in a file at all is escaped.
 */
#ifndef BASE_YAML_TEXT_H
#define BASE_YAML_TEXT_H

#include "base/buf.h"

/* Append the UTF-8 text `s` as one scalar, plain where that is safe. */
void yaml_put_scalar(struct buf *b, struct bytes s);

/* Append it in double quotes. */
void yaml_put_quoted(struct buf *b, struct bytes s);

#endif
