/*
 * admin_indexes - the part of the API about composite indexes: deploying an
 * index.yaml, looking, clearing away.  The words are those of Google's
 * Datastore Admin API; the server does the work.
 */
#include "control/admin.h"
#include "control/server_call.h"
#include "platform.pb.h"

#include <stdlib.h>

/* ---- to JSON ---- */

/* By entity.CompositeIndex.State. */
static const char *const states[] = {"STATE_UNSPECIFIED", "CREATING", "READY",
                                     "DELETING", "ERROR"};

static const char *state_name(int32_t state)
{
    return states[state >= 1 && state <= 4 ? state : 0];
}

static json_t *text(struct bytes s)
{
    return json_stringn(s.p, s.n);
}

static json_t *properties_json(const struct platform_Index *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < platform_Index_n_property(m); i++) {
        const struct platform_Index_Property *p = platform_Index_property(m, i);

        json_array_append_new(
            list, json_pack("{s:o, s:s}", "name",
                            text(platform_Index_Property_name(p)), "direction",
                            platform_Index_Property_desc(p) ? "DESCENDING"
                                                            : "ASCENDING"));
    }
    return list;
}

static json_t *index_json(const struct platform_Index *m)
{
    return json_pack("{s:I, s:o, s:s, s:o, s:s}", "indexId",
                     (json_int_t)platform_Index_id(m), "kind",
                     text(platform_Index_kind(m)), "ancestor",
                     platform_Index_ancestor(m) ? "ALL_ANCESTORS" : "NONE",
                     "properties", properties_json(m), "state",
                     state_name(platform_Index_state(m)));
}

/* With what only a list knows. */
static json_t *status_json(const struct platform_Index *m)
{
    json_t *one = index_json(m);
    json_t *more = json_pack(
        "{s:b, s:I, s:b, s:{s:I, s:I}}", "named", platform_Index_named(m),
        "entries", (json_int_t)platform_Index_rows(m), "entriesExact",
        !platform_Index_rows_more(m), "progress", "workCompleted",
        (json_int_t)platform_Index_done(m), "workEstimated",
        (json_int_t)platform_Index_total(m));

    json_object_update(one, more);
    json_decref(more);
    return one;
}

/* ---- the calls ---- */

static void on_set(struct ctx *ctx, int rc, const void *out, void *arg)
{
    json_t *started;

    if (rc) {
        admin_fail(arg, ctx, rc);
        return;
    }
    started = json_array();
    for (size_t i = 0; i < platform_SetIndexesResponse_n_started(out); i++)
        json_array_append_new(
            started, index_json(platform_SetIndexesResponse_started(out, i)));
    admin_reply(arg, json_pack("{s:o}", "started", started));
}

static int indexes_set(struct admin_call *c)
{
    const char *yaml = json_string_value(json_object_get(c->body, "indexYaml"));
    struct platform_SetIndexesRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && !yaml)
        rc = ctx_err(&c->ctx, ERR_INVALID, "indexYaml is missing");
    if (rc)
        return rc;
    m = platform_SetIndexesRequest_new(&c->ctx);
    platform_SetIndexesRequest_set_app(m, bytes_str(a->id));
    platform_SetIndexesRequest_set_index_yaml(m, bytes_str(yaml));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "SetIndexes",
                                      .in = WIRE_platform_SetIndexesRequest,
                                      .out = WIRE_platform_SetIndexesResponse,
                                      .message = m,
                                      .fn = on_set,
                                      .arg = c});
    return 0;
}

static void on_list(struct ctx *ctx, int rc, const void *out, void *arg)
{
    json_t *list;

    if (rc) {
        admin_fail(arg, ctx, rc);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < platform_ListIndexesResponse_n_index(out); i++)
        json_array_append_new(
            list, status_json(platform_ListIndexesResponse_index(out, i)));
    admin_reply(arg, json_pack("{s:o, s:b}", "indexes", list, "deployed",
                               platform_ListIndexesResponse_deployed(out)));
}

static int indexes_list(struct admin_call *c)
{
    struct platform_ListIndexesRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    m = platform_ListIndexesRequest_new(&c->ctx);
    platform_ListIndexesRequest_set_app(m, bytes_str(a->id));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "ListIndexes",
                                      .in = WIRE_platform_ListIndexesRequest,
                                      .out = WIRE_platform_ListIndexesResponse,
                                      .message = m,
                                      .fn = on_list,
                                      .arg = c});
    return 0;
}

static void on_vacuumed(struct ctx *ctx, int rc, const void *out, void *arg)
{
    if (rc)
        admin_fail(arg, ctx, rc);
    else
        admin_reply(
            arg,
            json_pack("{s:I}", "deleted",
                      (json_int_t)platform_VacuumIndexesResponse_deleted(out)));
}

static int indexes_vacuum(struct admin_call *c)
{
    const json_t *ids = json_object_get(c->body, "indexIds"), *id;
    struct platform_VacuumIndexesRequest *m;
    struct app *a;
    size_t i;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && !json_is_array(ids))
        rc = ctx_err(&c->ctx, ERR_INVALID, "indexIds is missing: a list");
    if (rc)
        return rc;
    m = platform_VacuumIndexesRequest_new(&c->ctx);
    platform_VacuumIndexesRequest_set_app(m, bytes_str(a->id));
    json_array_foreach(ids, i, id)
    {
        platform_VacuumIndexesRequest_add_id(&c->ctx, m,
                                             json_integer_value(id));
    }
    server_call(
        &c->ctx, c->ctl,
        &(struct server_call){.method = "VacuumIndexes",
                              .in = WIRE_platform_VacuumIndexesRequest,
                              .out = WIRE_platform_VacuumIndexesResponse,
                              .message = m,
                              .fn = on_vacuumed,
                              .arg = c});
    return 0;
}

const struct admin_route admin_index_routes[] = {
    {"PUT", "/v1/apps/*/indexes", indexes_set},
    {"GET", "/v1/apps/*/indexes", indexes_list},
    {"POST", "/v1/apps/*/indexes:vacuum", indexes_vacuum},
    {.path = NULL},
};
