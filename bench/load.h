/*
 * load - many keep-alive connections, each with one request in flight.
 *
 * A closed loop: a connection sends its next prepared request the moment the
 * answer to the last one is complete, so the rate is what the server sustains
 * at that many clients, and the latency what a client feels.  Requests are
 * bytes made beforehand (envelope.h); sending one is a write() and reading the
 * answer a read(), so that on a shared machine the generator takes as little
 * of it as it can.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buf.h"

#include <stdint.h>

struct load_requests {
    struct bytes *list; /* whole HTTP requests */
    size_t n;           /* each connection walks them from its own place */
    bool once;          /* stop after each has been sent once */
};

/*
 * Several calls that count as one: a transaction, a count in pages.  A script
 * makes each from the answer to the one before.
 */
struct load_sequence {
    uint64_t serial; /* no other sequence of the run has it */
    int step;        /* calls made so far */
    uint64_t handle; /* the script's own */
    uint64_t again;  /* conflicts, after which it began anew */
};

/*
 * Append the next HTTP request of `s` to `out`; false when the sequence is
 * over, or at its beginning when there shall be no more.
 * `answer` is the payload of the last answer, empty at the beginning, and
 * `error` the number of its application error or 0; an error that the script
 * does not take for an answer it leaves in *error.
 */
typedef bool load_script_fn(struct load_sequence *s, struct bytes answer,
                            int *error, struct buf *out);

struct load_options {
    const char *host; /* an IPv4 address */
    int port;
    int conns;
    int threads;
    double seconds;
    int pid;  /* whose CPU time to charge; 0: nobody's */
    bool rpc; /* answers are remote_api.Response: count their errors */
    struct load_requests requests;
    load_script_fn *script; /* in place of `requests`, or NULL */
};

struct load_result {
    uint64_t answers;
    uint64_t again;  /* conflicts of sequences */
    uint64_t errors; /* HTTP status not 200, or an error in the envelope */
    double seconds;
    double p50, p99;   /* microseconds */
    double server_cpu; /* microseconds of `pid` and its children an answer */
    char first_error[200];
};

/* Run; the process ends with the reason when the server cannot be reached. */
void load_run(const struct load_options *o, struct load_result *r);

/* CPU microseconds a process and its direct children have used so far. */
uint64_t load_cpu(int pid);

#endif
