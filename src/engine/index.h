/*
 * index - composite index definitions, and the rows an entity has.
 *
 * Every entity has, beside its own row: one row in KEY_KINDS; one row in
 * KEY_PROPERTIES for each distinct value of each indexed property; and, for
 * each composite index of its kind, one row in KEY_COMPOSITES for each
 * combination of distinct values of the index's properties (and, of an
 * ancestor index, for each ancestor and the entity itself).  A query is a
 * scan over such rows (docs/storage-format.md); the rows change in the commit
 * that changes the entity, so a scan never disagrees with a get.
 *
 * Definitions belong to an app.  They are read once and kept as an immutable,
 * refcounted set; a change makes a new set.  A new index starts WRITE_ONLY: it
 * is maintained by every write but not yet used.  Once no write runs with an
 * older set any more, a walk over the kind adds the missing rows, and the index
 * becomes READ_WRITE.  A walk that a crash cut short starts again at the next
 * start.
 *
 * Thread rule: sets are immutable and may be used by any thread until unref.
 */
#ifndef ENGINE_INDEX_H
#define ENGINE_INDEX_H

#include "engine/key.h"

struct engine;

/* entity.CompositeIndex.State */
enum index_state {
    INDEX_WRITE_ONLY = 1,
    INDEX_READ_WRITE = 2,
    INDEX_DELETED = 3,
    INDEX_ERROR = 4,
};

/* Sources: "Datastore limits" of the public documentation. */
enum {
    INDEX_ROWS_MAX = 20000, /* indexed values and composite rows of an entity */
    INDEX_COMPOSITE_BYTES = 2 * 1024 * 1024, /* its composite rows together */
    INDEX_DEFS_MAX = 200,                    /* composite indexes of an app */
};

/* The column `__key__` holds the entity's key as a reference value. */
struct index_column {
    struct bytes name;
    bool desc;
};

struct index_def {
    int64_t id;
    struct bytes kind;
    bool ancestor;
    enum index_state state;
    struct index_column *columns;
    size_t n;
};

/* All definitions of one app, sorted by kind, then id. */
struct index_set {
    struct index_def *defs;
    size_t n;
    uint64_t serial; /* another one after every change; never 0 */
};

/* ---- definitions ---- */

/* The app's current set; give it back with index_set_unref().  Reads the store
 * when the app is new here.  Errors as storage_scan().  Hold none while calling
 * index_create() or index_delete(): they wait for the older sets to go. */
int index_set_ref(struct ctx *ctx, struct engine *e, struct bytes app,
                  const struct index_set **out);

/*
 * Give a set back, on any thread; the last one to let go of an old set frees it
 * and wakes who waits for that.
 */
void index_set_unref(const struct index_set *set);

/* The definitions of `kind`: a part of set->defs, *n of them. */
const struct index_def *index_set_kind(const struct index_set *set,
                                       struct bytes kind, size_t *n);

/*
 * Add `def` (its id and state are not looked at) unless one of the same
 * shape exists; *id is the index's in both cases, and ERR_EXISTS says that it
 * was there (one whose build had failed is built again, which is no error).
 * With `wait` the rows are built before the call returns (the emulator's
 * automatic indexes), else by the engine's own thread.  ERR_INVALID for a shape
 * that can be none.
 */
int index_create(struct ctx *ctx, struct engine *e, struct bytes app,
                 const struct index_def *def, bool wait, int64_t *id);

/* Stop using index `id`; the engine's thread takes its rows away.
 * ERR_NOT_FOUND. */
int index_delete(struct ctx *ctx, struct engine *e, struct bytes app,
                 int64_t id);

/* Same kind, ancestor flag and columns. */
bool index_def_same(const struct index_def *a, const struct index_def *b);

/* A copy with its columns and all names in the arena. */
struct index_def index_def_copy(struct arena *a, const struct index_def *def);

/* Append a definition as the contents of an entity.CompositeIndex of `app`. */
void index_def_message(struct buf *out, struct bytes app,
                       const struct index_def *def);

/* Append it as the contents of an entity.Index: the shape alone. */
void index_def_write(struct buf *out, const struct index_def *def);

