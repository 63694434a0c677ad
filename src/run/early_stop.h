/* early_stop.h: ends the process on SIGINT or SIGTERM while connectors are still being opened, which may wait for servers that do not
 * answer: nothing has been read yet, so there is nothing to commit; the next start claims the state as after a crash.
 *
 * Threads: begin and end on control, with the signals blocked in all threads; a thread of its own listens in between.
 */
#ifndef WR_RUN_EARLY_STOP_H
#define WR_RUN_EARLY_STOP_H

#include <pthread.h>
#include <stdbool.h>

struct wr_early_stop {
    pthread_t thread;
    int signal_fd; /* borrowed: control's */
    int end_fd;
    bool running;
};

void wr_early_stop_begin(struct wr_early_stop *stop, int signal_fd);
/* From here on signals are control's. Zeroed or ended is fine. */
void wr_early_stop_end(struct wr_early_stop *stop);

#endif
