/*
 * system - what an instance asks about itself: the RPC service "system".
 *
 * StartBackgroundRequest gives an id, and a request for /_ah/background with
 * that id goes to the *same instance* (wire contract 5.10); the SDK pairs the
 * two, and the request's thread runs what the caller wants, for as long as it
 * likes.  GetSystemStats says what the instance uses.
 *
 * Both have to know which instance asks, and nothing in a call says so: a
 * ticket names the version, an SDK sends nothing of its instance, and haproxy
 * sets a request's headers before it has chosen the instance.  What an instance
 * cannot help to show is its connection: the process that holds the other end
 * of it is found in /proc, and the controller has marked the environment of
 * what it started with APPSCALE_CHILD=ROOT:APP/SERVICE/VERSION/DEPLOYMENT/INDEX
 * (instance.h).  The ticket vouches for the version - a mark of another one is
 * not believed - so an app that forges its mark misleads itself alone.  This
 * holds while server and instances share a machine and the server may look into
 * /proc/PID/fd of what the platform runs.
 *
 * One thread, a loop: background requests under way, samples of the instances
 * that have asked for their figures, and the waiting of others (system_pause).
 *
 * Thread rule: handlers run on workers; one struct system serves all threads.
 */
#ifndef SERVICE_SYSTEM_SYSTEM_H
#define SERVICE_SYSTEM_SYSTEM_H

#include "service/env.h"
#include "system.pb.h"

struct system;

enum {
    SYSTEM_BACKGROUND_MAX = 4096,      /* under way at once, of all apps */
    SYSTEM_BACKGROUND_INSTANCE = 100,  /* and of one instance */
    SYSTEM_BACKGROUND_SECONDS = 86400, /* as long as Google lets one run */
    /* Google's megacycle: of the 1.2 GHz that its quota API counts with. */
    SYSTEM_MEGACYCLES = 1200,
};

struct system_options {
    const char *platform; /* haproxy's socket for the platform's requests... */
    const char *app_url;  /* ...or the emulator's app; without either there
                             are no background requests */
    const char *domain;
};

/* Start the thread.  Strings are copied.  ERR_INVALID for a bad app_url. */
int system_open(struct ctx *ctx, const struct system_options *o,
                struct system **out);

/* Wake who waits, drop the connections of background requests (they go on in
 * their instances), end the thread.  Calls may still come, and are refused. */
void system_stop(struct system *sys);

/* After every call has returned and system_stop(); NULL is accepted. */
void system_close(struct system *sys);

/*
 * Let `us` microseconds pass without a thread; less when the server stops.
 * False, at once, when a hundred wait already or it stops.
 */
bool system_pause(struct system *sys, int64_t us);

/* ---- the RPC service ---- */

extern const struct rpc_err_map system_errors[];

/*
 * Send the caller's instance a background request.  BACKEND_REQUIRED on
 * automatic scaling, where there are none, and where the instance is not found;
 * LIMIT_REACHED when too many are under way.  RPC_POOL, as the other.
 */
int system_start_background(
    struct ctx *ctx, const struct system_StartBackgroundRequestRequest *in,
    struct system_StartBackgroundRequestResponse *out);

/*
 * Processor time in megacycles and resident memory in megabytes of all
 * processes of the caller's instance.  `total` and `current` are of this
 * moment.  From the first call on the instance is looked at every ten seconds;
 * averages and rates are over those looks, or over the whole life of the
 * instance while there are none.
 */
int system_stats(struct ctx *ctx, const struct system_GetSystemStatsRequest *in,
                 struct system_GetSystemStatsResponse *out);

#endif
