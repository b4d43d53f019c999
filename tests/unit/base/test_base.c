#include "base/buf.h"
#include "base/ctx.h"
#include "base/errinj.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void arena_reset_runs_hooks_newest_first(void **state)
{
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_reset_runs_hooks_newest_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
