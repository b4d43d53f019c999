/* policy - the rules about ports. */
#include "sandbox/policy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

static struct policy_address inet_address(in_port_t port)
{
    return (struct policy_address){.kind = POLICY_INET, .port = ntohs(port)};
}

struct policy_address policy_address(const struct sockaddr_storage *sa,
                                     socklen_t n)
{
    static const struct policy_address cut = {.kind = POLICY_SHORT};
    const void *p = sa;

    if (n < sizeof(sa->ss_family))
        return cut;
    switch (sa->ss_family) {
    case AF_UNSPEC: /* bind() takes it for AF_INET, connect() for a farewell */
        if (n < sizeof(struct sockaddr_in))
            return (struct policy_address){.kind = POLICY_OTHER};
        /* fall through */
    case AF_INET:
        return n < sizeof(struct sockaddr_in)
                   ? cut
                   : inet_address(((const struct sockaddr_in *)p)->sin_port);
    case AF_INET6: /* old programs leave out the scope: 24 bytes will do */
        return n < offsetof(struct sockaddr_in6, sin6_scope_id)
                   ? cut
                   : inet_address(((const struct sockaddr_in6 *)p)->sin6_port);
    case AF_UNIX:
        if (n > offsetof(struct sockaddr_un, sun_path) &&
            ((const struct sockaddr_un *)p)->sun_path[0] != '\0')
            return (struct policy_address){.kind = POLICY_PATH};
        return (struct policy_address){.kind = POLICY_ABSTRACT};
    default:
        return (struct policy_address){.kind = POLICY_OTHER};
    }
}

static const struct policy_range *range_of(const struct policy *p, int port)
{
    for (size_t i = 0; i < p->n_ranges; i++)
        if (port >= p->ranges[i].first && port <= p->ranges[i].last)
            return &p->ranges[i];
    return NULL;
}

int policy_connect(const struct policy *p, const struct policy_address *to,
                   bool here)
{
    const struct policy_range *r;

    if (to->kind == POLICY_ABSTRACT)
        return -EACCES;
    if (to->kind != POLICY_INET || !here || to->port == 0)
        return 0;
    if (to->port == p->port || to->port == p->api_port)
        return 0;
    r = range_of(p, to->port);
    return r && !r->open ? -ECONNREFUSED : 0;
}

bool policy_is_unknown(const struct policy *p, const struct policy_address *to,
                       bool here)
{
    return p->last_user && to->kind == POLICY_INET && here && to->port != 0 &&
           to->port != p->port && to->port != p->api_port &&
           !range_of(p, to->port);
}

int policy_bind(const struct policy *p, const struct policy_address *at)
{
    if (at->kind == POLICY_ABSTRACT)
        return -EACCES;
    if (at->kind != POLICY_INET || at->port == 0 || at->port == p->port)
        return 0;
    return at->port == p->api_port || range_of(p, at->port) ? -EACCES : 0;
}

bool policy_add(struct policy *p, const char *text, bool open)
{
    struct policy_range r = {.open = open};
    int used = 0;

    if (sscanf(text, "%d%n-%d%n", &r.first, &used, &r.last, &used) < 2)
        r.last = r.first;
    if (used == 0 || text[used] != '\0' || r.first < 1 || r.last < r.first ||
        r.last > 65535 || p->n_ranges == POLICY_RANGES_MAX)
        return false;
    p->ranges[p->n_ranges++] = r;
    return true;
}
