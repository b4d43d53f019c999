/*
 * The RocksDB backend and its medium: the folder, the format, a disk that is
 * full, a disk that fails, a log that was cut.
 *
 * This program has its own write() and fdatasync(), which the RocksDB library
 * finds before those of libc; so a disk can be made to fail without one.
 */
#include "storage/storage.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- the medium ---- */

static _Atomic bool disk_full;
static _Atomic int syncs_to_fail;
static _Atomic int syncs;
static _Atomic bool may_fail = true; /* else a sync that fails waits */

/* Whether the file is a table or the log of a store, not RocksDB's own LOG. */
static bool is_data(int fd)
{
    char link[64], path[4096];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 4)
        return false;
    path[n] = '\0';
    return strstr(path, "/rows/") && (strcmp(path + n - 4, ".log") == 0 ||
                                      strcmp(path + n - 4, ".sst") == 0);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (disk_full && is_data(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, p, n);
}

int fdatasync(int fd)
{
    if (!is_data(fd))
        return (int)syscall(SYS_fdatasync, fd);
    syncs++;
    if (syncs_to_fail > 0) {
        syncs_to_fail--;
        while (!may_fail)
            usleep(1000);
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- a store of its own for each case ---- */

struct fixture {
    struct arena arena;
    struct ctx ctx;
    const char *path;
    struct storage *st;
};

static int open_store(struct fixture *f)
{
    struct storage_options o = {.backend = "rocksdb", .path = f->path};

    ctx_err_clear(&f->ctx);
    return storage_open(&f->ctx, &o, &f->st);
}

static int setup(void **state)
{
    static int serial;
    struct fixture *f = calloc(1, sizeof(*f));

    ctx_init(&f->ctx, &f->arena);
    f->path = arena_printf(&f->arena, "%s/new/folder%d", test_dir(), serial++);
    *state = f;
    return open_store(f);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    disk_full = false;
    may_fail = true;
    syncs_to_fail = 0;
    storage_close(f->st);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static void close_store(struct fixture *f)
{
    storage_close(f->st);
    f->st = NULL;
}

static const struct storage_key a_key = {{"p", 1}, {"r", 1}};

static int put(struct fixture *f, const char *value)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    ctx_err_clear(&f->ctx);
    storage_batch_put(&b, a_key, bytes_str(value));
    return storage_commit(&f->ctx, f->st, &b, NULL);
}

static const char *get(struct fixture *f)
{
    struct bytes v;
    int rc = storage_get1(&f->ctx, f->st, a_key, &v);

    return rc == 0 ? arena_cstr(&f->arena, v) : err_name(rc);
}

static const char *in_folder(struct fixture *f, const char *name)
{
    return arena_printf(&f->arena, "%s/%s", f->path, name);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* ---- the folder ---- */

static void a_store_in_use_is_not_opened_twice(void **state)
{
    struct fixture *f = *state;
    struct storage *first = f->st;

    assert_int_equal(open_store(f), ERR_UNAVAILABLE);
    assert_non_null(strstr(f->ctx.err.message, f->path));
    assert_non_null(strstr(f->ctx.err.message, "in use by another process"));
    assert_null(f->st);
    f->st = first;
    assert_int_equal(put(f, "v"), 0);
}

static void the_format_is_written_down_and_checked(void **state)
{
    static const struct {
        const char *text; /* NULL: the file is gone */
        int want;
        const char *says;
    } cases[] = {
        {"appscale rocksdb 1\n", 0, NULL},
        {"appscale rocksdb 2\n", ERR_INVALID, "format 2"},
        {"appscale rocksdb 99\n", ERR_INVALID, "use the newer AppScale"},
        {"appscale rocksdb x\n", ERR_CORRUPT, "no version"},
        {"appscale rocksdb 0\n", ERR_CORRUPT, "no version"},
        {"appscale rocksdb 1", ERR_CORRUPT, "no version"},
        {"something else\n", ERR_CORRUPT, "is it a data folder of AppScale?"},
        {"", ERR_CORRUPT, "is it a data folder of AppScale?"},
        {NULL, ERR_CORRUPT, "FORMAT is gone"},
    };
    struct fixture *f = *state;
    const char *format = in_folder(f, "FORMAT");

    assert_int_equal(put(f, "v"), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        close_store(f);
        if (cases[i].text)
            write_file(format, cases[i].text);
        else
            unlink(format);
        assert_int_equal(open_store(f), cases[i].want);
        if (cases[i].says && !strstr(f->ctx.err.message, cases[i].says))
            fail_msg("case %zu says: %s", i, f->ctx.err.message);
    }
    write_file(format, "appscale rocksdb 1\n");
    assert_int_equal(open_store(f), 0);
    assert_string_equal(get(f), "v");
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct fixture *f = *state;
    const char *in_the_way = in_folder(f, "file");

    close_store(f);
    write_file(in_the_way, "");
    f->path = in_the_way;
    assert_int_equal(open_store(f), ERR_IO);
    assert_non_null(strstr(f->ctx.err.message, in_the_way));
    f->path = arena_printf(&f->arena, "%s/below", in_the_way);
    assert_int_equal(open_store(f), ERR_IO);
    assert_non_null(strstr(f->ctx.err.message, in_the_way));
    f->path = "";
    assert_int_equal(open_store(f), ERR_INVALID);
}

/* ---- the disk ---- */

static void each_commit_is_synced_before_it_answers(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        int before = syncs;

        assert_int_equal(put(f, "v"), 0);
        assert_true(syncs > before);
    }
}

/* Tried again until it works, for as long as RocksDB may take to notice. */
static bool works_within(struct fixture *f, int64_t us)
{
    int64_t until = clock_mono() + us;

    while (clock_mono() < until) {
        if (put(f, "again") == 0)
            return true;
        usleep(20000);
    }
    return false;
}

static void a_full_disk_is_named_and_passes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "before"), 0);
    disk_full = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put(f, "lost"), ERR_NO_SPACE);
        assert_non_null(strstr(f->ctx.err.message, "free some space"));
        assert_string_equal(get(f), "before");
    }
    disk_full = false;
    assert_true(works_within(f, 20 * CLOCK_SEC));
    assert_string_equal(get(f), "again");
    close_store(f);
    assert_int_equal(open_store(f), 0);
    assert_string_equal(get(f), "again");
}

