/*
 * dhash over a plain store that fails: what a commit leaves when any of its
 * writes does, and that a file is on the disk before it counts.
 *
 * This program has its own fsync(), syncfs() and renameat(), which come before
 * those of libc; so it sees in which order files are synced and put in place.
 */
#include "storage/dhash/dhash_int.h"

#include "base/errinj.h"
#include "base/log.h"
#include "storage/dhash/names.h"
#include "storage/memory/list.h"
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- the medium ---- */

static struct {
    char synced[64][64]; /* "new/3": written files that are on the medium */
    int n_synced;
    int syncfs_calls;
    int placed_unsynced; /* renamed before they were synced */
    bool place_dirty;    /* something was renamed and no folder synced since */
} medium;

static const char *below_store(int fd, char *path, size_t size)
{
    char link[64];
    const char *at;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, size - 1);
    path[n < 0 ? 0 : n] = '\0';
    at = strstr(path, "/files/");
    return at ? at + strlen("/files/") : "";
}

int fsync(int fd)
{
    char path[4096];
    const char *name = below_store(fd, path, sizeof(path));

    if (strncmp(name, "new/", 4) == 0 && medium.n_synced < 64)
        snprintf(medium.synced[medium.n_synced++], 64, "%s", name);
    else if (strlen(name) == 2)
        medium.place_dirty = false;
    return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    medium.syncfs_calls++;
    medium.place_dirty = false;
    return (int)syscall(SYS_syncfs, fd);
}

