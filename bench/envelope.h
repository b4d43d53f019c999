/*
 * envelope - the requests the benchmarks send, as bytes of HTTP.
 *
 * What an SDK would send, made once before the clock starts: a remote_api
 * envelope around a request of the service, behind the SDKs' headers.
 */
#ifndef BENCH_ENVELOPE_H
#define BENCH_ENVELOPE_H

#include "load.h"

/* A workload by name ("null", "get", ...); ends the process when unknown, with
 * the list.  `n` bounds how many different requests it prepares. */
struct load_requests envelope_make(const char *workload, size_t n);

/* The requests that put in place what `workload` reads; n is 0 when nothing
 * is needed. */
struct load_requests envelope_setup(const char *workload, size_t n);

/* One plain GET of `path`. */
struct load_requests envelope_get(const char *path);

/* The names, for --help. */
const char *envelope_names(void);

#endif
