/*
 * What may be asked, in what order the answers come, which index it needs, and
 * what a cursor looks like: everything about a query that needs no data.
 */
#include "ask.h"
#include "engine/cursor.h"
#include "engine/query_need.h"

#define N(a_) (sizeof(a_) / sizeof((a_)[0]))

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    ctx_init(&ctx, &arena);
    ctx.app = BYTES_LIT("shop");
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static int read_and_check(struct bytes in, struct query *q)
{
    int rc;

    ctx_err_clear(&ctx);
    rc = query_read(&ctx, in, q);
    return rc != 0 ? rc : query_check(&ctx, q);
}

static struct query *checked(const char *text)
{
    struct query *q = ARENA_NEW(&arena, struct query);
    int rc = read_and_check(ask(&arena, text), q);

    if (rc != 0)
        fail_msg("%s: %s", text, ctx_err_text(&ctx, rc));
    return q;
}

/* ---- errors ---- */

static const struct {
    const char *text, *error;
} refused[] = {
    {"K project:a keys", "projection and keys_only cannot both be set"},
    {"K project:__key__",
     "projections are not supported for the property: __key__"},
    {"K project:a,b,a", "cannot project a property multiple times"},
    {"K txn", "Only ancestor queries are allowed inside transactions."},
    {"K anc:A", "missing key id/name"},
    {"K anc:A:1 space:zz", "query namespace is zz but ancestor namespace is "},
    {"K project:a,b group:a order:b",
     "items in the group by clause must be specified first in the ordering"},
    {"K in(a)", "Filter has 2 properties, expected 1"},
    {"K op(9,a)", "Unsupported filter operator: 9"},
    {"K op(10,a)", "Unsupported filter operator: 10"},
    {"K op(8,a)", "Unsupported filter operator: 8"},
    {"K __key__=5", "__key__ filter value must be a Key"},
    {"K __key__=A:1 space:zz",
     "__key__ filter namespace is  but query namespace is zz"},
    {"K a=1 project:a",
     "cannot use projection on a property with an equality filter"},
    {"K x<1 z<2", "Only one inequality filter per query is supported. "
                  "Encountered both x and z"},
    {"K x<1 order:z",
     "The first sort property must be the same as the property to which the "
     "inequality filter is applied.  In your query the first sort property is "
     "z but the inequality filter is on x"},
    {"K project:a,w group:a w<2",
     "Inequality filter on w must also be a group by property when group by "
     "properties are set."},
    {"* a=1", "kind is required for non-__key__ filters"},
    {"* order:a", "kind is required for all orders except __key__ ascending"},
    {"* order:-__key__",
     "kind is required for all orders except __key__ ascending"},
    {"K offset:-1", "Offset must be >= 0"},
    {"K space:a/b", "The namespace \"a/b\" is not valid: at most 100 of "
                    "0-9A-Za-z._-"},
    /* Of two mistakes the one the datastore looks for first. */
    {"K project:a keys a=1", "projection and keys_only cannot both be set"},
    {"K txn x<1 z<2", "Only ancestor queries are allowed inside transactions."},
};

static void what_may_not_be_asked_is_refused_in_words(void **state)
{
    for (size_t i = 0; i < N(refused); i++) {
        struct query q;
        int rc = read_and_check(ask(&arena, refused[i].text), &q);

        if (rc != ERR_INVALID)
            fail_msg("%s: %d", refused[i].text, rc);
        assert_string_equal(ctx_err_text(&ctx, rc), refused[i].error);
    }
}

static void another_app_cannot_be_queried(void **state)
{
    struct query q;

    assert_int_equal(read_and_check(ask_as(&arena, "other", "K"), &q),
                     ERR_INVALID);
    assert_string_equal(ctx.err.message,
                        "app \"shop\" cannot access app \"other\"'s data");
    assert_int_equal(read_and_check(ask_as(&arena, "s~shop", "K"), &q), 0);
    assert_int_equal(read_and_check(ask_as(&arena, "dev~shop", "K"), &q), 0);
}

