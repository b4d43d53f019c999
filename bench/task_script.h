/*
 * task_script - workloads that add tasks for bench_sink.
 */
#ifndef BENCH_TASK_SCRIPT_H
#define BENCH_TASK_SCRIPT_H

#include "load.h"

/* One task a call, and a hundred. */
load_script_fn script_task;
load_script_fn script_tasks;

/* To which queue ("default"), due how many seconds after now (0), how many
 * tasks in all (0: until the time is over).  Before load_run(). */
void script_task_queue(const char *name);
void script_task_eta(double seconds);
void script_task_total(uint64_t n);

#endif
