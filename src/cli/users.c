/*
 * `appscale create-user`: an account in the platform's store.
 *
 * The password comes from the terminal without echo, from standard input, or is
 * made up and shown once.  It never appears in an argument, a log or a file.
 */
#include "cli/api.h"

#include <sodium.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 1024, GENERATED = 20 };

/* Letters and digits that nobody mistakes for each other. */
static void generate(char *out)
{
    static const char letters[] =
        "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

    for (int i = 0; i < GENERATED; i++)
        out[i] = letters[randombytes_uniform(sizeof(letters) - 1)];
    out[GENERATED] = '\0';
}

/* A line of `in` without its end; false at the end of the file or when it is
 * longer than it may be. */
static bool read_line(FILE *in, char *out, size_t size)
{
    size_t n;

    if (!fgets(out, (int)size, in))
        return false;
    n = strcspn(out, "\r\n");
    if (!out[n] && n + 1 == size)
        return false;
    out[n] = '\0';
    return true;
}

static bool ask(const char *prompt, char *out, size_t size)
{
    struct termios was, silent;
    bool ok;

    fprintf(stderr, "%s: ", prompt);
    if (tcgetattr(STDIN_FILENO, &was) < 0)
        return false;
    silent = was;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    ok = read_line(stdin, out, size);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
    fputc('\n', stderr);
    return ok;
}

static int ask_twice(struct cli *cli, char *out, size_t size)
{
    char again[PASSWORD_MAX + 2];
    bool same;

    if (!ask("Password (empty: make one up)", out, size))
        return cli_usage(cli, "no password was given");
    if (!*out)
        return 0;
    if (!ask("The same again", again, sizeof(again)))
        return cli_usage(cli, "no password was given");
    same = strcmp(out, again) == 0;
    sodium_memzero(again, sizeof(again));
    return same ? 0 : cli_usage(cli, "the two passwords differ");
}

static int get_password(struct cli *cli, char *out, size_t size, bool *made)
{
    int rc = 0;

    *out = '\0';
    if (cli_switch(cli, "password-stdin")) {
        if (!read_line(stdin, out, size))
            return cli_usage(cli, "no password on standard input");
    } else if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        rc = ask_twice(cli, out, size);
    }
    if (rc < 0)
        return rc;
    *made = !*out && !cli_switch(cli, "password-stdin");
    if (*made)
        generate(out);
    if (strlen(out) < PASSWORD_MIN)
        return cli_usage(cli, "a password has at least %d characters",
                         PASSWORD_MIN);
    return 0;
}

static void print_user(struct cli *cli, const char *email, const char *password)
{
    json_t *out;

    if (cli->json) {
        out = json_pack("{s:s,s:b,s:s*}", "email", email, "admin",
                        cli_switch(cli, "admin"), "password", password);
        cli_print_json(out);
        json_decref(out);
        return;
    }
    printf("%s may sign in%s.\n", email,
           cli_switch(cli, "admin") ? ", as an administrator" : "");
    if (password)
        printf("Password: %s%s%s\n(shown this once)\n", cli_bold(cli), password,
               cli_plain(cli));
}

int cli_create_user(struct cli *cli)
{
    const char *email = cli_operand(cli, 0), *at = strchr(email, '@');
    char password[PASSWORD_MAX + 2];
    bool made = false;
    json_t *body;
    int rc;

    if (!at || at == email || !at[1] || strchr(at + 1, '@') ||
        strpbrk(email, " \t\r\n"))
        return cli_usage(cli, "\"%s\" is not an e-mail address", email);
    if (sodium_init() < 0)
        return ctx_err(&cli->ctx, ERR_INTERNAL, "no source of randomness");
    rc = get_password(cli, password, sizeof(password), &made);
    if (rc < 0)
        return rc;
    body = json_pack("{s:s,s:s,s:b,s:b}", "email", email, "password", password,
                     "admin", cli_switch(cli, "admin"), "replace",
                     cli_switch(cli, "replace"));
    if (!body)
        return cli_usage(cli, "the password is not UTF-8");
    rc = api_call(api_open(cli), "POST", NULL, body, "/v1/platform/users");
    json_decref(body);
    if (rc == ERR_EXISTS)
        cli->next = "add --replace to set a new password";
    if (rc == 0)
        print_user(cli, email, made ? password : NULL);
    sodium_memzero(password, sizeof(password));
    return rc;
}