static bool was_synced(const char *name)
{
    for (int i = 0; i < medium.n_synced; i++) {
        if (strcmp(medium.synced[i], name) == 0) {
            *medium.synced[i] = '\0';
            return true;
        }
    }
    return false;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    if (strncmp(from, "new/", 4) == 0) {
        medium.placed_unsynced += !was_synced(from);
        medium.place_dirty = true;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

/* ---- a plain store that fails when it is told to ---- */

struct shaky {
    struct dhash_kv base;
    struct list values;
    uint64_t random;  /* 0: as told below, else how it fails is drawn */
    int writes_until; /* that many work, then `code`; -1: all */
    int code;
    bool late; /* it is written all the same */
    bool dead; /* the process has been killed */

    /* The last write that answered ERR_UNKNOWN and was done: the record.  It is
     * gone after a power cut, unless another put of it answered 0. */
    bool loose;
    struct buf old;
};

static struct shaky *shaky_of(struct dhash_kv *kv)
{
    return (struct shaky *)kv;
}

static struct storage_key place(struct bytes key)
{
    return (struct storage_key){.row = key};
}

static uint64_t draw(struct shaky *s, uint64_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random % below;
}

static int shaky_get(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
                     struct arena *a, struct bytes *value)
{
    struct shaky *s = shaky_of(kv);
    const struct list_node *x = list_find(&s->values, place(key));

    if (s->dead || (s->random && draw(s, 40) == 0))
        return ctx_err(ctx, ERR_IO, "shaky");
    if (!x)
        return ERR_NOT_FOUND;
    *value = arena_dup(a, x->value);
    return 0;
}

/* How a write ends, and whether it is done. */
static int fate(struct shaky *s, bool *done)
{
    static const int codes[] = {ERR_IO, ERR_NO_SPACE, ERR_UNKNOWN};
    int rc = 0;

    *done = !s->dead;
    if (s->dead)
        return ERR_IO;
    if (s->random && draw(s, 12) == 0) {
        rc = codes[draw(s, 3)];
        *done = rc == ERR_UNKNOWN && draw(s, 2);
    } else if (s->writes_until == 0) {
        rc = s->code;
        *done = s->late;
    } else if (s->writes_until > 0) {
        s->writes_until--;
    }
    return rc;
}

static int answer(struct ctx *ctx, int rc)
{
    return rc ? ctx_err(ctx, (enum err_code)rc, "shaky") : 0;
}

static void loosen(struct shaky *s)
{
    const struct list_node *x = list_find(&s->values, place(DHASH_REDO));

    if (s->loose || !x)
        return;
    s->loose = true;
    buf_clear(&s->old);
    buf_add(&s->old, x->value);
}

static int shaky_put(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
                     struct bytes value)
{
    struct shaky *s = shaky_of(kv);
    bool done;
    int rc = fate(s, &done);

    assert_true(value.n <= kv->ops->value_max);
    if (rc == ERR_UNKNOWN && done && bytes_eq(key, DHASH_REDO))
        loosen(s);
    else if (rc == 0 && bytes_eq(key, DHASH_REDO))
        s->loose = false;
    if (done)
        list_put(&s->values, place(key), value);
    return answer(ctx, rc);
}

static int shaky_del(struct ctx *ctx, struct dhash_kv *kv, struct bytes key)
{
    struct shaky *s = shaky_of(kv);
    bool done;
    int rc = fate(s, &done);

    if (done)
        list_delete(&s->values, place(key));
    return answer(ctx, rc);
}

/* The values outlive the store over them. */
static void shaky_close(struct dhash_kv *kv)
{
}

static const struct dhash_kv_ops shaky_ops = {
    .name = "shaky",
    .quick = true,
    .value_max = DHASH_VALUE_MIN,
    .get = shaky_get,
    .put = shaky_put,
    .del = shaky_del,
    .close = shaky_close,
};

/* ---- the fixture ---- */

struct fixture {
    struct arena arena;
    struct ctx ctx;
    struct shaky kv;
    struct storage *st;
    char *path; /* of dhash:files, where a test opens it */
};

static int open_shaky(struct fixture *f)
{
    ctx_err_clear(&f->ctx);
    return dhash_open_over(&f->ctx, &f->kv.base, &f->st);
}

static int setup(void **state)
{
    static int serial;
    struct fixture *f = calloc(1, sizeof(*f));

    ctx_init(&f->ctx, &f->arena);
    f->kv.base.ops = &shaky_ops;
    f->kv.writes_until = -1;
    list_init(&f->kv.values);
    if (asprintf(&f->path, "%s/%d/files", test_dir(), serial++) < 0)
        return -1;
    *state = f;
    return open_shaky(f);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    errinj_clear();
    storage_close(f->st);
    list_release(&f->kv.values);
    buf_release(&f->kv.old);
    arena_release(&f->arena);
    free(f->path);
    free(f);
    return 0;
}

static void use_files(struct fixture *f)
{
    struct storage_options o = {.backend = "dhash:files", .path = f->path};
    int rc;

    storage_close(f->st);
    rc = storage_open(&f->ctx, &o, &f->st);
    if (rc != 0)
        fail_msg("opening %s: %s", f->path, ctx_err_text(&f->ctx, rc));
    memset(&medium, 0, sizeof(medium));
}

/* kill -9: nothing of what closing does reaches the plain store. */
static void kill_store(struct fixture *f)
{
    f->kv.dead = true;
    storage_close(f->st);
    f->st = NULL;
    f->kv.dead = false;
}

/* As kill_store(), and what was not on the medium is gone. */
static void cut_power(struct fixture *f)
{
    kill_store(f);
    if (f->kv.loose)
        list_put(&f->kv.values, place(DHASH_REDO), buf_view(&f->kv.old));
    f->kv.loose = false;
}

static struct storage_key row(const char *name)
{
    return (struct storage_key){BYTES_LIT("p"), bytes_str(name)};
}

/* "a=1 b- ..." written together. */
static int commit(struct fixture *f, const char *text)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    char *copy = arena_strdup(&f->arena, text), *word;

    ctx_err_clear(&f->ctx);
    while ((word = strsep(&copy, " ")) != NULL) {
        char *sign = word + strcspn(word, "=-");
        bool del = *sign == '-';

        *sign = '\0';
        if (del)
            storage_batch_delete(&b, row(word));
        else
            storage_batch_put(&b, row(word), bytes_str(sign + 1));
    }
    return storage_commit(&f->ctx, f->st, &b, NULL);
}

/* All rows of the partition as commit() takes them. */
static const char *rows(struct fixture *f, enum storage_dir dir)
{
    struct storage_range all = STORAGE_ALL;
    struct buf text = BUF_IN(&f->arena);
    struct storage_page page;
    int rc =
        storage_scan(&f->ctx, f->st, BYTES_LIT("p"), &all, dir, 100, &page);

    if (rc != 0)
        fail_msg("scan: %s", ctx_err_text(&f->ctx, rc));
    for (size_t i = 0; i < page.n; i++)
        buf_printf(&text, "%s%.*s=%.*s", i ? " " : "",
                   BYTES_FMT(page.rows[i].row), BYTES_FMT(page.rows[i].value));
    return buf_cstr(&text);
}

static void assert_rows(struct fixture *f, const char *forward,
                        const char *backward)
{
    struct storage_page page;
    struct storage_range all = STORAGE_ALL;

    assert_string_equal(rows(f, STORAGE_FORWARD), forward);
    assert_string_equal(rows(f, STORAGE_BACKWARD), backward);
    assert_int_equal(storage_scan(&f->ctx, f->st, BYTES_LIT("p"), &all,
                                  STORAGE_FORWARD, 100, &page),
                     0);
    for (size_t i = 0; i < page.n; i++) {
        struct storage_key key = {BYTES_LIT("p"), page.rows[i].row};
        struct bytes v;

        assert_int_equal(storage_get1(&f->ctx, f->st, key, &v), 0);
        assert_bytes(v, page.rows[i].value);
    }
}

/* ---- key lists and records ---- */

static struct bytes list_of(struct arena *a, const char *text)
{
    struct buf b = BUF_IN(a);
    char *copy = arena_strdup(a, text), *word;

    while (*text && (word = strsep(&copy, " ")) != NULL) {
        buf_add_u8(&b, 0);
        buf_add_u8(&b, (uint8_t)strlen(word));
        buf_add_str(&b, word);
    }
    return buf_view(&b);
}

static void a_list_takes_changes_and_takes_them_twice(void **state)
{
    static const struct {
        const char *list;
        const char *puts[3], *dels[3]; /* together in order */
        const char *want;
    } cases[] = {
        {"", {"a"}, {0}, "a"},
        {"", {0}, {"a"}, ""},
        {"a", {"a"}, {0}, "a"},
        {"a", {0}, {"a"}, ""},
        {"b", {"a", "c"}, {0}, "a b c"},
        {"a b c", {"bb"}, {"a", "c", "d"}, "b bb"},
        {"a b c", {0}, {"b"}, "a c"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct change c[6] = {0};
        struct run run = {c, 0};
        struct buf once = BUF_IN(&f->arena), twice = BUF_IN(&f->arena);
        struct bytes list = list_of(&f->arena, cases[i].list);
        struct bytes want = list_of(&f->arena, cases[i].want);

        /* Rows of the cases are in order when dels come around puts. */
        for (int p = 0, d = 0; p < 3 || d < 3;) {
            const char *put = p < 3 ? cases[i].puts[p] : NULL;
            const char *del = d < 3 ? cases[i].dels[d] : NULL;

            if (!put && !del)
                break;
            if (!del || (put && strcmp(put, del) < 0)) {
                c[run.n++].row = bytes_str(put);
                p++;
            } else {
                c[run.n].del = true;
                c[run.n++].row = bytes_str(del);
                d++;
            }
        }
        assert_int_equal(names_with(list, run, &once), !bytes_eq(list, want));
        assert_bytes(buf_view(&once), want);
        assert_int_equal(names_size_with(list, run), want.n);
        assert_false(names_with(want, run, &twice));
        assert_bytes(buf_view(&twice), want);
    }
}

static void what_is_no_list_is_told_apart(void **state)
{
    struct fixture *f = *state;
    struct bytes good = list_of(&f->arena, "a bb ccc");

    assert_true(names_valid(good));
    assert_true(names_valid(BYTES_NONE));
    assert_false(names_valid(list_of(&f->arena, "b a")));
    assert_false(names_valid(list_of(&f->arena, "a a")));
    assert_false(names_valid(BYTES_LIT("\xff\xff")));
    for (size_t n = 1; n < good.n; n++)
        assert_int_equal(names_valid(BYTES(good.p, n)), n == 3 || n == 7);
}

static struct changes *some_changes(struct fixture *f)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    storage_batch_put(&b, row("a"), BYTES_LIT("first"));
    storage_batch_put(&b, row("b"), BYTES_LIT("value"));
    storage_batch_delete(&b, row("c"));
    storage_batch_put(&b, row("a"), BYTES_LIT("last"));
    return changes_of(&f->arena, &b);
}

static void a_record_reads_back_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct changes *c = some_changes(f), *again = changes_decode(c->record);

    assert_int_equal(again->n, 3);
    assert_bytes(changes_find(again, row("a"))->value, BYTES_LIT("last"));
    assert_true(changes_find(again, row("c"))->del);
    assert_null(changes_find(again, row("d")));
    changes_free(again);
    for (size_t n = 0; n < c->record.n; n++) {
        again = changes_decode(BYTES(c->record.p, n));
        assert_true(!again || again->n < 3); /* it ended between two */
        changes_free(again);
    }
    assert_null(changes_decode(BYTES_LIT("\2")));
    assert_null(changes_decode(BYTES_LIT("\1\2\0\0\0\0\0\0\0\0")));
    changes_free(c);
}

