/*
 * fuzz_cron - any bytes as a schedule, as a time zone's file, as cron.xml.
 *
 * What is refused has a story.  What passes answers, in the zone of the input
 * when that is one: each run lies behind the one before, and asking from any
 * moment between two of them comes to the same.
 */
#include "config/cronyaml.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_runs(const struct schedule *s, const struct tz *zone)
{
    int64_t at = 1767225600; /* 2026 */

    for (int i = 0; i < 4; i++) {
        int64_t run = schedule_next(s, zone, at);

        require(run > at);
        if (run == SCHEDULE_NEVER)
            return;
        if (s->kind != SCHEDULE_INTERVAL) {
            require(schedule_next(s, zone, at + (run - at) / 2) == run);
            require(schedule_next(s, zone, run - 1) == run);
        }
        at = run;
    }
}

static void fuzz_schedule(struct ctx *ctx, struct bytes in,
                          const struct tz *zone)
{
    const char *text = arena_cstr(ctx->arena, in);
    struct schedule s;
    int rc;

    ctx_err_clear(ctx);
    rc = schedule_parse(ctx, text, &s);
    require(rc == 0 || (rc == ERR_INVALID && ctx->err.message));
    if (rc == 0)
        fuzz_runs(&s, zone);
}

static void fuzz_file(struct ctx *ctx, const char *file, struct bytes in)
{
    struct cronyaml cron;
    int rc;

    ctx_err_clear(ctx);
    rc = cronyaml_parse(ctx, file, in, &cron);
    require(rc == 0 || ctx->err.message);
    for (size_t i = 0; rc == 0 && i < cron.n; i++)
        fuzz_runs(&cron.jobs[i].schedule, cron.jobs[i].zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A schedule up to the first NUL, a zone's file behind it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t empty[1];
    struct bytes in = BYTES(n ? data : empty, n);
    const uint8_t *nul = memchr(in.p, 0, in.n);
    size_t head = nul ? (size_t)(nul - bytes_u8(in)) : in.n;
    struct arena arena = ARENA_INIT;
    const struct tz *zone = tz_utc();
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    if (nul && tz_parse(&ctx, bytes_from(in, head + 1), &zone) != 0)
        zone = tz_utc();
    fuzz_schedule(&ctx, BYTES(in.p, head), zone);
    fuzz_file(&ctx, "cron.yaml", in);
    fuzz_file(&ctx, "cron.xml", in);
    arena_release(&arena);
    return 0;
}
