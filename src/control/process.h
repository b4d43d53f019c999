/*
 * process - what the controller keeps running.
 *
 * A kind of process is a row: struct process_init says how it is set up, when
 * it counts as ready, how it is asked to stop.  The supervisor does the rest:
 * finds the child of an earlier controller or spawns one, waits until it
 * listens, starts it again when it ends (throttle.h), and ends it in order.
 *
 *     stopped --start--> starting --listens--> ready
 *        ^                  |  \                 |
 *        |                 ends  late            ends
 *     stopping <--stop--    v    v               v
 *                          waiting (throttle) ---+--> starting
 *
 * Ownership: process_new() to process_free().  Thread rule: the loop's.
 */
#ifndef CONTROL_PROCESS_H
#define CONTROL_PROCESS_H

#include "control/child.h"
#include "control/state.h"
#include "control/throttle.h"

struct control;
struct listener;
struct process;

/* How to start it, filled by setup(); everything lives in ctx->arena. */
struct process_setup {
    const char *const *argv;
    const char *const *env; /* NULL: the controller's own */
    const char *dir;
    const char *log_tag;     /* as child_spec's */
    const char *probe_unix;  /* ready when this socket accepts... */
    int probe_port;          /* ...or this loopback port */
    const char *stale;       /* a socket of a dead one, in the way of a new */
    struct listener *listen; /* what it gets as descriptors 3, 4, ... */
    size_t n_listen;
    const char *append; /* a file it appends to: the descriptor behind those */
    bool yields;        /* as child_spec's */
};

struct process_init {
    const char *kind;
    /* Fill in the setup; an error with its story keeps it from starting. */
    int (*setup)(struct ctx *ctx, struct process *p, struct process_setup *s);
    /* It listens: ask whether it works, and tell process_healthy(), later.
     * NULL: whoever listens works. */
    void (*health)(struct process *p);
    /* It works now (also after a restart or an adoption). */
    void (*ready)(struct process *p);
    /* It ended unasked, or could not be started; p->why tells.  It will be
     * started again unless this asks process_stop(). */
    void (*down)(struct process *p);
    /* It ended as asked; p may be freed here. */
    void (*stopped)(struct process *p);
    int stop_signal;
    int64_t stop_grace;  /* microseconds until SIGKILL */
    int64_t start_limit; /* microseconds to listen; 0: start_seconds */
};

enum process_state {
    PROCESS_STOPPED,
    PROCESS_STARTING,
    PROCESS_READY,
    PROCESS_WAITING,
    PROCESS_STOPPING,
};

struct process {
    const struct process_init *init;
    struct control *ctl;
    void *arg; /* the row's own: an instance */
    char name[256];
    char *log; /* path */
    enum process_state state;
    struct child child;
    struct throttle throttle;
    char digest[STATE_DIGEST + 1];
    int port;      /* kept over restarts; 0: none */
    int64_t since; /* clock_wall() of the last start */
    int restarts;
    bool adopted;     /* found running */
    bool ended_by_us; /* killed for what `why` says */
    char why[512];    /* it ended last, in words; "" */
    bool refused;     /* what it would be started with is wrong; why tells */
    char probe_unix[108];
    int probe_port;
    int64_t started; /* clock_mono() */
    uv_timer_t timer;
    struct process *next;
};

/*
 * A stopped process at the end of the controller's list, so it is started after
 * those made before.  The name, copied, is also that of its log; `arg` is the
 * row's own.
 */
struct process *process_new(struct control *ctl,
                            const struct process_init *init, const char *name,
                            void *arg);

/* Want it running: the child found in the state file when it was started the
 * same way, else a new one. */
void process_start(struct process *p);

/* Want it stopped; init->stopped runs, later or at once. */
void process_stop(struct process *p);

/* It cannot even be started, for `why`, which its status shows until it has
 * been. */
void process_refuse(struct process *p, const char *why);

/* What init->health found out.  `why` is NULL when it works, "" when it is to
 * be asked again, else the reason to end it. */
void process_healthy(struct process *p, const char *why);

/* It works, and must not go on for `why` ("refused /_ah/start", "uses too much
 * memory"): it is killed, and started again after what the throttle says. */
void process_fail(struct process *p, const char *why);

/* Microseconds it may still take to start. */
int64_t process_start_left(const struct process *p);

/* Forget a stopped process. */
void process_free(struct process *p);

/* Leave it running: the controller ends, the child goes on. */
void process_abandon(struct process *p);

/* "ready", "starting", "failing", ... */
const char *process_state_text(const struct process *p);

/* Open those of the listeners that are not open yet, and give all of them to a
 * child as descriptors 3, 4, ...  Errors as listener_open(). */
int listeners_pass(struct ctx *ctx, struct listener *list, size_t n,
                   struct child_spec *spec);

/* Connect to it once, without waiting: whether it accepts. */
bool process_probe(const char *unix_path, int port);

/* Write DIR/run/state from the list of processes. */
int process_save(struct control *ctl);

/* End children of an earlier controller that it did not live to record. */
void process_reap_strays(struct control *ctl);

/* End the recorded ones that nobody has asked for. */
void process_reap_unclaimed(struct control *ctl);

#endif