static void a_failed_sync_is_unknown_and_passes(void **state)
{
    struct fixture *f = *state;
    const char *v;

    assert_int_equal(put(f, "before"), 0);
    syncs_to_fail = 1;
    assert_int_equal(put(f, "perhaps"), ERR_UNKNOWN);
    v = get(f);
    assert_true(strcmp(v, "before") == 0 || strcmp(v, "perhaps") == 0);
    assert_true(works_within(f, 20 * CLOCK_SEC));
    assert_string_equal(get(f), "again");
}

enum { RIVALS = 8 };

struct rival {
    pthread_t thread;
    struct storage *st;
    int key;
    int rc;
};

static _Atomic int rivals;

static void *put_as_rival(void *arg)
{
    struct rival *v = arg;
    struct arena a = ARENA_INIT;
    struct storage_batch b = STORAGE_BATCH_IN(&a);
    struct ctx ctx;

    ctx_init(&ctx, &a);
    storage_batch_put(
        &b, (struct storage_key){BYTES_LIT("p"), BYTES(&v->key, sizeof(int))},
        BYTES_LIT("v"));
    rivals++;
    v->rc = storage_commit(&ctx, v->st, &b, NULL);
    arena_release(&a);
    return NULL;
}

/* Nothing of theirs was written, so they are written once that is possible. */
static void r_who_waits_behind_a_failed_sync_is_not_left_in_doubt(void **state)
{
    struct fixture *f = *state;
    struct rival all[RIVALS];
    int in_doubt = 0;

    rivals = 0;
    may_fail = false;
    syncs_to_fail = 1;
    for (int i = 0; i < RIVALS; i++) {
        all[i] = (struct rival){.st = f->st, .key = i};
        pthread_create(&all[i].thread, NULL, put_as_rival, &all[i]);
    }
    while (rivals < RIVALS || syncs_to_fail > 0)
        usleep(1000);
    usleep(50000); /* that they have queued cannot be seen */
    may_fail = true;
    for (int i = 0; i < RIVALS; i++) {
        pthread_join(all[i].thread, NULL);
        in_doubt += all[i].rc == ERR_UNKNOWN;
        assert_true(all[i].rc == ERR_UNKNOWN || all[i].rc == 0);
    }
    assert_int_equal(in_doubt, 1);
}

