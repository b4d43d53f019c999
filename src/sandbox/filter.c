/*
 * filter - the table of refusals, and the BPF program made of it.
 *
 * Rules are tried in order and the first that fits decides; a call without a
 * fitting rule is allowed.  The kernel remembers which calls are allowed
 * whatever their arguments, so those that no rule names cost nothing.
 */
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "src/sandbox/filter.c: which AUDIT_ARCH_ is this machine?"
#endif

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

enum {
    /* The last call of Linux 6.1, the oldest kernel we know all calls of. */
    LAST_KNOWN_CALL = 450,
    NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
    TYPE = 0xf, /* of a socket; above it are SOCK_CLOEXEC and SOCK_NONBLOCK */
    ALLOW = 0,
    GATE = -1,
    CONDITIONS_MAX = 3,
    INSTRUCTIONS_MAX = 1024,
};

/* (argument & mask) is `value`; with the value ANY: is not 0. */
#define ANY 0xdeadbeefu
struct condition {
    int argument;
    uint32_t mask, value;
};

struct rule {
    int call;
    int verdict;                                 /* an errno, ALLOW or GATE */
    struct condition conditions[CONDITIONS_MAX]; /* without mask: none */
    enum rule_when { ALWAYS, GATED, UNSCOPED } when;
};

#define IS(argument_, value_)                                                  \
    {                                                                          \
        (argument_), 0xffffffffu, (value_)                                     \
    }
#define HAS(argument_, mask_)                                                  \
    {                                                                          \
        (argument_), (mask_), ANY                                              \
    }
#define BITS(argument_, mask_, value_)                                         \
    {                                                                          \
        (argument_), (mask_), (value_)                                         \
    }
#define SOCKET(domain_, type_, protocol_)                                      \
    {                                                                          \
        SYS_socket, ALLOW,                                                     \
            {IS(0, domain_), BITS(1, TYPE, type_), IS(2, protocol_)}, ALWAYS   \
    }

