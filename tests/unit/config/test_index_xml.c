/* datastore-indexes.xml: the index.yaml it becomes, and every finding. */
#include "config/index_xml.h"

#include "base/files.h"
#include "test.h"

#include <sys/stat.h>

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    arena = (struct arena)ARENA_INIT;
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static const char *yaml(const struct index_xml *x)
{
    return arena_cstr(&arena, x->yaml);
}

static void it_becomes_the_index_yaml_that_says_the_same(void **state)
{
    struct index_xml x;
    int rc = index_xml_parse(
        &ctx, "d.xml",
        BYTES_LIT(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
            "<datastore-indexes\n"
            "  xmlns=\"http://appengine.google.com/ns/datastore-indexes/1.0\"\n"
            "  autoGenerate=\"true\">\n"
            "    <datastore-index kind=\"Employee\" ancestor=\"false\">\n"
            "        <property name=\"lastName\" direction=\"asc\" />\n"
            "        <property name=\"y\" direction=\"desc\" />\n"
            "    </datastore-index>\n"
            "    <datastore-index kind=\"a &lt; b\" ancestor=\"1\" "
            "source=\"manual\">\n"
            "        <property name=\"lowestPrice\"/>\n"
            "    </datastore-index>\n"
            "    <datastore-index kind=\"K\" ancestor=\"true\"/>\n"
            "</datastore-indexes>\n"),
        false, &x);

    if (rc)
        fail_msg("%s", ctx_err_text(&ctx, rc));
    assert_true(x.auto_generate);
    assert_string_equal(yaml(&x), "indexes:\n"
                                  "- kind: Employee\n"
                                  "  properties:\n"
                                  "  - name: lastName\n"
                                  "    direction: asc\n"
                                  "  - name: \"y\"\n"
                                  "    direction: desc\n"
                                  "- kind: \"a < b\"\n"
                                  "  ancestor: yes\n"
                                  "  properties:\n"
                                  "  - name: lowestPrice\n"
                                  "- kind: K\n"
                                  "  ancestor: yes\n");
}

#define ROOT "<datastore-indexes autoGenerate='false'>\n"
#define END  "</datastore-indexes>"

static const struct bad_case {
    const char *label;
    const char *text;
    const char *want;
} bad_cases[] = {
    {"not XML", "indexes:\n", "d.xml:1:1: Not valid XML: syntax error"},
    {"another root", "\n<queue-entries/>",
     "d.xml:2:1: The root is <queue-entries>; <datastore-indexes> is wanted."},
    {"autoGenerate missing", "<datastore-indexes/>",
     "d.xml:1:1: autoGenerate=\"true|false\" is required in "
     "<datastore-indexes>."},
    {"autoGenerate wrong", "<datastore-indexes autoGenerate='yes'/>",
     "d.xml:1:1: autoGenerate=\"true|false\" is required"},
    {"no kind",
     ROOT "<datastore-index ancestor='true'><property name='a'/>"
          "</datastore-index>" END,
     "d.xml:2:1: Missing required value \"kind\" of Index."},
    {"no name",
     ROOT "<datastore-index kind='A'>\n <property/>\n"
          "</datastore-index>" END,
     "d.xml:3:2: Missing required value \"name\" of Property."},
    {"empty kind", ROOT "<datastore-index kind=' ' ancestor='true'/>" END,
     "d.xml:2:1: Missing required value \"kind\" of Index."},
    {"direction",
     ROOT "<datastore-index kind='A'>\n"
          "<property name='a' direction='up'/>"
          "</datastore-index>" END,
     "d.xml:3:1: Unable to assign value 'up' to attribute 'direction'"},
    {"ancestor", ROOT "\n<datastore-index kind='A' ancestor='of'/>" END,
     "d.xml:3:1: Unable to assign value 'of' to attribute 'ancestor'"},
    {"geospatial",
     ROOT "<datastore-index kind='A'>\n"
          "<property name='a' mode='geospatial'/>"
          "</datastore-index>" END,
     "d.xml:3:1: Geospatial indexes are not supported."},
    {"empty", ROOT "<datastore-index kind='A'/>" END,
     "d.xml:2:1: An index needs properties."},
    {"attribute", ROOT "<datastore-index kynd='A'/>" END,
     "d.xml:2:1: Unexpected attribute \"kynd\" of <datastore-index>."},
    {"element", ROOT "<index/>" END,
     "d.xml:2:1: Unexpected element <index> in <datastore-indexes>."},
    {"element below",
     ROOT "<datastore-index kind='A'><property name='a'>\n"
          "<b/></property></datastore-index>" END,
     "d.xml:3:1: Unexpected element <b> in <property>."},
    {"text",
     ROOT "<datastore-index kind='A' ancestor='true'>a"
          "</datastore-index>" END,
     "d.xml:2:1: <datastore-index> holds no text."},
};

