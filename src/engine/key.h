/*
 * key - where an entity lives: the partition and the row of its key.
 *
 * An SDK names an entity by a Reference message: app, namespace and a path of
 * (kind, id or name).  key_parse() turns its bytes into a struct key whose
 * `path` is the row of the entity, in an encoding with three properties that
 * everything above relies on:
 *
 *   - memcmp() order of two paths is the datastore's key order: element by
 *     element, kinds by bytes, ids (signed) before names, names by bytes;
 *   - the path of an ancestor is a byte prefix of its descendants' paths, and
 *     of nothing else;
 *   - a path decodes back to its elements, so index rows need not repeat them.
 *
 * A partition is  app 00 namespace 00 table  (app ids and namespaces hold no
 * NUL), the app without its "s~" or "dev~": those name the same project.
 * docs/storage-format.md has the bytes.
 *
 * Ownership: a struct key points into the bytes it was parsed from and into
 * ctx->arena.  Thread rule: pure functions.
 */
#ifndef ENGINE_KEY_H
#define ENGINE_KEY_H

#include "base/buf.h"
#include "base/ctx.h"
#include "storage/storage.h"

/* Limits of the public documentation of Datastore ("Limits"). */
enum {
    KEY_DEPTH_MAX = 100,      /* elements of a path */
    KEY_NAME_MAX = 1500,      /* bytes of a kind or a name */
    KEY_BYTES_MAX = 6 * 1024, /* bytes of the whole Reference */
    KEY_SPACE_MAX = 100,      /* bytes of a namespace */
};

/* The tables of a namespace, the last byte of a partition. */
enum key_table {
    KEY_ENTITIES = 'e',   /* path -> header, EntityProto */
    KEY_KINDS = 'k',      /* kind, path -> nothing */
    KEY_PROPERTIES = 'p', /* kind, property, value, path -> flags */
    KEY_COMPOSITES = 'c', /* index id, [ancestor], values, path -> flags */
    KEY_GROUPS = 'g',     /* root path -> version */
    KEY_SPACES = 'n',     /* of the empty namespace: namespace -> nothing */
    KEY_DAMAGED = 'x',    /* table, row -> what a repair took out of it */
    KEY_META = 'm',       /* of the empty namespace: ids, index definitions */
};

struct key {
    struct bytes app;   /* as written, "s~shop"; synthesized keys repeat it */
    struct bytes space; /* the namespace, or empty */
    struct bytes path;  /* encoded; see key_complete() for an incomplete one */
    struct bytes kind;  /* of the last element, plain bytes */
    size_t root_n;      /* bytes of `path` that are the first element */
    size_t last_n;      /* bytes of `path` before the last element */
    int depth;          /* elements */
    bool complete;      /* the last element has an id or a name */
    struct bytes whole; /* the Reference as sent; p NULL when there is none */
};

/* The project of an app id: "shop" of "shop", "s~shop" and "dev~shop". */
struct bytes key_project(struct bytes app);

/*
 * Parse a Reference message.  Checks what may be in a key: the app is
 * ctx->app (any app when ctx->app is empty), the namespace's alphabet, no
 * empty kind or name, UTF-8, the limits above, and that only the last element
 * may lack its id or name.  ERR_INVALID with the datastore's sentence,
 * ERR_MALFORMED when it is no Reference.
 */
int key_parse(struct ctx *ctx, struct bytes reference, struct key *key);

/* As key_parse(), of the contents of a PropertyValue.ReferenceValue group
 * (whose fields have other numbers).  Any app. */
int key_parse_value(struct ctx *ctx, struct bytes refvalue, struct key *key);

/* "missing key id/name" unless the key is complete. */
int key_need_complete(struct ctx *ctx, const struct key *key);

/* Give an incomplete key its id; `path` moves to the arena, `whole` goes. */
void key_complete(struct arena *a, struct key *key, int64_t id);

/* The first element's path: the entity group. */
static inline struct bytes key_root(const struct key *key)
{
    return BYTES(key->path.p, key->root_n);
}

/*
 * Whether the key is of a namespace that transactions leave alone: its name
 * begins with "notrans_", as AppScale has always had it.  A put there keeps no
 * group version, and nothing done there conflicts with a transaction.
 */
bool key_untracked(const struct key *key);

/* Same project and namespace, so that rows share partitions. */
bool key_same_space(const struct key *a, const struct key *b);

/* ---- partitions and rows ---- */

struct bytes key_partition(struct arena *a, struct bytes app,
                           struct bytes space, enum key_table table);

/* The same partition's bytes with another table, made from `partition`. */
struct bytes key_partition_of(struct arena *a, struct bytes partition,
                              enum key_table table);

/* Append `v` escaped and terminated: 00 -> 01 01, 01 -> 01 02, end 00.  Keeps
 * order, and no encoding is a prefix of another. */
void key_put_escaped(struct buf *b, struct bytes v);

/*
 * Take one escaped field off the front of *in.  *out points into *in when
 * nothing was escaped, else into the arena.  False when malformed.
 */
bool key_take_escaped(struct arena *a, struct bytes *in, struct bytes *out);

/* The row prefix of a kind in KEY_KINDS (and of KEY_PROPERTIES): the kind,
 * escaped.  A path behind it is the row of one entity. */
struct bytes key_kind_prefix(struct arena *a, struct bytes kind);

/* ---- paths back to messages ---- */

struct key_elem {
    struct bytes kind;
    bool named;
    bool complete; /* false: neither id nor name (only in reference values) */
    int64_t id;
    struct bytes name;
};

/* Take the first element off *path.  False at the end or when malformed: then
 * path->n is not 0. */
bool key_path_next(struct arena *a, struct bytes *path, struct key_elem *out);

/* Bytes of the first element of an encoded path; 0 when malformed. */
size_t key_path_first(struct bytes path);

/* Append the contents of a Path message. */
void key_write_path(struct buf *b, struct bytes path);

/*
 * Append the contents of a Reference message: fields in the order of their
 * numbers as SDKs write them, an empty namespace left out.
 */
void key_write_reference(struct buf *b, struct bytes app, struct bytes space,
                         struct bytes path);
/* Append the key as the Reference field `field`: as sent where it was. */
void key_put_field(struct buf *b, uint32_t field, const struct key *key);

/*
 * Append the contents of a PropertyValue.ReferenceValue group; an empty
 * namespace is left out.
 */
void key_write_value(struct buf *b, struct bytes app, struct bytes space,
                     struct bytes path);

/*
 * Append a Reference, unchecked, as the contents of a
 * PropertyValue.ReferenceValue group; nothing when it has no path.  False
 * when the path is malformed.
 */
bool key_put_value(struct buf *b, struct bytes reference);

/* Append one path element, as key_parse() makes it; for synthesized keys
 * (metadata kinds, tests).  Name when `name.p` is not NULL, else id. */
void key_path_add(struct buf *b, struct bytes kind, int64_t id,
                  struct bytes name);

/* `__name__`: kept for the datastore itself. */
bool key_reserved(struct bytes name);

#endif
