/*
 * script - workloads of several calls that depend on each other.
 */
#ifndef BENCH_SCRIPT_H
#define BENCH_SCRIPT_H

#include "load.h"

/* Begin, Get, Put, Commit of one of ten thousand entities. */
load_script_fn script_transaction;

/* The same of one of ten: most meet another. */
load_script_fn script_contention;

/* RunQuery with an offset of 100,000 and limit 0, and Next to the end, as ndb's
 * count() asks. */
load_script_fn script_count;

#endif
