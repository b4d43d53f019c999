/*
 * appscale - the command line: a client of the Admin API.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
