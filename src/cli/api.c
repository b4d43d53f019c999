/*
 * api - libcurl over the unix socket, and the words for what it says.
 *
 * A change is followed by asking for its Operation every POLL_MS; the change
 * does not depend on who asks, so a command that is interrupted leaves it going
 * on.
 */
#include "cli/api.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALL_SECONDS = 60, POLL_MS = 100 };

struct api {
    struct cli *cli;
    CURL *curl;
    struct buf answer;
    struct arena scratch; /* of one call: a follower makes many */
};

static void api_close(void *obj)
{
    struct api *api = obj;

    curl_easy_cleanup(api->curl);
    arena_release(&api->scratch);
    buf_release(&api->answer);
}

struct api *api_open(struct cli *cli)
{
    struct api *api = ARENA_NEW(&cli->arena, struct api);

    api->cli = cli;
    api->curl = curl_easy_init();
    if (!api->curl)
        abort(); /* out of memory at start */
    arena_on_reset(&cli->arena, api_close, api);
    return api;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    buf_add(arg, BYTES(data, size * n));
    return size * n;
}

/* ---- answers ---- */

static int code_of(long status)
{
    switch (status) {
    case 400:
        return ERR_INVALID;
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_EXISTS;
    case 413:
        return ERR_TOO_LARGE;
    default:
        return status / 100 == 2 ? 0 : ERR_IO;
    }
}

/* The API's own words when the body has them. */
static int refuse(struct api *api, int code, long status, const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    const char *message = api_text(error, "message", NULL);
    struct ctx *ctx = &api->cli->ctx;

    ctx_err_clear(ctx);
    if (status == 503)
        api->cli->next = "appscale status shows how far it is; then again";
    if (message && *message)
        return ctx_err(ctx, code, "%s", message);
    return ctx_err(ctx, code, "the controller answered with status %ld",
                   status);
}

static int not_running(struct api *api)
{
    return cli_fail(api->cli, CLI_NOT_RUNNING, "appscale up",
                    "the platform is not running (nobody listens on %s)",
                    api->cli->socket);
}

static int transport_error(struct api *api, CURLcode rc)
{
    struct cli *cli = api->cli;

    if (rc == CURLE_COULDNT_CONNECT && access(cli->socket, F_OK) == 0 &&
        access(cli->socket, W_OK) < 0)
        return cli_fail(cli, CLI_FAILED,
                        "run the command as the user who started the platform",
                        "%s may not be used by this user", cli->socket);
    if (rc == CURLE_COULDNT_CONNECT)
        return not_running(api);
    ctx_err_clear(&cli->ctx);
    return ctx_err(&cli->ctx, ERR_IO,
                   "the controller did not answer as it should: %s",
                   curl_easy_strerror(rc));
}

static int take_answer(struct api *api, json_t **answer)
{
    long status = 0;
    json_t *body;
    int rc;

    curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &status);
    body = json_loadb((const char *)api->answer.p, api->answer.n, 0, NULL);
    rc = code_of(status);
    if (rc < 0)
        rc = refuse(api, rc, status, body);
    else if (!body && answer)
        rc = ctx_err(&api->cli->ctx, ERR_IO,
                     "the controller's answer is not JSON");
    if (rc == 0 && answer)
        *answer = body;
    else
        json_decref(body);
    return rc;
}

static int perform(struct api *api, const char *method, const char *path,
                   struct bytes body, const char *type, json_t **answer)
{
    struct curl_slist *headers = NULL;
    CURL *c = api->curl;
    CURLcode rc;

    buf_clear(&api->answer);
    headers = curl_slist_append(
        NULL, arena_printf(&api->scratch, "Content-Type: %s", type));
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, api->cli->socket);
    curl_easy_setopt(c, CURLOPT_URL,
                     arena_printf(&api->scratch, "http://localhost%s", path));
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)CALL_SECONDS);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &api->answer);
    if (body.p) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, (const char *)body.p);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    }
    rc = curl_easy_perform(c);
    curl_slist_free_all(headers);
    arena_reset(&api->scratch);
    return rc == CURLE_OK ? take_answer(api, answer) : transport_error(api, rc);
}

