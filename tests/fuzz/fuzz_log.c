/*
 * fuzz_log - any bytes as lines of a log, as a cursor, as an archive.
 *
 * A line has a severity and a text whatever it holds; a cursor that is taken
 * reads back as it was; members lie in their file, one behind the other.
 */
#include "base/members.h"
#include "control/log_query.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_lines(struct arena *a, enum log_format format, struct bytes in)
{
    struct log_thread thread = {0};

    while (in.n) {
        const char *end = memchr(in.p, '\n', in.n);
        size_t n = end ? (size_t)(end - (const char *)in.p) : in.n;
        struct log_entry e = {.source = bytes_str("s.v")};

        if (log_entry_parse(a, format, &thread, BYTES(in.p, n), &e)) {
            require(*log_severity_name(e.severity) != '\0');
            require(e.source.n > 0 || e.request);
            arena_cstr(a, e.text);
            arena_cstr(a, e.instance);
        }
        in = bytes_from(in, end ? n + 1 : n);
    }
}

static void fuzz_cursor(struct arena *a, struct bytes in)
{
    const char *text = arena_cstr(a, in), *once;
    struct log_place *places, *again;
    size_t n, m;

    if (!log_cursor_parse(a, text, &places, &n))
        return;
    once = log_cursor_format(a, places, n);
    require(log_cursor_parse(a, once, &again, &m) && n == m);
    require(strcmp(once, log_cursor_format(a, again, m)) == 0);
}

static void fuzz_members(struct ctx *ctx, struct bytes in)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct members m;
    int64_t at = 0;
    int rc;

    require(fd >= 0 && write(fd, in.p, in.n) == (ssize_t)in.n);
    rc = members_read(ctx, fd, &m);
    require(rc == 0 || (rc == ERR_INVALID && ctx->err.message));
    for (size_t i = 0; i < m.n; at += m.list[i++].size)
        require(m.list[i].offset == at && m.list[i].size > 0);
    require(at == m.size && (rc || at == (int64_t)in.n));
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = ARENA_INIT;
    struct bytes in = n ? BYTES(data + 1, n - 1) : BYTES_NONE;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    switch (n ? data[0] % 5 : 0) {
    case 3:
        fuzz_cursor(&a, in);
        break;
    case 4:
        fuzz_members(&ctx, in);
        break;
    default:
        fuzz_lines(&a, (enum log_format)(data && n ? data[0] % 5 : 0), in);
    }
    arena_release(&a);
    return 0;
}
