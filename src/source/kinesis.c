/* kinesis.c: the connector 'kinesis': Amazon Kinesis Data Streams; see kinesis_source.h. */
#include "source/connectors.h"
#include "source/kinesis_source.h"

#include "base/heap.h"
#include "base/log.h"
#include <stdlib.h>

static const struct wr_option kinesis_options[] = {
    { "stream", WR_OPTION_TEXT, NULL, "The stream's name, or its ARN.", .flags = WR_OPTION_REQUIRED },
    WR_KINESIS_PLACE_OPTIONS,
    { "start", WR_OPTION_TEXT, "earliest",
      "Where reading begins: earliest, latest, a time (RFC 3339 or milliseconds since 1970), or "
      "shardId-000000000000=SEQUENCE, ... (shards that are not named: earliest). Shards that come from a reshard are read from "
      "their beginning. Positions in the pipeline's state win over it." },
    { "on_gap", WR_OPTION_ENUM, "fail",
      "What a start does when records that it had not read were deleted (retention): fail, or skip to the oldest that is left.",
      .enum_words = "fail skip" },
    { "consumer", WR_OPTION_TEXT, NULL,
      "Enhanced fan-out: the name of a consumer, which is registered if it is not there (Amazon charges for it until it is "
      "deregistered), or its ARN. Default: polling, which shares the shards' limits with other readers." },
    { "poll_interval", WR_OPTION_DURATION, "250ms",
      "How often a shard is asked that had nothing new (Amazon allows five requests a second, all readers together).",
      .min = 200000, .max = 3600 * WR_US_PER_S },
    { .name = NULL },
};

static wr_status kinesis_check(const struct wr_plan_source *plan, uint32_t *bad_at, struct wr_error *err)
{
    struct wr_kinesis_from from;
    const char *list;
    const struct wr_kinesis_place place = WR_KINESIS_PLACE_OF(plan->options);
    *bad_at = wr_options_at(plan->options, "start");
    WR_TRY(wr_kinesis_start_parse(wr_options_text(plan->options, "start"), &from, &list, err));
    *bad_at = wr_options_at(plan->options, "stream");
    return wr_kinesis_check(&place, err);
}

static void free_shard(struct wr_kinesis_shard *shard)
{
    while (shard->first != NULL) {
        struct wr_kinesis_block *block = shard->first;
        shard->first = block->next;
        wr_kinesis_block_release(block);
    }
    free(shard->parent_ids[0]);
    free(shard->parent_ids[1]);
    free(shard->id);
    free(shard->name);
    free(shard);
}

static void kinesis_close(struct wr_source *s)
{
    if (s == NULL) {
        return;
    }
    wr_kinesis_fetchers_stop(s);
    for (uint32_t i = 0; i < s->shard_count; i++) {
        free_shard(s->shards[i]);
    }
    wr_kinesis_api_close(&s->api);
    wr_open_gate_deinit(&s->gate);
    pthread_mutex_destroy(&s->lock);
    free(s->consumer_arn);
    free(s->pending);
    free(s->splits);
    free(s->shards);
    free(s);
}

static wr_status start(struct wr_source *s, struct wr_error *err)
{
    const struct wr_options *options = s->env.plan->options;
    s->place = WR_KINESIS_PLACE_OF(options);
    s->skip_gaps = strcmp(wr_options_text(options, "on_gap"), "skip") == 0;
    s->poll_interval_ns = wr_options_int(options, "poll_interval") * 1000;
    s->consumer = s->env.preview ? NULL : wr_options_text(options, "consumer"); /* nothing is registered for a look */
    WR_TRY(wr_kinesis_start_parse(wr_options_text(options, "start"), &s->start, &s->start_list, err));
    WR_TRY(wr_kinesis_api_open(&s->api, &s->place, err));
    WR_TRY(wr_kinesis_list(s, &s->api, err));
    s->opened_ms = s->api.answered_ms;
    if (s->consumer != NULL) {
        WR_TRY(wr_kinesis_register(s, err));
    }
    WR_TRY(wr_kinesis_begin(s, err));
    return wr_kinesis_fetchers_open(s, err);
}

static wr_status kinesis_open(struct wr_source **out, const struct wr_source_env *env,
                              struct wr_error *err)
{
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    s->pending = wr_calloc(env->workers, sizeof *s->pending);
    pthread_mutex_init(&s->lock, NULL);
    wr_open_gate_init(&s->gate, env);
    if (start(s, err) != WR_OK) {
        kinesis_close(s);
        return WR_FAIL;
    }
    *out = s;
    return WR_OK;
}

static wr_status kinesis_tick(struct wr_source *s, struct wr_time now, struct wr_error *err)
{
    wr_status status = WR_OK;
    pthread_mutex_lock(&s->lock);
    const bool troubled = s->trouble.cls != WR_CLASS_NONE;
    const bool over = !troubled && s->trouble_told;
    if (troubled && !s->trouble_told) {
        status = WR_FAIL;
        if (err != NULL) {
            *err = s->trouble;
        }
    }
    s->trouble_told = troubled;
    pthread_mutex_unlock(&s->lock);
    if (over) {
        wr_log_info("kinesis", "stream %s: reading goes on", s->api.stream);
    }
    return status;
}

/* As the service said with its last answers. */
static int64_t kinesis_lag_ms(struct wr_source *s)
{
    int64_t lag_ms = -1;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->split_count; i++) {
        const struct wr_kinesis_shard *shard = s->splits[i];
        const int64_t behind_ms = shard->ended ? 0 : shard->behind_ms;
        lag_ms = behind_ms > lag_ms ? behind_ms : lag_ms;
    }
    pthread_mutex_unlock(&s->lock);
    return lag_ms;
}

const struct wr_source_ops wr_source_kinesis = {
    .name = "kinesis",
    .help = "A stream of Amazon Kinesis: polled, or with enhanced fan-out; packed records of its producer library too.",
    .options = kinesis_options,
    .metadata = { [WR_META_TOPIC] = true,
                  [WR_META_PARTITION] = true,
                  [WR_META_OFFSET] = true,
                  [WR_META_TIMESTAMP] = true,
                  [WR_META_KEY] = true },
    .check = kinesis_check,
    .open = kinesis_open,
    .reader_open = wr_kinesis_reader_open,
    .poll = wr_kinesis_reader_poll,
    .pause = wr_kinesis_reader_pause,
    .reader_close = wr_kinesis_reader_close,
    .tick = kinesis_tick,
    .lag_ms = kinesis_lag_ms,
    .close = kinesis_close,
};
