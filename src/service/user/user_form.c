/*
 * user_form - the sign-in page: one piece of HTML with its style inside, since
 * it must work on any host of any app without asking for another file.
 */
#include "service/user/user.h"

#include "base/buf.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, "
    "initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n"
    "<title>Sign in</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;"
    "--line:#c9d1db;--page:#f3f5f8;--card:#fff;--go:#1f5fbf;--bad:#a3261b;"
    "--badbg:#fdecea}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e7ebf0;--soft:#a0abb9;"
    "--line:#3d4856;--page:#12171d;--card:#1b222b;--go:#5b95ea;--bad:#ffb4ab;"
    "--badbg:#43201d}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "background:var(--page);color:var(--ink);font:16px/1.5 system-ui,"
    "-apple-system,\"Segoe UI\",Roboto,sans-serif}\n"
    "main{width:min(24rem,calc(100vw - 2rem));margin:1rem;padding:2rem;"
    "background:var(--card);border:1px solid var(--line);"
    "border-radius:12px}\n"
    "h1{margin:0 0 1rem;font-size:1.5rem}\n"
    "label{display:block;margin:1rem 0 .25rem;font-weight:600}\n"
    "input{width:100%;padding:.65rem .75rem;font:inherit;color:inherit;"
    "background:transparent;border:1px solid var(--line);"
    "border-radius:8px}\n"
    "input:focus,button:focus{outline:3px solid var(--go);"
    "outline-offset:1px}\n"
    "button{width:100%;margin-top:1.5rem;padding:.75rem;font:inherit;"
    "font-weight:600;color:#fff;background:#1f5fbf;border:0;"
    "border-radius:8px;cursor:pointer}\n"
    "p{margin:.5rem 0;color:var(--soft)}\n"
    ".problem{padding:.65rem .75rem;color:var(--bad);"
    "background:var(--badbg);border-radius:8px}\n"
    "</style>\n</head>\n<body>\n<main>\n<h1>Sign in</h1>\n";

/* `before`, the text with its special characters as entities, `after`. */
static void add(struct buf *b, const char *before, struct bytes text,
                const char *after)
{
    buf_add_str(b, before);
    buf_add(b, http_escape_html(b->arena, text));
    buf_add_str(b, after);
}

struct bytes user_form_html(struct arena *a, const struct user_form *f)
{
    struct buf b = BUF_IN(a);

    buf_add_str(&b, head);
    if (f->problem.n)
        add(&b, "<p class=\"problem\" role=\"alert\">", f->problem, "</p>\n");
    else if (f->signed_in.n)
        add(&b, "<p>You are signed in as ", f->signed_in,
            ". Sign in again to be someone else.</p>\n");
    buf_add_str(&b, "<form method=\"post\" action=\"/_ah/login\">\n");
    add(&b, "<input type=\"hidden\" name=\"continue\" value=\"", f->go_on,
        "\">\n");
    add(&b, "<input type=\"hidden\" name=\"token\" value=\"", f->token,
        "\">\n");
    add(&b,
        "<label for=\"email\">E-mail</label>\n<input id=\"email\" "
        "name=\"email\" type=\"email\" autocomplete=\"username\" "
        "autocapitalize=\"none\" required autofocus value=\"",
        f->email, "\">\n");
    buf_add_str(&b, "<label for=\"password\">Password</label>\n<input "
                    "id=\"password\" name=\"password\" type=\"password\" "
                    "autocomplete=\"current-password\" required>\n"
                    "<button type=\"submit\">Sign in</button>\n</form>\n"
                    "</main>\n</body>\n</html>\n");
    return buf_view(&b);
}
