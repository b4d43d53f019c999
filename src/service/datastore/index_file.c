#include "service/datastore/index_file.h"

#include "base/files.h"
#include "base/locks.h"
#include "base/log.h"
#include "config/index_xml.h"
#include "engine/index_yaml_file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Both spellings of the file are an index_yaml_file in memory. */
struct format {
    int (*read)(struct ctx *ctx, const struct index_file *f,
                struct index_yaml_file *out);
    int (*text)(struct ctx *ctx, const struct index_yaml_file *now,
                struct bytes *out);
};

struct index_file {
    struct engine *engine;
    const struct format *format;
    bool require;
    char *project;
    char *paths[2]; /* what is read; the last one is also written */
    int n_paths;

    _Atomic uint64_t seen; /* the stamp of what was taken up last */
    _Atomic bool automatic;

    struct lock lock;
    struct index_yaml_file now; /* in the arena */
    bool unread;                /* what is on disk now could not be read */
    struct arena arena;
};

static const char *written_path(const struct index_file *f)
{
    return f->paths[f->n_paths - 1];
}

/* ---- index.yaml ---- */

static int yaml_read(struct ctx *ctx, const struct index_file *f,
                     struct index_yaml_file *out)
{
    struct bytes text = BYTES_NONE;
    int rc = config_file_read(ctx, f->paths[0], &text);

    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (rc == 0 && !text.p)
        text = BYTES("", 0);
    return index_yaml_file_read(ctx, text, out);
}

static const struct format yaml_format = {yaml_read, index_yaml_file_write};

/* ---- the two XML files ---- */

static int xml_entries(struct ctx *ctx, const char *path, bool generated,
                       bool *automatic, struct index_def **defs, size_t *n)
{
    struct index_xml x;
    int rc = index_xml_load(ctx, path, generated, &x);

    *n = 0;
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = index_yaml_parse(ctx, x.yaml, defs, n);
    if (rc == 0)
        *automatic = x.auto_generate;
    return rc;
}

static int xml_read(struct ctx *ctx, const struct index_file *f,
                    struct index_yaml_file *out)
{
    struct index_def *generated = NULL;
    size_t n = 0;
    bool ignored;
    int rc;

    *out = (struct index_yaml_file){.automatic = true};
    rc = xml_entries(ctx, f->paths[0], false, &out->automatic, &out->manual,
                     &out->n_manual);
    if (rc == 0 && out->automatic)
        rc = xml_entries(ctx, f->paths[1], true, &ignored, &generated, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!index_yaml_file_has(out, &generated[i]))
            index_yaml_file_add(ctx, out, &generated[i]);
    }
    return rc;
}

static void put_attribute(struct buf *b, const char *name, struct bytes value)
{
    const uint8_t *p = bytes_u8(value);

    buf_printf(b, " %s=\"", name);
    for (size_t i = 0; i < value.n; i++) {
        if (p[i] < 0x20 || p[i] == '&' || p[i] == '<' || p[i] == '"')
            buf_printf(b, "&#%d;", p[i]);
        else
            buf_add_u8(b, p[i]);
    }
    buf_add_u8(b, '"');
}

static void put_xml(struct buf *b, const struct index_def *def)
{
    buf_add_str(b, "    <datastore-index");
    put_attribute(b, "kind", def->kind);
    buf_printf(b, " ancestor=\"%s\" source=\"auto\">\n",
               def->ancestor ? "true" : "false");
    for (size_t i = 0; i < def->n; i++) {
        buf_add_str(b, "        <property");
        put_attribute(b, "name", def->columns[i].name);
        buf_printf(b, " direction=\"%s\"/>\n",
                   def->columns[i].desc ? "desc" : "asc");
    }
    buf_add_str(b, "    </datastore-index>\n\n");
}

/* XML has no control characters, and blanks at the ends are trimmed. */
static int xml_check(struct ctx *ctx, const struct index_yaml_file *now,
                     struct bytes text)
{
    struct index_yaml_file again = {0};
    struct index_xml x;
    bool same;
    int rc = index_xml_parse(ctx, "the text made", text, true, &x);