static void a_query_of_more_than_100_parts_is_refused(void **state)
{
    struct buf text = BUF_IN(&arena);
    struct query q;

    buf_add_str(&text, "K");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, " a%d=%d", i, i);
    assert_int_equal(read_and_check(ask(&arena, buf_cstr(&text)), &q), 0);
    buf_add_str(&text, " b=1");
    assert_int_equal(read_and_check(ask(&arena, buf_cstr(&text)), &q),
                     ERR_INVALID);
    assert_string_equal(ctx.err.message,
                        "query is too large. may not have more than 100 "
                        "filters + sort orders ancestor total");
    for (int i = 0; i < 1000; i++)
        buf_add_str(&text, " b=1");
    assert_int_equal(read_and_check(ask(&arena, buf_cstr(&text)), &q),
                     ERR_INVALID);
}

static void malformed_bytes_are_refused(void **state)
{
    struct bytes good = ask(&arena, "K a=1 order:b anc:A:1 limit:5");
    struct query q;
    uint8_t *p = arena_alloc(&arena, good.n);

    for (size_t n = 0; n < good.n; n++)
        (void)read_and_check(BYTES(good.p, n), &q); /* any answer, no crash */
    for (size_t i = 0; i < good.n; i++) {
        memcpy(p, good.p, good.n);
        p[i] ^= 0x55;
        (void)read_and_check(BYTES(p, good.n), &q);
    }
    assert_int_equal(read_and_check(BYTES_NONE, &q), ERR_MALFORMED);
    assert_int_equal(read_and_check(BYTES_LIT("\xff\xff"), &q), ERR_MALFORMED);
}

/* ---- normal form ---- */

static const struct {
    const char *text, *order;
} orders[] = {
    {"K", "__key__"},
    {"K a=1 b=2", "__key__"},
    {"K order:a", "a,__key__"},
    {"K order:-a,b", "-a,b,__key__"},
    {"K a=1 order:a", "__key__"},
    {"K a=1 order:-a,b", "b,__key__"},
    {"K order:a,b,-a", "a,b,__key__"},
    {"K order:-__key__,a", "-__key__"},
    {"K order:a,-__key__,b", "a,-__key__"},
    {"K a>1", "a,__key__"},
    {"K a>1 order:-a", "-a,__key__"},
    {"K a=9 a<5 order:-a", "-a,__key__"},
    {"K project:b,a", "a,b,__key__"},
    {"K project:b,a group:b", "b,a,__key__"},
    {"K project:b,a order:b", "b,a,__key__"},
    {"K project:a a>1", "a,__key__"},
    {"K project:b a>1", "a,b,__key__"},
    {"K exists:c,b order:c", "c,b,__key__"},
    {"K __key__=A:1 order:a,b", "__key__"},
    {"K __key__>A:1 project:a", "__key__,a,__key__"},
    {"K a=1 group:a", "__key__"}, /* no projection: nothing to group */
};

static void the_order_is_what_the_datastore_makes_of_it(void **state)
{
    for (size_t i = 0; i < N(orders); i++) {
        struct query *q = checked(orders[i].text);
        struct buf got = BUF_IN(&arena);

        for (size_t k = 0; k < q->n_effective; k++)
            buf_printf(&got, "%s%s%.*s", k ? "," : "",
                       q->effective[k].desc ? "-" : "",
                       BYTES_FMT(q->effective[k].name));
        if (strcmp(buf_cstr(&got), orders[i].order) != 0)
            fail_msg("%s: got %s, want %s", orders[i].text, buf_cstr(&got),
                     orders[i].order);
    }
}

static void several_bounds_become_the_tightest(void **state)
{
    struct query *q = checked("K a>3 a>=3 a>2 a<9 a<=9 a<10");

    assert_true(q->lo.set && !q->lo.inclusive);
    assert_true(q->hi.set && !q->hi.inclusive);
    assert_bytes(q->lo.value, q->filters[0].value);
    assert_bytes(q->hi.value, q->filters[3].value);
}

/* ---- the index rule ---- */