int api_call(struct api *api, const char *method, json_t **answer,
             const json_t *body, const char *path, ...)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    va_list ap;
    int rc;

    va_start(ap, path);
    rc = perform(api, method, arena_vprintf(&api->scratch, path, ap),
                 text ? bytes_str(text) : BYTES_NONE, "application/json",
                 answer);
    va_end(ap);
    free(text);
    return rc;
}

int api_send(struct api *api, const char *method, json_t **answer,
             struct bytes body, const char *path, ...)
{
    va_list ap;
    int rc;

    va_start(ap, path);
    rc = perform(api, method, arena_vprintf(&api->scratch, path, ap), body,
                 "application/octet-stream", answer);
    va_end(ap);
    return rc;
}

/* ---- operations ---- */

static int operation_end(struct api *api, const json_t *op, json_t **response)
{
    const json_t *error = json_object_get(op, "error");

    if (error) {
        ctx_err_clear(&api->cli->ctx);
        return ctx_err(&api->cli->ctx, ERR_INTERNAL, "%s",
                       api_text(error, "message",
                                "it failed, and does not "
                                "say why"));
    }
    if (response) {
        *response = json_object_get(op, "response");
        json_incref(*response);
    }
    return 0;
}

static void show_step(const json_t *op, struct progress *progress)
{
    const json_t *meta = json_object_get(op, "metadata");
    const char *step = api_text(meta, "ephemeralMessage", NULL);

    if (step && *step)
        progress_step(progress, "%s", step);
    else
        progress_tick(progress);
}

int api_wait(struct api *api, json_t *operation, struct progress *progress,
             json_t **response)
{
    const char *name =
        arena_strdup(&api->cli->arena, api_text(operation, "name", ""));
    int rc = 0;

    while (rc == 0 && !json_is_true(json_object_get(operation, "done"))) {
        show_step(operation, progress);
        usleep(POLL_MS * 1000);
        json_decref(operation);
        operation = NULL;
        rc = api_call(api, "GET", &operation, NULL, "/v1/%s", name);
    }
    if (rc == 0)
        rc = operation_end(api, operation, response);
    json_decref(operation);
    progress_end(progress, rc == 0);
    return rc;
}

const char *api_text(const json_t *object, const char *key,
                     const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : otherwise;
}

const char *api_escape(struct cli *cli, const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    const char *copy = arena_strdup(&cli->arena, escaped ? escaped : "");

    curl_free(escaped);
    return copy;
}

json_int_t api_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

const char *api_moment(struct arena *a, const char *time)
{
    if (!time)
        return "-";
    if (strlen(time) < 19)
        return time;
    return arena_printf(a, "%.10s %.8s", time, time + 11);
}

const char *api_safe(struct arena *a, const char *text)
{
    char *copy = arena_strdup(a, text);

    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    return copy;
}

/* ---- every project ---- */

static int get_one(struct cli *cli, struct api *api, const char *project,
                   api_get_fn *get, json_t *all)
{
    json_t *answer = NULL;
    int rc = get(cli, api, project, &answer);

    if (answer)
        json_object_set_new(all, project, answer);
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status lists the projects";
    return rc;
}

int api_by_project(struct cli *cli, struct api *api, const char *project,
                   api_get_fn *get, json_t **all)
{
    json_t *apps = NULL, *app;
    size_t i;
    int rc;

    *all = json_object();
    if (project)
        return get_one(cli, api, project, get, *all);
    rc = api_call(api, "GET", &apps, NULL, "/v1/apps");
    json_array_foreach(json_object_get(apps, "apps"), i, app)
    {
        if (rc == 0)
            rc = get_one(cli, api, api_text(app, "id", ""), get, *all);
    }
    json_decref(apps);
    return rc;
}