/* Which list a row stands in is on disk: it cannot change. */
static void the_shard_of_a_row_is_fixed(void **state)
{
    static const struct {
        const char *row;
        int want;
    } cases[] = {{"", 8}, {"a", 15}, {"b", 13}, {"greeting 1", 10}};
    int seen[DHASH_SHARDS] = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(changes_shard(bytes_str(cases[i].row)), cases[i].want);
    for (int i = 0; i < 16000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "row %08d", i);
        seen[changes_shard(bytes_str(name))]++;
    }
    for (int i = 0; i < DHASH_SHARDS; i++)
        assert_in_range(seen[i], 700, 1300);
}

/* ---- writes that fail ---- */

static void a_record_that_fails_writes_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(commit(f, "a=1 b=1"), 0);
    f->kv.writes_until = 0;
    f->kv.code = ERR_NO_SPACE;
    assert_int_equal(commit(f, "a=2 c=2"), ERR_NO_SPACE);
    f->kv.writes_until = -1;
    assert_rows(f, "a=1 b=1", "b=1 a=1");
    assert_int_equal(commit(f, "a=3 b-"), 0);
    assert_rows(f, "a=3", "a=3");
}

/* However many of its rows are written when the disk is full. */
static void a_commit_stands_while_its_rows_cannot_be_written(void **state)
{
    struct fixture *f = *state;

    /* One record, four rows, three lists that change. */
    for (int n = 1; n < 8; n++) {
        assert_int_equal(commit(f, "a=1 b=1 c- d-"), 0);
        f->kv.writes_until = n;
        f->kv.code = ERR_NO_SPACE;
        assert_int_equal(commit(f, "a=2 b- c=2 d=2"), 0);
        assert_rows(f, "a=2 c=2 d=2", "d=2 c=2 a=2");
        assert_int_equal(commit(f, "e=3"), ERR_NO_SPACE);
        kill_store(f);
        assert_int_equal(open_shaky(f), 0);
        f->kv.writes_until = -1;
        assert_int_equal(commit(f, "e-"), 0);
        assert_rows(f, "a=2 c=2 d=2", "d=2 c=2 a=2");
        kill_store(f);
        assert_int_equal(open_shaky(f), 0);
        assert_rows(f, "a=2 c=2 d=2", "d=2 c=2 a=2");
        arena_reset(&f->arena);
    }
}

