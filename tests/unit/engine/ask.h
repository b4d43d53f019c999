/*
 * ask - a Query message from a line of words.
 *
 *     ask(a, "Note a=1 b>'x' order:-b,c anc:Book:1 limit:5 compile")
 *
 * The kind comes first, "*" for a kindless query.  Values are integers,
 * 'text', null, or after __key__ a path (Kind:id/Kind:name).  Words: order:
 * anc: project: group: exists: limit: offset: count: space: keys compile
 * shallow txn; in(name) is an IN of two values, op(N,name) any operator.
 */
#ifndef TESTS_UNIT_ENGINE_ASK_H
#define TESTS_UNIT_ENGINE_ASK_H

#include "make.h"

#define ASK_MAX 16

/* "A:1/B:bob" as elements; the text must live on. */
static inline void ask_elems(struct arena *a, const char *text,
                             struct make_elem *e)
{
    char *copy = arena_strdup(a, text), *save, *word;
    size_t n = 0;

    for (word = strtok_r(copy, "/", &save); word && n < ASK_MAX - 1;
         word = strtok_r(NULL, "/", &save)) {
        char *colon = strchr(word, ':'), *end;

        e[n].kind = word;
        if (colon) {
            *colon = '\0';
            e[n].id = strtoll(colon + 1, &end, 10);
            if (*end) {
                e[n].id = 0;
                e[n].name = colon + 1;
            }
        }
        n++;
    }
    e[n] = (struct make_elem){0};
}

static inline struct bytes ask_ref(struct arena *a, const char *path)
{
    struct make_elem e[ASK_MAX] = {{0}};

    ask_elems(a, path, e);
    return make_ref_in(a, "shop", "", e);
}

static inline struct bytes ask_value(struct arena *a, const char *text)
{
    struct make_elem e[ASK_MAX] = {{0}};

    if (strcmp(text, "null") == 0)
        return make_null(a);
    if (text[0] == '\'')
        return make_bytes(a, BYTES(text + 1, strlen(text) - 2));
    if (strchr(text, ':')) {
        ask_elems(a, text, e);
        return make_refvalue_in(a, "shop", "", e);
    }
    return make_int(a, strtoll(text, NULL, 10));
}

static inline void ask_filter(struct buf *q, int op, const char *name,
                              struct bytes pv, int times)
{
    struct buf f = BUF_IN(q->arena);

    pb_put_u64(&f, 6, (uint64_t)op);
    for (int i = 0; i < times; i++)
        make_prop(&f, 14, name, 0, false, pv);
    pb_put_tag(q, 4, PB_GROUP);
    buf_add(q, buf_view(&f));
    pb_put_tag(q, 4, PB_END_GROUP);
}

static inline void ask_order(struct buf *q, const char *name)
{
    bool desc = *name == '-';

    pb_put_tag(q, 9, PB_GROUP);
    pb_put_bytes(q, 10, bytes_str(name + desc));
    if (desc)
        pb_put_u64(q, 11, 2);
    pb_put_tag(q, 9, PB_END_GROUP);
}

/* A comparison: name, operator, value. */
static inline void ask_compare(struct arena *a, struct buf *q, char *word)
{
    char *at = strpbrk(word, "<>="), name[256];
    int op = *at == '=' ? 5 : (*at == '<' ? 1 : 3) + (at[1] == '=');

    snprintf(name, sizeof(name), "%.*s", (int)(at - word), word);
    at += op == 5 || op == 1 || op == 3 ? 1 : 2;
    ask_filter(q, op, arena_strdup(a, name), ask_value(a, at), 1);
}

/* Each name of "a,b" to one use. */
static inline void ask_list(struct arena *a, struct buf *q, char *names,
                            int field)
{
    char *save;

    for (char *w = strtok_r(names, ",", &save); w;
         w = strtok_r(NULL, ",", &save)) {
        if (field == 9)
            ask_order(q, w);
        else if (field == 4)
            ask_filter(q, 7, w, make_null(a), 1);
        else
            pb_put_bytes(q, (uint32_t)field, bytes_str(w));
    }
}

static inline void ask_word(struct arena *a, struct buf *q, char *w)
{
    static const struct {
        const char *word;
        int field;
        enum { LIST, NUMBER, FLAG, PATH, TEXT } is;
    } words[] = {
        {"order:", 9, LIST},    {"project:", 33, LIST}, {"group:", 34, LIST},
        {"exists:", 4, LIST},   {"limit:", 16, NUMBER}, {"offset:", 12, NUMBER},
        {"count:", 23, NUMBER}, {"keys", 21, FLAG},     {"compile", 25, FLAG},
        {"shallow", 43, FLAG},  {"anc:", 17, PATH},     {"space:", 29, TEXT},
    };
    struct buf txn = BUF_IN(a);
    char name[64];
    int op;

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t n = strlen(words[i].word);

        if (strncmp(w, words[i].word, n) != 0)
            continue;
        if (words[i].is == LIST)
            ask_list(a, q, w + n, words[i].field);
        else if (words[i].is == PATH)
            pb_put_bytes(q, (uint32_t)words[i].field, ask_ref(a, w + n));
        else if (words[i].is == TEXT)
            pb_put_bytes(q, (uint32_t)words[i].field, bytes_str(w + n));
        else
            pb_put_u64(
                q, (uint32_t)words[i].field,
                words[i].is == FLAG ? 1 : (uint64_t)strtoll(w + n, NULL, 10));
        return;
    }
    if (strcmp(w, "txn") == 0) {
        pb_put_fixed64(&txn, 1, 42);
        pb_put_bytes(&txn, 2, BYTES_LIT("shop"));
        pb_put_bytes(q, 22, buf_view(&txn));
    } else if (sscanf(w, "in(%63[^)])", name) == 1) {
        ask_filter(q, 6, arena_strdup(a, name), make_int(a, 1), 2);
    } else if (sscanf(w, "op(%d,%63[^)])", &op, name) == 2) {
        ask_filter(q, op, arena_strdup(a, name), make_int(a, 1), 1);
    } else {
        ask_compare(a, q, w);
    }
}

static inline struct bytes ask_as(struct arena *a, const char *app,
                                  const char *text)
{
    struct buf q = BUF_IN(a);
    char *copy = arena_strdup(a, text), *save;
    char *w = strtok_r(copy, " ", &save);

    pb_put_bytes(&q, 1, bytes_str(app));
    if (strcmp(w, "*") != 0)
        pb_put_bytes(&q, 3, strcmp(w, "''") ? bytes_str(w) : BYTES("", 0));
    while ((w = strtok_r(NULL, " ", &save)))
        ask_word(a, &q, w);
    return buf_view(&q);
}

static inline struct bytes ask(struct arena *a, const char *text)
{
    return ask_as(a, "shop", text);
}

#endif
