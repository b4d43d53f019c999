/*
 * api - calls of the Admin API over the controller's unix socket.
 *
 * One connection for the whole command.  A call answers JSON or an error whose
 * story is the API's own message; when nobody listens the error is
 * ERR_UNAVAILABLE with exit status CLI_NOT_RUNNING and `appscale up` as the
 * next step.  Ownership: the JSON of an answer is the caller's to release.
 */
#ifndef CLI_API_H
#define CLI_API_H

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/progress.h"

struct api;

/* Never fails: the first call does when there is nothing to talk to.  Goes away
 * with the arena of `cli`. */
struct api *api_open(struct cli *cli);

/*
 * METHOD PATH with a JSON body (or NULL; not taken over).  On 0 *answer (may be
 * NULL) is what came back.  Takes at most a minute.  Codes: ERR_UNAVAILABLE
 * nobody there, ERR_NOT_FOUND 404, ERR_EXISTS 409, ERR_INVALID 400, ERR_IO
 * else.
 */
int api_call(struct api *api, const char *method, json_t **answer,
             const json_t *body, const char *path, ...)
    __attribute__((format(printf, 5, 6)));

/* As above with bytes for a body. */
int api_send(struct api *api, const char *method, json_t **answer,
             struct bytes body, const char *path, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * Follow an Operation to its end, its steps shown.  *response (may be NULL) is
 * what it made.  Releases `operation`.
 */
int api_wait(struct api *api, json_t *operation, struct progress *progress,
             json_t **response);

/* A text of an object, or `otherwise`. */
const char *api_text(const json_t *object, const char *key,
                     const char *otherwise);

/* A number of an object; 0 when it is not there. */
json_int_t api_number(const json_t *object, const char *key);

/* A time of the API, "2026-11-26T01:20:00.000Z", as people read it; "-" for
 * NULL.  In `a`. */
const char *api_moment(struct arena *a, const char *time);

/* What an app wrote, fit for a terminal: control characters become '?'.  In
 * `a`. */
const char *api_safe(struct arena *a, const char *text);

/* What the Admin API says of one project, in *out on 0 (else left NULL). */
typedef int api_get_fn(struct cli *cli, struct api *api, const char *project,
                       json_t **out);

/*
 * What `get` answers for `project`, or with NULL for each that is deployed, as
 * an object by project in *all: the caller's to release, whatever the result.
 * Ends at the first error, as api_call(); for a project that is not there
 * `next` says where they are listed.
 */
int api_by_project(struct cli *cli, struct api *api, const char *project,
                   api_get_fn *get, json_t **all);

/* A part of a path or query, percent-encoded, in the arena. */
const char *api_escape(struct cli *cli, const char *text);

#endif
