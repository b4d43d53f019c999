/*
 * appscale-log - the end of an instance's output (src/base/log_writer.h).
 *
 * Started by the controller for each child whose output is not its own to
 * bound; reads standard input to its end.
 */
#include "base/log.h"
#include "base/log_writer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long long max;
    int keep;

    if (argc != 5)
        die("usage: appscale-log FILE TAG MAX_BYTES KEEP < output\n\n"
            "Appends standard input to FILE, each line with its time and TAG "
            "before it, and\nkeeps KEEP old files of MAX_BYTES.");
    max = strtoll(argv[3], NULL, 10);
    keep = atoi(argv[4]);
    if (max < 1 || keep < 0)
        die("appscale-log: MAX_BYTES and KEEP must be numbers");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    umask(077);
    return log_writer_run(STDIN_FILENO, argv[1], argv[2], max, keep);
}
