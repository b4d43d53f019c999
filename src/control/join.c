/* join - which members are missing; one file out of two. */
#include "control/join.h"

#include "base/errinj.h"
#include "base/files.h"
#include "base/log.h"
#include "base/members.h"
#include "control/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    CHORE_EVERY = 600, /* seconds */
    ABANDONED = 86400,
};

enum { BASE, PACK, SOURCES };

struct join {
    struct admin_call *call;
    struct ctx ctx; /* the pool's, over the call's arena */
    const char *name, *to;
    const char *path[SOURCES]; /* NULL: there is none */
    const char **wanted;
    size_t n_wanted;
    size_t *missing;
    size_t n_missing;
    int fds[SOURCES];
    struct members members[SOURCES];
    int rc;
};

static const char *base_path(const struct control *ctl, struct arena *a,
                             const char *app, const char *service)
{
    return arena_printf(a, "%s/cache/bases/%s.%s", ctl->root, app, service);
}

void join_keep(struct control *ctl, const char *archive,
               const struct service *s)
{
    struct arena a = ARENA_INIT;

    if (rename(archive_path(ctl, &a, archive),
               base_path(ctl, &a, s->app->id, s->id)) != 0)
        archive_forget(ctl, archive);
    arena_release(&a);
}

/* ---- on the pool ---- */

/* A source that is not there, or not in members, has none. */
static void open_sources(struct join *j)
{
    for (int i = 0; i < SOURCES; i++) {
        j->fds[i] = j->path[i] ? open(j->path[i], O_RDONLY | O_CLOEXEC) : -1;
        if (j->fds[i] >= 0 &&
            members_read(&j->ctx, j->fds[i], &j->members[i]) != 0)
            j->members[i] = (struct members){0};
        ctx_err_clear(&j->ctx);
    }
}

static void close_sources(struct join *j)
{
    for (int i = 0; i < SOURCES; i++)
        if (j->fds[i] >= 0)
            close(j->fds[i]);
}

static void plan_work(void *arg)
{
    struct join *j = arg;

    open_sources(j);
    j->n_missing = members_missing(&j->ctx, j->wanted, j->n_wanted, j->members,
                                   SOURCES, &j->missing);
    close_sources(j);
}

/* The name says that it is whole. */
static int write_joined(struct join *j, const char *tmp)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

    if (fd < 0)
        return files_err(&j->ctx, "write", tmp);
    rc = members_join(&j->ctx, j->wanted, j->n_wanted, j->fds, j->members,
                      SOURCES, fd, j->name);
    if (rc == 0 && fsync(fd) != 0)
        rc = files_err(&j->ctx, "write", tmp);
    close(fd);
    errinj_crash("control.join.written");
    if (rc == 0 && rename(tmp, j->to) != 0)
        rc = files_err(&j->ctx, "rename", tmp);
    if (rc)
        unlink(tmp);
    return rc;
}

static void join_work(void *arg)
{
    struct join *j = arg;

    open_sources(j);
    j->rc = write_joined(j, arena_printf(j->ctx.arena, "%s.join", j->to));
    close_sources(j);
    errinj_crash("control.join.joined");
    if (j->rc == 0 && j->path[PACK])
        unlink(j->path[PACK]);
}

/* ---- on the loop ---- */

static void planned(void *arg)
{
    struct join *j = arg;
    json_t *list = json_array();

    for (size_t i = 0; i < j->n_missing; i++)
        json_array_append_new(list, json_integer((json_int_t)j->missing[i]));
    admin_reply(j->call, json_pack("{s:o}", "missing", list));
    free(j);
}

static void joined(void *arg)
{
    struct join *j = arg;
    struct admin_call *c = j->call;

    if (j->rc)
        admin_fail(c, &j->ctx, j->rc);
    else
        admin_reply(c, json_pack("{s:I, s:b}", "size",
                                 (json_int_t)archive_size(c->ctl, j->name),
                                 "complete", true));
    free(j);
}

static int read_wanted(struct admin_call *c, struct join *j)
{
    const json_t *list = json_object_get(c->body, "members"), *one;
    size_t i;

    j->n_wanted = json_array_size(list);
    if (j->n_wanted == 0 || j->n_wanted > MEMBERS_MAX)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "members must be a list of 1 to %d sums", MEMBERS_MAX);
    j->wanted = ARENA_ARRAY(c->ctx.arena, const char *, j->n_wanted);
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);

        if (!text || !members_sha_ok(text))
            return ctx_err(&c->ctx, ERR_INVALID, "member %zu is no SHA-256", i);
        j->wanted[i] = arena_strdup(c->ctx.arena, text);
    }
    return 0;
}

