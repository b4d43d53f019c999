/* proc - /proc, read line by line. */
#include "control/proc.h"

#include "base/arena.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct proc_stat {
    char state;
    pid_t parent, session;
    uint64_t start_time;
    int64_t rss_pages;
    int64_t ticks; /* of its own and of the children it has waited for */
};

static ssize_t read_file(const char *path, char *p, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return -1;
    got = read(fd, p, n - 1);
    close(fd);
    if (got >= 0)
        p[got] = '\0';
    return got;
}

/*
 * /proc/PID/stat (proc(5)): the name in field 2 may hold blanks and brackets,
 * so the fields are counted from the last ')'.
 */
static bool read_stat(pid_t pid, struct proc_stat *st)
{
    char path[64], text[1024], *at;
    long long parent, session, rss, ticks[4];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (pid <= 0 || read_file(path, text, sizeof(text)) <= 0)
        return false;
    at = strrchr(text, ')');
    if (!at)
        return false;
    if (sscanf(at + 1,
               " %c %lld %*d %lld %*d %*d %*u %*u %*u %*u %*u %lld %lld %lld "
               "%lld %*d %*d %*d %*d %" SCNu64 " %*u %lld",
               &st->state, &parent, &session, &ticks[0], &ticks[1], &ticks[2],
               &ticks[3], &st->start_time, &rss) != 9)
        return false;
    st->ticks = ticks[0] + ticks[1] + ticks[2] + ticks[3];
    st->parent = (pid_t)parent;
    st->session = (pid_t)session;
    st->rss_pages = rss;
    return st->state != 'Z' && st->state != 'X';
}

uint64_t proc_start_time(pid_t pid)
{
    struct proc_stat st;

    return read_stat(pid, &st) ? st.start_time : 0;
}

pid_t proc_parent(pid_t pid)
{
    struct proc_stat st;

    return read_stat(pid, &st) ? st.parent : 0;
}

typedef void each_fn(pid_t pid, const struct proc_stat *st, void *arg);

static void each_process(each_fn *fn, void *arg)
{
    DIR *d = opendir("/proc");
    struct proc_stat st;
    struct dirent *e;

    if (!d)
        return;
    while ((e = readdir(d))) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;

        if (pid > 0 && read_stat(pid, &st))
            fn(pid, &st, arg);
    }
    closedir(d);
}

struct session_sum {
    pid_t sid;
    int sig;
    const char *title; /* count those alone */
    int count;
    int64_t pages;
};

static bool has_title(pid_t pid, const char *title)
{
    char path[64], text[256];

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    return read_file(path, text, sizeof(text)) > 0 && strcmp(text, title) == 0;
}

static void sum_one(pid_t pid, const struct proc_stat *st, void *arg)
{
    struct session_sum *s = arg;

    if (st->session != s->sid || (s->title && !has_title(pid, s->title)))
        return;
    s->count++;
    s->pages += st->rss_pages;
    if (s->sig)
        kill(pid, s->sig);
}

int64_t proc_session_memory(pid_t sid)
{
    struct session_sum s = {.sid = sid};

    each_process(sum_one, &s);
    return s.pages * sysconf(_SC_PAGESIZE);
}

struct session_list {
    struct proc_session *list;
    size_t n;
};

static void add_to_session(pid_t pid, const struct proc_stat *st, void *arg)
{
    const struct session_list *l = arg;

    (void)pid;
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].sid == st->session) {
            l->list[i].memory += st->rss_pages * sysconf(_SC_PAGESIZE);
            l->list[i].ticks += st->ticks;
            return;
        }
}

void proc_sessions(struct proc_session *list, size_t n)
{
    struct session_list l = {list, n};

    for (size_t i = 0; i < n; i++)
        list[i].memory = list[i].ticks = 0;
    each_process(add_to_session, &l);
}