static const struct {
    const char *text, *index; /* "-": none */
} needs[] = {
    {"K", "-"},
    {"K anc:A:1", "-"},
    {"*", "-"},
    {"* anc:A:1 __key__>A:1", "-"},
    {"K a=1 b=2", "-"},
    {"K a=1 b=2 anc:A:1", "-"},
    {"K a=1 b=2 order:__key__", "-"},
    {"K a=1 b=2 anc:A:1 __key__>A:1", "-"},
    {"K a=1 a=2", "-"},
    {"K a<1", "-"},
    {"K a<9 a>1", "-"},
    {"K a<9 order:a", "-"},
    {"K a<9 order:-a", "-"},
    {"K order:a,__key__", "-"},
    {"K order:-a,__key__", "-"},
    {"K a=1 order:a", "-"},
    {"K a=1 __key__=A:1", "-"},
    {"K __key__=A:1 order:a", "-"},
    {"K project:a", "-"},
    {"K project:a order:-a", "-"},
    {"K project:a group:a", "-"},
    {"K project:a a<1", "-"},
    {"K order:__scatter__", "-"},
    {"K __scatter__>1", "-"},
    {"K a<1 anc:A:1", "ancestor:a"},
    {"K order:a anc:A:1", "ancestor:a"},
    {"K order:-a anc:A:1", "ancestor:-a"},
    {"K project:a anc:A:1", "ancestor:a"},
    {"K order:-__key__ anc:A:1", "ancestor:-__key__"},
    {"K a=1 order:b", "a,b"},
    {"K a=1 b<2", "a,b"},
    {"K a<1 order:a,b", "a,b"},
    {"K a=9 a<5", "a,a"},
    {"K a<1 __key__=A:1", "__key__,a"},
    {"K order:a,-__key__", "a,-__key__"},
    {"K order:-__key__", "-__key__"},
    {"K project:a __key__>A:1", "__key__,a"},
    {"K project:a order:__key__", "__key__,a"},
    {"K project:a,b order:a,__key__", "a,__key__,b"},
    {"K project:a,b", "a,b"},
    {"K project:b,a", "a,b"},
    {"K project:b a<1", "a,b"},
    {"K project:b,a order:a", "a,b"},
    {"K d=1 c=2 order:a,-b", "c,d,a,-b"},
};

/* "ancestor:a,-b" of a definition. */
static const char *describe(const struct index_def *def)
{
    struct buf b = BUF_IN(&arena);

    buf_add_str(&b, def->ancestor ? "ancestor:" : "");
    for (size_t i = 0; i < def->n; i++)
        buf_printf(&b, "%s%s%.*s", i ? "," : "",
                   def->columns[i].desc ? "-" : "",
                   BYTES_FMT(def->columns[i].name));
    return buf_cstr(&b);
}

static void the_index_a_query_needs_is_the_sdks_rule(void **state)
{
    const struct index_set none = {0};

    for (size_t i = 0; i < N(needs); i++) {
        struct query *q = checked(needs[i].text);
        struct query_need need;
        struct index_def def = {0};
        const char *got = "-";

        need_of(&ctx, q, &need);
        if (need.required) {
            need_minimum(&ctx, &need, &none, &def);
            got = describe(&def);
        }
        if (strcmp(got, needs[i].index) != 0)
            fail_msg("%s: needs %s, want %s", needs[i].text, got,
                     needs[i].index);
    }
}

/* A definition of kind K from "ancestor:a,-b". */
static struct index_def define(const char *text, int64_t id)
{
    struct index_def d = {
        .id = id, .kind = BYTES_LIT("K"), .state = INDEX_READ_WRITE};
    char *save, *copy;

    if (strncmp(text, "ancestor:", 9) == 0) {
        d.ancestor = true;
        text += 9;
    }
    copy = arena_strdup(&arena, text);
    d.columns = ARENA_ARRAY(&arena, struct index_column, 8);
    for (char *w = strtok_r(copy, ",", &save); w;
         w = strtok_r(NULL, ",", &save)) {
        d.columns[d.n].desc = *w == '-';
        d.columns[d.n++].name = bytes_str(w + (*w == '-'));
    }
    return d;
}

static struct index_set define_all(const char *text)
{
    struct index_set set = {.defs = ARENA_ARRAY(&arena, struct index_def, 8)};
    char *save, *copy = arena_strdup(&arena, text);

    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        set.defs[set.n] = define(w, (int64_t)set.n + 1);
        set.n++;
    }
    return set;
}