static const struct rule rules[] = {
    /* the network: TCP, UDP, unix sockets, and asking for interfaces */
    {SYS_connect, GATE, {{0}}, GATED},
    {SYS_bind, GATE, {{0}}, GATED},
    {SYS_listen, GATE, {{0}}, GATED},
    {SYS_sendto, EOPNOTSUPP, {HAS(3, MSG_FASTOPEN)}, GATED},
    {SYS_sendmsg, EOPNOTSUPP, {HAS(2, MSG_FASTOPEN)}, GATED},
    {SYS_sendmmsg, EOPNOTSUPP, {HAS(3, MSG_FASTOPEN)}, GATED},
    {SYS_socket, EACCES, {IS(0, AF_UNIX), BITS(1, TYPE, SOCK_DGRAM)}, UNSCOPED},
    {SYS_socketpair, EACCES, {BITS(1, TYPE, SOCK_DGRAM)}, UNSCOPED},
    {SYS_socket, ALLOW, {IS(0, AF_UNIX)}, ALWAYS},
    SOCKET(AF_INET, SOCK_STREAM, 0),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET, SOCK_DGRAM, 0),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(AF_INET6, SOCK_STREAM, 0),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET6, SOCK_DGRAM, 0),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    {SYS_socket, ALLOW, {IS(0, AF_NETLINK), IS(2, 0 /* routes */)}, ALWAYS},
    {SYS_socket, EPERM, {BITS(1, TYPE, SOCK_RAW)}, ALWAYS},
    {SYS_socket, EPROTONOSUPPORT, {{0}}, ALWAYS},

    /* new namespaces: clone3() hides its flags, and everybody falls back */
    {SYS_clone, EPERM, {HAS(0, NAMESPACES)}, ALWAYS},
    {SYS_clone3, ENOSYS, {{0}}, ALWAYS},
    {SYS_unshare, EPERM, {{0}}, ALWAYS},
    {SYS_setns, EPERM, {{0}}, ALWAYS},

    /* mounts */
    {SYS_mount, EPERM, {{0}}, ALWAYS},
    {SYS_umount2, EPERM, {{0}}, ALWAYS},
    {SYS_pivot_root, EPERM, {{0}}, ALWAYS},
    {SYS_chroot, EPERM, {{0}}, ALWAYS},
    {SYS_open_tree, EPERM, {{0}}, ALWAYS},
    {SYS_move_mount, EPERM, {{0}}, ALWAYS},
    {SYS_mount_setattr, EPERM, {{0}}, ALWAYS},
    {SYS_fsopen, EPERM, {{0}}, ALWAYS},
    {SYS_fsconfig, EPERM, {{0}}, ALWAYS},
    {SYS_fsmount, EPERM, {{0}}, ALWAYS},
    {SYS_fspick, EPERM, {{0}}, ALWAYS},
    {SYS_name_to_handle_at, EPERM, {{0}}, ALWAYS},
    {SYS_open_by_handle_at, EPERM, {{0}}, ALWAYS},
    {SYS_quotactl, EPERM, {{0}}, ALWAYS},
    {SYS_quotactl_fd, EPERM, {{0}}, ALWAYS},
    {SYS_fanotify_init, EPERM, {{0}}, ALWAYS},
    {SYS_swapon, EPERM, {{0}}, ALWAYS},
    {SYS_swapoff, EPERM, {{0}}, ALWAYS},
    {SYS_acct, EPERM, {{0}}, ALWAYS},

    /* other processes */
    {SYS_ptrace, EPERM, {{0}}, ALWAYS},
    {SYS_process_vm_readv, EPERM, {{0}}, ALWAYS},
    {SYS_process_vm_writev, EPERM, {{0}}, ALWAYS},
    {SYS_process_madvise, EPERM, {{0}}, ALWAYS},
    {SYS_pidfd_getfd, EPERM, {{0}}, ALWAYS},
    {SYS_kcmp, EPERM, {{0}}, ALWAYS},
    {SYS_prlimit64, ALLOW, {IS(0, 0 /* itself */)}, ALWAYS},
    {SYS_prlimit64, EPERM, {{0}}, ALWAYS},
    {SYS_migrate_pages, EPERM, {{0}}, ALWAYS},
    {SYS_move_pages, EPERM, {{0}}, ALWAYS},
    {SYS_ioctl, EPERM, {IS(1, TIOCSTI)}, ALWAYS},
    {SYS_ioctl, EPERM, {IS(1, 0x541c /* TIOCLINUX */)}, ALWAYS},

    /* parts of the kernel that an application has no use for */
    {SYS_bpf, EPERM, {{0}}, ALWAYS},
    {SYS_perf_event_open, EPERM, {{0}}, ALWAYS},
    {SYS_userfaultfd, EPERM, {{0}}, ALWAYS},
    {SYS_io_uring_setup, EPERM, {{0}}, ALWAYS}, /* passes the gate by */
    {SYS_io_uring_enter, EPERM, {{0}}, ALWAYS},
    {SYS_io_uring_register, EPERM, {{0}}, ALWAYS},
    {SYS_keyctl, EPERM, {{0}}, ALWAYS},
    {SYS_add_key, EPERM, {{0}}, ALWAYS},
    {SYS_request_key, EPERM, {{0}}, ALWAYS},
    {SYS_personality, ALLOW, {IS(0, 0)}, ALWAYS},
    {SYS_personality, ALLOW, {IS(0, 0xffffffffu /* a question */)}, ALWAYS},
    {SYS_personality, EPERM, {{0}}, ALWAYS},

    /* the machine's own */
    {SYS_init_module, EPERM, {{0}}, ALWAYS},
    {SYS_finit_module, EPERM, {{0}}, ALWAYS},
    {SYS_delete_module, EPERM, {{0}}, ALWAYS},
    {SYS_kexec_load, EPERM, {{0}}, ALWAYS},
    {SYS_kexec_file_load, EPERM, {{0}}, ALWAYS},
    {SYS_reboot, EPERM, {{0}}, ALWAYS},
    {SYS_settimeofday, EPERM, {{0}}, ALWAYS},
    {SYS_clock_settime, EPERM, {{0}}, ALWAYS},
    {SYS_adjtimex, EPERM, {{0}}, ALWAYS},
    {SYS_clock_adjtime, EPERM, {{0}}, ALWAYS},
    {SYS_sethostname, EPERM, {{0}}, ALWAYS},
    {SYS_setdomainname, EPERM, {{0}}, ALWAYS},
    {SYS_syslog, EPERM, {{0}}, ALWAYS},
    {SYS_vhangup, EPERM, {{0}}, ALWAYS},
