/* crc32c.h: CRC-32C (Castagnoli, RFC 3720 appendix B.4); hardware instruction where there is
 * one. */
#ifndef WR_BASE_CRC32C_H
#define WR_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues crc (0 to begin) over the bytes. */
uint32_t wr_crc32c(uint32_t crc, const void *data, size_t bytes);

/* The same by table, whatever the machine has: the fallback, and what tests compare with. */
uint32_t wr_crc32c_portable(uint32_t crc, const void *data, size_t bytes);

#endif