static void an_unknown_record_is_settled_before_the_next_commit(void **state)
{
    struct fixture *f = *state;

    for (int late = 0; late <= 1; late++) {
        assert_int_equal(commit(f, "a=1 b- c-"), 0);
        f->kv.writes_until = 0;
        f->kv.code = ERR_UNKNOWN;
        f->kv.late = late;
        assert_int_equal(commit(f, "a=2 b=2"), ERR_UNKNOWN);
        /* Nobody knows yet, so nothing else can be decided. */
        assert_int_equal(commit(f, "c=3"), ERR_IO);
        f->kv.writes_until = -1;
        assert_int_equal(commit(f, "c=4"), 0);
        assert_rows(f, late ? "a=2 b=2 c=4" : "a=1 c=4",
                    late ? "c=4 b=2 a=2" : "c=4 a=1");
    }
}

/* Its rows are not touched before the record is sure to be there. */
static void an_unknown_record_is_made_sure_before_its_rows(void **state)
{
    struct fixture *f = *state;

    for (int n = 0; n < 4; n++) {
        assert_int_equal(commit(f, "a=1 b=1"), 0);
        f->kv.writes_until = 0;
        f->kv.code = ERR_UNKNOWN;
        f->kv.late = true;
        assert_int_equal(commit(f, "a=2 b=2"), ERR_UNKNOWN);
        f->kv.writes_until = n;
        f->kv.code = ERR_IO;
        f->kv.late = false;
        assert_int_equal(commit(f, "c=3"), ERR_IO);
        cut_power(f);
        f->kv.writes_until = -1;
        assert_int_equal(open_shaky(f), 0);
        if (n == 0)
            assert_rows(f, "a=1 b=1", "b=1 a=1");
        else
            assert_rows(f, "a=2 b=2", "b=2 a=2");
    }
}

