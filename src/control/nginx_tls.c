/*
 * nginx_tls - what the servers need to speak TLS.
 */
#include "control/nginx_int.h"

int64_t nginx_tls_port(const struct control *ctl)
{
    (void)ctl;
    return 0;
}
