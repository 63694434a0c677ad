/* io_probe.c: why io_uring cannot be used here, and what to do about it: one look per process. */
#include "io/io_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char reason[160];
static const char *hint = "";

/* The value of kernel.io_uring_disabled (Linux 6.6): 0, 1 (only a group may), 2 (nobody); -1: no
 * such. */
static int sysctl_disabled(void)
{
    char text[16] = "";
    const int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    const ssize_t bytes = read(fd, text, sizeof(text) - 1);
    close(fd);
    return bytes > 0 && text[0] >= '0' && text[0] <= '2' ? text[0] - '0' : -1;
}

static void explain_refusal(void)
{
    const int disabled = sysctl_disabled();
    if (disabled > 0) {
        snprintf(reason, sizeof(reason), "the kernel setting kernel.io_uring_disabled is %d",
                 disabled);
        hint = "run: sysctl -w kernel.io_uring_disabled=0";
        return;
    }
    snprintf(reason, sizeof(reason),
             "the kernel does not permit it (a seccomp profile, as containers have by default)");
    hint = "start the container with a seccomp profile that permits io_uring_setup, "
           "io_uring_enter and io_uring_register (docker run --security-opt seccomp=FILE)";
}

static void probe(void)
{
    const int result = wr_io_try_uring();
    switch (-result) {
    case 0:
        break;
    case EPERM:
    case EACCES:
        explain_refusal();
        break;
    case ENOSYS:
    case EINVAL:
        snprintf(reason, sizeof(reason),
                 "this kernel has no io_uring, or one from before Linux 5.11");
        hint = "use Linux 6.1 or newer (in a container: also check its seccomp profile)";
        break;
    case ENOMEM:
        snprintf(reason, sizeof(reason), "the limit of locked memory is too small for its rings");
        hint = "raise it with ulimit -l (systemd: LimitMEMLOCK=)";
        break;
    case EMFILE:
    case ENFILE:
        snprintf(reason, sizeof(reason), "the limit of open files is reached");
        hint = "raise it with ulimit -n (systemd: LimitNOFILE=)";
        break;
    default:
        snprintf(reason, sizeof(reason), "io_uring_setup failed: %s", strerror(-result));
        hint = "look into the kernel's log (dmesg)";
        break;
    }
}

const char *wr_io_uring_unavailable(void)
{
    pthread_once(&once, probe);
    return reason;
}

const char *wr_io_uring_hint(void)
{
    pthread_once(&once, probe);
    return hint;
}
