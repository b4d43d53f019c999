/*
 * wire_int - what the generated wire_tables.c gives to wire.c.
 */
#ifndef WIRE_WIRE_INT_H
#define WIRE_WIRE_INT_H

#include "wire_tables.h"

#include <stddef.h>

struct wire_field_row {
    enum wire_type type;
    int number;
};

extern const char *const wire_type_names[WIRE_N_TYPES];
extern const struct wire_field_row wire_field_rows[WF_N_FIELDS];
extern const unsigned char wire_descriptors[]; /* a FileDescriptorSet */
extern const size_t wire_descriptors_size;

#endif
