/*
 * crash - nothing acknowledged is lost, nothing is half there.
 *
 * The child is killed by kill -9 after a random number of acknowledgements, or
 * kills itself at a named point of the commit; the store is opened again and
 * held against the acknowledgements.  The last cases plant faults, and the
 * checker must find every one of them.
 */
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

enum { ROUNDS = 12, ACKS_MAX = 300, CHILD_SECONDS = 60 };

/* What is killed at any time is killed by then; and what has to come to a
 * certain point has come there, or it is over. */
#define ROUND_TIME (1 * CLOCK_SEC)
#define CHILD_TIME (CHILD_SECONDS * CLOCK_SEC)

/* ---- the checker ---- */

struct state {
    uint32_t head[WRITERS];
    uint32_t rows[PARTS][WRITERS]; /* how many there are */
    const char *wrong;
};

static void complain(struct ctx *ctx, struct state *s, const char *what,
                     uint32_t writer, uint32_t n)
{
    if (!s->wrong)
        s->wrong = arena_printf(ctx->arena, "%s (writer %u, batch %u)", what,
                                writer, n);
}

static uint32_t to_number(struct ctx *ctx, struct bytes b)
{
    return (uint32_t)strtoul(arena_cstr(ctx->arena, b), NULL, 10);
}

static struct storage_page all_rows(struct ctx *ctx, struct storage *st,
                                    const char *partition)
{
    struct storage_range all = STORAGE_ALL;

    return scan_all(ctx, st, bytes_str(partition), &all, STORAGE_FORWARD, 500);
}

static void read_heads(struct ctx *ctx, struct storage *st, struct state *s)
{
    struct storage_page page = all_rows(ctx, st, "heads");

    for (size_t i = 0; i < page.n; i++) {
        uint32_t w = to_number(ctx, page.rows[i].row);

        if (w >= WRITERS)
            complain(ctx, s, "a head that no one wrote", w, 0);
        else
            s->head[w] = to_number(ctx, page.rows[i].value);
    }
}

static void check_head(struct ctx *ctx, struct state *s, uint32_t w,
                       uint32_t acked)
{
    if (s->head[w] < acked)
        complain(ctx, s, "an acknowledged batch is lost", w, acked);
    if (s->head[w] > acked + 1)
        complain(ctx, s, "a batch nobody asked for", w, s->head[w]);
}

/* A row stands for its batch: in the window, and with the batch's number. */
static void check_row(struct ctx *ctx, struct state *s, int part,
                      const struct storage_row *row)
{
    const char *name = arena_cstr(ctx->arena, row->row);
    const char *slash = strchr(name, '/');
    uint32_t w = (uint32_t)atoi(name);
    uint32_t n = slash ? (uint32_t)atoi(slash + 1) : 0;

    if (!slash || w >= WRITERS || n == 0) {
        complain(ctx, s, "a row that no one wrote", w, n);
        return;
    }
    s->rows[part][w]++;
    if (n > s->head[w])
        complain(ctx, s, "a row of a batch that is not there", w, n);
    if (n + WINDOW <= s->head[w])
        complain(ctx, s, "a row that a batch deleted", w, n);
    if (to_number(ctx, row->value) != n)
        complain(ctx, s, "a row with another's value", w, n);
}

static void check_rows(struct ctx *ctx, struct storage *st, struct state *s)
{
    for (int p = 0; p < PARTS; p++) {
        struct storage_page page =
            all_rows(ctx, st, arena_printf(ctx->arena, "part %d", p));

        for (size_t i = 0; i < page.n; i++)
            check_row(ctx, s, p, &page.rows[i]);
    }
    for (uint32_t w = 0; w < WRITERS; w++) {
        uint32_t want = s->head[w] < WINDOW ? s->head[w] : WINDOW;

        for (int p = 0; p < PARTS; p++) {
            if (s->rows[p][w] != want)
                complain(ctx, s, "a batch is half there", w, s->head[w]);
        }
    }
}

const char *crash_check(struct ctx *ctx, struct storage *st, uint32_t *acked)
{
    struct state s = {0};

    read_heads(ctx, st, &s);
    for (uint32_t w = 0; w < WRITERS; w++)
        check_head(ctx, &s, w, acked[w]);
    check_rows(ctx, st, &s);
    if (!s.wrong)
        memcpy(acked, s.head, sizeof(s.head));
    return s.wrong;
}

/* ---- the child, from outside ---- */

struct child {
    pid_t pid;
    int acks; /* read end */
};

/* The process is made anew: RocksDB's threads do not survive a fork. */
static void child_exec(struct fixture *f, int fd, const char *fault,
                       enum plant plant)
{
    char fd_text[16], plant_text[16];
    char *argv[] = {"test_storage",
                    "--crash-child",
                    (char *)f->backend,
                    f->path,
                    fd_text,
                    plant_text,
                    NULL};

    snprintf(fd_text, sizeof(fd_text), "%d", fd);
    snprintf(plant_text, sizeof(plant_text), "%d", plant);
    if (fault)
        setenv("APPSCALE_ERRINJ", fault, 1);
    alarm(CHILD_SECONDS); /* never left running */
    execv("/proc/self/exe", argv);
    _exit(127);
}

static struct child child_start(struct fixture *f, const char *fault,
                                enum plant plant)
{
    struct child c;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    c.pid = fork();
    if (c.pid == 0) {
        fcntl(fds[1], F_SETFD, 0);
        child_exec(f, fds[1], fault, plant);
    }
    assert_true(c.pid > 0);
    close(fds[1]);
    c.acks = fds[0];
    return c;
}