static int start(struct admin_call *c, struct join **out)
{
    const char *app = admin_param(c, "project", "");
    const char *service = admin_param(c, "service", "");
    struct join *j = calloc(1, sizeof(*j));
    struct arena *a = c->ctx.arena;
    int rc = archive_name_ok(c->words[0])
                 ? 0
                 : ctx_err(&c->ctx, ERR_INVALID,
                           "an archive is named by its SHA-256");

    if (!j)
        abort();
    *j = (struct join){.call = c, .name = arena_strdup(a, c->words[0])};
    ctx_init(&j->ctx, a);
    if (rc == 0)
        rc = model_check_project(&c->ctx, app);
    if (rc == 0)
        rc = model_check_id(&c->ctx, "service", service);
    if (rc == 0)
        rc = read_wanted(c, j);
    if (rc)
        free(j);
    if (rc)
        return rc;
    j->to = archive_path(c->ctl, a, j->name);
    j->path[BASE] = base_path(c->ctl, a, app, service);
    *out = j;
    return 0;
}

static int archives_plan(struct admin_call *c)
{
    struct join *j;
    int rc = start(c, &j);

    if (rc == 0)
        control_offload(c->ctl, plan_work, planned, j);
    return rc;
}

static int archives_join(struct admin_call *c)
{
    const char *pack = admin_param(c, "pack", NULL);
    struct join *j;
    int rc = 0;

    if (pack && (!archive_name_ok(pack) || !archive_complete(c->ctl, pack)))
        return ctx_err(&c->ctx, ERR_NOT_FOUND,
                       "the upload %s is not complete: send it first", pack);
    rc = start(c, &j);
    if (rc)
        return rc;
    if (pack)
        j->path[PACK] = archive_path(c->ctl, c->ctx.arena, pack);
    control_offload(c->ctl, join_work, joined, j);
    return 0;
}

const struct admin_route admin_join_routes[] = {
    {"POST", "/v1/archives/*:plan", archives_plan},
    {"POST", "/v1/archives/*:join", archives_join},
    {.path = NULL},
};

/* ---- what nobody needs ---- */

/* "P.S": neither has a dot. */
static bool is_of_a_service(const struct control *ctl, struct arena *a,
                            const char *file)
{
    char *app = arena_strdup(a, file), *dot = strchr(app, '.');
    const struct app *found;

    if (!dot)
        return false;
    *dot = '\0';
    found = model_app(&ctl->model, app);
    return found && model_service(found, dot + 1);
}

static void sweep(struct control *ctl, const char *folder,
                  bool (*goes)(struct control *ctl, struct arena *a,
                               const char *file, const struct stat *st))
{
    struct arena a = ARENA_INIT;
    const char *path = control_path(ctl, &a, folder);
    DIR *d = opendir(path);
    const struct dirent *e;
    struct stat st;

    while (d && (e = readdir(d))) {
        const char *file = arena_printf(&a, "%s/%s", path, e->d_name);

        if (e->d_name[0] != '.' && stat(file, &st) == 0 &&
            goes(ctl, &a, e->d_name, &st) && unlink(file) == 0)
            log_info(NULL, "join.swept", "file", file);
    }
    if (d)
        closedir(d);
    arena_release(&a);
}

static bool base_goes(struct control *ctl, struct arena *a, const char *file,
                      const struct stat *st)
{
    (void)st;
    return !is_of_a_service(ctl, a, file);
}

static bool upload_goes(struct control *ctl, struct arena *a, const char *file,
                        const struct stat *st)
{
    (void)ctl;
    (void)a;
    (void)file;
    return st->st_mtime + ABANDONED < time(NULL);
}

void join_chore(struct control *ctl)
{
    int64_t now = clock_mono() / CLOCK_SEC;

    if (!ctl->loaded || (ctl->swept && now - ctl->swept < CHORE_EVERY))
        return;
    ctl->swept = now + 1;
    sweep(ctl, "cache/bases", base_goes);
    if (ctl->jobs == 0) /* a deployment reads its own */
        sweep(ctl, "cache/uploads", upload_goes);
}
