/* pubsub_records.c: a StreamingPullResponse (or PullResponse) -> runs of records that borrow from its bytes. */
#include "source/pubsub_source.h"

#include "base/heap.h"
#include "base/limits.h"
#include "batch/text.h"

static void release_run(struct wr_records *base)
{
    wr_pubsub_run_free((struct wr_pubsub_run *)base);
}

void wr_pubsub_run_free(struct wr_pubsub_run *run)
{
    if (--run->frame->refs == 0) {
        free(run->frame->data);
        free(run->frame);
    }
    free(run->messages);
    free(run);
}

/* Of base nothing but the items: it may be a copy, and may begin elsewhere in them. */
static const struct wr_pubsub_message *message_of(const struct wr_records *base, uint32_t index)
{
    return base->items[index].handle;
}

static struct wr_slice headers_json(const struct wr_records *base, uint32_t index, void *into)
{
    struct wr_buf *buf = into;
    const size_t begin = buf->bytes;
    struct wr_pubsub_attributes walk;
    struct wr_slice name, value;
    wr_pubsub_attributes_begin(&walk, message_of(base, index)->whole);
    while (wr_pubsub_attributes_next(&walk, &name, &value)) {
        wr_buf_byte(buf, buf->bytes > begin ? ',' : '{');
        wr_text_json_string(buf, name.data, name.bytes);
        wr_buf_byte(buf, ':');
        wr_text_json_string(buf, value.data, value.bytes);
    }
    if (buf->bytes == begin) {
        return (struct wr_slice){ 0 };
    }
    wr_buf_byte(buf, '}');
    return (struct wr_slice){ buf->data + begin, buf->bytes - begin };
}

static struct wr_slice header(const struct wr_records *base, uint32_t index, const char *wanted)
{
    struct wr_pubsub_attributes walk;
    struct wr_slice name, value, found = { 0 };
    wr_pubsub_attributes_begin(&walk, message_of(base, index)->whole);
    while (wr_pubsub_attributes_next(&walk, &name, &value)) {
        found = wr_slice_is(name, wanted) ? value : found;
    }
    return found;
}

static struct wr_slice message_id(const struct wr_records *base, uint32_t index)
{
    return message_of(base, index)->message_id;
}

static struct wr_pubsub_run *make_run(struct wr_pubsub_frame *frame, const struct wr_pubsub_message *messages, uint32_t count,
                                      int64_t first)
{
    struct wr_pubsub_run *run = wr_malloc(sizeof *run + count * sizeof run->items[0]);
    *run = (struct wr_pubsub_run){ .base = { .count = count,
                                             .refs = 1,
                                             .release = release_run,
                                             .headers_json = headers_json,
                                             .header = header,
                                             .message_id = message_id },
                                   .frame = frame,
                                   .first = first };
    run->base.items = run->items;
    run->messages = wr_malloc(count * sizeof *run->messages);
    memcpy(run->messages, messages, count * sizeof *messages);
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_pubsub_message *m = &run->messages[i];
        run->items[i] = (struct wr_record){
            .data = m->data.data,
            .bytes = m->data.bytes > WR_RECORD_BYTES_MAX ? WR_RECORD_BYTES_MAX : (uint32_t)m->data.bytes,
            .key = m->ordering_key.bytes > 0 ? m->ordering_key.data : NULL,
            .key_bytes = (uint32_t)m->ordering_key.bytes, /* a message is smaller than 2^31 */
            .position = first + i,
            .timestamp_us = m->publish_us != INT64_MIN ? m->publish_us : WR_RECORD_NO_TIME,
            .handle = &run->messages[i],
        };
        run->base.payload_bytes += m->data.bytes;
    }
    frame->refs++;
    return run;
}

static void append(struct wr_pubsub_run *run, struct wr_pubsub_run **first, struct wr_pubsub_run **last)
{
    *(*last != NULL ? &(*last)->next : first) = run;
    *last = run;
}

bool wr_pubsub_take_response(struct wr_source *s, char *data, size_t bytes, int64_t now_ns, struct wr_pubsub_run **first,
                             struct wr_pubsub_run **last, uint32_t *arrived)
{
    struct wr_pubsub_frame *frame = wr_malloc(sizeof *frame);
    *frame = (struct wr_pubsub_frame){ data, 1 };
    const uint32_t most = s->env.batch_rows < WR_BATCH_ROWS_MAX ? s->env.batch_rows : WR_BATCH_ROWS_MAX;
    struct wr_pubsub_message *fresh = wr_malloc(most * sizeof *fresh);
    struct wr_pubsub_response response;
    uint32_t count = 0;
    int64_t from = 0;
    bool bad;
    *arrived = 0;
    wr_pubsub_response_begin(&response, (struct wr_slice){ data, bytes });
    for (struct wr_pubsub_message m; wr_pubsub_response_next(&response, &m, &bad);) {
        const int64_t position = wr_pubsub_held_add(&s->held, m.message_id, m.ack_id, now_ns);
        (*arrived)++;
        s->ordering = s->ordering || m.ordering_key.bytes > 0;
        if (position < 0) {
            continue; /* delivered again while it is held */
        }
        from = count == 0 ? position : from;
        fresh[count++] = m;
        if (count == most) {
            append(make_run(frame, fresh, count, from), first, last);
            count = 0;
        }
    }
    if (count > 0) {
        append(make_run(frame, fresh, count, from), first, last);
    }
    s->ordering = s->ordering || response.ordering;
    free(fresh);
    if (--frame->refs == 0) { /* nothing new in it */
        free(frame->data);
        free(frame);
    }
    return !bad;
}
