/* caller - from a connection to a process, from there to its instance. */
#include "service/system/caller.h"

#include <stdlib.h>
#include <time.h>

#define MARK "APPSCALE_CHILD"

enum { GENERATIONS = 64 }; /* more than a sandbox, a shell and a server */

/* "ROOT:P/S/V/DEPLOYMENT/INDEX", if P, S and V are the ticket's. */
static bool read_mark(struct ctx *ctx, const char *mark, struct caller *out)
{
    const char *ours =
        arena_printf(ctx->arena, ":%.*s/%.*s/%.*s/", BYTES_FMT(ctx->app),
                     BYTES_FMT(ctx->service), BYTES_FMT(ctx->version));
    const char *at = strstr(mark, ours), *slash = strrchr(mark, '/');
    size_t n = strlen(ours);
    char *end;

    if (!at || slash < at + n)
        return false;
    out->index = (int)strtol(slash + 1, &end, 10);
    out->version = bytes_str(
        arena_printf(ctx->arena, "%.*s:%.*s:%.*s:%.*s", BYTES_FMT(ctx->app),
                     BYTES_FMT(ctx->service), BYTES_FMT(ctx->version),
                     (int)(slash - (at + n)), at + n));
    return *end == '\0' && out->index >= 0;
}

static const char *mark_of(struct ctx *ctx, pid_t pid)
{
    return procfs_env(ctx->arena, pid, MARK);
}

/* Up to a process that has a mark: a sandbox may keep it from those inside. */
static const char *marked_above(struct ctx *ctx, pid_t *pid)
{
    const char *mark = mark_of(ctx, *pid);
    struct procfs_stat st;

    for (int i = 0; !mark && i < GENERATIONS && procfs_stat(*pid, &st); i++) {
        *pid = st.parent;
        mark = mark_of(ctx, *pid);
    }
    return mark;
}

/* Up to the first process that has this mark. */
static pid_t leader_of(struct ctx *ctx, pid_t pid, const char *mark)
{
    struct procfs_stat st;

    for (int i = 0; i < GENERATIONS && procfs_stat(pid, &st); i++) {
        const char *above = mark_of(ctx, st.parent);

        if (!above || strcmp(above, mark) != 0)
            break;
        pid = st.parent;
    }
    return pid;
}

int caller_find(struct ctx *ctx, bool any, struct caller *out)
{
    pid_t pid = procfs_socket_owner(arena_cstr(ctx->arena, ctx->peer));
    pid_t above = pid;
    const char *mark = pid ? marked_above(ctx, &above) : NULL;
    struct procfs_stat st;

    *out = (struct caller){.leader = pid};
    if (mark && read_mark(ctx, mark, out))
        out->leader = leader_of(ctx, above, mark);
    else if (!any)
        return ERR_NOT_FOUND;
    if (!procfs_stat(out->leader, &st))
        return ERR_NOT_FOUND;
    out->start = st.start_time;
    return 0;
}

/* ---- figures ---- */

static const struct procfs_stat *find(const struct procfs_stat *all, size_t n,
                                      pid_t pid)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (all[mid].pid < pid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && all[lo].pid == pid ? &all[lo] : NULL;
}

/* Whether `leader` started it, or who started it, and so on.  One that was left
 * behind by who started it is known by its session. */
static bool belongs(const struct procfs_stat *all, size_t n,
                    const struct procfs_stat *p, pid_t leader)
{
    if (p->session == leader)
        return true;
    for (int i = 0; p && i < GENERATIONS; i++) {
        if (p->pid == leader)
            return true;
        p = find(all, n, p->parent);
    }
    return false;
}

static double since_boot(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

bool caller_usage(const struct procfs_stat *all, size_t n, pid_t leader,
                  uint64_t start, struct caller_usage *out)
{
    const struct procfs_stat *first = find(all, n, leader);
    uint64_t ticks = 0;

    if (!first || first->start_time != start)
        return false;
    *out = (struct caller_usage){.age = since_boot() - procfs_seconds(start)};
    for (size_t i = 0; i < n; i++) {
        if (!belongs(all, n, &all[i], leader))
            continue;
        ticks += all[i].cpu_ticks;
        out->bytes += all[i].bytes;
    }
    out->cpu_seconds = procfs_seconds(ticks);
    return true;
}
