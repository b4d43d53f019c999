/* listener - open, or take over. */
#include "control/listener.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* Its size; 0 when it is no address. */
static socklen_t make_address(const struct listener *l, union address *out)
{
    memset(out, 0, sizeof(*out));
    if (l->path) {
        out->un.sun_family = AF_UNIX;
        if (strlen(l->path) >= sizeof(out->un.sun_path))
            return 0;
        memcpy(out->un.sun_path, l->path, strlen(l->path) + 1);
        return sizeof(out->un);
    }
    if (inet_pton(AF_INET, l->address, &out->in.sin_addr) == 1) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons((uint16_t)l->port);
        return sizeof(out->in);
    }
    if (inet_pton(AF_INET6, l->address, &out->in6.sin6_addr) == 1) {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons((uint16_t)l->port);
        return sizeof(out->in6);
    }
    return 0;
}

static int open_error(struct ctx *ctx, const struct listener *l)
{
    if (l->path)
        return ctx_err(ctx, ERR_IO, "cannot listen on %s: %s", l->path,
                       strerror(errno));
    return ctx_err(ctx, errno == EADDRINUSE ? ERR_UNAVAILABLE : ERR_IO,
                   "cannot listen on %s port %d: %s", l->address, l->port,
                   strerror(errno));
}

int listener_open(struct ctx *ctx, struct listener *l)
{
    union address at;
    socklen_t n = make_address(l, &at);
    int one = 1, fd;

    if (l->fd >= 0)
        return 0;
    if (n == 0)
        return ctx_err(ctx, ERR_INVALID, "\"%s\" is no address to listen on",
                       l->path ? l->path : l->address);
    /* Several processes accept on it, and nginx leaves the mode of what it
     * inherits: whoever comes second would hang in accept(). */
    fd =
        socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return open_error(ctx, l);
    if (l->path)
        unlink(l->path);
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, &at.any, n) != 0 || listen(fd, LISTENER_BACKLOG) != 0 ||
        (l->path && chmod(l->path, 0600) != 0)) {
        int rc = open_error(ctx, l);

        close(fd);
        return rc;
    }
    l->fd = fd;
    return 0;
}

static bool same_address(const struct listener *l, int fd)
{
    union address want, has;
    socklen_t n = make_address(l, &want), got = sizeof(has);
    int accepts = 0;
    socklen_t size = sizeof(accepts);

    memset(&has, 0, sizeof(has));
    if (n == 0 || getsockname(fd, &has.any, &got) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) != 0 ||
        !accepts)
        return false;
    if (l->path)
        return has.any.sa_family == AF_UNIX &&
               strcmp(has.un.sun_path, l->path) == 0;
    return memcmp(&want, &has, n) == 0;
}

void listener_take(struct listener *l, pid_t pid, int fd)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

    if (copy >= 0 && !same_address(l, copy)) {
        close(copy);
        copy = -1;
    }
    if (copy < 0)
        log_warn(NULL, "listener.not_taken", "of", l->path ? l->path : "port",
                 "pid", log_int(pid));
    if (pidfd >= 0)
        close(pidfd);
    if (copy >= 0) /* of the open file: for all who have it */
        fcntl(copy, F_SETFL, O_NONBLOCK);
    l->fd = copy;
}
