/* gate - hear, judge, make the call, answer. */
#include "sandbox/gate.h"

#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64, /* calls at once; more wait for their turn */
    IDLE_MAX = 2,
    STACK_BYTES = 256 * 1024,
    STATUS_MAX = 2048,
};

static struct gate {
    int listener;
    const struct policy *policy;
    pthread_mutex_t lock; /* the counts, alone */
    int threads, idle;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A call under way. */
struct call {
    const struct seccomp_notif *from;
    pid_t process; /* whose thread it is */
    mode_t mask;
    int pidfd, fd; /* -1: none */
    struct sockaddr_storage to;
    socklen_t n;
};

/* ---- who asks, and what for ---- */

/* Between two looks at a thread it may have ended and its number be another's:
 * what was learned counts once the call is known to be waiting still. */
static bool still_waits(const struct call *c)
{
    return ioctl(gate.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &c->from->id) ==
           0;
}

/* The process of a thread, and what its files are made with. */
static int read_status(struct call *c)
{
    char path[64], text[STATUS_MAX + 1], *at;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)c->from->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    n = read(fd, text, STATUS_MAX);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "\nTgid:");
    c->process = at ? atoi(at + 6) : 0;
    at = strstr(text, "\nUmask:");
    c->mask = at ? (mode_t)strtoul(at + 7, NULL, 8) : 077;
    return c->process > 0 ? 0 : -ESRCH;
}

static int take_socket(struct call *c)
{
    int rc = read_status(c);

    if (rc)
        return rc;
    c->pidfd = (int)syscall(SYS_pidfd_open, c->process, 0);
    if (c->pidfd < 0 || !still_waits(c))
        return -ESRCH;
    c->fd =
        (int)syscall(SYS_pidfd_getfd, c->pidfd, (int)c->from->data.args[0], 0);
    return c->fd < 0 ? -errno : 0;
}

static int take_address(struct call *c)
{
    struct iovec to = {.iov_base = &c->to};
    struct iovec from = {
        .iov_base = (void *)(uintptr_t)c->from->data.args[1],
    };

    c->n = (socklen_t)c->from->data.args[2];
    if (c->n > sizeof(c->to))
        return -EINVAL;
    to.iov_len = from.iov_len = c->n;
    if (process_vm_readv(c->process, &to, 1, &from, 1, 0) != (ssize_t)c->n)
        return -EFAULT;
    return still_waits(c) ? 0 : -ESRCH;
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t n = sizeof(value);

    return getsockopt(fd, level, name, &value, &n) == 0 ? value : -1;
}

/* ---- the calls ---- */

/* Only to an address of this machine a socket can be bound.  When there is no
 * telling, it is one. */
static bool is_here(const struct call *c)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six;
    const void *at = &four;
    socklen_t n = sizeof(four);
    int fd, rc;

    memcpy(&six, &c->to, sizeof(six));
    if (c->to.ss_family != AF_INET6) {
        memcpy(&four, &c->to, sizeof(four));
    } else if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
        memcpy(&four.sin_addr, &six.sin6_addr.s6_addr[12], 4);
    } else {
        at = &six;
        n = c->n < sizeof(six) ? c->n : sizeof(six);
    }
    four.sin_port = six.sin6_port = 0;
    fd = socket(at == &six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    rc = fd < 0 ? 0 : bind(fd, at, n);
    if (fd >= 0)
        close(fd);
    return rc == 0;
}

static int only_loopback(int fd)
{
    static const char device[] = "lo";
    char now[IFNAMSIZ] = "";
    socklen_t n = sizeof(now);

    /* To set it twice would need a privilege. */
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, now, &n) == 0 &&
        strcmp(now, device) == 0)
        return 0;
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
                      sizeof(device)) == 0
               ? 0
               : -errno;
}

/* A path means what it means to the caller: from where that one stands.  The
 * folder and the mask are the thread's own since gate_thread(). */
static int stand_where(const struct call *c)
{
    char cwd[64];

    snprintf(cwd, sizeof(cwd), "/proc/%d/cwd", (int)c->process);
    umask(c->mask);
    return chdir(cwd) == 0 ? 0 : -errno;
}

