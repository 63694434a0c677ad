/* event_stream.c: see event_stream.h. */
#include "net/event_stream.h"

#include <zlib.h>

#define PRELUDE_BYTES 12u
#define LEAST_BYTES   16u /* a frame without headers and payload */
#define TEXT_TYPE     7u

void wr_event_reader_deinit(struct wr_event_reader *reader)
{
    wr_buf_deinit(&reader->held);
    reader->broken = false;
}

void wr_event_reader_reset(struct wr_event_reader *reader)
{
    reader->held.bytes = 0;
    reader->broken = false;
}

static uint32_t read_u32(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static wr_status broken(struct wr_event_reader *reader, struct wr_error *err, const char *what)
{
    reader->broken = true;
    return wr_fail(err, WR_CLASS_RETRY, "the event stream is damaged: %s", what);
}

/* Bytes of a header's value of this type, its own length field included; SIZE_MAX: cut off or unknown. */
static size_t value_bytes(uint8_t type, const char *at, size_t left)
{
    static const uint8_t fixed[10] = { 0, 0, 1, 2, 4, 8, 0, 0, 8, 16 };
    if (type == 6 || type == TEXT_TYPE) {
        if (left < 2) {
            return SIZE_MAX;
        }
        const size_t bytes = (size_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]) + 2;
        return bytes <= left ? bytes : SIZE_MAX;
    }
    return type < sizeof fixed && fixed[type] <= left ? fixed[type] : SIZE_MAX;
}

static void keep_header(struct wr_event_frame *frame, struct wr_slice name, struct wr_slice value)
{
    if (wr_slice_is(name, ":message-type")) {
        frame->message_type = value;
    } else if (wr_slice_is(name, ":event-type")) {
        frame->event_type = value;
    } else if (wr_slice_is(name, ":exception-type") || wr_slice_is(name, ":error-code")) {
        frame->exception_type = value;
    } else if (wr_slice_is(name, ":error-message")) {
        frame->error_message = value;
    }
}

static bool read_headers(const char *at, size_t bytes, struct wr_event_frame *frame)
{
    while (bytes > 0) {
        const size_t name_bytes = (uint8_t)at[0];
        if (name_bytes + 2 > bytes) {
            return false;
        }
        const struct wr_slice name = { at + 1, name_bytes };
        const uint8_t type = (uint8_t)at[1 + name_bytes];
        at += name_bytes + 2;
        bytes -= name_bytes + 2;
        const size_t taken = value_bytes(type, at, bytes);
        if (taken == SIZE_MAX) {
            return false;
        }
        if (type == TEXT_TYPE) {
            keep_header(frame, name, (struct wr_slice){ at + 2, taken - 2 });
        }
        at += taken;
        bytes -= taken;
    }
    return true;
}

/* The length of the frame that begins at data, of which bytes have come: 0: not known yet. */
static wr_status frame_bytes(struct wr_event_reader *reader, const char *data, size_t bytes,
                             size_t *total, struct wr_error *err)
{
    *total = 0;
    if (bytes < PRELUDE_BYTES) {
        return WR_OK;
    }
    const uint32_t all = read_u32(data);
    const uint32_t headers = read_u32(data + 4);
    if (crc32(0, (const Bytef *)data, 8) != read_u32(data + 8)) {
        return broken(reader, err, "a frame's prelude has another checksum");
    }
    if (all < LEAST_BYTES || all > WR_EVENT_FRAME_BYTES_MAX || headers > all - LEAST_BYTES) {
        return broken(reader, err, "a frame's lengths are impossible");
    }
    *total = all;
    return WR_OK;
}

static wr_status read_frame(struct wr_event_reader *reader, const char *data, size_t bytes,
                            struct wr_event_frame *frame, struct wr_error *err)
{
    const size_t headers = read_u32(data + 4);
    *frame = (struct wr_event_frame){ .message_type = WR_SLICE_LITERAL(""),
                                      .event_type = WR_SLICE_LITERAL(""),
                                      .exception_type = WR_SLICE_LITERAL(""),
                                      .error_message = WR_SLICE_LITERAL("") };
    if (crc32(0, (const Bytef *)data, (uInt)(bytes - 4)) != read_u32(data + bytes - 4)) {
        return broken(reader, err, "a frame has another checksum"); /* (1) */
    }
    if (!read_headers(data + PRELUDE_BYTES, headers, frame)) {
        return broken(reader, err, "a frame's headers are cut off");
    }
    frame->payload = (struct wr_slice){ data + PRELUDE_BYTES + headers,
                                        bytes - headers - LEAST_BYTES };
    return WR_OK;
}

wr_status wr_event_feed(struct wr_event_reader *reader, const char *data, size_t bytes,
                        wr_status (*frame)(void *ctx, const struct wr_event_frame *frame,
                                           struct wr_error *err),
                        void *ctx, struct wr_error *err)
{
    if (reader->broken) {
        return broken(reader, err, "it went on after a broken frame"); /* (2) */
    }
    while (bytes > 0 || reader->held.bytes > 0) {
        struct wr_event_frame whole;
        struct wr_buf *held = &reader->held;
        const bool joined = held->bytes > 0;
        size_t total;
        WR_TRY(frame_bytes(reader, joined ? held->data : data, joined ? held->bytes : bytes, &total,
                           err));
        const size_t wanted = total > 0 ? total : PRELUDE_BYTES;
        if (!joined && total > 0 && total <= bytes) { /* as it came */
            WR_TRY(read_frame(reader, data, total, &whole, err));
            WR_TRY(frame(ctx, &whole, err));
            data += total;
            bytes -= total;
            continue;
        }
        const size_t missing = wanted - held->bytes; /* held never has more than is wanted */
        const size_t more = missing < bytes ? missing : bytes;
        wr_buf_append(held, data, more);
        data += more;
        bytes -= more;
        if (held->bytes < wanted) {
            return WR_OK;
        }
        if (total > 0) {
            WR_TRY(read_frame(reader, held->data, total, &whole, err));
            const wr_status status = frame(ctx, &whole, err);
            held->bytes = 0;
            WR_TRY(status);
        }
    }
    return WR_OK;
}
