/* procfs - /proc, read line by line. */
#include "base/procfs.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static ssize_t read_file(const char *path, char *p, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t got = 0;
    ssize_t more = 1;

    if (fd < 0)
        return -1;
    while (got < n - 1 && (more = read(fd, p + got, n - 1 - got)) > 0)
        got += (size_t)more;
    close(fd);
    p[got] = '\0';
    return more < 0 && got == 0 ? -1 : (ssize_t)got;
}

/*
 * /proc/PID/stat (proc(5)): the name in field 2 may hold blanks and brackets,
 * so the fields are counted from the last ')'.
 */
bool procfs_stat(pid_t pid, struct procfs_stat *out)
{
    unsigned long long own, system, children, children_system;
    long long parent, session, pages;
    char path[64], text[1024], state, *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (pid <= 0 || read_file(path, text, sizeof(text)) <= 0)
        return false;
    at = strrchr(text, ')');
    if (!at ||
        sscanf(at + 1,
               " %c %lld %*d %lld %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu "
               "%llu %*d %*d %*d %*d %" SCNu64 " %*u %lld",
               &state, &parent, &session, &own, &system, &children,
               &children_system, &out->start_time, &pages) != 9)
        return false;
    out->pid = pid;
    out->parent = (pid_t)parent;
    out->session = (pid_t)session;
    out->cpu_ticks = own + system + children + children_system;
    out->bytes = pages * sysconf(_SC_PAGESIZE);
    return state != 'Z' && state != 'X';
}

/* The pid that a folder of /proc is named for, or 0. */
static pid_t pid_of(const struct dirent *e)
{
    return isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;
}

static int by_pid(const void *a, const void *b)
{
    const struct procfs_stat *x = a, *y = b;

    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

size_t procfs_all(struct arena *a, struct procfs_stat **out)
{
    DIR *d = opendir("/proc");
    size_t n = 0, cap = 0;
    struct dirent *e;

    *out = NULL;
    while (d && (e = readdir(d))) {
        if (n == cap) {
            size_t more = cap ? 2 * cap : 256;

            *out =
                arena_grow(a, *out, cap * sizeof(**out), more * sizeof(**out));
            cap = more;
        }
        n += procfs_stat(pid_of(e), &(*out)[n]);
    }
    if (d)
        closedir(d);
    if (n)
        qsort(*out, n, sizeof(**out), by_pid);
    return n;
}

/* ---- sockets ---- */

/* "127.0.0.1:4711" as the tables have it, "0100007F:1267". */
static bool table_address(const char *peer, char *out, size_t room,
                          const char **table)
{
    const char *colon = strrchr(peer, ':');
    char host[INET6_ADDRSTRLEN + 2];
    uint32_t words[4];
    bool v6 = peer[0] == '[';
    size_t n = colon ? (size_t)(colon - peer) : 0, at = 0;

    if (n < 3 || n >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)n - 2 * v6, peer + v6);
    if (inet_pton(v6 ? AF_INET6 : AF_INET, host, words) != 1)
        return false;
    *table = v6 ? "/proc/net/tcp6" : "/proc/net/tcp";
    for (int i = 0; i < (v6 ? 4 : 1); i++)
        at += (size_t)snprintf(out + at, room - at, "%08X", words[i]);
    snprintf(out + at, room - at, ":%04X", (unsigned)atoi(colon + 1));
    return true;
}

/* The inode of the socket with that local address; 0 for none. */
static unsigned long socket_inode(const char *peer)
{
    enum { ESTABLISHED = 1 };
    char line[512], want[64], local[64];
    const char *table;
    unsigned long inode, found = 0;
    unsigned state;
    FILE *f;

    if (!table_address(peer, want, sizeof(want), &table))
        return 0;
    f = fopen(table, "re");
    while (f && !found && fgets(line, sizeof(line), f))
        if (sscanf(line, " %*d: %63s %*s %x %*s %*s %*s %*d %*d %lu", local,
                   &state, &inode) == 3 &&
            state == ESTABLISHED && strcmp(local, want) == 0)
            found = inode;
    if (f)
        fclose(f);
    return found;
}

static bool holds(pid_t pid, const char *socket)
{
    char path[64], to[64];
    bool found = false;
    struct dirent *e;
    ssize_t n;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    d = pid ? opendir(path) : NULL;
    while (d && !found && (e = readdir(d))) {
        n = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = '\0';
        found = strcmp(to, socket) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

pid_t procfs_socket_owner(const char *peer)
{
    unsigned long inode = socket_inode(peer);
    DIR *d = inode ? opendir("/proc") : NULL;
    char socket[64];
    struct dirent *e;
    pid_t pid = 0;

    snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
    while (d && !pid && (e = readdir(d)))
        if (holds(pid_of(e), socket))
            pid = pid_of(e);
    if (d)
        closedir(d);
    return pid;
}

static bool listens_in(const char *table, int port, uid_t first, uid_t last,
                       uid_t except)
{
    enum { LISTEN = 10 };
    bool found = false;
    char line[512];
    unsigned at, state, uid;
    FILE *f = fopen(table, "re");

    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, " %*d: %*[0-9A-F]:%x %*s %x %*s %*s %*s %u", &at,
                       &state, &uid) == 3 &&
                state == LISTEN && (int)at == port && uid >= first &&
                uid <= last && uid != except;
    if (f)
        fclose(f);
    return found;
}

bool procfs_listens(int port, uid_t first, uid_t last, uid_t except)
{
    return listens_in("/proc/net/tcp", port, first, last, except) ||
           listens_in("/proc/net/tcp6", port, first, last, except);
}

/* ---- environments ---- */

const char *procfs_env(struct arena *a, pid_t pid, const char *name)
{
    enum { ENVIRON_MAX = 256 * 1024 };
    char *text = malloc(ENVIRON_MAX), path[64];
    const char *value = NULL;
    size_t len = strlen(name);
    ssize_t n = -1;

    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    if (text)
        n = read_file(path, text, ENVIRON_MAX);
    for (const char *p = text; !value && n > 0 && p < text + n;
         p += strlen(p) + 1)
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            value = arena_strdup(a, p + len + 1);
    free(text);
    return value;
}

double procfs_seconds(uint64_t ticks)
{
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}
