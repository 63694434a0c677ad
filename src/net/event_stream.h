/* event_stream.h: frames of application/vnd.amazon.eventstream, in which AWS sends answers without end (SubscribeToShard).
 *
 *   u32 bytes in all | u32 bytes of headers | u32 CRC-32 of the first 8 | headers | payload | u32 CRC-32 of all before
 *   header: u8 bytes of name | name | u8 type | value (type 7: u16 bytes, text); numbers are big-endian
 *
 * Ownership: the reader owns what has come of an unfinished frame; a frame's slices are borrowed from it or from the fed
 * bytes. Threads: one per reader.
 * Invariants: (1) a frame is handed out only when both its checksums are right
 *   (2) no more than WR_EVENT_FRAME_BYTES_MAX is ever held; what comes after a broken frame is never looked at
 */
#ifndef WR_NET_EVENT_STREAM_H
#define WR_NET_EVENT_STREAM_H

#include "base/buf.h"
#include "base/status.h"

/* AWS: a frame's payload has 16 MiB at most; records of 10 MiB in base64 are 14 MiB. */
#define WR_EVENT_FRAME_BYTES_MAX (25u << 20)

struct wr_event_frame {
    struct wr_slice message_type;   /* "event", "exception", "error"; "" when there is none */
    struct wr_slice event_type;     /* "SubscribeToShardEvent", "initial-response" */
    struct wr_slice exception_type; /* of an exception; an error's code */
    struct wr_slice error_message;  /* of an error; "" else */
    struct wr_slice payload;
};

struct wr_event_reader {
    struct wr_buf held; /* of a frame that has not come whole */
    bool broken;
};

void wr_event_reader_deinit(struct wr_event_reader *reader); /* accepts a zeroed one */
/* For the next stream. */
void wr_event_reader_reset(struct wr_event_reader *reader);

/* Takes bytes as they come and gives frame to each whole one; a frame that returns anything but WR_OK ends it with that.
 * WR_FAIL (class RETRY): the bytes are no frames. */
WR_NODISCARD wr_status wr_event_feed(struct wr_event_reader *reader, const char *data, size_t bytes,
                                     wr_status (*frame)(void *ctx,
                                                        const struct wr_event_frame *frame,
                                                        struct wr_error *err),
                                     void *ctx, struct wr_error *err);

#endif
