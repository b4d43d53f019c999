/* system_int - what the files of service/system share. */
#ifndef SERVICE_SYSTEM_SYSTEM_INT_H
#define SERVICE_SYSTEM_SYSTEM_INT_H

#include "base/locks.h"
#include "net/http_poster.h"
#include "service/system/caller.h"
#include "service/system/system.h"

#include <uv.h>

/* Something for the loop to do, once; handed over with system_post(). */
struct system_work {
    struct system_work *next;
    void (*run)(struct system *sys, struct system_work *w);
};

/* A background request, from its id to its end; a list under the lock. */
struct background {
    struct system_work work; /* first */
    struct system *sys;
    struct background *next, **prev;
    pid_t leader; /* of the instance that asked */
    uint64_t start;
    struct buf request; /* until it is sent */
    int tries;
    uv_timer_t again;
};

struct samples; /* samples.c */

struct system {
    struct arena arena; /* the options' strings */
    struct system_options o;
    const char *app_host;       /* of app_url */
    bool sends;                 /* there is somewhere to send requests to */
    struct http_poster *poster; /* the loop's; NULL: none, or it has stopped */

    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t look; /* at the instances that have asked for figures */
    pthread_t thread;

    struct lock lock; /* what follows */
    struct system_work *inbox, **inbox_end;
    bool stop;
    struct background *running;
    int n_running, n_paused;
    struct pause *paused;
    struct samples *samples;
};

/* Under the lock: have it run on the loop; false when the server stops. */
bool system_post(struct system *sys, struct system_work *w);

/* ---- background.c ---- */

/* On the loop: no more of them is tried again. */
void background_stop(struct system *sys);

/* ---- samples.c ---- */

/* How often an instance is looked at. */
enum { SAMPLES_EVERY_MS = 10 * 1000 };

/*
 * What `now` makes of the looks so far: averages and rates of the last minute
 * and the last ten.  From here on the instance is looked at.
 */
struct samples_figures {
    double bytes_1m, bytes_10m; /* averages */
    double cpu_1m, cpu_10m;     /* seconds per second */
};

struct samples_figures samples_add(struct system *sys, const struct caller *who,
                                   const struct caller_usage *now);

/* One look more (tests make time pass with it). */
void samples_put(struct system *sys, const struct caller *who,
                 const struct caller_usage *seen);

/* On the loop, every SAMPLES_EVERY_MS: look at those there are. */
void samples_look(struct system *sys);

/* Forget all. */
void samples_free(struct system *sys);

#endif
