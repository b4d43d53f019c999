/*
 * verify_int - what the files of the verification share.
 */
#ifndef ENGINE_VERIFY_INT_H
#define ENGINE_VERIFY_INT_H

#include "engine/job_int.h"

/* One run over an app. */
struct verify {
    struct job *job;
    struct engine *engine;
    struct engine_app *app;
    struct verify_report *report; /* the job's */
    bool repair;
    bool definitions_bad; /* index rows cannot be judged */
    int64_t top_ids[2]; /* the highest counter in use: sequential, scattered */

    /* the namespace being walked */
    struct bytes space;
    struct bytes entities, groups; /* partitions */
    bool space_bad;                /* its row has been noted */
    struct buf group_bad;          /* root path of the group noted last */
};

/* How often something that keeps changing is looked at before it is passed
 * over. */
enum { VERIFY_LOOKS = 200 };

/*
 * Note a fault.  `where` is kept when it is among the first; `mended` says that
 * a repair has been committed.
 */
void verify_note(struct verify *v, enum verify_fault fault, bool mended,
                 const char *where);

/*
 * Commit a repair and note the fault; without --repair only note it.  The batch
 * holds the conditions that make it a fault.  ERR_CONFLICT: it may be none any
 * more, look again.
 */
int verify_mend(struct ctx *ctx, struct verify *v, struct storage_batch *b,
                enum verify_fault fault, const char *where);

/* ---- words (verify_report.c) ---- */

/* "Book:'a'/Greeting:5"; a path that does not decode in hexadecimal. */
const char *verify_path_text(struct arena *a, struct bytes path);

/* Bytes as text where they are, the rest as \xNN; cut after 200. */
const char *verify_bytes_text(struct arena *a, struct bytes v);

/* "TABLE, namespace \"x\": WHAT" */
const char *verify_where(struct arena *a, const struct verify *v,
                         const char *table, const char *what);

/* ---- the parts ---- */

/* The row of an entity: decoded, of its key, with its index rows, its group's
 * version and its namespace's row.  Each row in an arena of its own. */
int verify_entity(struct ctx *ctx, struct verify *v,
                  const struct storage_row *row);

/* A row of the kinds: it leads to an entity, which gives it.  One that does not
 * is a fault, and deleted when repairing. */
int verify_kind_row(struct ctx *ctx, struct verify *v,
                    const struct storage_row *row);

/* The same of a row of the properties. */
int verify_property_row(struct ctx *ctx, struct verify *v,
                        const struct storage_row *row);

/* The same of a row of the composites, whose index must be defined, too; of one
 * that is not READ_WRITE no row is judged. */
int verify_composite_row(struct ctx *ctx, struct verify *v,
                         const struct storage_row *row);

/*
 * Parse the entity of a row stored under `path`: its key must be that path in
 * this namespace of this app.  ERR_CORRUPT, without a story, when it is not.
 */
int verify_parse(struct ctx *ctx, const struct verify *v, struct bytes path,
                 struct bytes row, struct key *key, struct entity_row *out);

/* Whether every element of a path reads. */
bool verify_path_ok(struct arena *a, struct bytes path);

#endif
