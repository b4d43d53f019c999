/*
 * sandbox - a program of somebody else's, run where it can do no harm.
 *
 * appscale-sandbox stands in front of an instance or a build.  Three
 * processes, each below the one before:
 *
 *     leader  as it was started, outside: keeps the session, passes signals
 *             on and the exit status back, removes the control groups
 *     init    pid 1 of the sandbox, with the rights of the application and
 *             none besides: reaps, and keeps the gate (gate.h)
 *     app     the program itself, under the filter (filter.h)
 *
 * The leader's end is init's end, and init's end is everybody's.  Where the
 * kernel refuses namespaces the program still runs, "bare": a new session, the
 * filter, limits and the gate, but with the files and processes of its user in
 * sight.  README.md says what is enforced where.
 *
 * Thread rule: a process of its own; only the gate has threads.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "base/ctx.h"
#include "sandbox/policy.h"

#include <sys/types.h>

enum { SANDBOX_PATHS_MAX = 256 };

/* A path that the program gets to see at its own place, or not. */
struct sandbox_path {
    enum sandbox_access {
        SANDBOX_READ,
        SANDBOX_WRITE,
        SANDBOX_HIDE, /* an empty file or folder in its place */
    } access;
    const char *path;
    bool own; /* as root: all of it is made the program's user's */
};

struct sandbox {
    const char *const *argv; /* argv[0] is a full path */
    uid_t uid;               /* as root: of its own; 0: a user namespace's */
    struct sandbox_path paths[SANDBOX_PATHS_MAX];
    size_t n_paths;
    int64_t memory_mb, tmp_mb, file_mb; /* 0: no limit but the machine's */
    int64_t tasks;                      /* processes and threads */
    int64_t cpu;                        /* per cent of an F1 instance's part */
    struct policy policy;
    bool gated; /* connect(), bind() and listen() are asked for */
    bool bare;  /* without namespaces, even where they are granted */
    /* Filled in by sandbox_run(): */
    char *dir;       /* where it was started */
    int64_t by_user; /* processes of its user, where no group counts; or 0 */
};

/* What holds on this machine; a false one is told to the operator. */
struct sandbox_report {
    bool user, files, processes, network, memory, tasks, cpu;
};

/*
 * Run the program until it ends; the exit status for main(), or the signal
 * that ended it is raised here.  What goes wrong before that is said on stderr.
 */
int sandbox_run(struct sandbox *sb);

/* Try out with a program that does nothing what sandbox_run() could enforce
 * for this user, on this machine. */
void sandbox_probe(struct sandbox *sb, struct sandbox_report *out);

#endif
