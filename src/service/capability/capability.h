/*
 * capability - whether a service works: the RPC service "capability_service".
 *
 * Libraries ask before they start (Fantasm wants memcache, datastore_v3 and
 * taskqueue).  A package this server answers for is ENABLED, one of App Engine
 * that it does not have is DISABLED, any other name UNKNOWN.  "write" of
 * datastore_v3 is DISABLED while the app is read-only.
 *
 * Thread rule: the handler runs on any thread.
 */
#ifndef SERVICE_CAPABILITY_CAPABILITY_H
#define SERVICE_CAPABILITY_CAPABILITY_H

#include "capability.pb.h"
#include "service/env.h"

/* RPC_INLINE. */
int capability_is_enabled(struct ctx *ctx,
                          const struct capability_IsEnabledRequest *in,
                          struct capability_IsEnabledResponse *out);

#endif
