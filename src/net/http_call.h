/*
 * http_call - one HTTP request of a thread that waits for the answer.
 *
 * For the server's rare calls to the controller: http_client on a loop of the
 * call's own, run until the answer is there.  The thread is blocked meanwhile,
 * also when it runs a fiber, so callers bound how many of these run at once.
 *
 * Thread rule: any thread but a loop's.
 */
#ifndef NET_HTTP_CALL_H
#define NET_HTTP_CALL_H

#include "net/http_client.h"

/* What was answered; the body lives in ctx->arena. */
struct http_call_answer {
    int status;
    struct bytes body;
};

/*
 * Send and wait, until ctx->deadline at most whatever req->timeout says.  0
 * whenever a whole answer arrived, whatever its status; else the code of
 * http_client_response with its message as the story.
 */
int http_call(struct ctx *ctx, const struct http_client_request *req,
              struct http_call_answer *out);

#endif
