/* common_options.h: option rows that every source, every sink and every pipeline shares (interface). */
#ifndef WR_CONFIG_COMMON_OPTIONS_H
#define WR_CONFIG_COMMON_OPTIONS_H

#include "config/option.h"

extern const struct wr_option wr_source_common_options[];
/* connector (required), format, idle_timeout=30s, allowed_lateness=0, max_ahead (1d; 'off'), on_error='skip'|'fail'|sink,
 * on_late=sink, event_time_field, timestamp_unit=s|ms|us|ns (ms), bad rows… */
extern const struct wr_option wr_sink_common_options[];
/* connector (required), format, partition_by, commit_interval (1s), guarantee=exactly_once|at_least_once */
extern const struct wr_option wr_setting_options[];
/* workers, memory, batch_rows, state, default_commit_interval, test_hash='xxh3'|'zero', ring_batches */

#endif
