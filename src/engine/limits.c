/* limits - the values, and the environment's. */
#include "engine/limits.h"

#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t value;
} rows[] = {
#define LIMIT_ROW(constant_, name_, value_, source_) {name_, value_},
    LIMITS_TABLE(LIMIT_ROW)
#undef LIMIT_ROW
};

static _Atomic int64_t values[LIMIT_N] = {
#define LIMIT_VALUE(constant_, name_, value_, source_) value_,
    LIMITS_TABLE(LIMIT_VALUE)
#undef LIMIT_VALUE
};

int64_t limit_of(enum limit limit)
{
    return atomic_load_explicit(&values[limit], memory_order_relaxed);
}

bool limit_set(const char *name, int64_t value)
{
    for (int i = 0; i < LIMIT_N; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            atomic_store(&values[i], value);
            return true;
        }
    }
    return false;
}

void limits_reset(void)
{
    for (int i = 0; i < LIMIT_N; i++)
        atomic_store(&values[i], rows[i].value);
}

/* "name=number" */
static void set_from_text(char *text)
{
    char *equals = strchr(text, '='), *end = text;
    int64_t value = 0;

    if (equals) {
        *equals = '\0';
        errno = 0;
        value = strtoll(equals + 1, &end, 10);
    }
    if (!equals || end == equals + 1 || *end || errno || value < 0)
        die("APPSCALE_LIMITS: \"%s\" is not NAME=NUMBER", text);
    if (!limit_set(text, value))
        die("APPSCALE_LIMITS: there is no limit named \"%s\"", text);
}

void limits_from_env(void)
{
    const char *env = getenv("APPSCALE_LIMITS");
    char text[1024], *save, *word;

    if (!env)
        return;
    if (snprintf(text, sizeof(text), "%s", env) >= (int)sizeof(text))
        die("APPSCALE_LIMITS: more than %zu bytes", sizeof(text) - 1);
    for (word = strtok_r(text, ",", &save); word;
         word = strtok_r(NULL, ",", &save))
        set_from_text(word);
}
