/*
 * rest - pull queues as a REST API: Google's Task Queue API v1beta2, for
 * workers that are not App Engine apps.
 *
 *   BASE/projects/P/taskqueues/Q                GET ?getStats
 *   BASE/projects/P/taskqueues/Q/tasks          GET; POST inserts
 *   BASE/projects/P/taskqueues/Q/tasks/lease    POST ?leaseSecs&numTasks
 *                                               [&groupByTag&tag]
 *   BASE/projects/P/taskqueues/Q/tasks/T        GET, DELETE; POST and PATCH
 *                                               ?newLeaseSeconds
 *
 * BASE is /taskqueue/v1beta2 of the server's own address, and behind the front
 * end /_ah/taskqueue/v1beta2 of a host of the project.  Answers and errors are
 * JSON as Google makes it.
 *
 * Who may: in the emulator, whoever connects from this machine.  On the
 * platform, whom the queue's acl names, by "Authorization: Bearer TOKEN":
 *
 *   - an access token of app_identity, with a scope of the Task Queue API, is
 *     the service account of the app that asked for it;
 *   - a session of the project's host (the cookie's value) is who signed in.
 *
 * A cookie itself opens nothing, so no page of another site can use a
 * visitor's; a queue without an acl is open to nobody.
 *
 * Thread rule: as taskqueue.h.
 */
#ifndef SERVICE_TASKQUEUE_REST_H
#define SERVICE_TASKQUEUE_REST_H

#include "net/http.h"
#include "service/env.h"

/* A row of rpc/methods.c's pages. */
extern const struct http_route taskqueue_routes[];

#endif
