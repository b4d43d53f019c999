/*
 * load - prepared requests for the load generator.
 *
 * A load is a name, what has to be in place before (setup), and a number of
 * whole HTTP requests that are sent in turn.  Everything is made before the
 * clock starts.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buf.h"

struct load {
    struct bytes *setup; /* sent once each, in order */
    size_t n_setup;
    struct bytes *requests;
    size_t n_requests;
    bool enveloped; /* answers are remote_api Responses */
};

/* The load of that name for app `app`; false when there is none. */
bool load_make(struct arena *a, const char *name, const char *app,
               struct load *out);

/* GET of a static file. */
void load_static(struct arena *a, const char *path, struct load *out);

/* "null, memcache-get, ..." */
extern const char load_names[];

#endif