/* Nobody has to write for readers to have the store back. */
static void
r_a_store_that_did_not_open_again_is_tried_by_readers_too(void **state)
{
    struct fixture *f = *state;
    int64_t until = clock_mono() + 20 * CLOCK_SEC;
    const char *v = "";

    assert_int_equal(put(f, "before"), 0);
    syncs_to_fail = 1;
    assert_int_equal(put(f, "perhaps"), ERR_UNKNOWN);
    disk_full = true;
    assert_int_equal(put(f, "lost"), ERR_NO_SPACE);
    ctx_err_clear(&f->ctx);
    assert_string_equal(get(f), err_name(ERR_UNAVAILABLE));
    assert_non_null(strstr(f->ctx.err.message, "look at the disk"));
    f->ctx.may_wait = false;
    ctx_err_clear(&f->ctx);
    assert_string_equal(get(f), err_name(ERR_WOULD_BLOCK));
    f->ctx.may_wait = true;
    disk_full = false;
    while (strcmp(v, "before") != 0 && strcmp(v, "perhaps") != 0) {
        assert_true(clock_mono() < until);
        usleep(20000);
        ctx_err_clear(&f->ctx);
        v = get(f);
    }
}

/* A view belongs to the database that the failure ends. */
static void a_view_does_not_outlive_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    struct storage *views[2];
    struct storage_value v;

    assert_int_equal(put(f, "before"), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(storage_view(&f->ctx, f->st, &views[i]), 0);
    syncs_to_fail = 1;
    assert_int_equal(put(f, "perhaps"), ERR_UNKNOWN);
    storage_close(views[1]);
    assert_true(works_within(f, 20 * CLOCK_SEC));
    ctx_err_clear(&f->ctx);
    assert_int_equal(storage_get(&f->ctx, views[0], &a_key, 1, &v),
                     ERR_ABORTED);
    storage_close(views[0]);
    assert_int_equal(storage_view(&f->ctx, f->st, &views[0]), 0);
    assert_int_equal(storage_get(&f->ctx, views[0], &a_key, 1, &v), 0);
    assert_string_equal(arena_cstr(&f->arena, v.value), "again");
    storage_close(views[0]);
}

/* ---- the log ---- */

/* The newest log of the store, which is closed. */
static const char *newest_log(struct fixture *f)
{
    const char *rows = in_folder(f, "rows");
    const char *best = "";
    DIR *dir = opendir(rows);

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        const char *dot = strrchr(e->d_name, '.');

        if (dot && strcmp(dot, ".log") == 0 && strcmp(e->d_name, best) > 0)
            best = arena_strdup(&f->arena, e->d_name);
    }
    closedir(dir);
    assert_true(*best);
    return arena_printf(&f->arena, "%s/%s", rows, best);
}

static off_t size_of(const char *path)
{
    struct stat s;

    assert_int_equal(stat(path, &s), 0);
    return s.st_size;
}

static void half_a_record_at_the_end_is_dropped(void **state)
{
    struct fixture *f = *state;
    const char *log;

    assert_int_equal(put(f, "first"), 0);
    assert_int_equal(put(f, "second"), 0);
    close_store(f);
    log = newest_log(f);
    assert_int_equal(truncate(log, size_of(log) - 3), 0);
    assert_int_equal(open_store(f), 0);
    assert_string_equal(get(f), "first");
}

static void damage_in_the_middle_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *log;
    int fd;

    for (int i = 0; i < 20; i++)
        assert_int_equal(put(f, "a value of some length"), 0);
    close_store(f);
    log = newest_log(f);
    fd = open(log, O_WRONLY);
    assert_int_equal(pwrite(fd, "XXXX", 4, size_of(log) / 2), 4);
    close(fd);
    assert_int_equal(open_store(f), ERR_CORRUPT);
    assert_non_null(strstr(f->ctx.err.message, "restore"));
}

#define CASE(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_store_in_use_is_not_opened_twice),
        CASE(the_format_is_written_down_and_checked),
        CASE(a_folder_that_cannot_be_made_is_named),
        CASE(each_commit_is_synced_before_it_answers),
        CASE(a_full_disk_is_named_and_passes),
        CASE(a_failed_sync_is_unknown_and_passes),
        CASE(r_who_waits_behind_a_failed_sync_is_not_left_in_doubt),
        CASE(r_a_store_that_did_not_open_again_is_tried_by_readers_too),
        CASE(a_view_does_not_outlive_a_failed_sync),
        CASE(half_a_record_at_the_end_is_dropped),
        CASE(damage_in_the_middle_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
