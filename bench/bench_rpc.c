/*
 * bench_rpc - how many calls a second a server answers, and how soon.
 *
 * Prepares the requests, puts in place what they read, runs, prints one line
 * of JSON; bench/run makes the table.
 */
#include "envelope.h"
#include "task_script.h"

#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static void usage(FILE *f)
{
    fprintf(f,
            "usage: bench_rpc --port P --workload NAME [options]\n"
            "       bench_rpc --port P --get PATH [options]\n"
            "\n"
            "  --host ADDR      127.0.0.1\n"
            "  --name NAME      of the server that --get asks (127.0.0.1)\n"
            "  --conns N        keep-alive connections (1)\n"
            "  --threads N      of the generator (1)\n"
            "  --seconds S      to run (3)\n"
            "  --entities N     of zigzag and count (100000)\n"
            "  --requests N     different requests prepared (10000)\n"
            "  --pid PID        charge the CPU time of this process\n"
            "  --no-setup       the entities are there already\n"
            "  --queue NAME     of task and tasks (default)\n"
            "  --eta S          their tasks are due in so many seconds (0)\n"
            "  --total N        tasks in all\n"
            "workloads: %s\n",
            envelope_names());
}

struct options {
    struct load_options load;
    const char *workload;
    const char *get, *name;
    size_t requests;
    bool setup;
};

static const struct option longs[] = {
    {"host", required_argument, NULL, 'h'},
    {"name", required_argument, NULL, 'N'},
    {"port", required_argument, NULL, 'p'},
    {"workload", required_argument, NULL, 'w'},
    {"get", required_argument, NULL, 'g'},
    {"conns", required_argument, NULL, 'c'},
    {"threads", required_argument, NULL, 't'},
    {"entities", required_argument, NULL, 'e'},
    {"seconds", required_argument, NULL, 's'},
    {"requests", required_argument, NULL, 'n'},
    {"pid", required_argument, NULL, 'P'},
    {"no-setup", no_argument, NULL, 'S'},
    {"queue", required_argument, NULL, 'q'},
    {"eta", required_argument, NULL, 'E'},
    {"total", required_argument, NULL, 'T'},
    {"help", no_argument, NULL, '?'},
    {NULL, 0, NULL, 0},
};

static void option(struct options *o, int c)
{
    switch (c) {
    case 'h':
        o->load.host = optarg;
        break;
    case 'N':
        o->name = optarg;
        break;
    case 'p':
        o->load.port = atoi(optarg);
        break;
    case 'w':
        o->workload = optarg;
        break;
    case 'g':
        o->get = optarg;
        break;
    case 'c':
        o->load.conns = atoi(optarg);
        break;
    case 't':
        o->load.threads = atoi(optarg);
        break;
    case 'e':
        envelope_entities((size_t)atol(optarg));
        break;
    case 's':
        o->load.seconds = atof(optarg);
        break;
    case 'n':
        o->requests = (size_t)atol(optarg);
        break;
    case 'P':
        o->load.pid = atoi(optarg);
        break;
    case 'S':
        o->setup = false;
        break;
    case 'q':
        script_task_queue(optarg);
        break;
    case 'E':
        script_task_eta(atof(optarg));
        break;
    case 'T':
        script_task_total(strtoull(optarg, NULL, 10));
        break;
    default:
        usage(c == '?' ? stdout : stderr);
        exit(c == '?' ? 0 : 2);
    }
}

static void run_setup(const struct options *o)
{
    struct load_options put = o->load;
    struct load_result r;

    if (!envelope_setup(o->workload, o->requests, &put))
        return;
    put.conns = 64;
    put.pid = 0;
    load_run(&put, &r);
    if (r.errors)
        die("setting up: %s", r.first_error);
}

int main(int argc, char **argv)
{
    struct options o = {
        .load = {.host = "127.0.0.1", .conns = 1, .threads = 1, .seconds = 3},
        .requests = 10000,
        .setup = true,
    };
    struct load_result r;
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
        option(&o, c);
    if (!o.load.port || (!o.workload && !o.get)) {
        usage(stderr);
        return 2;
    }
    o.load.rpc = o.workload != NULL;
    if (o.workload && o.setup)
        run_setup(&o);
    if (o.workload)
        envelope_make(o.workload, o.requests, &o.load);
    else
        o.load.requests = envelope_get(o.get, o.name ? o.name : "127.0.0.1");
    load_run(&o.load, &r);
    printf("{\"workload\":\"%s\",\"conns\":%d,\"rate\":%.0f,\"p50\":%.1f,"
           "\"p99\":%.1f,\"cpu\":%.2f,\"answers\":%llu,\"again\":%llu,"
           "\"errors\":%llu}\n",
           o.workload ? o.workload : "static", o.load.conns,
           (double)r.answers / r.seconds, r.p50, r.p99, r.server_cpu,
           (unsigned long long)r.answers, (unsigned long long)r.again,
           (unsigned long long)r.errors);
    if (r.errors)
        die("%llu answers were errors, the first: %s",
            (unsigned long long)r.errors, r.first_error);
    return 0;
}
