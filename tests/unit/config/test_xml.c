/* XML as a tree: places, texts, and what is refused. */
#include "config/xml.h"

#include "test.h"

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

/* The root of a good text; the story of a bad one is in ctx. */
static struct config_xml *parse(struct bytes text)
{
    struct config_report r = {0};
    struct config_xml *root;
    int rc;

    config_xml_parse(&ctx, "web.xml", text, &r, &root);
    rc = config_report_end(&ctx, &r);
    assert_int_equal(rc == 0, root != NULL);
    return root;
}

static void elements_know_their_place_and_their_text(void **state)
{
    const struct config_xml *root = parse(BYTES_LIT(
        "<?xml version=\"1.0\"?>\n"
        "<queues xmlns=\"http://appengine.google.com/ns/1.0\"\n"
        "    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\n"
        "    xsi:schemaLocation=\"a b\" on=\" y \">\n"
        "  <!-- a comment -->\n"
        "  <queue><name> f&amp;st </name><rate/></queue>\n"
        "  <queue><name><![CDATA[<x>]]></name></queue>\n"
        "</queues>\n"));
    const struct config_xml *q = root->children, *name;

    assert_string_equal(root->name, "queues");
    assert_int_equal(root->n_attributes, 1);
    assert_string_equal(config_xml_attribute(root, "on"), "y");
    assert_null(config_xml_attribute(root, "schemaLocation"));
    assert_ptr_equal(q->parent, root);
    assert_string_equal(config_xml_child_text(q, "name"), "f&st");
    assert_string_equal(config_xml_child_text(q, "rate"), "");
    assert_null(config_xml_child_text(q, "mode"));
    name = config_xml_child(q, "name");
    assert_int_equal(name->at.line, 6);
    assert_int_equal(name->at.column, 10);
    assert_string_equal(config_xml_child_text(q->next, "name"), "<x>");
    assert_null(q->next->next);
    assert_null(config_xml_child(NULL, "name"));
}

static void other_encodings_become_utf8(void **state)
{
    const struct config_xml *root =
        parse(BYTES_LIT("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"
                        "<a b=\"\xe4\">\xdf</a>"));

    assert_string_equal(config_xml_attribute(root, "b"), "\xc3\xa4");
    assert_string_equal(root->at.text, "\xc3\x9f");
}

static void a_document_type_is_read_over(void **state)
{
    const struct config_xml *root =
        parse(BYTES_LIT("<!DOCTYPE web-app PUBLIC \"-//Sun//x\" "
                        "\"file:///nowhere/web.dtd\">\n<a>t</a>"));

    assert_string_equal(root->at.text, "t");
}

static void a_finding_becomes_a_scalar_of_yaml(void **state)
{
    const struct config_xml *root = parse(BYTES_LIT("\n <a/>"));
    const struct config_node *n = config_xml_scalar(&arena, root, "yes");

    assert_int_equal(n->line, 2);
    assert_int_equal(n->column, 2);
    assert_string_equal(n->text, "yes");
    assert_false(config_node_is_null(config_xml_scalar(&arena, root, "~")));
}

static const struct bad_case {
    const char *label;
    const char *text;
    const char *want;
} bad_cases[] = {
    {"empty", "", "web.xml:1:1: Not valid XML: no element found"},
    {"not XML", "indexes:\n", "web.xml:1:1: Not valid XML: syntax error"},
    {"wrong end", "<a>\n  <b></a>", "web.xml:2:8: Not valid XML: mismatched"},
    {"cut short", "<a>\n<b>", "web.xml:2:4: Not valid XML: no element found"},
    {"two roots", "<a/>\n<b/>", "web.xml:2:1: Not valid XML: junk after"},
    {"twice", "<a\n b='1' b='2'/>", "web.xml:2:8: Not valid XML: duplicate"},
    {"no such encoding", "<?xml version='1.0' encoding='KOI9'?><a/>",
     "Not valid XML: unknown encoding"},
    {"not UTF-8", "<a>\n\xff</a>",
     "web.xml:2:1: Not valid XML: not well-formed (invalid token)"},
    {"entity bomb",
     "<!DOCTYPE a [<!ENTITY x 'xx'>\n"
     "<!ENTITY y '&x;&x;'>]>\n<a>&y;</a>",
     "web.xml:1:25: Entities are not supported; write the text out."},
    {"entity of a file",
     "<!DOCTYPE a [\n<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<a>&x;</a>",
     "web.xml:2:39: Entities are not supported"},
    {"entity of a document type", "<!DOCTYPE a SYSTEM 'a.dtd'>\n<a>&nbsp;</a>",
     "web.xml:2:4: The entity &nbsp; is not known"},
    {"unknown entity", "<a>\n&nbsp;</a>",
     "web.xml:2:1: Not valid XML: undefined entity"},
};

static void what_is_wrong_is_said_with_its_place(void **state)
{
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *c = &bad_cases[i];
        const char *story;

        if (parse(bytes_str(c->text)))
            fail_msg("%s: it passed", c->label);
        story = ctx_err_text(&ctx, ERR_INVALID);
        if (!strstr(story, c->want))
            fail_msg("%s: wanted \"%s\"\n      in \"%s\"", c->label, c->want,
                     story);
        ctx_err_clear(&ctx);
    }
}

static void nesting_has_a_bound(void **state)
{
    struct buf text = BUF_IN(&arena);

    for (int i = 0; i < 100000; i++)
        buf_add_str(&text, "<a>");
    assert_null(parse(buf_view(&text)));
    assert_non_null(strstr(ctx_err_text(&ctx, ERR_INVALID),
                           "web.xml:1:97: Nested too deeply."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
        T(elements_know_their_place_and_their_text),
        T(other_encodings_become_utf8),
        T(a_document_type_is_read_over),
        T(a_finding_becomes_a_scalar_of_yaml),
        T(what_is_wrong_is_said_with_its_place),
        T(nesting_has_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