#ifdef __x86_64__
    {SYS_iopl, EPERM, {{0}}, ALWAYS},
    {SYS_ioperm, EPERM, {{0}}, ALWAYS},
    {SYS_modify_ldt, EPERM, {{0}}, ALWAYS},
#endif
};

/* ---- the program ---- */

struct code {
    struct sock_filter at[INSTRUCTIONS_MAX];
    unsigned short n;
    bool number; /* the call's number is loaded */
};

#define ADD(c_, ...) ((c_)->at[(c_)->n++] = (struct sock_filter)__VA_ARGS__)

static void load(struct code *c, size_t offset)
{
    ADD(c, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static uint32_t answer(int verdict)
{
    if (verdict == ALLOW)
        return SECCOMP_RET_ALLOW;
    if (verdict == GATE)
        return SECCOMP_RET_USER_NOTIF;
    return SECCOMP_RET_ERRNO | (uint32_t)verdict;
}

/* Go on behind the rule when the condition does not hold; where that is gets
 * filled in at its end. */
static void add_condition(struct code *c, const struct condition *cond)
{
    /* Flags and numbers are 32 bits wide; both machines have them first. */
    load(c, offsetof(struct seccomp_data, args) +
                (size_t)cond->argument * sizeof(uint64_t));
    if (cond->value == ANY)
        ADD(c, BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, cond->mask, 0, 0));
    else {
        ADD(c, BPF_STMT(BPF_ALU | BPF_AND | BPF_K, cond->mask));
        ADD(c, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cond->value, 0, 0));
    }
}

static void add_rule(struct code *c, const struct rule *r)
{
    unsigned short first = c->n;

    if (!c->number)
        load(c, offsetof(struct seccomp_data, nr));
    c->number = r->conditions[0].mask == 0;
    ADD(c, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->call, 0, 0));
    for (size_t i = 0; i < CONDITIONS_MAX && r->conditions[i].mask; i++)
        add_condition(c, &r->conditions[i]);
    ADD(c, BPF_STMT(BPF_RET | BPF_K, answer(r->verdict)));
    for (unsigned short i = first; i < c->n; i++)
        if (BPF_CLASS(c->at[i].code) == BPF_JMP)
            c->at[i].jf = (uint8_t)(c->n - i - 1);
}

static void make(struct code *c, bool gated, bool scoped)
{
    load(c, offsetof(struct seccomp_data, arch));
    ADD(c, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    ADD(c, BPF_STMT(BPF_RET | BPF_K, answer(ENOSYS))); /* 32-bit programs */
    load(c, offsetof(struct seccomp_data, nr));
    ADD(c, BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN_CALL, 0, 1));
    ADD(c, BPF_STMT(BPF_RET | BPF_K, answer(ENOSYS)));
    c->number = true;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if ((rules[i].when != GATED || gated) &&
            (rules[i].when != UNSCOPED || !scoped))
            add_rule(c, &rules[i]);
    ADD(c, BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

int filter_load(bool gated, bool scoped)
{
    static struct code c;
    struct sock_fprog program = {.filter = c.at};
    unsigned long flags = gated ? SECCOMP_FILTER_FLAG_NEW_LISTENER |
                                      SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
                                : 0;
    int fd;

    make(&c, gated, scoped);
    program.len = c.n;
    fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    /* Before Linux 5.19 a signal may cut a call that the gate is making. */
    if (fd < 0 && errno == EINVAL && gated)
        fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return fd;
}

/* ---- Landlock's scopes: younger than Debian 12's headers ---- */

enum {
    LANDLOCK_VERSION = 1, /* a flag: which version is there */
    LANDLOCK_SCOPES_SINCE = 6,
    SCOPE_ABSTRACT_UNIX = 1,
    SCOPE_SIGNAL = 2,
};

bool filter_scope(void)
{
    const struct {
        uint64_t files, network, scoped;
    } ruleset = {.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL};
    int fd, rc;

    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION) <
        LANDLOCK_SCOPES_SINCE)
        return false;
    fd =
        (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
    if (fd < 0)
        return false;
    rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return rc == 0;
}
