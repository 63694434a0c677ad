/* buf.h: a growable byte buffer: encoders append to it. One owner, one thread. */
#ifndef WR_BASE_BUF_H
#define WR_BASE_BUF_H

#include "base/slice.h"

struct wr_buf {
    char *data;
    size_t bytes;    /* filled */
    size_t capacity; /* allocated */
};

void wr_buf_deinit(struct wr_buf *buf); /* accepts a zeroed one; leaves it zeroed */

/* Makes room for more bytes and returns where they go; the caller adds to bytes what it used. */
char *wr_buf_reserve_slow(struct wr_buf *buf, size_t more);

static inline char *wr_buf_reserve(struct wr_buf *buf, size_t more)
{
    if (__builtin_expect(buf->capacity - buf->bytes < more, 0)) {
        return wr_buf_reserve_slow(buf, more);
    }
    return buf->data + buf->bytes;
}

static inline void wr_buf_append(struct wr_buf *buf, const void *data, size_t bytes)
{
    if (bytes > 0) {
        memcpy(wr_buf_reserve(buf, bytes), data, bytes);
        buf->bytes += bytes;
    }
}

static inline void wr_buf_byte(struct wr_buf *buf, uint8_t byte)
{
    *wr_buf_reserve(buf, 1) = (char)byte;
    buf->bytes++;
}

static inline void wr_buf_text(struct wr_buf *buf, const char *text)
{
    wr_buf_append(buf, text, strlen(text));
}

void wr_buf_printf(struct wr_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* NUL-terminated view of the contents; the NUL is not counted in bytes. */
const char *wr_buf_cstr(struct wr_buf *buf);

#endif
