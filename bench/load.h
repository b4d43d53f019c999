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

#include "base/bytes.h"

#include <stdint.h>

struct load_requests {
    struct bytes *list; /* whole HTTP requests */
    size_t n;           /* each connection walks them from its own place */
    bool once;          /* stop after each has been sent once */
};

struct load_options {
    const char *host; /* an IPv4 address */
    int port;
    int conns;
    int threads;
    double seconds;
    int pid;  /* whose CPU time to charge; 0: nobody's */
    bool rpc; /* answers are remote_api.Response: count their errors */
    struct load_requests requests;
};

struct load_result {
    uint64_t answers;
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