static const struct {
    const char *text, *indexes;
    size_t served;
    const char *missing; /* where nothing serves */
} serves[] = {
    {"K a=1 b=2 order:c", "a,b,c", 1, NULL},
    {"K a=1 b=2 order:c", "b,a,c", 1, NULL},
    {"K a=1 b=2 order:c", "-a,b,c", 1, NULL},
    {"K a=1 b=2 order:c", "a,c b,c", 2, NULL},
    {"K a=1 b=2 order:c", "a,c b,a,c", 1, NULL},
    {"K a=1 b=2 order:c", "a,c", 0, "b,c"},
    {"K a=1 b=2 order:c", "a,b,c,d", 0, "a,b,c"},
    {"K a=1 b=2 order:c", "a,b,d,c", 0, "a,b,c"},
    {"K a=1 b=2 order:c", "a,b,-c", 0, "a,b,c"},
    {"K a=1 b=2 order:c", "ancestor:a,b,c", 0, "a,b,c"},
    {"K b=1 a<5", "b,a", 1, NULL},
    {"K b=1 a<5", "b,-a", 1, NULL},
    {"K b=1 a<5 order:a", "b,-a", 0, "b,a"},
    {"K a=1 order:c anc:A:1", "ancestor:a,c", 1, NULL},
    {"K a=1 b=2 order:c anc:A:1", "a,c ancestor:b,c", 2, NULL},
    {"K a=1 order:c anc:A:1", "a,c", 0, "ancestor:c"},
    {"K project:a,b", "b,-a", 1, NULL},
    {"K project:a,b order:a", "b,a", 0, "a,b"},
    {"K project:a,b group:b", "b,a", 1, NULL},
    {"K project:a,b group:b", "a,b", 0, "b,a"},
};

static void indexes_serve_alone_or_together(void **state)
{
    for (size_t i = 0; i < N(serves); i++) {
        struct index_set set = define_all(serves[i].indexes);
        struct query *q = checked(serves[i].text);
        struct need_index *x;
        struct query_need need;
        struct index_def def;
        size_t n;

        need_of(&ctx, q, &need);
        assert_true(need.required);
        n = need_serve(&ctx, q, &need, &set, &x, NULL);
        if (n != serves[i].served)
            fail_msg("%s with %s: %zu serve", serves[i].text, serves[i].indexes,
                     n);
        need_minimum(&ctx, &need, &set, &def);
        if (serves[i].missing)
            assert_string_equal(describe(&def), serves[i].missing);
    }
}

static void an_index_being_built_does_not_serve(void **state)
{
    struct index_set set = define_all("a,b");
    struct query_need need;
    struct need_index *x;
    struct query *q = checked("K a=1 order:b");

    need_of(&ctx, q, &need);
    assert_int_equal(need_serve(&ctx, q, &need, &set, &x, NULL), 1);
    set.defs[0].state = INDEX_WRITE_ONLY;
    assert_int_equal(need_serve(&ctx, q, &need, &set, &x, NULL), 0);
}

static void the_index_that_reads_in_the_querys_order_is_preferred(void **state)
{
    struct index_set set = define_all("b,a a,b");
    struct query_need need;
    struct need_index *x;
    struct query *q = checked("K project:b,a");

    need_of(&ctx, q, &need);
    assert_int_equal(need_serve(&ctx, q, &need, &set, &x, NULL), 1);
    assert_string_equal(describe(x[0].def), "a,b");
}

static void index_yaml_lines_quote_what_yaml_would_misread(void **state)
{
    struct index_def def = define("ancestor:y,-date,x y,5a,ok_1", 1);

    assert_bytes(need_yaml(&arena, &def), BYTES_LIT("- kind: K\n"
                                                    "  ancestor: yes\n"
                                                    "  properties:\n"
                                                    "  - name: \"y\"\n"
                                                    "  - name: date\n"
                                                    "    direction: desc\n"
                                                    "  - name: \"x y\"\n"
                                                    "  - name: \"5a\"\n"
                                                    "  - name: ok_1"));
}

