/* platform_int - shared by the files of service/platform only. */
#ifndef SERVICE_PLATFORM_PLATFORM_INT_H
#define SERVICE_PLATFORM_PLATFORM_INT_H

#include "base/locks.h"
#include "service/platform/platform.h"
#include "service/platform/tickets.h"

struct platform {
    struct storage *storage;
    struct arena arena; /* lives as long as the platform */
    struct bytes own_token;
    struct tickets tickets;
    struct tickets metadata; /* the same callers by what their instances know
                                the metadata server as */
    struct lock lock;        /* held by the one writer of both */
};

#endif
