/*
 * entity - an EntityProto as bytes, walked without decoding it.
 *
 * Entities are stored as the SDK sent them, so that unknown fields, meanings
 * and the order of properties survive.  The walk gives every property as views
 * into those bytes.
 *
 * The row of an entity is a header and those bytes; entity_row_read() splits
 * it.  Thread rule: pure functions.
 */
#ifndef ENGINE_ENTITY_H
#define ENGINE_ENTITY_H

#include "engine/key.h"
#include "wire/pb.h"

/* entity.Property.Meaning, as far as the engine looks. */
enum entity_meaning {
    MEANING_ATOM_LINK = 2,
    MEANING_BLOB = 14,
    MEANING_TEXT = 15,
    MEANING_BYTESTRING = 16,
    MEANING_INDEX_VALUE = 18,
    MEANING_ENTITY_PROTO = 19,
    MEANING_EMPTY_LIST = 24,
};

struct entity_prop {
    struct bytes name;
    struct bytes value; /* the contents of the PropertyValue */
    int meaning;
    bool multiple;
    bool indexed;       /* from `property`, not from `raw_property` */
    struct bytes whole; /* the contents of the Property */
};

struct entity_walk {
    struct pb_reader r;
    bool bad;
};

#define ENTITY_WALK(b_)                                                        \
    {                                                                          \
        .r = PB_READER(b_)                                                     \
    }

/* Step to the next property, in the entity's order, indexed or not.  False at
 * the end, and when the bytes are bad. */
bool entity_next(struct entity_walk *w, struct entity_prop *p);

/* Read the contents of one Property message.  False when malformed or when a
 * required field is missing.  `indexed` is left alone. */
bool entity_prop_read(struct bytes in, struct entity_prop *p);

/* The Reference of an entity; false when it has none. */
bool entity_key(struct bytes entity, struct bytes *reference);

/* ---- what of it is indexed ---- */

/* Entities inside entities, as deep as the documented limit on nesting. */
enum { ENTITY_NESTING_MAX = 20 };

/*
 * The walk over the values that indexes know: `property` but its empty lists.
 * An embedded entity there (Java's setIndexedProperty) has no value itself;
 * the values inside it count under the names of the way to them, "outer.inner",
 * its key as "outer.__key__".  So does Google's storage.
 */
struct entity_indexed {
    struct entity_walk walk;       /* over the entity it is in */
    struct bytes prefix;           /* of the names there: "outer." */
    struct bytes reference;        /* that entity's key */
    bool at_key;                   /* which is next */
    struct entity_indexed *around; /* where to go on behind it, or NULL */
    int depth;
    struct arena *arena;
    bool bad;
};

#define ENTITY_INDEXED(arena_, entity_)                                        \
    {                                                                          \
        .walk = ENTITY_WALK(entity_), .arena = (arena_)                        \
    }

/*
 * Step to the next value.  Inside embedded entities names and values live in
 * the walk's arena.  False at the end, and when the bytes are bad or nested too
 * deep.
 */
bool entity_indexed_next(struct entity_indexed *w, struct entity_prop *p);

/* ---- the row of KEY_ENTITIES ---- */

enum { ENTITY_ROW_FORMAT = 1, ENTITY_ROW_HEADER = 9 };

struct entity_row {
    int64_t version;
    struct bytes entity; /* the EntityProto */
};

/* False when the row is none of ours. */
bool entity_row_read(struct bytes row, struct entity_row *out);

/* Append the row of `entity`. */
void entity_row_write(struct buf *b, int64_t version, struct bytes entity);

/* ---- what a Put does to an entity before it is stored ---- */

/*
 * Append `entity` with the Reference and the entity_group of `key` (complete)
 * and every user value fixed (value_fix_user); the rest as it was.
 */
void entity_rewrite(struct buf *out, struct arena *a, struct bytes entity,
                    const struct key *key);

#endif