/* ---- cursors ---- */

static struct plan *planned(const char *text)
{
    struct plan *plan = ARENA_NEW(&arena, struct plan);
    int rc = plan_make(&ctx, NULL, checked(text), plan);

    if (rc != 0)
        fail_msg("%s: %s", text, ctx_err_text(&ctx, rc));
    return plan;
}

/* The rest of a row: an encoded value if there is one, and a path. */
static struct bytes rest_of(const char *value, const char *path)
{
    struct buf b = BUF_IN(&arena);
    struct key key;

    if (*value)
        assert_int_equal(value_encode(&ctx, &b, ask_value(&arena, value)), 0);
    assert_int_equal(key_parse(&ctx, ask_ref(&arena, path), &key), 0);
    buf_add(&b, key.path);
    return buf_view(&b);
}

static struct bytes unhex(const char *hex)
{
    struct buf b = BUF_IN(&arena);
    unsigned v;

    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        buf_add_u8(&b, (uint8_t)v);
        hex++;
    }
    return buf_view(&b);
}

/* As the SDKs' own datastore writes them, for app "shop". */
static const struct {
    const char *text, *value, *path, *cursor;
} written[] = {
    {"GoK", "", "GoK:5",
     "0a17 12 11 6a0473686f70 7209 0b1203476f4b18050c 1800 2000"},
    {"GoK order:-V", "2", "GoK:7",
     "0a20 0a07 0a0156 1202 0802 12 11 6a0473686f70 7209 0b1203476f4b18070c "
     "1800 2001"},
    {"GoK project:V group:V", "3", "GoK:7",
     "0a0d 0a07 0a0156 1202 0803 1800 2000"},
};

static void cursors_are_the_bytes_other_datastores_write(void **state)
{
    for (size_t i = 0; i < N(written); i++) {
        struct plan *plan = planned(written[i].text);
        struct bytes want = unhex(written[i].cursor);
        struct buf got = BUF_IN(&arena);
        struct plan_position pos, back;
        struct plan_row row;

        assert_true(
            plan_split(plan, rest_of(written[i].value, written[i].path), &row));
        pos = cursor_behind(plan, &row);
        assert_int_equal(cursor_write(&ctx, plan, &pos, &got), 0);
        assert_bytes(buf_view(&got), want);
        assert_int_equal(cursor_read(&ctx, plan, want, &back), 0);
        assert_true(back.set && !back.before);
        assert_int_equal(back.has_path, pos.has_path);
        assert_bytes(back.columns, pos.columns);
        if (pos.has_path)
            assert_bytes(back.path, pos.path);
    }
}

/* An index_value of a cursor. */
static void put_index_value(struct buf *postfix, const char *name,
                            const char *value)
{
    struct buf v = BUF_IN(&arena);

    pb_put_bytes(&v, 1, bytes_str(name));
    pb_put_bytes(&v, 2, ask_value(&arena, value));
    pb_put_bytes(postfix, 1, buf_view(&v));
}

/* "x=1 q=2 key" as a postfix position; -1 leaves a flag out. */
static struct bytes cursor_of(const char *names, bool key, int before,
                              int ascending)
{
    struct buf postfix = BUF_IN(&arena), out = BUF_IN(&arena);
    char *save, *copy = arena_strdup(&arena, names);

    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');

        *eq = '\0';
        put_index_value(&postfix, w, eq + 1);
    }
    if (key)
        pb_put_bytes(&postfix, 2, ask_ref(&arena, "K:5"));
    if (before >= 0)
        pb_put_u64(&postfix, 3, (uint64_t)before);
    if (ascending >= 0)
        pb_put_u64(&postfix, 4, (uint64_t)ascending);
    pb_put_bytes(&out, 1, buf_view(&postfix));
    return buf_view(&out);
}

static const struct {
    const char *text, *values;
    bool key;
    const char *error;
} misfits[] = {
    {"K order:x", "x=1 q=2", true,
     "Cursor does not match query: extra value q"},
    {"K order:x", "", true,
     "Cursor does not match query: missing values for {'x'}"},
    {"K order:x", "x=1", false,
     "Cursor does not match query: missing values for {'__key__'}"},
    {"K project:x group:x", "x=1", true,
     "Cursor does not match query: extra value __key__"},
};

