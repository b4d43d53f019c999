#include "base/exit.h"

#include <string.h>
#include <sys/wait.h>

const char *exit_text(struct arena *a, int status)
{
    if (status < 0)
        return "ended";
    if (WIFSIGNALED(status))
        return arena_printf(a, "was killed by signal %d (%s)", WTERMSIG(status),
                            strsignal(WTERMSIG(status)));
    return arena_printf(a, "ended with exit status %d", WEXITSTATUS(status));
}
