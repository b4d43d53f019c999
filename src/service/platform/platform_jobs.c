/*
 * platform_jobs - long work on the data, asked for and followed by the
 * controller, and the figures it leaves.
 */
#include "service/platform/platform_int.h"

#include "engine/job.h"
#include "engine/stats.h"

static const enum engine_job_kind kinds[] = {
    [platform_StartJobRequest_STATS] = ENGINE_JOB_STATS,
    [platform_StartJobRequest_VERIFY] = ENGINE_JOB_VERIFY,
    [platform_StartJobRequest_COMPACT] = ENGINE_JOB_COMPACT,
};

/* Statistics that are younger than is asked for are good enough. */
static int is_due(struct ctx *ctx, const struct platform_StartJobRequest *in,
                  bool *due)
{
    struct stats_summary s;
    int rc;

    *due = true;
    if (!platform_StartJobRequest_has_older_than(in))
        return 0;
    rc = engine_stats_read(ctx, ctx->env->engine,
                           platform_StartJobRequest_app(in), &s);
    *due = clock_wall() - s.timestamp >=
           platform_StartJobRequest_older_than(in) * CLOCK_SEC;
    return rc;
}

int platform_start_job(struct ctx *ctx,
                       const struct platform_StartJobRequest *in,
                       struct platform_StartJobResponse *out)
{
    int32_t kind = platform_StartJobRequest_kind(in);
    struct engine_job_spec spec = {
        .app = platform_StartJobRequest_app(in),
        .repair = platform_StartJobRequest_repair(in),
    };
    int64_t id;
    bool due;
    int rc;

    if (kind < platform_StartJobRequest_STATS ||
        kind > platform_StartJobRequest_COMPACT)
        return ctx_err(ctx, ERR_INVALID, "there is no work of kind %d",
                       (int)kind);
    spec.kind = kinds[kind];
    if (spec.kind != ENGINE_JOB_COMPACT && spec.app.n == 0)
        return ctx_err(ctx, ERR_INVALID, "whose data?");
    rc = is_due(ctx, in, &due);
    if (rc || !due)
        return rc;
    rc = engine_job_start(ctx, ctx->env->engine, &spec, &id);
    if (rc == 0)
        platform_StartJobResponse_set_id(out, id);
    return rc;
}

/* ---- how far ---- */

static void put_report(struct ctx *ctx, struct platform_GetJobResponse *out,
                       const struct verify_report *r)
{
    platform_GetJobResponse_set_entities(out, r->entities);
    platform_GetJobResponse_set_rows(out, r->rows);
    platform_GetJobResponse_set_busy(out, r->busy);
    for (enum verify_fault i = 0; i < VERIFY_FAULTS; i++) {
        struct platform_Fault *f;

        if (!r->found[i])
            continue;
        f = platform_GetJobResponse_add_fault(ctx, out);
        platform_Fault_set_name(f, bytes_str(verify_fault_word(i)));
        platform_Fault_set_sentence(f, bytes_str(verify_fault_sentence(i)));
        platform_Fault_set_found(f, r->found[i]);
        platform_Fault_set_mended(f, r->mended[i]);
    }
    for (size_t i = 0; i < r->n_findings; i++) {
        const struct verify_finding *in = &r->findings[i];
        struct platform_Finding *f =
            platform_GetJobResponse_add_finding(ctx, out);

        platform_Finding_set_fault(f, bytes_str(verify_fault_word(in->fault)));
        platform_Finding_set_where(f, bytes_str(in->where));
        platform_Finding_set_mended(f, in->mended);
    }
}

int platform_get_job(struct ctx *ctx, const struct platform_GetJobRequest *in,
                     struct platform_GetJobResponse *out)
{
    struct engine_job_state s;
    int rc = engine_job_look(ctx, ctx->env->engine,
                             platform_GetJobRequest_id(in), &s);

    if (rc == ERR_NOT_FOUND)
        return ctx_err(ctx, rc,
                       "the server was restarted during this work; what it had "
                       "done stays done, start it again");
    if (rc)
        return rc;
    platform_GetJobResponse_set_done(out, s.done);
    platform_GetJobResponse_set_step(out, bytes_str(s.step));
    if (!s.done)
        return 0;
    if (s.rc) {
        platform_GetJobResponse_set_code(out, -s.rc);
        platform_GetJobResponse_set_why(out, bytes_str(s.why));
        return 0;
    }
    put_report(ctx, out, &s.report);
    platform_GetJobResponse_set_compacted(out, s.compaction.done);
    platform_GetJobResponse_set_before(out, s.compaction.before);
    platform_GetJobResponse_set_after(out, s.compaction.after);
    return 0;
}

/* ---- figures ---- */

static void put_figures(struct platform_Figures *out,
                        const struct stats_figures *f)
{
    platform_Figures_set_count(out, f->count);
    platform_Figures_set_entity_bytes(out, f->entity_bytes);
    platform_Figures_set_builtin_index_bytes(out, f->builtin_index_bytes);
    platform_Figures_set_builtin_index_count(out, f->builtin_index_count);
    platform_Figures_set_composite_index_bytes(out, f->composite_index_bytes);
    platform_Figures_set_composite_index_count(out, f->composite_index_count);
}

int platform_datastore_stats(struct ctx *ctx,
                             const struct platform_DatastoreStatsRequest *in,
                             struct platform_DatastoreStatsResponse *out)
{
    struct stats_summary s;
    int rc = engine_stats_read(ctx, ctx->env->engine,
                               platform_DatastoreStatsRequest_app(in), &s);

    if (rc || !s.timestamp)
        return rc;
    platform_DatastoreStatsResponse_set_timestamp(out, s.timestamp);
    put_figures(platform_DatastoreStatsResponse_mut_total(ctx, out), &s.total);
    for (size_t i = 0; i < s.n_kinds; i++) {
        struct platform_Figures *f =
            platform_DatastoreStatsResponse_add_kind(ctx, out);

        platform_Figures_set_kind(f, s.kinds[i].kind);
        put_figures(f, &s.kinds[i].figures);
    }
    return 0;
}
