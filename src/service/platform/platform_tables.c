/*
 * platform_tables - Get, Scan and Commit over the controller's own tables.
 */
#include "service/platform/platform_int.h"

#include "service/tables.h"

enum { SCAN_LIMIT = 1000, TABLE_NAME_MAX = 64 };

/* Table names are words of lower-case letters, digits, '_' and '-'. */
static int table_partition(struct ctx *ctx, struct bytes table,
                           struct bytes *partition)
{
    const uint8_t *p = bytes_u8(table);
    bool ok = table.n > 0 && table.n <= TABLE_NAME_MAX;

    for (size_t i = 0; ok && i < table.n; i++)
        ok = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') ||
             p[i] == '_' || p[i] == '-';
    if (!ok)
        return ctx_err(ctx, ERR_INVALID, "'%.*s' is no name of a table",
                       BYTES_FMT(table));
    *partition = tables_partition(ctx->arena, TABLES_PLATFORM, table);
    return 0;
}

static int storage_key_of(struct ctx *ctx, const struct platform_Key *k,
                          struct storage_key *out)
{
    out->row = platform_Key_row(k);
    return table_partition(ctx, platform_Key_table(k), &out->partition);
}

int platform_get(struct ctx *ctx, const struct platform_GetRequest *in,
                 struct platform_GetResponse *out)
{
    size_t n = platform_GetRequest_n_key(in);
    struct storage_key *keys = ARENA_ARRAY(ctx->arena, struct storage_key, n);
    struct storage_value *values =
        ARENA_ARRAY(ctx->arena, struct storage_value, n);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = storage_key_of(ctx, platform_GetRequest_key(in, i), &keys[i]);
    if (rc == 0)
        rc = storage_get(ctx, ctx->env->platform->storage, keys, n, values);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct platform_GetResponse_Item *item =
            platform_GetResponse_add_item(ctx, out);

        if (values[i].found)
            platform_GetResponse_Item_set_value(item, values[i].value);
    }
    return rc;
}

/* The rows of a scan that starts with `prefix` and goes on behind `after`. */
static int scan_range(struct ctx *ctx, const struct platform_ScanRequest *in,
                      struct storage_range *range)
{
    struct bytes prefix = platform_ScanRequest_prefix(in);
    struct bytes after = platform_ScanRequest_after(in);

    *range = storage_prefix(ctx->arena, prefix);
    if (!platform_ScanRequest_has_after(in))
        return 0;
    if (!bytes_starts(after, prefix))
        return ctx_err(ctx, ERR_INVALID,
                       "a scan cannot go on behind a row outside its prefix");
    *range = storage_range_after(ctx->arena, range, STORAGE_FORWARD, after);
    return 0;
}

int platform_scan(struct ctx *ctx, const struct platform_ScanRequest *in,
                  struct platform_ScanResponse *out)
{
    struct storage_page page = {0};
    int32_t limit = platform_ScanRequest_limit(in);
    struct storage_range range;
    struct bytes partition;
    int rc;

    rc = table_partition(ctx, platform_ScanRequest_table(in), &partition);
    if (rc == 0)
        rc = scan_range(ctx, in, &range);
    if (rc == 0)
        rc =
            storage_scan(ctx, ctx->env->platform->storage, partition, &range,
                         STORAGE_FORWARD,
                         limit > 0 ? (size_t)limit : (size_t)SCAN_LIMIT, &page);
    for (size_t i = 0; rc == 0 && i < page.n; i++) {
        struct platform_ScanResponse_Row *row =
            platform_ScanResponse_add_row(ctx, out);

        platform_ScanResponse_Row_set_row(row, page.rows[i].row);
        platform_ScanResponse_Row_set_value(row, page.rows[i].value);
    }
    platform_ScanResponse_set_more(out, page.more);
    return rc;
}

static int add_conditions(struct ctx *ctx,
                          const struct platform_CommitRequest *in,
                          struct storage_batch *b)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < platform_CommitRequest_n_condition(in);
         i++) {
        const struct platform_CommitRequest_Condition *c =
            platform_CommitRequest_condition(in, i);
        struct storage_key key;

        rc = storage_key_of(ctx, platform_CommitRequest_Condition_key(c), &key);
        if (rc == 0 && platform_CommitRequest_Condition_has_value(c))
            storage_batch_require(b, key,
                                  platform_CommitRequest_Condition_value(c));
        else if (rc == 0)
            storage_batch_require_absent(b, key);
    }
    return rc;
}

static int add_writes(struct ctx *ctx, const struct platform_CommitRequest *in,
                      struct storage_batch *b)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < platform_CommitRequest_n_write(in); i++) {
        const struct platform_CommitRequest_Write *w =
            platform_CommitRequest_write(in, i);
        struct storage_key key;

        rc = storage_key_of(ctx, platform_CommitRequest_Write_key(w), &key);
        if (rc == 0 && platform_CommitRequest_Write_has_value(w))
            storage_batch_put(b, key, platform_CommitRequest_Write_value(w));
        else if (rc == 0)
            storage_batch_delete(b, key);
    }
    return rc;
}

int platform_commit(struct ctx *ctx, const struct platform_CommitRequest *in,
                    struct platform_CommitResponse *out)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    size_t failed = 0;
    int rc;

    rc = add_conditions(ctx, in, &b);
    if (rc == 0)
        rc = add_writes(ctx, in, &b);
    if (rc == 0)
        rc = storage_commit(ctx, ctx->env->platform->storage, &b, &failed);
    if (rc != 0 && rc != ERR_CONFLICT)
        return rc;
    platform_CommitResponse_set_committed(out, rc == 0);
    if (rc == ERR_CONFLICT)
        platform_CommitResponse_set_failed_condition(out, (int32_t)failed);
    return 0;
}