static bool next_ack(struct child *c, uint32_t *acked)
{
    struct ack ack;
    ssize_t n;

    do {
        n = read(c->acks, &ack, sizeof(ack));
    } while (n < 0 && errno == EINTR);
    if (n != sizeof(ack))
        return false;
    assert_in_range(ack.writer, 0, WRITERS - 1);
    assert_int_equal(ack.n, acked[ack.writer] + 1);
    acked[ack.writer] = ack.n;
    return true;
}

/* Whether there is something to read, or the end of it, before `until`. */
static bool wait_ack(struct child *c, int64_t until)
{
    struct pollfd p = {.fd = c->acks, .events = POLLIN};
    int64_t left = until - clock_mono();

    return left > 0 && poll(&p, 1, (int)(left / CLOCK_MS) + 1) > 0;
}

/*
 * Kill it after `acks` more of them (UINT64_MAX: it kills itself), or at
 * `until`.  Then take in those still in the pipe.
 */
static void child_kill(struct child *c, uint64_t acks, int64_t until,
                       uint32_t *acked)
{
    int status;

    while (acks > 0 && wait_ack(c, until) && next_ack(c, acked))
        acks--;
    kill(c->pid, SIGKILL);
    while (next_ack(c, acked))
        ;
    close(c->acks);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the child ended by itself, status %x", status);
}

/* One life and death of a child, and the judgement on what it left. */
static const char *one_round(struct fixture *f, const char *fault,
                             enum plant plant, uint64_t acks, uint32_t *acked)
{
    struct child c;
    const char *wrong;

    if (f->st) {
        storage_close(f->st);
        f->st = NULL;
    }
    c = child_start(f, fault, plant);
    child_kill(&c, acks,
               clock_mono() + (fault || plant ? CHILD_TIME : ROUND_TIME),
               acked);
    f->st = fixture_open(&f->ctx, f->backend, f->path, 0);
    wrong = crash_check(&f->ctx, f->st, acked);
    return wrong;
}

/* ---- the cases ---- */

static void a_kill_at_any_time_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct rng rng = {(uint64_t)clock_mono()};
    uint32_t acked[WRITERS] = {0};

    for (unsigned i = 0; i < ROUNDS * contract_scale(); i++) {
        uint64_t acks = rng_below(&rng, ACKS_MAX);
        const char *wrong = one_round(f, NULL, PLANT_NONE, acks, acked);

        if (wrong)
            fail_msg("round %u, killed after %llu acks: %s", i,
                     (unsigned long long)acks, wrong);
        arena_reset(&f->arena);
    }
}

/*
 * Where a child kills itself, on which hits: `first`, and every `step` from
 * there up to `last`.  dhash places several files in every commit.
 */
static const struct point {
    const char *backend;
    const char *fault;
    int first, step, last;
} points[] = {
    {"rocksdb", "rocksdb.commit.begin", 0, 29, 58},
    {"rocksdb", "rocksdb.commit.checked", 0, 29, 58},
    {"rocksdb", "rocksdb.commit.written", 0, 29, 58},
    {"rocksdb", "rocksdb.commit.cached", 0, 29, 58},
    {"dhash", "dhash.commit.begin", 0, 17, 17},
    {"dhash", "dhash.commit.checked", 0, 17, 17},
    {"dhash", "dhash.commit.recorded", 0, 17, 34},
    {"dhash", "dhash.commit.applied", 0, 17, 17},
    {"dhash", "dhash.files.written", 0, 1, 3},
    {"dhash", "dhash.files.written", 20, 1, 21},
    {"dhash", "dhash.files.placed", 0, 1, 9},
    {"dhash", "dhash.files.placed", 30, 3, 51},
};

static void die_at(struct fixture *f, const char *point, int skip,
                   uint32_t *acked)
{
    const char *fault = arena_printf(&f->arena, "%s=1@%d", point, skip);
    const char *wrong = one_round(f, fault, PLANT_NONE, UINT64_MAX, acked);

    if (wrong)
        fail_msg("%s: %s", fault, wrong);
    arena_reset(&f->arena);
}

static void a_kill_between_any_two_steps_loses_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t acked[WRITERS] = {0};
    int n = 0;

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        const struct point *p = &points[i];

        if (!strstr(f->backend, p->backend))
            continue;
        for (int skip = p->first; skip <= p->last; skip += p->step, n++)
            die_at(f, p->fault, skip, acked);
    }
    assert_true(n > 0); /* a durable backend names its steps here */
}

static void the_checker_finds_every_planted_fault(void **state)
{
    static const struct {
        enum plant plant;
        uint64_t acks;
        const char *want;
    } cases[] = {
        /* With 25 batches each, one writer is past PLANT_AT. */
        {PLANT_LIE, UINT64_MAX, "an acknowledged batch is lost"},
        {PLANT_SPLIT, UINT64_MAX, "a row of a batch that is not there"},
        {PLANT_STALE, WRITERS * 25, "a row that a batch deleted"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t acked[WRITERS] = {0};
        char *path = f->path;
        const char *wrong;

        f->path = arena_printf(&f->arena, "%s-%zu", path, i);
        wrong = one_round(f, NULL, cases[i].plant, cases[i].acks, acked);
        f->path = path;
        if (!wrong || !strstr(wrong, cases[i].want))
            fail_msg("planted fault %d: the checker said '%s'", cases[i].plant,
                     wrong ? wrong : "all is well");
    }
}

CONTRACT_GROUP(contract_crash, CONTRACT_CASE(a_kill_at_any_time_loses_nothing),
               CONTRACT_CASE(a_kill_between_any_two_steps_loses_nothing),
               CONTRACT_CASE(the_checker_finds_every_planted_fault));
