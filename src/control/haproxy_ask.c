/* haproxy_ask - connect, write a line, read to the end. */
#include "control/haproxy_ask.h"

#include "base/buf.h"

#include <stdlib.h>

enum { ANSWER_MAX = 4 * 1024 * 1024 };

struct ask {
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_write_t write;
    struct buf command, answer;
    haproxy_ask_fn *fn;
    void *arg;
    char chunk[8192];
};

static void ask_closed(uv_handle_t *h)
{
    struct ask *q = h->data;

    q->fn(buf_view(&q->answer), q->arg);
    buf_release(&q->command);
    buf_release(&q->answer);
    free(q);
}

static void ask_end(struct ask *q)
{
    if (!uv_is_closing((uv_handle_t *)&q->pipe))
        uv_close((uv_handle_t *)&q->pipe, ask_closed);
}

static void on_room(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
    struct ask *q = h->data;

    (void)hint;
    *out = uv_buf_init(q->chunk, sizeof(q->chunk));
}

static void on_data(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct ask *q = s->data;

    if (n > 0)
        buf_add(&q->answer, BYTES(b->base, (size_t)n));
    if (n < 0 || q->answer.n > ANSWER_MAX)
        ask_end(q);
}

static void on_written(uv_write_t *w, int rc)
{
    if (rc)
        ask_end(w->handle->data);
}

static void on_connected(uv_connect_t *c, int rc)
{
    struct ask *q = c->handle->data;
    uv_buf_t b = uv_buf_init((char *)q->command.p, (unsigned)q->command.n);

    if (rc || uv_write(&q->write, (uv_stream_t *)&q->pipe, &b, 1, on_written) ||
        uv_read_start((uv_stream_t *)&q->pipe, on_room, on_data))
        ask_end(q);
}

void haproxy_ask(uv_loop_t *loop, const char *socket, const char *command,
                 haproxy_ask_fn *fn, void *arg)
{
    struct ask *q = calloc(1, sizeof(*q));

    if (!q)
        abort();
    q->fn = fn;
    q->arg = arg;
    buf_printf(&q->command, "%s\n", command);
    uv_pipe_init(loop, &q->pipe, 0);
    q->pipe.data = q;
    uv_pipe_connect(&q->connect, &q->pipe, socket, on_connected);
}

/* ---- what the answers say ---- */

/* Take the part up to `end` from the front of *at. */
static struct bytes cut(struct bytes *at, char end)
{
    const char *p = memchr(at->p, end, at->n);
    size_t n = p ? (size_t)(p - (const char *)at->p) : at->n;
    struct bytes part = BYTES(at->p, n);

    *at = bytes_from(*at, p ? n + 1 : n);
    return part;
}

struct bytes haproxy_info(struct bytes answer, const char *name)
{
    while (answer.n > 0) {
        struct bytes line = cut(&answer, '\n');
        struct bytes key = cut(&line, ':');

        if (bytes_eq_str(key, name) && line.n > 0)
            return bytes_from(line, 1);
    }
    return BYTES_NONE;
}

static int64_t number(struct bytes v)
{
    int64_t n = 0;

    for (size_t i = 0; i < v.n; i++)
        n = n * 10 + (bytes_u8(v)[i] - '0');
    return n;
}

/* Columns (management guide, 9.1), from 0: pxname svname qcur qmax scur smax
 * slim stot, then hrsp_5xx and ttime. */
bool haproxy_stat_next(struct bytes *answer, struct haproxy_stat *out)
{
    enum { QCUR = 2, SCUR = 4, STOT = 7, HRSP_5XX = 43, TTIME = 61, COLUMNS };

    while (answer->n > 0) {
        struct bytes line = cut(answer, '\n'), column[COLUMNS];

        if (line.n == 0 || bytes_u8(line)[0] == '#')
            continue;
        for (int i = 0; i < COLUMNS; i++)
            column[i] = cut(&line, ',');
        *out = (struct haproxy_stat){.backend = column[0],
                                     .server = column[1],
                                     .queued = (int)number(column[QCUR]),
                                     .running = (int)number(column[SCUR]),
                                     .total = number(column[STOT]),
                                     .errors = number(column[HRSP_5XX]),
                                     .latency = number(column[TTIME])};
        return true;
    }
    return false;
}

int64_t haproxy_load(struct bytes answer, const char *backend)
{
    struct haproxy_stat st;

    while (haproxy_stat_next(&answer, &st))
        if (bytes_eq_str(st.backend, backend) &&
            bytes_eq_str(st.server, "BACKEND"))
            return st.queued + st.running;
    return -1;
}