/*
 * Read the latter into *def, which starts zeroed; columns in the arena, names
 * as views of the input.  False when malformed or without a kind.
 */
bool index_def_parse(struct arena *a, struct bytes definition,
                     struct index_def *def);

/*
 * Parse an index.yaml into *defs and *n, in the arena.  ERR_INVALID with
 * "index.yaml:LINE: reason".
 */
int index_yaml_parse(struct ctx *ctx, struct bytes yaml,
                     struct index_def **defs, size_t *n);

/* As above; *column is how far the entries are indented, 0 of an empty list. */
enum { INDEX_YAML_NO_LIST = -1 }; /* the text has no `indexes:` */
int index_yaml_read(struct ctx *ctx, struct bytes yaml, struct index_def **defs,
                    size_t *n, int *column);

/* ---- rows ---- */

/* The value of a row of KEY_PROPERTIES or KEY_COMPOSITES: empty, or one byte
 * of flags. */
enum {
    /* The entity has more than one distinct value of this property (of one of
     * these): other rows may lead to the same entity. */
    INDEX_ROW_MULTI = 1,
    /* It is no value of the entity's own: its `__scatter__`. */
    INDEX_ROW_HIDDEN = 2,
};

static inline bool index_row_multi(struct bytes value)
{
    return value.n > 0 && (bytes_u8(value)[0] & INDEX_ROW_MULTI);
}

static inline bool index_row_hidden(struct bytes value)
{
    return value.n > 0 && (bytes_u8(value)[0] & INDEX_ROW_HIDDEN);
}

struct index_row {
    struct storage_key key;
    struct bytes value;
};

struct index_rows {
    struct index_row *rows; /* sorted by partition, then row; no doubles */
    size_t n, cap;
    size_t
        free; /* of those, the ones no limit counts: kind and `__scatter__` */
};

/*
 * The hidden property `__scatter__`, which one entity in 128 has, and the same
 * ones always: a string that is a hash of the key, so that a query sorted by
 * it is a sample of the kind.  Jobs that split a kind among workers ask it.
 * False when the entity has none; else *value is the encoded value.
 */
bool index_scatter(struct arena *a, const struct key *key, struct bytes *value);

/*
 * All rows of `entity`, stored under the complete `key`, with the composites
 * of `set`.  ERR_INVALID when they are too many or too large, or when the
 * bytes are malformed.
 */
int index_rows_of(struct ctx *ctx, const struct index_set *set,
                  const struct key *key, struct bytes entity,
                  struct index_rows *out);

/*
 * The same of an entity that is stored: whatever limits it passes with indexes
 * that came later, its rows are found, so that it can be changed and deleted.
 */
int index_rows_stored(struct ctx *ctx, const struct index_set *set,
                      const struct key *key, struct bytes entity,
                      struct index_rows *out);

/*
 * Add to `b` what turns the rows `old` into `new_`; either may be empty.
 * Returns the index writes as Google counts them: two for a property's row.
 */
size_t index_rows_diff(struct storage_batch *b, const struct index_rows *old,
                       const struct index_rows *new_);

/*
 * The prefix of rows of KEY_PROPERTIES, in the arena: kind and property; a
 * value and a path follow.
 */
struct bytes index_property_prefix(struct arena *a, struct bytes kind,
                                   struct bytes property);

/*
 * The prefix of rows of KEY_COMPOSITES, in the arena: the index, and of an
 * ancestor index the ancestor's path (else not looked at); the values and a
 * path follow.
 */
struct bytes index_composite_prefix(struct arena *a,
                                    const struct index_def *def,
                                    struct bytes ancestor);

/*
 * Split what follows the prefix of a property row: one encoded value and the
 * path.  False when malformed.
 */
bool index_property_split(struct bytes rest, struct bytes *value,
                          struct bytes *path);

/* The same for a composite row: values[0..def->n-1], flipped where the column
 * is descending. */
bool index_composite_split(const struct index_def *def, struct bytes rest,
                           struct bytes *values, struct bytes *path);

#endif
