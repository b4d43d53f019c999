/* groups - a few files below /sys/fs/cgroup. */
#include "sandbox/groups.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { V1_CPU = 1024, V2_CPU = 100, TRIES = 3, PATH_BYTES = 512 };

static const char *const controllers[GROUP_KINDS] = {
    [GROUP_MEMORY] = "memory",
    [GROUP_TASKS] = "pids",
    [GROUP_CPU] = "cpu",
};

/* Where our groups may be: "DIR", and whether it is of version 2. */
struct base {
    char dir[PATH_BYTES];
    bool v2;
};

static bool put(const char *dir, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool put(const char *dir, const char *file, const char *fmt, ...)
{
    char path[PATH_BYTES + 64], text[64];
    va_list ap;
    int fd, n;
    bool ok;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ok = write(fd, text, (size_t)n) == n;
    close(fd);
    return ok;
}

/* ---- where they are ---- */

/* Whether the comma-separated `list` has the word. */
static bool list_has(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = strstr(list, word); at; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ',') &&
            (at[n] == ',' || at[n] == '\0' || at[n] == '\n'))
            return true;
    return false;
}

/* Our own group: the line "N:CONTROLLERS:PATH" of /proc/self/cgroup; version
 * 2's has no controllers. */
static bool own_group(const char *controller, char *out, size_t max)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[1024];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f)) {
        char *list = strchr(line, ':'),
             *path = list ? strchr(list + 1, ':') : 0;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        found = controller ? list_has(list + 1, controller) : list[1] == '\0';
        if (found)
            snprintf(out, max, "%s", path);
    }
    if (f)
        fclose(f);
    return found;
}

/* A line of /proc/self/mountinfo: "... ROOT POINT ... - TYPE SOURCE OPTIONS".
 * Whether it is the hierarchy of `controller`; NULL: version 2's. */
static bool is_hierarchy(char *line, const char *controller, const char **root,
                         const char **point)
{
    char *save = NULL, *words[64];
    size_t n = 0, dash = 0;

    for (char *w = strtok_r(line, " \n", &save); w && n < 64;
         w = strtok_r(NULL, " \n", &save))
        words[n++] = w;
    for (size_t i = 6; i + 3 < n && !dash; i++)
        if (strcmp(words[i], "-") == 0)
            dash = i;
    if (!dash)
        return false;
    *root = words[3];
    *point = words[4];
    if (!controller)
        return strcmp(words[dash + 1], "cgroup2") == 0;
    return strcmp(words[dash + 1], "cgroup") == 0 &&
           list_has(words[dash + 3], controller);
}

/* The folder of our own group in the hierarchy, and that of its top. */
static bool find(const char *controller, char *own, char *top)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096], group[256];
    const char *root, *point;
    bool found = false;

    if (!own_group(controller, group, sizeof(group)))
        group[0] = '\0';
    while (f && !found && fgets(line, sizeof(line), f)) {
        size_t skip;

        if (!is_hierarchy(line, controller, &root, &point))
            continue;
        found = true;
        skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(group, root, skip) != 0)
            group[skip = 0] = '\0'; /* outside of what is mounted here */
        snprintf(own, PATH_BYTES, "%s%s", point,
                 strcmp(group + skip, "/") == 0 ? "" : group + skip);
        snprintf(top, PATH_BYTES, "%s", point);
    }
    if (f)
        fclose(f);
    return found;
}

/* ---- making them ---- */

/* Version 2: a controller counts below a folder that passes it on, and only
 * the top may do so and hold processes, too. */
static bool enable(const char *dir, const char *controller)
{
    return put(dir, "cgroup.subtree_control", "+%s", controller);
}

