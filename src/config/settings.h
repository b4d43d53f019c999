/*
 * settings - what an operator may choose about one machine, as a table.
 *
 * Each row of settings.c gives a name, a default, a range, a unit and a
 * sentence; the row yields the parser, the check and the documentation.  The
 * command line writes the values of an AppScalefile into the config file, the
 * controller reads it back.  Thread rule: read-only once loaded.
 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/buf.h"
#include "base/ctx.h"

#include <jansson.h>

struct settings {
    int64_t http_port;
    int64_t https_port;
    const char *http_address;
    const char *domain;
    const char *storage;
    int64_t api_port;
    int64_t memcached_mb;
    int64_t instance_port_first;
    int64_t instance_port_last;
    int64_t instances_max;
    int64_t start_seconds;
    int64_t build_seconds;
    int64_t drain_seconds;
    int64_t migration_seconds;
    int64_t request_seconds;
    int64_t body_mb;
    int64_t archive_mb;
    int64_t log_mb;
    const char *acme_directory;
    const char *acme_email;
    const char *acme_ca;
    int64_t log_files, log_days;
    int64_t stats_hours;
    const char *task_broker;
    int64_t rabbitmq_port;
    int64_t rabbitmq_mb;
    const char *sandbox;
    int64_t sandbox_uid_first;
    int64_t sandbox_uids;
};

enum setting_type { SETTING_NUMBER, SETTING_TEXT };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset; /* in struct settings */
    int64_t number, min, max;
    const char *text;
    const char *const *choices; /* of a text; NULL: anything plain */
    const char *also;           /* more than letters and digits: these, too */
    const char *unit;           /* "" when it has none */
    const char *sentence;
};

/* The value of a text that is not there. */
#define SETTING_NONE "none"

/* The table; ends with a row without a name. */
extern const struct setting settings_table[];

/* Whether tasks go through a RabbitMQ that we start. */
bool settings_rabbitmq(const struct settings *s);

/* Whether an ACME server signs certificates. */
bool settings_acme(const struct settings *s);

/* Whether instances and builds run confined. */
bool settings_sandbox(const struct settings *s);

/* Every row's default. */
void settings_default(struct settings *s);

/*
 * Set one value from its text, "8080".  Text is copied into `a`.  ERR_INVALID
 * names the setting and its range.
 */
int settings_set(struct ctx *ctx, struct arena *a, struct settings *s,
                 const char *name, const char *value);

/*
 * Read a JSON object over the defaults.  ERR_INVALID names the file, and the
 * line or the setting; ERR_NOT_FOUND when there is no such file.  Texts live
 * in `a`.
 */
int settings_load(struct ctx *ctx, struct arena *a, struct settings *s,
                  const char *path);

/* The values as a JSON object, every row; the caller owns the reference. */
json_t *settings_json(const struct settings *s);

/* The table as Markdown, for docs/configuration.md. */
void settings_document(struct buf *out);

#endif
