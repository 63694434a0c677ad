/* payload_unpack.h: gzip and zstd of single payloads, between the source's records and the decoder, for every source.
 *
 * compression = 'auto' tells by a payload's first bytes: 1f 8b of gzip, 28 b5 2f fd of zstd (or a skippable frame of it). Text in
 * JSON or CSV cannot begin so (neither is UTF-8). Binary formats can, by chance: there a payload that does not unpack to its very
 * end is handed on as it came (gzip checks its content with a CRC, zstd its frame's structure), and only the decoder judges it.
 * A payload that unpacks to more than a record may have is refused in any format; in text formats and with a declared
 * compression a broken one is too. What is refused has no data for the decoder, and a reason in records->unfit.
 *
 * Records are changed in place: items get the unpacked bytes, records->raw keeps the items as they came, for dead letters.
 * When nothing is compressed the cost is one comparison a record.
 * Ownership: unpacked bytes, raw and unfit lie in the arena given, which must outlive the records' use.
 * Threads: one at a time; one per worker.
 */
#ifndef WR_DECODE_PAYLOAD_UNPACK_H
#define WR_DECODE_PAYLOAD_UNPACK_H

#include "base/arena.h"
#include "batch/records.h"

struct wr_payload_unpack;

/* How much may be unpacked at a time: the rows of a poll are then handed on in parts. Records of some KB, as they are, never
 * reach it; it bounds what a fetch full of compressed nothing can do. */
#define WR_UNPACK_BYTES_AT_ONCE (16u << 20)

/* compression: the option's value. format: the source's. NULL when nothing is ever to be unpacked. */
struct wr_payload_unpack *wr_payload_unpack_create(const char *compression, const char *format);
void wr_payload_unpack_destroy(struct wr_payload_unpack *unpack); /* NULL is fine */

/* Unpacks records from the first on, until bytes_at_once are made; returns how many records are ready (all, but for that limit; at
 * least one of a run that has any). records->raw and unfit are NULL before, and as records.h says behind it. */
uint32_t wr_payload_unpack_run(struct wr_payload_unpack *unpack, struct wr_records *records, struct wr_arena *arena,
                               size_t bytes_at_once);

#endif