/* The number of a line "Name:  123 kB", as bytes; 0 when it is not there. */
static int64_t kilobytes(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

static void share_one(pid_t pid, const struct proc_stat *st, void *arg)
{
    struct session_sum *s = arg;
    char path[64], text[2048];

    if (st->session != s->sid)
        return;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    if (read_file(path, text, sizeof(text)) > 0)
        s->pages += kilobytes(text, "\nPss:"); /* bytes, here */
}

int64_t proc_session_share(pid_t sid)
{
    struct session_sum s = {.sid = sid};

    each_process(share_one, &s);
    return s.pages;
}

int64_t proc_memory_available(void)
{
    char text[4096];

    if (read_file("/proc/meminfo", text, sizeof(text)) <= 0)
        return INT64_MAX;
    return kilobytes(text, "\nMemAvailable:");
}

int64_t proc_memory(pid_t pid)
{
    struct proc_stat st;

    return read_stat(pid, &st) ? st.rss_pages * sysconf(_SC_PAGESIZE) : 0;
}

int proc_session_count(pid_t sid)
{
    struct session_sum s = {.sid = sid};

    each_process(sum_one, &s);
    return s.count;
}

int proc_session_titled(pid_t sid, const char *title)
{
    struct session_sum s = {.sid = sid, .title = title};

    each_process(sum_one, &s);
    return s.count;
}

void proc_session_kill(pid_t sid, int sig)
{
    struct session_sum s = {.sid = sid, .sig = sig};

    each_process(sum_one, &s);
}

/* The words of /proc/PID/`file` are separated by NULs. */
static bool file_has(pid_t pid, const char *file, const char *mark)
{
    static __thread char text[128 * 1024];
    char path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    n = read_file(path, text, sizeof(text));
    return n > 0 && memmem(text, (size_t)n, mark, strlen(mark));
}

bool proc_has_mark(pid_t pid, const char *mark)
{
    return file_has(pid, "environ", mark) || file_has(pid, "cmdline", mark);
}

struct leaders {
    void (*fn)(pid_t pid, void *arg);
    void *arg;
};

static void leader_one(pid_t pid, const struct proc_stat *st, void *arg)
{
    struct leaders *l = arg;
    struct stat who;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (st->session == pid && stat(path, &who) == 0 && who.st_uid == getuid())
        l->fn(pid, l->arg);
}

void proc_each_leader(void (*fn)(pid_t pid, void *arg), void *arg)
{
    struct leaders l = {.fn = fn, .arg = arg};

    each_process(leader_one, &l);
}

/* The inode of the listening socket (state 0A) on `port`; 0 for none. */
static unsigned long listening_inode(const char *table, int port)
{
    FILE *f = fopen(table, "re");
    char line[512];
    unsigned long found = 0;

    if (!f)
        return 0;
    while (found == 0 && fgets(line, sizeof(line), f)) {
        unsigned long inode;
        unsigned at, state;

        if (sscanf(line,
                   " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s "
                   "%lu",
                   &at, &state, &inode) == 3 &&
            (int)at == port && state == 0x0a)
            found = inode;
    }
    fclose(f);
    return found;
}

struct socket_search {
    char want[64];
    pid_t pid;
};

static void search_one(pid_t pid, const struct proc_stat *st, void *arg)
{
    struct socket_search *s = arg;
    char path[64], to[64];
    struct dirent *e;
    ssize_t n;
    DIR *d;

    (void)st;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    d = s->pid ? NULL : opendir(path);
    if (!d)
        return;
    while (!s->pid && (e = readdir(d))) {
        n = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
        if (n > 0 && (to[n] = '\0', strcmp(to, s->want) == 0))
            s->pid = pid;
    }
    closedir(d);
}

const char *proc_port_owner(struct arena *a, int port)
{
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    struct socket_search s = {.pid = 0};
    char path[64], name[64];
    ssize_t n;

    if (!inode)
        inode = listening_inode("/proc/net/tcp6", port);
    if (!inode)
        return NULL;
    snprintf(s.want, sizeof(s.want), "socket:[%lu]", inode);
    each_process(search_one, &s);
    if (!s.pid)
        return NULL;
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)s.pid);
    n = read_file(path, name, sizeof(name));
    if (n <= 0)
        return NULL;
    name[strcspn(name, "\n")] = '\0';
    return arena_printf(a, "%s (pid %d)", name, (int)s.pid);
}

const char *proc_find_program(struct arena *a, const char *name)
{
    const char *path = getenv("PATH");
    char *dirs = arena_printf(a, "%s:/usr/sbin:/usr/bin", path ? path : "");
    char *save = NULL;

    for (char *dir = strtok_r(dirs, ":", &save); dir;
         dir = strtok_r(NULL, ":", &save)) {
        const char *full = arena_printf(a, "%s/%s", dir, name);

        if (access(full, X_OK) == 0)
            return full;
    }
    return NULL;
}
