/* fast_text.h: what binary formats do with every text of every record: check its UTF-8 and make its view, without a call in the
 * usual case. */
#ifndef WR_DECODE_FAST_TEXT_H
#define WR_DECODE_FAST_TEXT_H

#include "batch/type.h"

/* end: of the memory that may be read. Twelve bytes are there behind most texts of a record: no call for their length. */
__attribute__((always_inline)) static inline struct wr_view wr_fast_view(const char *data, size_t bytes,
                                                                         const uint8_t *end)
{
    if (bytes <= WR_VIEW_INLINE_BYTES && (size_t)((const char *)end - data) >= 12) {
        static const uint64_t low[] = { 0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff,
                                        0xffffffffffff, 0xffffffffffffff, UINT64_MAX };
        uint64_t head;
        uint32_t tail;
        struct wr_view view;
        memcpy(&head, data, 8);
        memcpy(&tail, data + 8, 4);
        head &= low[bytes < 8 ? bytes : 8];
        tail &= (uint32_t)low[bytes > 8 ? bytes - 8 : 0];
        /* By whole words: pieces would have to be put together again from the store buffer. */
        const uint64_t words[2] = { bytes | head << 32, head >> 32 | (uint64_t)tail << 32 };
        memcpy(&view, words, sizeof view);
        return view;
    }
    return wr_view_of(data, bytes);
}

/* ASCII by words, of which the last two may overlap. */
__attribute__((always_inline)) static inline bool wr_fast_utf8(const char *data, size_t bytes)
{
    uint64_t seen = 0;
    uint64_t word;
    uint32_t half;
    if (bytes >= 8) {
        for (size_t i = 0; i + 8 < bytes; i += 8) {
            memcpy(&word, data + i, 8);
            seen |= word;
        }
        memcpy(&word, data + bytes - 8, 8);
        seen |= word;
    } else if (bytes >= 4) {
        memcpy(&half, data, 4);
        seen = half;
        memcpy(&half, data + bytes - 4, 4);
        seen |= half;
    } else if (bytes > 0) {
        seen = (uint8_t)data[0] | (uint8_t)data[bytes / 2] | (uint8_t)data[bytes - 1];
    }
    return (seen & 0x8080808080808080u) == 0 || wr_utf8_valid(data, bytes);
}

#endif