static void what_is_too_long_for_the_plain_store_is_refused(void **state)
{
    enum { PARTS = 3, LONG = 6 * 1024 * 1024 };
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    char *p = memset(arena_alloc(&f->arena, LONG), 'x', LONG);

    for (int i = 0; i < PARTS; i++)
        storage_batch_put(&b, row(arena_printf(&f->arena, "%d", i)),
                          BYTES(p, LONG));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), ERR_TOO_LARGE);
    assert_rows(f, "", "");
    assert_int_equal(commit(f, "a=1"), 0);
}

/* A list that grows over the limit is found before the record is written. */
static void a_list_that_would_be_too_long_is_refused(void **state)
{
    enum { PER = 200 };
    struct fixture *f = *state;
    int rc = 0, rounds = 0;

    while (rc == 0 && rounds < 100) {
        struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

        for (int n = 0, i = 0; n < PER; i++) {
            char *name = arena_alloc(&f->arena, STORAGE_ROW_MAX);
            struct storage_key key = {BYTES_LIT("p"),
                                      BYTES(name, STORAGE_ROW_MAX)};

            memset(name, 'x', STORAGE_ROW_MAX);
            snprintf(name, STORAGE_ROW_MAX, "%d/%d", rounds, i);
            if (changes_shard(key.row) != 0)
                continue;
            storage_batch_put(&b, key, BYTES_NONE);
            n++;
        }
        rc = storage_commit(&f->ctx, f->st, &b, NULL);
        rounds++;
        arena_reset(&f->arena);
    }
    assert_int_equal(rc, ERR_TOO_LARGE);
    assert_int_equal(rounds, 2);
    assert_int_equal(commit(f, "a=1"), 0);
}

