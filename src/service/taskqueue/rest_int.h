/*
 * rest_int - what the files of the REST API share.
 */
#ifndef SERVICE_TASKQUEUE_REST_INT_H
#define SERVICE_TASKQUEUE_REST_INT_H

#include "service/taskqueue/rest.h"
#include "service/taskqueue/taskqueue_int.h"

#include <jansson.h>

/* What a call does to the queue: the two rights of an acl. */
enum rest_right { REST_CONSUME, REST_INSERT };

/* One request on its way. */
struct rest_call {
    const struct http_request *req;
    struct http_response *res;
    struct bytes project; /* without "s~" */
    struct bytes queue_name, task;
    struct queue *q;
    const struct queue_def *def;
};

/*
 * Whether the caller may (rest_auth.c).  ERR_UNAUTHENTICATED without good
 * credentials; ERR_DENIED, the same for a project, a queue or a right that is
 * not there, with whom it takes the caller for.  On 0 c->q may still be NULL in
 * the emulator alone.
 */
int rest_authorize(struct ctx *ctx, struct rest_call *c, enum rest_right right);

/* ---- JSON (rest_json.c); references are the caller's ---- */

/* A Task.  `now` decides whether it is leased. */
json_t *rest_task_json(struct ctx *ctx, const struct queue *q,
                       const struct task *t, int64_t now);

/* A TaskQueue; with its stats when asked.  NULL with an error of the store. */
json_t *rest_queue_json(struct ctx *ctx, struct queue *q,
                        const struct queue_def *def, bool stats, int *rc);

/* Bytes of base64 in either alphabet, padded or not; in the arena.  False when
 * it is neither. */
bool rest_unbase64(struct arena *a, struct bytes text, struct bytes *out);

/* The body as an object that goes back with the arena; NULL in *out when there
 * is none.  ERR_INVALID. */
int rest_body(struct ctx *ctx, const struct http_request *req, json_t **out);

/* A whole number of the query; ERR_INVALID names it when it is absent, none, or
 * out of bounds. */
int rest_number(struct ctx *ctx, const struct http_request *req,
                const char *name, int64_t min, int64_t max, int64_t *out);

/* ---- answers ---- */

/* 200 with an object, whose reference is taken over. */
void rest_reply(struct ctx *ctx, struct rest_call *c, json_t *o);

/* 200 with a list of tasks, each made and given back by itself. */
void rest_reply_tasks(struct ctx *ctx, struct rest_call *c,
                      const struct task *tasks, size_t n, int64_t now);

/* The error of `rc` in Google's shape. */
void rest_fail(struct ctx *ctx, struct rest_call *c, int rc);

#endif
