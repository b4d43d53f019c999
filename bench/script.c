#include "script.h"

#include "envelope.h"

#include "wire/pb.h"

#include <stdio.h>

#define APP "s~benchmark"

enum { CONFLICT = 2, COUNTED = 100000 };

/* ---- a transaction ---- */

static void read_handle(struct load_sequence *s, struct bytes answer)
{
    struct pb_reader r = PB_READER(answer);

    while (pb_next(&r))
        if (r.field == 1)
            s->handle = r.u64;
}

static void put_handle(const struct load_sequence *s, struct buf *out)
{
    pb_put_fixed64(out, 1, s->handle);
    pb_put_bytes(out, 2, BYTES_LIT(APP));
}

static void add_txn(const struct load_sequence *s, struct buf *out)
{
    struct buf txn = BUF_HEAP;

    put_handle(s, &txn);
    pb_put_bytes(out, 2, buf_view(&txn));
    buf_release(&txn);
}

static bool transaction(struct load_sequence *s, struct bytes answer,
                        int *error, struct buf *out, uint64_t rows)
{
    static const char *const methods[] = {"BeginTransaction", "Get", "Put",
                                          "Commit"};
    struct buf in = BUF_HEAP;
    char name[32];

    if (*error == CONFLICT) {
        *error = 0;
        s->step = 0;
        s->again++;
    }
    if (*error || s->step == 4)
        return false;
    if (s->step == 1)
        read_handle(s, answer);
    snprintf(name, sizeof(name), "row-%llu",
             (unsigned long long)(bytes_hash(BYTES(&s->serial, 8)) % rows));
    if (s->step == 0) {
        pb_put_bytes(&in, 1, BYTES_LIT(APP));
    } else if (s->step == 3) {
        put_handle(s, &in);
    } else {
        if (s->step == 1)
            envelope_key(&in, 1, name);
        else
            envelope_entity(&in, name, s->serial);
        add_txn(s, &in);
    }
    envelope_post(out, "datastore_v3", methods[s->step], buf_view(&in));
    buf_release(&in);
    return true;
}

bool script_transaction(struct load_sequence *s, struct bytes answer,
                        int *error, struct buf *out)
{
    return transaction(s, answer, error, out, 10000);
}

bool script_contention(struct load_sequence *s, struct bytes answer, int *error,
                       struct buf *out)
{
    return transaction(s, answer, error, out, 10);
}

/* ---- a count ---- */

static void first_page(struct buf *in)
{
    pb_put_bytes(in, 1, BYTES_LIT(APP));
    pb_put_bytes(in, 3, BYTES_LIT("Zig"));
    pb_put_u64(in, 12, COUNTED);
    pb_put_u64(in, 16, 0);
    pb_put_u64(in, 21, 1); /* keys only */
}

/* The cursor of an open query goes back as it came. */
static bool next_page(struct bytes answer, struct buf *in)
{
    struct pb_reader r = PB_READER(answer);
    struct bytes cursor = BYTES_NONE;
    bool more = false;

    while (pb_next(&r)) {
        if (r.field == 1)
            cursor = r.bytes;
        else if (r.field == 3)
            more = r.u64 != 0;
    }
    pb_put_bytes(in, 1, cursor);
    return more;
}

bool script_count(struct load_sequence *s, struct bytes answer, int *error,
                  struct buf *out)
{
    struct buf in = BUF_HEAP;
    bool go_on = true;

    if (*error)
        return false;
    if (s->step == 0)
        first_page(&in);
    else
        go_on = next_page(answer, &in);
    if (go_on)
        envelope_post(out, "datastore_v3", s->step ? "Next" : "RunQuery",
                      buf_view(&in));
    buf_release(&in);
    return go_on;
}