static void a_cursor_of_another_query_is_refused(void **state)
{
    for (size_t i = 0; i < N(misfits); i++) {
        struct plan *plan = planned(misfits[i].text);
        struct plan_position pos;
        struct bytes in = cursor_of(misfits[i].values, misfits[i].key, 0, -1);

        ctx_err_clear(&ctx);
        assert_int_equal(cursor_read(&ctx, plan, in, &pos), ERR_INVALID);
        assert_string_equal(ctx.err.message, misfits[i].error);
    }
}

static void before_ascending_wins_over_before(void **state)
{
    static const struct {
        const char *text;
        int before, ascending;
        bool want;
    } cases[] = {
        {"K order:x", -1, -1, true}, {"K order:x", 0, -1, false},
        {"K order:x", 1, 0, false},  {"K order:x", 0, 1, true},
        {"K order:-x", 1, 1, false}, {"K order:-x", 0, 0, true},
        {"K order:-x", 0, 1, false},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct plan_position pos;

        assert_int_equal(cursor_read(&ctx, planned(cases[i].text),
                                     cursor_of("x=1", true, cases[i].before,
                                               cases[i].ascending),
                                     &pos),
                         0);
        assert_int_equal(pos.before, cases[i].want);
    }
}

/* A list property's cursor from a datastore that writes all its values. */
static void of_several_values_the_first_in_order_counts(void **state)
{
    struct plan_position pos;
    struct buf want = BUF_IN(&arena);

    assert_int_equal(cursor_read(&ctx, planned("K order:x"),
                                 cursor_of("x=3 x=1 x=2", true, 0, -1), &pos),
                     0);
    value_encode(&ctx, &want, make_int(&arena, 1));
    assert_bytes(pos.columns, buf_view(&want));
    assert_int_equal(cursor_read(&ctx, planned("K order:-x"),
                                 cursor_of("x=2 x=3 x=1", true, 0, -1), &pos),
                     0);
    buf_clear(&want);
    value_encode(&ctx, &want, make_int(&arena, 3));
    assert_bytes(pos.columns, buf_view(&want));
}

static void the_old_position_group_is_understood(void **state)
{
    struct buf p = BUF_IN(&arena), v = BUF_IN(&arena), out = BUF_IN(&arena);
    struct plan_position pos;
    struct plan *plan = planned("K order:x");

    pb_put_bytes(&v, 30, BYTES_LIT("x"));
    pb_put_bytes(&v, 31, make_int(&arena, 7));
    pb_put_tag(&p, 29, PB_GROUP);
    buf_add(&p, buf_view(&v));
    pb_put_tag(&p, 29, PB_END_GROUP);
    pb_put_bytes(&p, 32, ask_ref(&arena, "K:5"));
    pb_put_u64(&p, 28, 0);
    pb_put_tag(&out, 2, PB_GROUP);
    buf_add(&out, buf_view(&p));
    pb_put_tag(&out, 2, PB_END_GROUP);
    assert_int_equal(cursor_read(&ctx, plan, buf_view(&out), &pos), 0);
    assert_true(pos.set && !pos.before && pos.has_path);

    pb_put_bytes(&out, 1, BYTES_NONE);
    ctx_err_clear(&ctx);
    assert_int_equal(cursor_read(&ctx, plan, buf_view(&out), &pos),
                     ERR_INVALID);
    assert_string_equal(ctx.err.message,
                        "Cursor may specify at most one of position, "
                        "postfix_position, and absolute_position.");
}

static void a_cursor_without_a_position_is_none(void **state)
{
    struct plan_position pos;
    struct buf old = BUF_IN(&arena);

    assert_int_equal(cursor_read(&ctx, planned("K"), BYTES_NONE, &pos), 0);
    assert_false(pos.set);
    pb_put_tag(&old, 2, PB_GROUP);
    pb_put_bytes(&old, 27, BYTES_LIT("somewhere"));
    pb_put_tag(&old, 2, PB_END_GROUP);
    assert_int_equal(
        cursor_read(&ctx, planned("K order:x"), buf_view(&old), &pos), 0);
    assert_false(pos.set);
}

