/*
 * verify_report - what a verification has found, in words.
 */
#include "engine/verify_int.h"

#include <inttypes.h>

static const struct {
    const char *word, *sentence;
} faults[] = {
#define FAULT(name, word, sentence) {word, sentence},
    VERIFY_FAULT_LIST
#undef FAULT
};

const char *verify_fault_word(enum verify_fault fault)
{
    return faults[fault].word;
}

const char *verify_fault_sentence(enum verify_fault fault)
{
    return faults[fault].sentence;
}

void verify_note(struct verify *v, enum verify_fault fault, bool mended,
                 const char *where)
{
    struct verify_report *r = v->report;
    struct arena *a = &v->job->arena;

    r->found[fault]++;
    r->mended[fault] += mended;
    if (r->n_findings == VERIFY_FINDINGS_MAX)
        return;
    if (!r->findings)
        r->findings =
            ARENA_ARRAY(a, struct verify_finding, VERIFY_FINDINGS_MAX);
    r->findings[r->n_findings++] = (struct verify_finding){
        .fault = fault,
        .mended = mended,
        .where = arena_strdup(a, where),
    };
}

void verify_report_copy(struct arena *a, const struct verify_report *in,
                        struct verify_report *out)
{
    *out = *in;
    out->findings = ARENA_ARRAY(a, struct verify_finding, in->n_findings);
    for (size_t i = 0; i < in->n_findings; i++) {
        out->findings[i] = in->findings[i];
        out->findings[i].where = arena_strdup(a, in->findings[i].where);
    }
}

const char *verify_bytes_text(struct arena *a, struct bytes v)
{
    enum { MOST = 200 };
    struct buf out = BUF_IN(a);
    const uint8_t *p = bytes_u8(v);

    for (size_t i = 0; i < v.n && i < MOST; i++) {
        if (p[i] >= ' ' && p[i] < 0x7f && p[i] != '\\')
            buf_add_u8(&out, p[i]);
        else
            buf_printf(&out, "\\x%02x", p[i]);
    }
    if (v.n > MOST)
        buf_add_str(&out, "...");
    return buf_cstr(&out);
}

const char *verify_path_text(struct arena *a, struct bytes path)
{
    struct buf out = BUF_IN(a);
    struct bytes rest = path;
    struct key_elem e;

    while (key_path_next(a, &rest, &e)) {
        buf_printf(&out, "%s%s:", out.n ? "/" : "",
                   verify_bytes_text(a, e.kind));
        if (e.named)
            buf_printf(&out, "'%s'", verify_bytes_text(a, e.name));
        else
            buf_printf(&out, "%" PRId64, e.id);
    }
    return rest.n ? verify_bytes_text(a, path) : buf_cstr(&out);
}

const char *verify_where(struct arena *a, const struct verify *v,
                         const char *table, const char *what)
{
    return arena_printf(a, "%s, namespace \"%s\": %s", table,
                        verify_bytes_text(a, v->space), what);
}
