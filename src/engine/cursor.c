/* cursor - from a CompiledCursor to a position in a plan, and back. */
#include "engine/cursor.h"

#include "engine/value.h"

enum {
    CURSOR_POSTFIX = 1,
    CURSOR_POSITION = 2, /* the old form */
    CURSOR_ABSOLUTE = 3,
    POSTFIX_VALUE = 1,
    POSTFIX_KEY = 2,
    POSTFIX_BEFORE = 3,
    POSTFIX_BEFORE_ASCENDING = 4,
    VALUE_NAME = 1,
    VALUE_VALUE = 2,
    OLD_START_INCLUSIVE = 28,
    OLD_VALUE = 29,
    OLD_VALUE_NAME = 30,
    OLD_VALUE_VALUE = 31,
    OLD_KEY = 32,
    OLD_BEFORE_ASCENDING = 33,
};

static int no_match(struct ctx *ctx, const char *what, struct bytes name)
{
    return ctx_err(ctx, ERR_INVALID, "Cursor does not match query: %s%.*s",
                   what, BYTES_FMT(name));
}

static int malformed(struct ctx *ctx)
{
    return ctx_err(ctx, ERR_INVALID, "the cursor cannot be read");
}

static bool is_key(struct bytes name)
{
    return bytes_eq(name, query_key_name);
}

/* ---- reading ---- */

/* What a cursor says, by the parts of the query it must match. */
struct parts {
    struct bytes *values; /* per column, encoded; p NULL: missing */
    struct bytes key;     /* Reference */
    bool has_key;
    bool before;
    bool has_ascending, ascending;
};

/* The numbers of the two forms. */
struct form {
    uint32_t value, name, pv, key, before, ascending;
    enum pb_kind value_kind;
};

static const struct form postfix_form = {
    POSTFIX_VALUE, VALUE_NAME,     VALUE_VALUE,
    POSTFIX_KEY,   POSTFIX_BEFORE, POSTFIX_BEFORE_ASCENDING,
    PB_BYTES,
};
static const struct form old_form = {
    OLD_VALUE,           OLD_VALUE_NAME,       OLD_VALUE_VALUE, OLD_KEY,
    OLD_START_INCLUSIVE, OLD_BEFORE_ASCENDING, PB_GROUP,
};

/* How many columns a position has: of a grouped query only the group's. */
static size_t n_columns(const struct plan *plan)
{
    return plan->n_group ? plan->n_group : plan->n_columns;
}

/* The column `name` of the position, or n_columns(). */
static size_t find_column(const struct plan *plan, struct bytes name)
{
    size_t i = 0, n = n_columns(plan);

    while (i < n && (!bytes_eq(plan->columns[i].name, name) || is_key(name)))
        i++;
    return i;
}

/*
 * Take one value.  Of several for one name - another datastore's cursors carry
 * all values of a list - the one counts that the row stood at: the first in
 * the order of the query.
 */
static int add_value(struct ctx *ctx, const struct plan *plan,
                     struct bytes name, struct bytes pv, struct parts *parts)
{
    struct buf b = BUF_IN(ctx->arena);
    size_t i = find_column(plan, name);
    struct bytes v;
    int rc;

    if (i == n_columns(plan))
        return no_match(ctx, "extra value ", name);
    rc = value_encode(ctx, &b, pv);
    if (rc != 0)
        return rc;
    if (plan->columns[i].desc)
        value_flip(b.p, b.n);
    v = buf_view(&b);
    if (!parts->values[i].p ||
        (bytes_cmp(v, parts->values[i]) > 0) == plan->backward)
        parts->values[i] = v;
    return 0;
}

static int read_value(struct ctx *ctx, const struct plan *plan,
                      const struct form *form, struct bytes in,
                      struct parts *parts)
{
    struct pb_reader r = PB_READER(in);
    struct bytes name = BYTES_NONE, pv = BYTES_NONE;
    bool has_name = false, has_value = false;

    while (pb_next(&r)) {
        if (r.field == form->name && r.kind == PB_BYTES) {
            name = r.bytes;
            has_name = true;
        } else if (r.field == form->pv && r.kind == PB_BYTES) {
            pv = r.bytes;
            has_value = true;
        }
    }
    if (r.bad || !has_value || !has_name)
        return malformed(ctx);
    return add_value(ctx, plan, name, pv, parts);
}

static int read_position(struct ctx *ctx, const struct plan *plan,
                         const struct form *form, struct bytes in,
                         struct parts *parts)
{
    struct pb_reader r = PB_READER(in);
    int rc = 0;

    parts->before = true; /* the default of both forms */
    while (rc == 0 && pb_next(&r)) {
        if (r.field == form->value && r.kind == form->value_kind) {
            rc = read_value(ctx, plan, form, r.bytes, parts);
        } else if (r.field == form->key && r.kind == PB_BYTES) {
            parts->key = r.bytes;
            parts->has_key = true;
        } else if (r.field == form->before && r.kind == PB_VARINT) {
            parts->before = r.u64 != 0;
        } else if (r.field == form->ascending && r.kind == PB_VARINT) {
            parts->ascending = r.u64 != 0;
            parts->has_ascending = true;
        }
    }
    if (rc == 0 && r.bad)
        rc = malformed(ctx);
    return rc;
}

static int read_key(struct ctx *ctx, const struct parts *parts, struct key *key)
{
    struct bytes app = ctx->app;
    int rc;

    ctx->app = BYTES_NONE; /* only where it sorts counts */
    rc = key_parse(ctx, parts->key, key);
    ctx->app = app;
    return rc != 0 ? rc : key_need_complete(ctx, key);
}