static void damage_is_told_and_not_passed_over(void **state)
{
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    struct bytes list = dhash_list_key(&f->arena, BYTES_LIT("p"),
                                       changes_shard(BYTES_LIT("a")));

    assert_int_equal(commit(f, "a=1"), 0);
    storage_close(f->st);
    list_delete(&f->kv.values, place(dhash_row_key(&f->arena, row("a"))));
    assert_int_equal(open_shaky(f), 0);
    assert_int_equal(storage_scan(&f->ctx, f->st, BYTES_LIT("p"), &all,
                                  STORAGE_FORWARD, 9, &page),
                     ERR_CORRUPT);
    list_put(&f->kv.values, place(list), BYTES_LIT("\0\7a"));
    ctx_err_clear(&f->ctx);
    assert_int_equal(storage_scan(&f->ctx, f->st, BYTES_LIT("p"), &all,
                                  STORAGE_FORWARD, 9, &page),
                     ERR_CORRUPT);
    storage_close(f->st);
    f->st = NULL;
    list_put(&f->kv.values, place(DHASH_REDO), BYTES_LIT("\1\7"));
    assert_int_equal(open_shaky(f), ERR_CORRUPT);
}

/* ---- a long run of failures ---- */

enum { STEPS = 8000, NAMES = 40 };

struct run_state {
    struct fixture *f;
    struct storage *ref;
    uint64_t random;
    int step;
};

static uint64_t pick(struct run_state *r, uint64_t below)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (r->random >> 33) % below;
}

static void shake(struct run_state *r, bool on)
{
    r->f->kv.random = on ? pick(r, 1u << 30) + 1 : 0;
}

static struct storage_key some_key(struct run_state *r)
{
    static const char *const partitions[] = {"p", "q"};

    return (struct storage_key){
        bytes_str(partitions[pick(r, 2)]),
        bytes_str(arena_printf(&r->f->arena, "%d", (int)pick(r, NAMES)))};
}

static struct bytes marker(struct run_state *r)
{
    return bytes_str(arena_printf(&r->f->arena, "%d", r->step));
}

/* Open it again; with failures, as often as it takes. */
static void kill_and_open(struct run_state *r)
{
    kill_store(r->f);
    while (open_shaky(r->f) != 0)
        continue;
}

static void compare_reads(struct run_state *r)
{
    static const char *const partitions[] = {"p", "q"};
    struct storage_range all = STORAGE_ALL;
    enum storage_dir dir = pick(r, 2) ? STORAGE_FORWARD : STORAGE_BACKWARD;
    struct bytes partition = bytes_str(partitions[pick(r, 2)]);
    size_t limit = 1 + pick(r, NAMES + 5);
    struct storage_page got, want;
    int rc =
        storage_scan(&r->f->ctx, r->f->st, partition, &all, dir, limit, &got);

    if (rc == ERR_IO)
        return;
    assert_int_equal(rc, 0);
    assert_int_equal(
        storage_scan(&r->f->ctx, r->ref, partition, &all, dir, limit, &want),
        0);
    assert_int_equal(got.n, want.n);
    assert_int_equal(got.more, want.more);
    for (size_t i = 0; i < got.n; i++) {
        assert_bytes(got.rows[i].row, want.rows[i].row);
        assert_bytes(got.rows[i].value, want.rows[i].value);
    }
}

/* Nobody knew; now the store must. */
static bool find_out(struct run_state *r)
{
    struct storage_batch b = STORAGE_BATCH_IN(&r->f->arena);
    struct bytes v;

    shake(r, false);
    if (pick(r, 2)) {
        kill_and_open(r);
    } else {
        storage_batch_require_absent(
            &b, (struct storage_key){BYTES_LIT("none"), BYTES_LIT("none")});
        assert_int_equal(storage_commit(&r->f->ctx, r->f->st, &b, NULL), 0);
    }
    return storage_get1(&r->f->ctx, r->f->st, row("marker"), &v) == 0 &&
           bytes_eq(v, marker(r));
}

static void step_commit(struct run_state *r)
{
    struct storage_batch b = STORAGE_BATCH_IN(&r->f->arena);
    int rc;

    for (uint64_t n = pick(r, 6); n > 0; n--) {
        if (pick(r, 3) == 0)
            storage_batch_delete(&b, some_key(r));
        else
            storage_batch_put(&b, some_key(r), marker(r));
    }
    storage_batch_put(&b, row("marker"), marker(r));
    rc = storage_commit(&r->f->ctx, r->f->st, &b, NULL);
    if (rc == 0 || (rc == ERR_UNKNOWN && find_out(r)))
        assert_int_equal(storage_commit(&r->f->ctx, r->ref, &b, NULL), 0);
    else if (rc != ERR_UNKNOWN && rc != ERR_IO && rc != ERR_NO_SPACE)
        fail_msg("a commit answered %s", ctx_err_text(&r->f->ctx, rc));
}