    if (rc == 0)
        rc =
            index_yaml_parse(ctx, x.yaml, &again.generated, &again.n_generated);
    same = rc == 0 && again.n_generated == now->n_generated;
    for (size_t i = 0; same && i < now->n_generated; i++)
        same = index_yaml_file_has(&again, &now->generated[i]);
    if (same)
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "XML cannot say the name of one of its kinds or properties; "
                   "an index.yaml can");
}

static int xml_text(struct ctx *ctx, const struct index_yaml_file *now,
                    struct bytes *out)
{
    struct buf b = BUF_IN(ctx->arena);
    struct index_def *sorted =
        ARENA_ARRAY(ctx->arena, struct index_def, now->n_generated + 1);

    if (now->n_generated) {
        memcpy(sorted, now->generated, now->n_generated * sizeof(*sorted));
        qsort(sorted, now->n_generated, sizeof(*sorted), index_def_order);
    }
    buf_add_str(&b,
                "<!-- Written by `appscale emulator`: the indexes that queries "
                "needed as they ran.\n"
                "     To manage one by hand, move it to "
                "../datastore-indexes.xml. -->\n\n"
                "<datastore-indexes autoGenerate=\"true\">\n\n");
    for (size_t i = 0; i < now->n_generated; i++)
        put_xml(&b, &sorted[i]);
    buf_add_str(&b, "</datastore-indexes>\n");
    *out = buf_view(&b);
    return xml_check(ctx, now, *out);
}

static const struct format xml_format = {xml_read, xml_text};

/* ---- the file on disk ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * UINT64_C(0x9e3779b97f4a7c15) + (h >> 29);
}

/* Changes when one of the files does; never 0. */
static uint64_t stamp(const struct index_file *f)
{
    uint64_t h = 1;

    for (int i = 0; i < f->n_paths; i++) {
        struct stat st;

        if (stat(f->paths[i], &st) < 0) {
            h = mix(h, 1);
            continue;
        }
        h = mix(h, (uint64_t)st.st_ino);
        h = mix(h, (uint64_t)st.st_size);
        h = mix(h, (uint64_t)st.st_mtim.tv_sec);
        h = mix(h, (uint64_t)st.st_mtim.tv_nsec);
    }
    return h | 1;
}

/* On failure nothing changes. */
static int load(struct ctx *ctx, struct index_file *f)
{
    struct arena arena = ARENA_INIT;
    struct index_yaml_file now;
    struct ctx own = *ctx;
    int rc;

    own.arena = &arena;
    own.wire_arena = NULL;
    rc = f->format->read(&own, f, &now);
    f->unread = rc != 0;
    if (rc) {
        ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&own, rc));
        arena_release(&arena);
        return rc;
    }
    arena_release(&f->arena);
    f->arena = arena;
    f->now = now;
    atomic_store(&f->automatic, now.automatic && !f->require);
    return 0;
}

/* A link is followed, so that it stays one; the mode stays too. */
static int save(struct ctx *ctx, struct index_file *f)
{
    const char *path = written_path(f);
    char *real = realpath(path, NULL);
    struct bytes text;
    struct stat st;
    int rc = f->format->text(ctx, &f->now, &text);

    if (f->n_paths > 1) { /* appengine-generated may not be there yet */
        char *dir = arena_strdup(ctx->arena, path);

        *strrchr(dir, '/') = '\0';
        mkdir(dir, 0777);
    }
    if (real)
        path = real;
    if (rc == 0)
        rc = files_replace(ctx, path, text,
                           stat(path, &st) == 0 ? st.st_mode & 0777 : 0666);
    free(real);
    return rc;
}

/* ---- the engine's indexes ---- */

static int create_missing(struct ctx *ctx, struct index_file *f,
                          const struct index_def *defs, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        int64_t id;

        rc = index_create(ctx, f->engine, bytes_str(f->project), &defs[i], true,
                          &id);
        if (rc == ERR_EXISTS)
            rc = 0;
    }
    return rc;
}

