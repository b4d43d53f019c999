/* logs - rotation and age; log_query.c reads them. */
#include "control/logs.h"

#include "base/log.h"
#include "base/log_writer.h"
#include "control/feed.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A feed is about to change a file of this much more. */
enum { SLACK = 4 * LOG_WRITER_BLOCK };

struct chore {
    struct control *ctl;
    char *folder;
    int64_t most, oldest; /* bytes; seconds since 1970 */
    int keep;
    bool reopen; /* nginx's file has been renamed */
};

static const char access_log[] = "access.log";

void logs_start(struct control *ctl)
{
    struct arena a = ARENA_INIT;

    feed_configure(arena_printf(&a, "%s/appscale-log", ctl->programs),
                   ctl->settings.log_mb << 20, (int)ctl->settings.log_files);
    arena_release(&a);
}

/* ---- in the pool ---- */

/*
 * The end of the file goes to NAME.1, no more than a file may have, and the
 * file is emptied in place: its writer holds it open for appending.
 */
static void empty_in_place(const struct chore *c, const char *path)
{
    struct arena a = ARENA_INIT;
    int from = open(path, O_RDWR | O_CLOEXEC), to = -1;
    off_t at = from >= 0 ? lseek(from, 0, SEEK_END) - c->most : 0;

    /* From here on NAME.1 is free. */
    if (from >= 0) {
        for (int i = c->keep; i > 1; i--)
            rename(arena_printf(&a, "%s.%d", path, i - 1),
                   arena_printf(&a, "%s.%d", path, i));
        to = open(arena_printf(&a, "%s.1", path),
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        lseek(from, at > 0 ? at : 0, SEEK_SET);
    }
    while (to >= 0 &&
           copy_file_range(from, NULL, to, NULL, (size_t)c->most, 0) > 0)
        ;
    if (from >= 0 && ftruncate(from, 0) == 0)
        log_info(NULL, "log.rotated", "file", path);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    arena_release(&a);
}

/* Whether nobody holds it open for long: an old file, or one of a feed, which
 * looks for its file by name.  Only an application's name has dots. */
static bool may_go(const char *name)
{
    const char *end = strstr(name, ".log");

    return end && (end[4] != '\0' || memchr(name, '.', (size_t)(end - name)));
}

static void look_at(struct chore *c, const char *name, const char *path)
{
    size_t n = strlen(name);
    struct stat st;

    if (stat(path, &st) != 0)
        return;
    if (st.st_mtime < c->oldest && may_go(name))
        unlink(path);
    if (n < 5 || strcmp(name + n - 4, ".log") != 0 ||
        st.st_size <= c->most + SLACK)
        return;
    if (strcmp(name, access_log) == 0) {
        log_rotate(path, c->keep);
        c->reopen = true;
    } else {
        empty_in_place(c, path);
    }
}

static void chore_run(void *arg)
{
    struct chore *c = arg;
    struct arena a = ARENA_INIT;
    DIR *d = opendir(c->folder);
    struct dirent *e;

    while (d && (e = readdir(d)))
        look_at(c, e->d_name, arena_printf(&a, "%s/%s", c->folder, e->d_name));
    if (d)
        closedir(d);
    arena_release(&a);
}

/* ---- on the loop ---- */

static void chore_done(void *arg)
{
    struct chore *c = arg;

    if (c->reopen && c->ctl->nginx)
        child_signal(&c->ctl->nginx->child, SIGUSR1);
    free(c->folder);
    free(c);
}

void logs_chore(struct control *ctl)
{
    struct chore *c = calloc(1, sizeof(*c));
    struct arena a = ARENA_INIT;

    if (!c)
        abort();
    *c = (struct chore){
        .ctl = ctl,
        .folder = strdup(control_path(ctl, &a, "logs")),
        .most = ctl->settings.log_mb << 20,
        .oldest = (clock_wall() / CLOCK_SEC) - ctl->settings.log_days * 86400,
        .keep = (int)ctl->settings.log_files,
    };
    control_offload(ctl, chore_run, chore_done, c);
    arena_release(&a);
}