static void no_failure_shows_half_a_commit_or_loses_one(void **state)
{
    struct fixture *f = *state;
    struct storage_options o = {.backend = "memory"};
    const char *seed = getenv("TEST_SEED");
    struct run_state r = {.f = f,
                          .random = seed ? strtoull(seed, NULL, 0)
                                         : (uint64_t)clock_mono()};

    print_message("           TEST_SEED=%llu repeats this\n",
                  (unsigned long long)r.random);
    assert_int_equal(storage_open(&f->ctx, &o, &r.ref), 0);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    for (r.step = 0; r.step < STEPS; r.step++) {
        ctx_err_clear(&f->ctx);
        shake(&r, pick(&r, 4) != 0);
        if (pick(&r, 30) == 0)
            kill_and_open(&r);
        else if (pick(&r, 3) == 0)
            compare_reads(&r);
        else
            step_commit(&r);
        arena_reset(&f->arena);
    }
    log_set_level(LOG_INFO);
    shake(&r, false);
    for (int i = 0; i < 20; i++)
        compare_reads(&r);
    storage_close(r.ref);
}

/* ---- the folder ---- */

static void a_file_is_on_the_disk_before_it_counts(void **state)
{
    struct fixture *f = *state;

    use_files(f);
    for (int i = 0; i < 5; i++) {
        memset(&medium, 0, sizeof(medium));
        assert_int_equal(commit(f, i % 2 ? "a=1 b=1 c=1" : "a=2 b- c- d=2"), 0);
        assert_true(medium.n_synced > 2);
        assert_int_equal(medium.placed_unsynced, 0);
        assert_false(medium.place_dirty);
        assert_int_equal(medium.syncfs_calls, 0);
    }
}

static void many_files_are_synced_together(void **state)
{
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    use_files(f);
    for (int i = 0; i < 500; i++)
        storage_batch_put(&b, row(arena_printf(&f->arena, "%d", i)),
                          BYTES_LIT("v"));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    assert_int_equal(medium.syncfs_calls, 2);
    assert_int_equal(medium.n_synced, 1); /* the record */
    assert_false(medium.place_dirty);
}

static void a_full_disk_stops_commits_and_no_reads(void **state)
{
    struct fixture *f = *state;

    use_files(f);
    assert_int_equal(commit(f, "a=1"), 0);
    errinj_set("dhash.files.no_space", 1000, 0);
    assert_int_equal(commit(f, "a=2"), ERR_NO_SPACE);
    assert_rows(f, "a=1", "a=1");
    errinj_set("dhash.files.no_space", 1000, 1);
    assert_int_equal(commit(f, "a=3 b=3"), 0); /* the record had room */
    assert_int_equal(commit(f, "a=4"), ERR_NO_SPACE);
    assert_rows(f, "a=3 b=3", "b=3 a=3");
    use_files(f); /* opens while the disk is full, and reads */
    assert_rows(f, "a=3 b=3", "b=3 a=3");
    errinj_clear();
    assert_int_equal(commit(f, "a=5"), 0);
    use_files(f);
    assert_rows(f, "a=5 b=3", "b=3 a=5");
}

static void a_sync_that_fails_leaves_a_commit_unknown(void **state)
{
    struct fixture *f = *state;

    use_files(f);
    assert_int_equal(commit(f, "a=1"), 0);
    errinj_set("dhash.files.sync_place", 1, 0);
    assert_int_equal(commit(f, "a=2"), ERR_UNKNOWN);
    assert_int_equal(commit(f, "b=3"), 0);
    assert_rows(f, "a=2 b=3", "b=3 a=2");
}

