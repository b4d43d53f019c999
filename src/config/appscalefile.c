/*
 * appscalefile - the settings table, read as a file and written as a template.
 */
#include "config/appscalefile.h"

#include "config/node.h"

#include <inttypes.h>

static bool is_setting(const char *name)
{
    for (const struct setting *row = settings_table; row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return true;
    }
    return false;
}

static void report_unknown(struct config_report *r,
                           const struct config_node *key)
{
    struct buf names = BUF_HEAP;

    for (const struct setting *row = settings_table; row->name; row++)
        buf_printf(&names, "%s%s", names.n ? ", " : "", row->name);
    config_report_at(r, key, "Unknown setting '%s'. Expected one of: %s.",
                     key->text, buf_cstr(&names));
    buf_release(&names);
}

static void apply(struct ctx *ctx, struct config_report *r,
                  const struct config_node *key,
                  const struct config_node *value, struct settings *out)
{
    if (!is_setting(key->text)) {
        report_unknown(r, key);
        return;
    }
    if (config_node_is_null(value))
        return;
    if (value->kind != CONFIG_SCALAR) {
        config_report_at(r, value, "%s must be a text or number.", key->text);
        return;
    }
    if (settings_set(ctx, ctx->arena, out, key->text, value->text) < 0) {
        config_report_at(r, value, "%s", ctx->err.message);
        ctx_err_clear(ctx);
    }
}

int appscalefile_load(struct ctx *ctx, const char *path, struct settings *out)
{
    struct config_report report = {0};
    struct config_node *file;
    struct bytes text;
    int rc = config_file_read(ctx, path, &text);

    settings_default(out);
    if (rc < 0)
        return rc;
    config_node_parse(ctx, path, text, &report, &file);
    if (file && file->kind != CONFIG_MAP)
        config_report_at(&report, file,
                         "An AppScalefile is a set of settings (name: value).");
    for (size_t i = 0; file && file->kind == CONFIG_MAP && i < file->n; i++)
        apply(ctx, &report, file->keys[i], file->items[i], out);
    return config_report_end(ctx, &report);
}

void appscalefile_template(struct buf *out)
{
    buf_add_str(out,
                "# The settings of this machine. A line without its # takes "
                "effect at the next\n# `appscale up`. `appscale help config` "
                "explains each one.\n");
    for (const struct setting *row = settings_table; row->name; row++) {
        buf_printf(out, "\n# %s%s%s%s\n", row->sentence, *row->unit ? " (" : "",
                   row->unit, *row->unit ? ")" : "");
        if (row->type == SETTING_NUMBER)
            buf_printf(out, "#%s: %" PRId64 "\n", row->name, row->number);
        else
            buf_printf(out, "#%s: %s\n", row->name, row->text);
    }
}
