#include "net/event_stream.h"

#include <criterion/criterion.h>
#include <zlib.h>

static void put_u32(struct wr_buf *buf, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        wr_buf_byte(buf, (uint8_t)(value >> shift));
    }
}

static void put_header(struct wr_buf *buf, const char *name, const char *value)
{
    wr_buf_byte(buf, (uint8_t)strlen(name));
    wr_buf_text(buf, name);
    wr_buf_byte(buf, 7);
    wr_buf_byte(buf, (uint8_t)(strlen(value) >> 8));
    wr_buf_byte(buf, (uint8_t)strlen(value));
    wr_buf_text(buf, value);
}

static uint32_t crc_of(const char *data, size_t bytes)
{
    return (uint32_t)crc32(0, (const Bytef *)data, (uInt)bytes);
}

static void put_frame(struct wr_buf *buf, const char *type, const char *payload)
{
    struct wr_buf headers = { 0 };
    const size_t from = buf->bytes;
    put_header(&headers, ":message-type", "event");
    wr_buf_append(&headers, "\x04"
                            "when\x08\x00\x00\x00\x00\x00\x00\x00\x01",
                  14); /* a timestamp: skipped */
    put_header(&headers, ":event-type", type);
    put_u32(buf, (uint32_t)(16 + headers.bytes + strlen(payload)));
    put_u32(buf, (uint32_t)headers.bytes);
    put_u32(buf, crc_of(buf->data + from, 8));
    wr_buf_append(buf, headers.data, headers.bytes);
    wr_buf_text(buf, payload);
    put_u32(buf, crc_of(buf->data + from, buf->bytes - from));
    wr_buf_deinit(&headers);
}

struct seen {
    struct wr_buf text;
    uint32_t count;
};

static wr_status see(void *ctx, const struct wr_event_frame *frame, struct wr_error *err)
{
    struct seen *seen = ctx;
    wr_buf_printf(&seen->text, "%.*s %.*s %.*s\n", WR_SLICE_ARG(frame->message_type),
                  WR_SLICE_ARG(frame->event_type), WR_SLICE_ARG(frame->payload));
    seen->count++;
    return WR_OK;
}

static const char *const both = "event One {\"a\":1}\nevent Two \n";

static struct wr_buf two_frames(void)
{
    struct wr_buf buf = { 0 };
    put_frame(&buf, "One", "{\"a\":1}");
    put_frame(&buf, "Two", "");
    return buf;
}

Test(event_stream, frames_come_whole_however_their_bytes_are_cut)
{
    struct wr_buf buf = two_frames();
    for (size_t piece = 1; piece <= buf.bytes; piece++) {
        struct wr_event_reader reader = { 0 };
        struct seen seen = { 0 };
        for (size_t at = 0; at < buf.bytes; at += piece) {
            const size_t bytes = buf.bytes - at < piece ? buf.bytes - at : piece;
            cr_assert_eq(wr_event_feed(&reader, buf.data + at, bytes, see, &seen, NULL), WR_OK);
        }
        cr_assert_str_eq(wr_buf_cstr(&seen.text), both, "pieces of %zu", piece);
        wr_buf_deinit(&seen.text);
        wr_event_reader_deinit(&reader);
    }
    wr_buf_deinit(&buf);
}

Test(event_stream, no_frame_with_a_changed_byte_is_handed_out)
{
    struct wr_buf buf = two_frames();
    for (size_t at = 0; at < buf.bytes; at++) {
        struct wr_event_reader reader = { 0 };
        struct wr_error err = { 0 };
        struct seen seen = { 0 };
        buf.data[at] ^= 1;
        const wr_status status = wr_event_feed(&reader, buf.data, buf.bytes, see, &seen, &err);
        /* A broken stream stays broken: what would follow is not where a frame begins. */
        cr_assert_eq(status, WR_FAIL, "byte %zu", at);
        cr_assert_eq(err.cls, WR_CLASS_RETRY);
        cr_assert_lt(seen.count, 2);
        cr_assert_eq(wr_event_feed(&reader, "x", 1, see, &seen, &err), WR_FAIL);
        buf.data[at] ^= 1;
        wr_buf_deinit(&seen.text);
        wr_event_reader_deinit(&reader);
    }
    wr_buf_deinit(&buf);
}

/* Lengths that are right by their checksum and impossible nevertheless. */
Test(event_stream, impossible_lengths_are_refused_before_anything_is_held)
{
    const uint32_t lengths[][2] = {
        { 15, 0 }, { 16, 1 }, { UINT32_MAX, 0 }, { WR_EVENT_FRAME_BYTES_MAX + 1, 0 }, { 100, 85 }, { 0, 0 },
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct wr_event_reader reader = { 0 };
        struct wr_buf buf = { 0 };
        struct wr_error err = { 0 };
        put_u32(&buf, lengths[i][0]);
        put_u32(&buf, lengths[i][1]);
        put_u32(&buf, crc_of(buf.data, 8));
        cr_assert_eq(wr_event_feed(&reader, buf.data, buf.bytes, see, NULL, &err), WR_FAIL);
        cr_assert_not_null(strstr(err.message, "lengths"));
        wr_buf_deinit(&buf);
        wr_event_reader_deinit(&reader);
    }
}

Test(event_stream, headers_that_are_cut_off_are_refused)
{
    const struct wr_slice headers[] = {
        WR_SLICE_LITERAL("\x05name"), WR_SLICE_LITERAL("\x01n\x07\x00\x09x"), WR_SLICE_LITERAL("\x01n\x0a"),
        WR_SLICE_LITERAL("\x01n\x08\x00"), WR_SLICE_LITERAL("\xff"), WR_SLICE_LITERAL("\x01n\x07\x00"),
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct wr_event_reader reader = { 0 };
        struct wr_buf buf = { 0 };
        struct wr_error err = { 0 };
        put_u32(&buf, (uint32_t)(16 + headers[i].bytes));
        put_u32(&buf, (uint32_t)headers[i].bytes);
        put_u32(&buf, crc_of(buf.data, 8));
        wr_buf_append(&buf, headers[i].data, headers[i].bytes);
        put_u32(&buf, crc_of(buf.data, buf.bytes));
        cr_assert_eq(wr_event_feed(&reader, buf.data, buf.bytes, see, NULL, &err), WR_FAIL, "%zu", i);
        cr_assert_not_null(strstr(err.message, "headers"));
        wr_buf_deinit(&buf);
        wr_event_reader_deinit(&reader);
    }
}