static void what_is_wrong_is_said_with_its_place(void **state)
{
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct index_xml x;
        const char *story;

        ctx_err_clear(&ctx);
        if (index_xml_parse(&ctx, "d.xml", bytes_str(c->text), false, &x) !=
            ERR_INVALID)
            fail_msg("%s: it passed", c->label);
        story = ctx_err_text(&ctx, ERR_INVALID);
        if (!strstr(story, c->want))
            fail_msg("%s: wanted \"%s\"\n      in \"%s\"", c->label, c->want,
                     story);
    }
}

/* ---- the two files of a folder ---- */

static char dir[4200];

static void put(const char *name, const char *text)
{
    const char *path = arena_printf(&arena, "%s/%s", dir, name);

    assert_int_equal(files_replace(&ctx, path, bytes_str(text), 0644), 0);
}

static void new_folder(void)
{
    static int n;

    snprintf(dir, sizeof(dir), "%s/%d", test_dir(), n++);
    assert_int_equal(
        files_mkdirs(
            &ctx, arena_printf(&arena, "%s/WEB-INF/appengine-generated", dir)),
        0);
}

#define ONE(kind_)                                                             \
    "<datastore-index kind='" kind_ "' ancestor='true'/></datastore-indexes>"
#define YAML(kind_) "- kind: " kind_ "\n  ancestor: yes\n"

static void the_second_file_counts_when_the_first_lets_it(void **state)
{
    struct index_xml x;

    new_folder();
    assert_int_equal(index_xml_load_app(&ctx, dir, &x), ERR_NOT_FOUND);
    put(INDEX_XML_AUTO, "<datastore-indexes>" ONE("Auto"));
    assert_int_equal(index_xml_load_app(&ctx, dir, &x), 0);
    assert_true(x.auto_generate);
    assert_string_equal(yaml(&x), "indexes:\n" YAML("Auto"));
    put(INDEX_XML_MANUAL,
        "<datastore-indexes autoGenerate='true'>" ONE("Hand"));
    assert_int_equal(index_xml_load_app(&ctx, dir, &x), 0);
    assert_string_equal(yaml(&x), "indexes:\n" YAML("Hand") YAML("Auto"));
    put(INDEX_XML_MANUAL,
        "<datastore-indexes autoGenerate='false'>" ONE("Hand"));
    assert_int_equal(index_xml_load_app(&ctx, dir, &x), 0);
    assert_false(x.auto_generate);
    assert_string_equal(yaml(&x), "indexes:\n" YAML("Hand"));
}

static void a_bad_second_file_is_named(void **state)
{
    struct index_xml x;

    new_folder();
    put(INDEX_XML_MANUAL,
        "<datastore-indexes autoGenerate='true'>" ONE("Hand"));
    put(INDEX_XML_AUTO, "<datastore-indexes>\n<x/></datastore-indexes>");
    assert_int_equal(index_xml_load_app(&ctx, dir, &x), ERR_INVALID);
    assert_non_null(strstr(ctx_err_text(&ctx, ERR_INVALID),
                           INDEX_XML_AUTO ":2:1: Unexpected element <x>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
        T(it_becomes_the_index_yaml_that_says_the_same),
        T(what_is_wrong_is_said_with_its_place),
        T(the_second_file_counts_when_the_first_lets_it),
        T(a_bad_second_file_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
