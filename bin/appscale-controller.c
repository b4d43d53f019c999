/*
 * appscale-controller - the supervisor of one machine (src/control/README.md).
 *
 * main() reads the options and finds the folders; control_run() does the rest.
 */
#include "base/arena.h"
#include "base/log.h"
#include "config/paths.h"
#include "config/runtimes.h"
#include "control/control.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: appscale-controller [--root DIR] [--config FILE]\n\n"
    "Starts the platform of this machine and keeps it running.\n\n"
    "  --root DIR         runtime folder (default: $APPSCALE_ROOT, else\n"
    "                     /var/lib/appscale for root, else\n"
    "                     ~/.local/share/appscale)\n"
    "  --config FILE      settings, JSON (docs/configuration.md)\n"
    "  --runtimes DIR     folder of the languages\n"
    "  --help             this text\n";

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"root", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'},
        {"runtimes", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct arena a = ARENA_INIT;
    struct control_options o = {.programs = config_program_dir(&a)};
    const char *root = NULL;
    int c, rc;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'r')
            root = optarg;
        else if (c == 'c')
            o.config = optarg;
        else if (c == 'l')
            o.runtimes = optarg;
        else if (c == 'h')
            return fputs(usage, stdout) < 0;
        else
            die("see appscale-controller --help");
    }
    if (optind < argc)
        die("%s: not an option; see appscale-controller --help", argv[optind]);
    o.root = config_root(&a, root);
    if (!o.runtimes)
        o.runtimes = config_runtimes_dir(&a);
    if (!o.runtimes)
        die("the folder runtimes/ is nowhere: give it with --runtimes DIR");
    rc = control_run(&o);
    arena_release(&a);
    return rc;
}
