/*
 * text - JSON strings of what clients and programs say.
 *
 * jansson makes no string of bytes that are not UTF-8, and one member that
 * cannot be made leaves no document.  A name in a request, a line of a log, a
 * message that was cut: all of these may be any bytes.
 */
#ifndef CONTROL_TEXT_H
#define CONTROL_TEXT_H

#include "base/bytes.h"

#include <jansson.h>

/* `s` as a JSON string, repaired where it is not UTF-8; never NULL. */
json_t *text_json(const char *s);

/* As above of any bytes; a NUL, of which many readers' strings end, is
 * replaced, too. */
json_t *text_json_bytes(struct bytes s);

#endif
