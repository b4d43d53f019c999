/* Members: walking, looking up, joining, and files that are none. */
#include "base/members.h"
#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct arena arena;
static struct ctx ctx;

static int start(void **state)
{
    (void)state;
    ctx_init(&ctx, &arena);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

/* A file with a member for each text; what is in one is nobody's concern. */
static int file_of(const char *const *texts)
{
    int fd = memfd_create("members", MFD_CLOEXEC);

    assert_true(fd >= 0);
    for (; *texts; texts++) {
        uint8_t h[MEMBERS_HEADER];
        size_t n = strlen(*texts);

        members_header(h, (uint32_t)(sizeof(h) + n));
        assert_int_equal(write(fd, h, sizeof(h)), sizeof(h));
        assert_int_equal(write(fd, *texts, n), n);
    }
    return fd;
}

#define FILE_OF(...) file_of((const char *const[]){__VA_ARGS__, NULL})

static struct members read_members(int fd)
{
    struct members m;

    assert_int_equal(members_read(&ctx, fd, &m), 0);
    return m;
}

static const char **sums(const struct members *m)
{
    const char **list = ARENA_ARRAY(&arena, const char *, m->n + 1);

    for (size_t i = 0; i < m->n; i++)
        list[i] = m->list[i].sha256;
    return list;
}

static void a_file_is_made_of_another_and_of_what_is_missing(void **state)
{
    int fds[] = {FILE_OF("a", "b", "c", "b"), -1}, joined;
    int want = FILE_OF("b", "new", "a", "newer", "b");
    struct members files[2] = {read_members(fds[0])}, w = read_members(want);
    const char **wanted = sums(&w);
    size_t *missing, n;

    (void)state;
    n = members_missing(&ctx, wanted, w.n, files, 1, &missing);
    assert_int_equal(n, 2);
    assert_int_equal(missing[0], 1);
    assert_int_equal(missing[1], 3);
    joined = memfd_create("joined", MFD_CLOEXEC);
    assert_int_equal(
        members_join(&ctx, wanted, w.n, fds, files, 1, joined, w.sha256),
        ERR_NOT_FOUND);
    fds[1] = FILE_OF("new", "newer");
    files[1] = read_members(fds[1]);
    assert_int_equal(members_missing(&ctx, wanted, w.n, files, 2, &missing), 0);
    assert_int_equal(ftruncate(joined, 0), 0);
    assert_int_equal(lseek(joined, 0, SEEK_SET), 0);
    assert_int_equal(
        members_join(&ctx, wanted, w.n, fds, files, 2, joined, w.sha256), 0);
    assert_string_equal(read_members(joined).sha256, w.sha256);
    /* Right members in another order are another archive. */
    wanted[0] = wanted[2];
    assert_int_equal(
        members_join(&ctx, wanted, w.n, fds, files, 2, joined, w.sha256),
        ERR_INVALID);
    close(fds[0]);
    close(fds[1]);
    close(want);
    close(joined);
}

static void what_is_no_file_of_members_is_refused(void **state)
{
    int fd = FILE_OF("abc", "def");
    uint8_t header[MEMBERS_HEADER];
    struct members m;

    (void)state;
    /* Cut anywhere but between two, and with every byte of a header changed. */
    for (off_t size = 1; size < 46; size++) {
        int cut = FILE_OF("abc", "def");

        assert_int_equal(ftruncate(cut, size), 0);
        assert_int_equal(members_read(&ctx, cut, &m),
                         size == 23 ? 0 : ERR_INVALID);
        close(cut);
        ctx_err_clear(&ctx);
    }
    for (off_t at = 23; at < 43; at++) {
        uint8_t was, other;

        assert_int_equal(pread(fd, &was, 1, at), 1);
        other = (uint8_t)(was + 1);
        assert_int_equal(pwrite(fd, &other, 1, at), 1);
        assert_int_equal(members_read(&ctx, fd, &m), ERR_INVALID);
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
        ctx_err_clear(&ctx);
    }
    /* A member of no bytes would be walked for ever. */
    members_header(header, 0);
    assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
    assert_int_equal(members_read(&ctx, fd, &m), ERR_INVALID);
    close(fd);
    fd = memfd_create("empty", MFD_CLOEXEC);
    assert_int_equal(members_read(&ctx, fd, &m), 0);
    assert_int_equal(m.n, 0);
    close(fd);
}

static void a_file_of_too_many_is_refused(void **state)
{
    int fd = memfd_create("many", MFD_CLOEXEC);
    uint8_t h[MEMBERS_HEADER];
    struct members m;

    (void)state;
    members_header(h, sizeof(h));
    for (int i = 0; i < MEMBERS_MAX; i++)
        assert_int_equal(write(fd, h, sizeof(h)), sizeof(h));
    assert_int_equal(members_read(&ctx, fd, &m), 0);
    assert_int_equal(write(fd, h, sizeof(h)), sizeof(h));
    assert_int_equal(members_read(&ctx, fd, &m), ERR_INVALID);
    close(fd);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_made_of_another_and_of_what_is_missing),
        TEST(what_is_no_file_of_members_is_refused),
        TEST(a_file_of_too_many_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
