/*
 * env - what the services stand on, made once at start by bin/ and found by
 * every handler as ctx->env.  Each field is a module's handle, shared by all
 * threads under that module's own rule; NULL where the server runs without it.
 */
#ifndef SERVICE_ENV_H
#define SERVICE_ENV_H

#include "base/ctx.h"

struct storage;
struct engine;
struct memcache;
struct users;
struct platform;
struct taskqueue;
struct index_file;
struct system;

/*
 * How a service spells our codes on the wire: rows of enum err_code and the
 * number of the service's own error enum, ended by a row of code 0.  Each
 * service's header offers its map; rpc/methods.c names it beside the methods.
 */
struct rpc_err_map {
    int code;
    int32_t app_code;
};

struct service_env {
    struct storage *storage;
    struct engine *engine;     /* entities, indexes, transactions */
    struct memcache *memcache; /* connections to memcached */
    struct users *users;       /* accounts and sessions */
    struct platform *platform; /* apps, versions, settings: service/platform */
    struct taskqueue *taskqueue; /* queues, tasks, their dispatcher */
    struct system *system;       /* background requests, figures */
    const char *domain;          /* "localhost", "apps.example.com" */
    const char *controller;      /* the socket of its Admin API */
    bool emulator;               /* any ticket is accepted */
    const char *project;         /* the emulator's app; else NULL */
    /* The emulator alone: a query makes the index it lacks; with a file of the
     * application, that decides, and the index gets its entry there. */
    bool auto_index;
    struct index_file *index_file;
};

#endif
