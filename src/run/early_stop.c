#include "run/early_stop.h"

#include "base/log.h"
#include "run/policy.h"
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void *listen_main(void *arg)
{
    const struct wr_early_stop *stop = arg;
    struct pollfd fds[] = { { .fd = stop->end_fd, .events = POLLIN },
                            { .fd = stop->signal_fd, .events = POLLIN } };
    for (;;) {
        struct signalfd_siginfo info;
        if (poll(fds, 2, -1) < 0 || (fds[0].revents & POLLIN) != 0) {
            return NULL; /* EINTR cannot be: all that is handled is blocked */
        }
        if (read(stop->signal_fd, &info, sizeof info) == sizeof info && info.ssi_signo != SIGUSR1) {
            wr_log_info("run", "stopped before anything was read");
            _exit(WR_EXIT_OK);
        }
    }
}

void wr_early_stop_begin(struct wr_early_stop *stop, int signal_fd)
{
    stop->signal_fd = signal_fd;
    stop->end_fd = eventfd(0, EFD_CLOEXEC);
    stop->running =
        stop->end_fd >= 0 && pthread_create(&stop->thread, NULL, listen_main, stop) == 0;
}

void wr_early_stop_end(struct wr_early_stop *stop)
{
    if (stop->running) {
        (void)eventfd_write(stop->end_fd, 1);
        pthread_join(stop->thread, NULL);
        close(stop->end_fd);
        stop->running = false;
    }
}
