/* log.h: leveled log lines to standard error, as text or JSON. Never on a per-event path.
 *
 * Threads: any; a line is written with one write(2), so lines never mix. */
#ifndef WR_BASE_LOG_H
#define WR_BASE_LOG_H

#include "base/status.h"

enum wr_log_level { WR_LOG_DEBUG, WR_LOG_INFO, WR_LOG_WARN, WR_LOG_ERROR, WR_LOG_OFF };
enum wr_log_format { WR_LOG_TEXT, WR_LOG_JSON };

/* Before threads start. */
void wr_log_setup(enum wr_log_level level, enum wr_log_format format);
bool wr_log_enabled(enum wr_log_level level);

/* Called just before and after a line, so that a live status block can step aside. NULL: none. */
void wr_log_set_hooks(void (*before)(void), void (*after)(void));

/* component: the room or object that speaks ("kafka", "sink lake"). */
void wr_log(enum wr_log_level level, const char *component, const char *fmt, ...) WR_PRINTF(3, 4);
/* An error with its detail and hint, in the form of design.md section 6. */
void wr_log_error(enum wr_log_level level, const char *component, const struct wr_error *err);

#define wr_log_debug(...) wr_log(WR_LOG_DEBUG, __VA_ARGS__)
#define wr_log_info(...) wr_log(WR_LOG_INFO, __VA_ARGS__)
#define wr_log_warn(...) wr_log(WR_LOG_WARN, __VA_ARGS__)

#endif
