#include "base/fault.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often the point "a" can be passed with WEIR_FAULT=fault before the process is killed; -1: for
 * ever. */
static int survived(const char *fault)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (fault == NULL) {
            unsetenv("WEIR_FAULT");
        } else {
            setenv("WEIR_FAULT", fault, 1);
        }
        for (int i = 0; i < 5; i++) {
            WR_FAULT("b");
            WR_FAULT("a");
            if (write(ends[1], "x", 1) != 1) {
                _exit(1);
            }
        }
        _exit(0);
    }
    close(ends[1]);
    int passed = 0;
    char byte;
    while (read(ends[0], &byte, 1) == 1) {
        passed++;
    }
    close(ends[0]);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        cr_assert_eq(WEXITSTATUS(status), 0);
        cr_assert_eq(passed, 5);
        return -1;
    }
    cr_assert_eq(WTERMSIG(status), SIGKILL);
    return passed;
}

Test(fault, nothing_happens_unless_asked)
{
    cr_assert_eq(survived(NULL), -1);
    cr_assert_eq(survived(""), -1);
    cr_assert_eq(survived("c"), -1);
    cr_assert_eq(survived("aa"), -1);
    cr_assert_eq(survived("a:6"), -1);
}

#ifdef WR_DEBUG
Test(fault, kills_at_the_named_point_the_nth_time)
{
    cr_assert_eq(survived("a"), 0);
    cr_assert_eq(survived("a:1"), 0);
    cr_assert_eq(survived("a:3"), 2);
    cr_assert_eq(survived("b:5"), 4);
}
#else
Test(fault, a_release_build_has_no_crash_points)
{
    cr_assert_eq(survived("a"), -1);
}
#endif