/* ---- plans ---- */

static void each_query_gets_the_plan_for_its_shape(void **state)
{
    static const struct {
        const char *text, *plan;
        size_t scans;
    } cases[] = {
        {"K __key__=K:1", "key", 1},
        {"K __key__=K:1 a=5", "key", 1},
        {"*", "kindless", 1},
        {"* anc:A:1", "kindless", 1},
        {"K", "kind", 1},
        {"K anc:A:1 __key__>K:1", "kind", 1},
        {"K a=1", "equal", 1},
        {"K a=1 b=2 b=3", "equal", 3},
        {"K a=1 a=1", "equal", 1},
        {"K a=1 anc:A:1", "equal", 1},
        {"K a<5", "property", 1},
        {"K order:-a", "property", 1},
        {"K project:a", "property", 1},
        {"'' order:a", "nothing", 0},
        {"__kind__", "kinds", 0},
        {"__namespace__", "namespaces", 0},
        {"__property__", "properties", 0},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct plan *plan = planned(cases[i].text);

        assert_string_equal(plan->kind->name, cases[i].plan);
        assert_int_equal(plan->n_scans, cases[i].scans);
    }
}

static void an_impossible_query_reads_nothing(void **state)
{
    static const char *const texts[] = {
        "K __key__=J:1",
        "K __key__=K:1 __key__=K:2",
        "K __key__>K:5 __key__<K:5",
        "K a>5 a<2",
        "K anc:A:1 __key__<A:1",
        "K anc:A:1 __key__=K:1",
    };

    for (size_t i = 0; i < N(texts); i++)
        assert_true(planned(texts[i])->empty);
}

static void metadata_kinds_take_key_comparisons_only(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"__kind__ a=1", "Only comparison filters on __key__ supported"},
        {"__kind__ project:a", "Only comparison filters on __key__ supported"},
        {"__kind__ order:-__key__",
         "Only ascending order on __key__ supported"},
        {"__kind__ anc:A:1", "ancestor queries on __kind__ not allowed"},
        {"__kind__ __key__>A:1", "invalid Key for __kind__ table"},
        {"__namespace__ __key__=__namespace__:2",
         "invalid Key for __namespace__ table"},
        {"__property__ __key__=__kind__:a/b:c",
         "invalid Key for __property__ table"},
        {"__kind__ anc:A:1 txn", "ancestor queries on __kind__ not allowed"},
        {"__property__ anc:__kind__:a txn",
         "transactional queries on \"__property__\" not allowed"},
        {"__entity_group__", "queries not supported on __entity_group__"},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct plan plan;

        ctx_err_clear(&ctx);
        assert_int_equal(plan_make(&ctx, NULL, checked(cases[i].text), &plan),
                         ERR_INVALID);
        assert_string_equal(ctx.err.message, cases[i].error);
    }
}

#define TEST(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_may_not_be_asked_is_refused_in_words),
        TEST(another_app_cannot_be_queried),
        TEST(a_query_of_more_than_100_parts_is_refused),
        TEST(malformed_bytes_are_refused),
        TEST(the_order_is_what_the_datastore_makes_of_it),
        TEST(several_bounds_become_the_tightest),
        TEST(the_index_a_query_needs_is_the_sdks_rule),
        TEST(indexes_serve_alone_or_together),
        TEST(an_index_being_built_does_not_serve),
        TEST(the_index_that_reads_in_the_querys_order_is_preferred),
        TEST(index_yaml_lines_quote_what_yaml_would_misread),
        TEST(cursors_are_the_bytes_other_datastores_write),
        TEST(a_cursor_of_another_query_is_refused),
        TEST(before_ascending_wins_over_before),
        TEST(of_several_values_the_first_in_order_counts),
        TEST(the_old_position_group_is_understood),
        TEST(a_cursor_without_a_position_is_none),
        TEST(each_query_gets_the_plan_for_its_shape),
        TEST(an_impossible_query_reads_nothing),
        TEST(metadata_kinds_take_key_comparisons_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