static int delete_others(struct ctx *ctx, struct index_file *f)
{
    struct bytes project = bytes_str(f->project);
    const struct index_set *set;
    int64_t *ids;
    size_t n = 0;
    int rc = index_set_ref(ctx, f->engine, project, &set);

    if (rc)
        return rc;
    ids = ARENA_ARRAY(ctx->arena, int64_t, set->n + 1);
    for (size_t i = 0; i < set->n; i++) {
        if (set->defs[i].state != INDEX_DELETED &&
            !index_yaml_file_has(&f->now, &set->defs[i]))
            ids[n++] = set->defs[i].id;
    }
    index_set_unref(set);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = index_delete(ctx, f->engine, project, ids[i]);
        if (rc == ERR_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

static int apply(struct ctx *ctx, struct index_file *f)
{
    int rc = delete_others(ctx, f);

    if (rc == 0)
        rc = create_missing(ctx, f, f->now.manual, f->now.n_manual);
    if (rc == 0)
        rc = create_missing(ctx, f, f->now.generated, f->now.n_generated);
    return rc;
}

/* A bad file is looked at again once it has changed, an answer of the store
 * that may pass with the next query. */
static int take_up(struct ctx *ctx, struct index_file *f)
{
    uint64_t at = stamp(f);
    int rc;

    if (at == atomic_load(&f->seen))
        return 0;
    rc = load(ctx, f);
    if (rc == 0)
        rc = apply(ctx, f);
    if (rc == 0 || rc == ERR_INVALID || rc == ERR_IO || rc == ERR_TOO_LARGE)
        atomic_store(&f->seen, at);
    return rc;
}

/* ---- the module ---- */

static char *path_of(const char *dir, const char *name)
{
    char *path;

    if (asprintf(&path, "%s%s%s", dir, *name ? "/" : "", name) < 0)
        die("out of memory for a path");
    return path;
}

int index_file_open(struct ctx *ctx, const struct index_file_options *o,
                    struct index_file **out)
{
    struct index_file *f = calloc(1, sizeof(*f));
    int rc;

    if (!f)
        die("out of memory for the index file");
    f->engine = o->engine;
    f->project = strndup(o->project.p, o->project.n);
    f->require = o->require;
    f->format = o->war ? &xml_format : &yaml_format;
    if (o->war) {
        f->paths[f->n_paths++] = path_of(o->war, INDEX_XML_MANUAL);
        f->paths[f->n_paths++] = path_of(o->war, INDEX_XML_AUTO);
    } else {
        f->paths[f->n_paths++] = path_of(o->yaml, "");
    }
    lock_init(&f->lock, LOCK_INDEX_FILE);
    rc = take_up(ctx, f);
    if (rc) {
        index_file_close(f);
        return rc;
    }
    *out = f;
    return 0;
}

void index_file_close(struct index_file *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n_paths; i++)
        free(f->paths[i]);
    free(f->project);
    lock_release(&f->lock);
    arena_release(&f->arena);
    free(f);
}

int index_file_refresh(struct ctx *ctx, struct index_file *f)
{
    int rc;

    if (!f || stamp(f) == atomic_load(&f->seen))
        return 0;
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    lock_take(&f->lock);
    rc = take_up(ctx, f);
    lock_drop(&f->lock);
    if (rc)
        log_warn(ctx, "datastore.index_file.not_read", "file", f->paths[0],
                 "why", ctx_err_text(ctx, rc), "next",
                 "what it said before stays in force");
    ctx_err_clear(ctx);
    return 0;
}

bool index_file_automatic(const struct index_file *f)
{
    return atomic_load(&f->automatic);
}

/* The developer may have saved the file meanwhile: his text first.  What we
 * could not read we do not write over. */
static int add_locked(struct ctx *ctx, struct index_file *f,
                      const struct index_def *def)
{
    bool changed = f->unread || stamp(f) != atomic_load(&f->seen);
    int rc = changed ? load(ctx, f) : 0;

    if (rc == 0 && !index_yaml_file_has(&f->now, def) && f->now.automatic) {
        struct ctx own = *ctx;

        own.arena = &f->arena;
        index_yaml_file_add(&own, &f->now, def);
        rc = save(ctx, f);
    }
    if (rc == 0 && changed)
        rc = apply(ctx, f);
    if (rc == 0)
        atomic_store(&f->seen, stamp(f));
    return rc;
}

void index_file_add(struct ctx *ctx, struct index_file *f,
                    const struct index_def *def)
{
    int rc;

    lock_take(&f->lock);
    rc = add_locked(ctx, f, def);
    lock_drop(&f->lock);
    if (rc)
        log_warn(ctx, "datastore.index_file.not_written", "file",
                 written_path(f), "why", ctx_err_text(ctx, rc), "next",
                 "the index serves without its entry");
    ctx_err_clear(ctx);
}