static int check_missing(struct ctx *ctx, const struct plan *plan,
                         const struct parts *parts)
{
    struct buf b = BUF_IN(ctx->arena);

    for (size_t i = 0; i < n_columns(plan); i++) {
        if (!parts->values[i].p && !is_key(plan->columns[i].name))
            buf_printf(&b, "%s'%.*s'", b.n ? ", " : "",
                       BYTES_FMT(plan->columns[i].name));
    }
    if (!parts->has_key && !plan->n_group)
        buf_printf(&b, "%s'__key__'", b.n ? ", " : "");
    if (b.n == 0)
        return 0;
    buf_add_str(&b, "}");
    return no_match(ctx, "missing values for {", buf_view(&b));
}

/* The parts as the rest of a row. */
static int put_together(struct ctx *ctx, const struct plan *plan,
                        const struct parts *parts, struct plan_position *pos)
{
    struct buf columns = BUF_IN(ctx->arena);
    struct key key = {0};
    int rc;

    if (parts->has_key && plan->n_group)
        return no_match(ctx, "extra value ", query_key_name);
    rc = check_missing(ctx, plan, parts);
    if (rc == 0 && parts->has_key)
        rc = read_key(ctx, parts, &key);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n_columns(plan); i++) {
        size_t at = columns.n;

        if (!is_key(plan->columns[i].name)) {
            buf_add(&columns, parts->values[i]);
            continue;
        }
        plan_key_value(plan->query, key.path, &columns);
        if (plan->columns[i].desc)
            value_flip(columns.p + at, columns.n - at);
    }
    *pos = (struct plan_position){
        .set = true,
        .before = parts->has_ascending ? parts->ascending != plan->first_desc
                                       : parts->before,
        .has_path = parts->has_key,
        .columns = buf_view(&columns),
        .path = key.path,
    };
    return 0;
}

int cursor_read(struct ctx *ctx, const struct plan *plan, struct bytes in,
                struct plan_position *pos)
{
    struct pb_reader r = PB_READER(in);
    struct bytes at[4] = {BYTES_NONE};
    struct parts parts = {0};
    const struct form *form;
    int forms = 0, rc;
    bool has[4] = {false};

    *pos = (struct plan_position){0};
    while (pb_next(&r)) {
        if (r.field > CURSOR_ABSOLUTE ||
            r.kind != (r.field == CURSOR_POSITION ? PB_GROUP : PB_BYTES))
            continue;
        forms += !has[r.field];
        has[r.field] = true;
        at[r.field] = r.bytes;
    }
    if (r.bad)
        return malformed(ctx);
    if (forms > 1)
        return ctx_err(ctx, ERR_INVALID,
                       "Cursor may specify at most one of position, "
                       "postfix_position, and absolute_position.");
    form = has[CURSOR_POSTFIX] ? &postfix_form : &old_form;
    parts.values = ARENA_ARRAY(ctx->arena, struct bytes, plan->n_columns + 1);
    rc = read_position(
        ctx, plan, form,
        at[has[CURSOR_POSTFIX] ? CURSOR_POSTFIX : CURSOR_POSITION], &parts);
    if (rc != 0)
        return rc;
    /* An old cursor by index row (start_key) or an absolute one names nothing
     * we have: it stands for no position. */
    if (!has[CURSOR_POSTFIX] && !parts.has_key)
        return 0;
    return put_together(ctx, plan, &parts, pos);
}

/* ---- writing ---- */

struct plan_position cursor_behind(const struct plan *plan,
                                   const struct plan_row *row)
{
    struct plan_position pos = {
        .set = true,
        .has_path = plan->n_group == 0,
        .columns = row->columns,
        .path = row->path,
    };

    if (plan->n_group) {
        struct bytes last = plan_column(plan, row->columns, plan->n_group - 1);

        pos.columns.n =
            (size_t)(bytes_u8(last) + last.n - bytes_u8(row->columns));
    }
    return pos;
}

static int write_value(struct ctx *ctx, const struct plan *plan,
                       struct bytes columns, size_t i, struct buf *out)
{
    struct buf pv = BUF_IN(ctx->arena), v = BUF_IN(ctx->arena);
    int rc = plan_value(ctx, plan, columns, i, &pv);

    if (rc != 0)
        return ctx_err(ctx, rc, "an index row holds no value");
    pb_put_bytes(&v, VALUE_NAME, plan->columns[i].name);
    pb_put_bytes(&v, VALUE_VALUE, buf_view(&pv));
    pb_put_bytes(out, POSTFIX_VALUE, buf_view(&v));
    return 0;
}

int cursor_write(struct ctx *ctx, const struct plan *plan,
                 const struct plan_position *pos, struct buf *out)
{
    struct buf postfix = BUF_IN(ctx->arena), key = BUF_IN(ctx->arena);
    const struct query *q = plan->query;
    int rc = 0;

    if (!pos->set)
        return 0;
    for (size_t i = 0; rc == 0 && i < n_columns(plan); i++) {
        if (!is_key(plan->columns[i].name))
            rc = write_value(ctx, plan, pos->columns, i, &postfix);
    }
    if (rc != 0)
        return rc;
    if (pos->has_path) {
        key_write_reference(&key, q->app, q->space, pos->path);
        pb_put_bytes(&postfix, POSTFIX_KEY, buf_view(&key));
    }
    pb_put_u64(&postfix, POSTFIX_BEFORE, pos->before);
    pb_put_u64(&postfix, POSTFIX_BEFORE_ASCENDING,
               pos->before != plan->first_desc);
    pb_put_bytes(out, CURSOR_POSTFIX, buf_view(&postfix));
    return 0;
}