/* BASE/appscale, with the controller at work below it. */
static bool make_base(enum group_kind kind, struct base *b)
{
    char own[PATH_BYTES], top[PATH_BYTES];
    const char *at = own;

    b->v2 = !find(controllers[kind], own, top);
    if (b->v2) {
        if (!find(NULL, own, top))
            return false;
        if (!enable(own, controllers[kind])) {
            at = top;
            if (!enable(top, controllers[kind]))
                return false;
        }
    }
    if (snprintf(b->dir, sizeof(b->dir), "%s/appscale", at) >=
        (int)sizeof(b->dir))
        return false;
    if (mkdir(b->dir, 0755) != 0 && errno != EEXIST)
        return false;
    return !b->v2 || enable(b->dir, controllers[kind]);
}

static void sweep(const char *base)
{
    char path[PATH_BYTES + 300];
    DIR *d = opendir(base);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (!isdigit((unsigned char)e->d_name[0]) ||
            kill(atoi(e->d_name), 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
        rmdir(path);
    }
    if (d)
        closedir(d);
}

static bool set_limits(enum group_kind kind, const struct base *b,
                       const char *dir, const struct sandbox *sb)
{
    long long bytes = (long long)sb->memory_mb << 20, cpus;

    switch (kind) {
    case GROUP_MEMORY:
        if (!bytes)
            return true;
        if (b->v2) {
            put(dir, "memory.oom.group", "1");
            put(dir, "memory.swap.max", "0");
            return put(dir, "memory.max", "%lld", bytes);
        }
        if (!put(dir, "memory.limit_in_bytes", "%lld", bytes))
            return false;
        put(dir, "memory.memsw.limit_in_bytes", "%lld", bytes);
        return true;
    case GROUP_TASKS:
        return !sb->tasks || put(dir, "pids.max", "%lld", (long long)sb->tasks);
    case GROUP_CPU:
        cpus = sysconf(_SC_NPROCESSORS_ONLN);
        put(b->dir, b->v2 ? "cpu.weight" : "cpu.shares", "%lld",
            cpus * (b->v2 ? V2_CPU : V1_CPU));
        return put(dir, b->v2 ? "cpu.weight" : "cpu.shares", "%lld",
                   (long long)(sb->cpu ? sb->cpu : 100) *
                       (b->v2 ? V2_CPU : V1_CPU) / 100);
    default:
        return false;
    }
}

static void make(enum group_kind kind, char *out, const struct sandbox *sb)
{
    struct base b = {0};
    bool made = false;

    /* Another leader may remove the base, empty for a moment. */
    for (int i = 0; i < TRIES && !made; i++) {
        if (!make_base(kind, &b))
            return;
        sweep(b.dir);
        if (snprintf(out, PATH_BYTES, "%s/%d", b.dir, (int)getpid()) >=
            PATH_BYTES)
            break;
        made = mkdir(out, 0755) == 0 || errno == EEXIST;
    }
    if (made && set_limits(kind, &b, out, sb))
        return;
    if (made)
        rmdir(out);
    *out = '\0';
}

void groups_make(struct groups *g, const struct sandbox *sb)
{
    memset(g, 0, sizeof(*g));
    for (int kind = 0; kind < GROUP_KINDS; kind++)
        make((enum group_kind)kind, g->path[kind], sb);
}

void groups_enter(struct groups *g, pid_t pid)
{
    for (int kind = 0; kind < GROUP_KINDS; kind++)
        if (*g->path[kind] && !put(g->path[kind], "cgroup.procs", "%d", pid)) {
            rmdir(g->path[kind]);
            *g->path[kind] = '\0';
        }
}

void groups_remove(struct groups *g)
{
    for (int kind = 0; kind < GROUP_KINDS; kind++)
        if (*g->path[kind]) {
            rmdir(g->path[kind]);
            *strrchr(g->path[kind], '/') = '\0';
            rmdir(g->path[kind]); /* the base, after the last one */
        }
}

void groups_sweep(void)
{
    struct base b;

    for (int kind = 0; kind < GROUP_KINDS; kind++)
        if (make_base((enum group_kind)kind, &b)) {
            sweep(b.dir);
            rmdir(b.dir);
        }
}
