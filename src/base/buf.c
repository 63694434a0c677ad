/* buf.c: see buf.h. */
#include "base/buf.h"

#include "base/assert.h"
#include "base/heap.h"
#include <stdarg.h>
#include <stdio.h>

/* Small enough for a buffer per column, large enough that short texts grow once. */
#define CAPACITY_MIN 256u

void wr_buf_deinit(struct wr_buf *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

char *wr_buf_reserve_slow(struct wr_buf *buf, size_t more)
{
    wr_assert(more < SIZE_MAX / 4 && buf->bytes < SIZE_MAX / 4);
    const size_t need = buf->bytes + more;
    size_t capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;
    while (capacity < need) {
        capacity *= 2;
    }
    buf->data = wr_realloc(buf->data, capacity);
    buf->capacity = capacity;
    return buf->data + buf->bytes;
}

void wr_buf_printf(struct wr_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    wr_assert(bytes >= 0);

    char *at = wr_buf_reserve(buf, (size_t)bytes + 1);
    va_start(args, fmt);
    vsnprintf(at, (size_t)bytes + 1, fmt, args);
    va_end(args);
    buf->bytes += (size_t)bytes;
}

const char *wr_buf_cstr(struct wr_buf *buf)
{
    *wr_buf_reserve(buf, 1) = '\0';
    return buf->data;
}
