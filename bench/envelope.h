/*
 * envelope - the requests the benchmarks send, as bytes of HTTP.
 *
 * What an SDK would send, made once before the clock starts: a remote_api
 * envelope around a request of the service, behind the SDKs' headers.
 */
#ifndef BENCH_ENVELOPE_H
#define BENCH_ENVELOPE_H

#include "load.h"

/* Set what sends a workload by name ("null", "get", ...); ends the process when
 * unknown, with the list.  `n` bounds how many different requests it prepares.
 */
void envelope_make(const char *workload, size_t n, struct load_options *o);

/* The same for what puts in place what `workload` reads; false when nothing is
 * needed. */
bool envelope_setup(const char *workload, size_t n, struct load_options *o);

/* How many entities zigzag and count have; 100,000 unless told. */
void envelope_entities(size_t n);

/* ---- for scripts ---- */

/* Append a whole HTTP request. */
void envelope_post(struct buf *http, const char *service, const char *method,
                   struct bytes request);

/* Append a benchmark entity to a PutRequest. */
void envelope_entity(struct buf *put, const char *name, uint64_t i);

/* Append a key of the benchmark's kind as field `field`. */
void envelope_key(struct buf *b, uint32_t field, const char *name);

/* One plain GET of `path`. */
struct load_requests envelope_get(const char *path, const char *name);

/* The names, for --help. */
const char *envelope_names(void);

#endif
