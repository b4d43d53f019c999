/* split - shares are computed in whole units: hundredths or thousandths. */
#include "control/split.h"

#include "control/operation.h"

#include <math.h>
#include <stdlib.h>

static const char *const shard_words[] = {"UNSPECIFIED", "COOKIE", "IP",
                                          "RANDOM", NULL};

static const char *shard_by(const json_t *split)
{
    const char *by = json_string_value(json_object_get(split, "shardBy"));

    return by && strcmp(by, "UNSPECIFIED") != 0 ? by : NULL;
}

/* Google: two decimals by address, three else. */
static int units_of(const char *by)
{
    return by && strcmp(by, "IP") != 0 ? 1000 : 100;
}

static json_t *allocations(const json_t *split)
{
    return json_object_get(split, "allocations");
}

double split_share(const json_t *split, const char *id)
{
    return json_number_value(json_object_get(allocations(split), id));
}

/* A whole one is the integer 1. */
static json_t *share_json(int share, int units)
{
    return share == units ? json_integer(1) : json_real((double)share / units);
}

json_t *split_whole(const char *id)
{
    json_t *shares = json_object();

    json_object_set_new(shares, id, json_integer(1));
    return json_pack("{s:o}", "allocations", shares);
}

/* ---- checking ---- */

static int check_shard_by(struct ctx *ctx, const json_t *in)
{
    const json_t *given = json_object_get(in, "shardBy");
    const char *by = json_string_value(given);

    if (!given)
        return 0;
    for (const char *const *w = shard_words; by && *w; w++)
        if (strcmp(*w, by) == 0)
            return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "split.shardBy is \"%s\", and must be COOKIE, IP or RANDOM",
                   by ? by : "no text");
}

static int check_version(struct ctx *ctx, const struct service *s,
                         const char *id)
{
    const struct version *v = model_version(s, id);

    if (!v)
        return ctx_err(ctx, ERR_NOT_FOUND, "%s has no version \"%s\"", s->id,
                       id);
    if (v->stopped)
        return ctx_err(ctx, ERR_INVALID,
                       "version %s is stopped: start it before it gets traffic",
                       id);
    return 0;
}

/* In *units_out whole units of `units`. */
static int check_share(struct ctx *ctx, const char *id, const json_t *share,
                       int units, int *out)
{
    double exact = json_number_value(share) * units;

    *out = (int)lround(exact);
    if (!json_is_number(share) || !(exact > 0) || exact > units)
        return ctx_err(ctx, ERR_INVALID,
                       "the share of %s must be a number above 0 and at most 1",
                       id);
    if (*out == 0 || fabs(exact - *out) > 1e-6)
        return ctx_err(ctx, ERR_INVALID,
                       "the share of %s is %.10g, and has at most %d decimals "
                       "%s",
                       id, exact / units, units == 100 ? 2 : 3,
                       units == 100 ? "by IP (three by COOKIE or RANDOM)"
                                    : "by COOKIE or RANDOM");
    return 0;
}

int split_check(struct ctx *ctx, const struct service *s, const json_t *in,
                json_t **out)
{
    json_t *shares = allocations(in), *kept = json_object(), *share;
    const char *id, *by = shard_by(in);
    int units = 0, sum = 0, one = 0, rc = check_shard_by(ctx, in);

    if (rc == 0 && json_object_size(shares) == 0)
        rc = ctx_err(ctx, ERR_INVALID,
                     "split.allocations must name the versions and their "
                     "shares, which add up to 1");
    if (!by && json_object_size(shares) > 1)
        by = "IP";
    units = units_of(by);
    json_object_foreach(shares, id, share)
    {
        if (rc == 0)
            rc = check_version(ctx, s, id);
        if (rc == 0)
            rc = check_share(ctx, id, share, units, &one);
        sum += one;
        json_object_set_new(kept, id, share_json(one, units));
    }
    if (rc == 0 && sum != units)
        rc = ctx_err(ctx, ERR_INVALID,
                     "the shares add up to %.10g, and must add up to 1",
                     (double)sum / units);
    if (rc)
        json_decref(kept);
    else
        *out = json_pack("{s:s*, s:o}", "shardBy", by, "allocations", kept);
    return rc;
}

/* ---- on the way from one to another ---- */

struct part {
    const char *id;
    double exact; /* units */
    int share;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct part *)a)->id, ((const struct part *)b)->id);
}

/* The one that rounding down took most from; the first of equals. */
static struct part *most_owed(struct part *list, size_t n)
{
    struct part *most = list;

    for (size_t i = 1; i < n; i++)
        if (list[i].exact - list[i].share > most->exact - most->share + 1e-9)
            most = &list[i];
    return most;
}

static size_t add_parts(struct part *list, size_t n, const json_t *split,
                        double weight)
{
    const char *id;
    json_t *share;

    json_object_foreach(allocations(split), id, share)
    {
        size_t i = 0;

        while (i < n && strcmp(list[i].id, id) != 0)
            i++;
        if (i == n)
            list[n++] = (struct part){.id = id};
        list[i].exact += json_number_value(share) * weight;
    }
    return n;
}

json_t *split_between(const json_t *from, const json_t *to, int step, int steps)
{
    size_t max = json_object_size(allocations(from)) +
                 json_object_size(allocations(to)),
           n;
    struct part *list = calloc(max + 1, sizeof(*list));
    const char *by = shard_by(to);
    int units = units_of(by), left = units;
    double done = (double)step / steps;
    json_t *shares = json_object();

    if (!list)
        abort();
    n = add_parts(list, 0, from, units * (1 - done));
    n = add_parts(list, n, to, units * done);
    qsort(list, n, sizeof(list[0]), by_id);
    for (size_t i = 0; i < n; i++) {
        list[i].share = (int)(list[i].exact + 1e-9);
        left -= list[i].share;
    }
    for (; n > 0 && left > 0; left--)
        most_owed(list, n)->share++;
    for (size_t i = 0; i < n; i++)
        if (list[i].share > 0)
            json_object_set_new(shares, list[i].id,
                                share_json(list[i].share, units));
    free(list);
    return json_pack("{s:s*, s:o}", "shardBy", by, "allocations", shares);
}

/* ---- the service's document ---- */

json_t *split_doc(const struct service *s, json_t *split)
{
    json_t *doc = json_copy(s->doc), *old = json_object_get(s->doc, "split");
    json_t *history = json_object_get(s->doc, "history");
    struct arena a = ARENA_INIT;

    json_object_del(doc, "migration");
    if (old && !json_equal(old, split)) {
        history = history ? json_copy(history) : json_array();
        json_array_insert_new(history, 0,
                              json_pack("{s:O, s:s}", "split", old, "endTime",
                                        operation_time(&a, clock_wall())));
        while (json_array_size(history) > SPLIT_HISTORY_MAX)
            json_array_remove(history, SPLIT_HISTORY_MAX);
        json_object_set_new(doc, "history", history);
    }
    json_object_set_new(doc, "split", split);
    arena_release(&a);
    return doc;
}

static bool all_serve(const struct service *s, const json_t *split)
{
    const char *id;
    json_t *share;

    json_object_foreach(allocations(split), id, share)
    {
        const struct version *v = model_version(s, id);

        if (!v || v->stopped)
            return false;
    }
    return true;
}

json_t *split_former(const struct service *s)
{
    const json_t *now = json_object_get(s->doc, "split"), *one;
    size_t i;

    json_array_foreach(json_object_get(s->doc, "history"), i, one)
    {
        json_t *split = json_object_get(one, "split");

        if (all_serve(s, split) && !json_equal(split, now))
            return json_incref(split);
    }
    return NULL;
}
