/*
 * caller - the instance that an API call comes from (system.h says how).
 */
#ifndef SERVICE_SYSTEM_CALLER_H
#define SERVICE_SYSTEM_CALLER_H

#include "base/ctx.h"
#include "base/procfs.h"

struct caller {
    pid_t leader; /* the process of it that started the others... */
    uint64_t start;
    struct bytes version; /* "P:S:V:DEPLOYMENT", haproxy's backend; empty for
                             the emulator's app */
    int index;
};

/*
 * Who calls, from ctx->peer and, without `any`, from the mark of the caller's
 * own version: ERR_NOT_FOUND when no such process shows.  The views live in
 * ctx->arena.
 */
int caller_find(struct ctx *ctx, bool any, struct caller *out);

struct caller_usage {
    double cpu_seconds; /* all of its processes, those ended too */
    int64_t bytes;      /* resident, each process for itself */
    double age;         /* seconds since its leader was started */
};

/* What the processes of an instance use, out of procfs_all(); false when its
 * leader has ended. */
bool caller_usage(const struct procfs_stat *all, size_t n, pid_t leader,
                  uint64_t start, struct caller_usage *out);

#endif
