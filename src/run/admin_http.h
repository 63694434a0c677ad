/* admin_http.h: /metrics, /healthz, /readyz on --listen. Threads: handlers run on the server's threads and read only counters. */
#ifndef WR_RUN_ADMIN_HTTP_H
#define WR_RUN_ADMIN_HTTP_H

#include "run/pipeline.h"

WR_NODISCARD wr_status wr_admin_start(struct wr_pipeline *p, struct wr_error *err);

#endif