/* The one file that holds `text`. */
static const char *find_file(struct fixture *f, const char *text)
{
    char line[4096] = "";
    FILE *p = popen(
        arena_printf(&f->arena, "grep -rl '%s' '%s'", text, f->path), "r");

    if (!fgets(line, sizeof(line), p))
        fail_msg("no file holds %s", text);
    pclose(p);
    return arena_cstr(&f->arena, BYTES(line, strcspn(line, "\n")));
}

static void a_damaged_file_is_named(void **state)
{
    struct fixture *f = *state;
    const char *path;
    struct bytes v;
    int fd;

    use_files(f);
    assert_int_equal(commit(f, "a=treasure"), 0);
    assert_int_equal(commit(f, "b=1"), 0);
    path = find_file(f, "treasure");
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "T", 1, 16 + 4 + 1 + 2 + 1 + 1), 1);
    close(fd);
    assert_int_equal(storage_get1(&f->ctx, f->st, row("a"), &v), ERR_CORRUPT);
    assert_non_null(strstr(f->ctx.err.message, path));
    assert_int_equal(storage_get1(&f->ctx, f->st, row("b"), &v), 0);
}

static int try_open(struct fixture *f, const char *backend)
{
    struct storage_options o = {.backend = backend, .path = f->path};
    struct storage *st;
    int rc;

    ctx_err_clear(&f->ctx);
    rc = storage_open(&f->ctx, &o, &st);
    storage_close(st);
    return rc;
}

static void a_folder_is_one_backends_and_one_process(void **state)
{
    struct fixture *f = *state;

    use_files(f);
    assert_int_equal(try_open(f, "dhash:files"), ERR_UNAVAILABLE);
    storage_close(f->st);
    f->st = NULL;
    assert_int_equal(try_open(f, "rocksdb"), ERR_INVALID);
    assert_non_null(strstr(f->ctx.err.message, "dhash-files"));
    assert_int_equal(try_open(f, "dhash:files"), 0);
}

static int files_in(struct fixture *f, const char *name)
{
    DIR *d = opendir(arena_printf(&f->arena, "%s/%s", f->path, name));
    int n = -2; /* . and .. */

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void nothing_is_left_of_what_was_cut_short(void **state)
{
    struct fixture *f = *state;
    const char *left;

    use_files(f);
    errinj_set("dhash.files.no_space", 1, 0);
    assert_int_equal(commit(f, "a=1"), ERR_NO_SPACE);
    assert_int_equal(files_in(f, "new"), 0);
    left = arena_printf(&f->arena, "%s/new/7", f->path);
    close(open(left, O_WRONLY | O_CREAT, 0600));
    use_files(f);
    assert_int_equal(files_in(f, "new"), 0);
}

#define CASE(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_list_takes_changes_and_takes_them_twice),
        CASE(what_is_no_list_is_told_apart),
        CASE(a_record_reads_back_or_not_at_all),
        CASE(the_shard_of_a_row_is_fixed),
        CASE(a_record_that_fails_writes_nothing),
        CASE(a_commit_stands_while_its_rows_cannot_be_written),
        CASE(an_unknown_record_is_settled_before_the_next_commit),
        CASE(an_unknown_record_is_made_sure_before_its_rows),
        CASE(what_is_too_long_for_the_plain_store_is_refused),
        CASE(a_list_that_would_be_too_long_is_refused),
        CASE(damage_is_told_and_not_passed_over),
        CASE(no_failure_shows_half_a_commit_or_loses_one),
        CASE(a_file_is_on_the_disk_before_it_counts),
        CASE(many_files_are_synced_together),
        CASE(a_full_disk_stops_commits_and_no_reads),
        CASE(a_sync_that_fails_leaves_a_commit_unknown),
        CASE(a_damaged_file_is_named),
        CASE(a_folder_is_one_backends_and_one_process),
        CASE(nothing_is_left_of_what_was_cut_short),
    };

    return cmocka_run_group_tests_name("dhash", tests, NULL, NULL);
}
