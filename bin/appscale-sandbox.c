/*
 * appscale-sandbox - run a program confined (src/sandbox/README.md).
 *
 * main() reads the options; sandbox_run() does the rest.
 */
#include "base/log.h"
#include "sandbox/sandbox.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: appscale-sandbox [OPTION]... -- PROGRAM [ARGUMENT]...\n"
    "       appscale-sandbox --probe [--uid N]\n\n"
    "Runs a program where it sees and does nothing but its own.\n\n"
    "  --uid N            as root: its user and group; files given with --own\n"
    "                     become theirs\n"
    "  --read PATH        a path it may read, at its own place\n"
    "  --write PATH       a path it may write\n"
    "  --own              the path before is its user's\n"
    "  --hide PATH        something empty in its place\n"
    "  --memory MIB       its memory\n"
    "  --tmp MIB          size of its /tmp\n"
    "  --file MIB         size of a file\n"
    "  --tasks N          processes and threads\n"
    "  --cpu PERCENT      its weight against others\n"
    "  --port N           the port it may take\n"
    "  --api-port N       a port it may connect to\n"
    "  --closed N[-M]     ports it may neither take nor connect to\n"
    "  --served N[-M]     ports it may connect to, and not take\n"
    "  --users N-M        users of others: no connection to what they listen "
    "on\n"
    "  --no-gate          leave its network alone\n"
    "  --bare             do without namespaces\n"
    "  --probe            print what can be enforced here, and end\n"
    "  --help             this text\n";

enum {
    OPT_UID = 256,
    OPT_READ,
    OPT_WRITE,
    OPT_OWN,
    OPT_HIDE,
    OPT_MEMORY,
    OPT_TMP,
    OPT_FILE,
    OPT_TASKS,
    OPT_CPU,
    OPT_PORT,
    OPT_API_PORT,
    OPT_CLOSED,
    OPT_SERVED,
    OPT_USERS,
    OPT_NO_GATE,
    OPT_BARE,
    OPT_PROBE,
};

static const struct option longs[] = {
    {"uid", required_argument, NULL, OPT_UID},
    {"read", required_argument, NULL, OPT_READ},
    {"write", required_argument, NULL, OPT_WRITE},
    {"own", no_argument, NULL, OPT_OWN},
    {"hide", required_argument, NULL, OPT_HIDE},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"tmp", required_argument, NULL, OPT_TMP},
    {"file", required_argument, NULL, OPT_FILE},
    {"tasks", required_argument, NULL, OPT_TASKS},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"port", required_argument, NULL, OPT_PORT},
    {"api-port", required_argument, NULL, OPT_API_PORT},
    {"closed", required_argument, NULL, OPT_CLOSED},
    {"served", required_argument, NULL, OPT_SERVED},
    {"users", required_argument, NULL, OPT_USERS},
    {"no-gate", no_argument, NULL, OPT_NO_GATE},
    {"bare", no_argument, NULL, OPT_BARE},
    {"probe", no_argument, NULL, OPT_PROBE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int64_t number(const char *text, int64_t most)
{
    char *end;
    long long v = strtoll(text, &end, 10);

    if (end == text || *end != '\0' || v < 0 || v > most)
        die("%s: a number from 0 to %lld belongs here", text, (long long)most);
    return v;
}

static void add_path(struct sandbox *sb, enum sandbox_access access,
                     const char *path)
{
    if (*path != '/' || sb->n_paths == SANDBOX_PATHS_MAX)
        die("%s: not a full path, or one too many", path);
    sb->paths[sb->n_paths++] =
        (struct sandbox_path){.access = access, .path = path};
}

static void set_users(struct sandbox *sb, const char *text)
{
    struct policy *p = &sb->policy;
    int used = 0;

    if (sscanf(text, "%u-%u%n", &p->first_user, &p->last_user, &used) != 2 ||
        text[used] != '\0' || p->last_user < p->first_user)
        die("%s: not a range of users", text);
}

static void add_ports(struct sandbox *sb, const char *text, bool open)
{
    if (!policy_add(&sb->policy, text, open))
        die("%s: not a range of ports, or one too many", text);
}

/* The options that are numbers. */
static void set_number(struct sandbox *sb, int c, const char *text)
{
    enum { MIB_MAX = 1 << 30, PORT_MAX = 65535 };

    if (c == OPT_UID)
        sb->uid = (uid_t)number(text, INT32_MAX);
    else if (c == OPT_MEMORY)
        sb->memory_mb = number(text, MIB_MAX);
    else if (c == OPT_TMP)
        sb->tmp_mb = number(text, MIB_MAX);
    else if (c == OPT_FILE)
        sb->file_mb = number(text, MIB_MAX);
    else if (c == OPT_TASKS)
        sb->tasks = number(text, INT32_MAX);
    else if (c == OPT_CPU)
        sb->cpu = number(text, 10000);
    else if (c == OPT_PORT)
        sb->policy.port = (int)number(text, PORT_MAX);
    else
        sb->policy.api_port = (int)number(text, PORT_MAX);
}

static void set_option(struct sandbox *sb, int c, const char *text)
{
    switch (c) {
    case OPT_READ:
        add_path(sb, SANDBOX_READ, text);
        break;
    case OPT_WRITE:
        add_path(sb, SANDBOX_WRITE, text);
        break;
    case OPT_HIDE:
        add_path(sb, SANDBOX_HIDE, text);
        break;
    case OPT_OWN:
        if (sb->n_paths == 0)
            die("--own: of which path?");
        sb->paths[sb->n_paths - 1].own = true;
        break;
    case OPT_CLOSED:
        add_ports(sb, text, false);
        break;
    case OPT_SERVED:
        add_ports(sb, text, true);
        break;
    case OPT_USERS:
        set_users(sb, text);
        break;
    case OPT_NO_GATE:
        sb->gated = false;
        break;
    case OPT_BARE:
        sb->bare = true;
        break;
    default:
        set_number(sb, c, text);
    }
}

/* One word a line: what is enforced, and "no-" before what is not. */
static int probe(struct sandbox *sb)
{
    struct sandbox_report r;
    const struct {
        const char *name;
        const bool *holds;
    } words[] = {
        {"user", &r.user},
        {"files", &r.files},
        {"processes", &r.processes},
        {"network", &r.network},
        {"memory", &r.memory},
        {"tasks", &r.tasks},
        {"cpu", &r.cpu},
    };

    sandbox_probe(sb, &r);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        printf("%s%s\n", *words[i].holds ? "" : "no-", words[i].name);
    return fflush(stdout) != 0;
}

int main(int argc, char **argv)
{
    static struct sandbox sb = {.gated = true};
    bool probing = false;
    int c;

    while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
        if (c == 'h')
            return fputs(usage, stdout) < 0;
        if (c == '?')
            die("see appscale-sandbox --help");
        if (c == OPT_PROBE)
            probing = true;
        else
            set_option(&sb, c, optarg);
    }
    if (probing)
        return probe(&sb);
    if (optind == argc || argv[optind][0] != '/')
        die("the full path of a program is missing; see appscale-sandbox "
            "--help");
    sb.argv = (const char *const *)&argv[optind];
    return sandbox_run(&sb);
}