static int do_connect(struct call *c)
{
    struct policy_address to = policy_address(&c->to, c->n);
    bool here;
    int rc;

    if (to.kind == POLICY_INET && c->to.ss_family == AF_UNSPEC)
        to.kind = POLICY_OTHER; /* takes a connection back */
    here = to.kind == POLICY_INET && is_here(c);
    rc = policy_connect(gate.policy, &to, here);
    if (rc == 0 && policy_is_unknown(gate.policy, &to, here) &&
        procfs_listens(to.port, gate.policy->first_user, gate.policy->last_user,
                       getuid()))
        rc = -ECONNREFUSED;
    if (rc == 0 && to.kind == POLICY_PATH)
        rc = stand_where(c);
    if (rc)
        return rc;
    return connect(c->fd, (const void *)&c->to, c->n) == 0 ? 0 : -errno;
}

static int do_bind(struct call *c)
{
    struct policy_address at = policy_address(&c->to, c->n);
    int rc = policy_bind(gate.policy, &at);

    if (rc == 0 && at.kind == POLICY_PATH)
        rc = stand_where(c);
    /* What has no connections is reached once it is bound.  A port of the
     * kernel's choice is that of a client, who wants to get out. */
    if (rc == 0 && at.kind == POLICY_INET && at.port != 0 &&
        option(c->fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM)
        rc = only_loopback(c->fd);
    if (rc)
        return rc;
    return bind(c->fd, (const void *)&c->to, c->n) == 0 ? 0 : -errno;
}

static int do_listen(struct call *c)
{
    int domain = option(c->fd, SOL_SOCKET, SO_DOMAIN), rc = 0;

    if (domain == AF_INET || domain == AF_INET6)
        rc = only_loopback(c->fd);
    if (rc)
        return rc;
    return listen(c->fd, (int)c->from->data.args[1]) == 0 ? 0 : -errno;
}

/* 0 or a negative errno, as the caller gets it. */
static int carry_out(struct call *c)
{
    long number = c->from->data.nr;
    int rc = take_socket(c);

    if (rc == 0 && number != SYS_listen)
        rc = take_address(c);
    if (rc)
        return rc;
    if (number == SYS_connect)
        return do_connect(c);
    return number == SYS_bind ? do_bind(c) : do_listen(c);
}

static void serve(const struct seccomp_notif *from)
{
    struct call c = {.from = from, .pidfd = -1, .fd = -1};
    struct seccomp_notif_resp answer = {.id = from->id};

    answer.error = carry_out(&c);
    if (c.fd >= 0)
        close(c.fd);
    if (c.pidfd >= 0)
        close(c.pidfd);
    /* Fails when the caller is gone, and then nobody misses it. */
    ioctl(gate.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

/* ---- the threads: there is always one that listens ---- */

static void *gate_thread(void *arg);

static int thread_add(void)
{
    pthread_attr_t at;
    pthread_t thread;
    int rc;

    pthread_attr_init(&at);
    pthread_attr_setstacksize(&at, STACK_BYTES);
    pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &at, gate_thread, NULL);
    pthread_attr_destroy(&at);
    return -rc;
}

/* One has heard of a call: another takes its place. */
static void thread_busy(void)
{
    bool more;

    pthread_mutex_lock(&gate.lock);
    more = --gate.idle == 0 && gate.threads < THREADS_MAX;
    if (more) {
        gate.idle++;
        gate.threads++;
    }
    pthread_mutex_unlock(&gate.lock);
    if (more && thread_add() != 0) {
        pthread_mutex_lock(&gate.lock);
        gate.idle--;
        gate.threads--;
        pthread_mutex_unlock(&gate.lock);
    }
}

/* Whether it shall listen again. */
static bool thread_free(void)
{
    bool stay;

    pthread_mutex_lock(&gate.lock);
    stay = gate.idle < IDLE_MAX;
    if (stay)
        gate.idle++;
    else
        gate.threads--;
    pthread_mutex_unlock(&gate.lock);
    return stay;
}

static void *gate_thread(void *arg)
{
    unshare(CLONE_FS); /* a folder and a mask of its own */
    do {
        struct seccomp_notif from = {0};
        int rc = ioctl(gate.listener, SECCOMP_IOCTL_NOTIF_RECV, &from);

        if (rc != 0 && errno != EINTR && errno != ENOENT)
            break; /* nobody is left under the filter */
        thread_busy();
        if (rc == 0)
            serve(&from);
    } while (thread_free());
    return arg;
}

int gate_start(int listener, const struct policy *p)
{
    gate.listener = listener;
    gate.policy = p;
    gate.threads = gate.idle = 1;
    return thread_add();
}
