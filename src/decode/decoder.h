/* decoder.h: from raw records to the columns of a batch: what every format implements (interface).
 *
 * Ownership: a decoder belongs to one worker and may remember things between batches (the shape of
 * the last event). The schema and the options must outlive it. Text columns borrow from the
 * records or lie in the batch's arena. Threads: one at a time.
 * Invariants: (1) the schema's fields without a path (metadata, computed columns) are never touched
 *   (2) a decoded batch keeps batch.h's invariants: bad rows and NULLs hold zero bytes, no bad row
 * is selected
 *   (3) each bad row has exactly one fault, in ascending order of rows
 */
#ifndef WR_DECODE_DECODER_H
#define WR_DECODE_DECODER_H

#include "base/slice.h"
#include "base/status.h"
#include "batch/batch.h"
#include "batch/records.h"
#include "batch/schema.h"

struct wr_option;
struct wr_options;

/* Why one record did not become a row. Both texts are cut to fit, at a character's boundary. */
struct wr_row_fault {
    uint32_t row;
    char message[200];
    char field[120]; /* dotted path of the column; empty when the record as a whole is bad */
};

struct wr_faults {
    struct wr_row_fault *items;
    uint32_t count;
    uint32_t capacity;
};

void wr_faults_deinit(struct wr_faults *faults); /* accepts a zeroed one */

static inline void wr_faults_reset(struct wr_faults *faults)
{
    faults->count = 0;
}

struct wr_decoder;

struct wr_decoder_ops {
    const char *name; /* as in format = '...'; NULL ends the array */
    const struct wr_option *options;
    /* options: the source's whole bag, or NULL for defaults. scan_fields: the columns to fill, in
     * the batch's order. */
    wr_status (*create)(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                        const struct wr_options *options, struct wr_error *err);
    /* CSV: names the columns from a header line (without its line end). NULL: the format has no
     * header. */
    wr_status (*header)(struct wr_decoder *decoder, struct wr_slice line, struct wr_error *err);
    void (*decode)(struct wr_decoder *decoder, const struct wr_records *records,
                   struct wr_batch *batch, struct wr_faults *faults);
    void (*destroy)(struct wr_decoder *decoder);
    /* WR_AGAIN: something that these records need is on its way (a schema out of a registry): ask again with the
     * same records some milliseconds later, and decode them then. Never waits, and not for ever: what does not come makes
     * faults. NULL: nothing is ever needed. */
    wr_status (*needs)(struct wr_decoder *decoder, const struct wr_records *records);
    /* For CREATE SOURCE, while the pipeline is bound. columns->count == 0: the columns that the options' schema gives, into
     * arena; may ask a registry. Else: whether the schema, when it is at hand without asking anybody, can fill those that
     * have a path. NULL: the format has no schema. @thread control */
    wr_status (*columns)(const struct wr_options *options, struct wr_arena *arena,
                         struct wr_schema *columns, struct wr_error *err);
};

/* Every decoder begins with this. */
struct wr_decoder {
    const struct wr_decoder_ops *ops;
};

/* All formats, ended by a row without a name. */
extern const struct wr_decoder_ops wr_decoders[];

/* NULL when there is no such format. */
const struct wr_decoder_ops *wr_decoder_find(const char *name);

WR_NODISCARD static inline wr_status wr_decoder_create(struct wr_decoder **decoder,
                                                       const struct wr_decoder_ops *ops,
                                                       const struct wr_schema *scan_fields,
                                                       const struct wr_options *options,
                                                       struct wr_error *err)
{
    return ops->create(decoder, scan_fields, options, err);
}

/* Fills rows [0, records->count) of batch, a batch just taken from a pool of the decoder's schema:
 * values and validity of the columns with a path, rows, and sel when rows are bad. Resets faults
 * first. Retains nothing: the caller hangs the records on the batch. records->count must fit the
 * batch. */
static inline void wr_decoder_decode(struct wr_decoder *decoder, const struct wr_records *records,
                                     struct wr_batch *batch, struct wr_faults *faults)
{
    wr_faults_reset(faults);
    decoder->ops->decode(decoder, records, batch, faults);
}

/* WR_OK or WR_AGAIN: see needs above. */
WR_NODISCARD static inline wr_status wr_decoder_needs(struct wr_decoder *decoder,
                                                      const struct wr_records *records)
{
    return decoder->ops->needs == NULL ? WR_OK : decoder->ops->needs(decoder, records);
}

/* WR_OK at once for formats without a header. WR_FAIL (class DATA): a NOT NULL column is not in
 * the header. */
WR_NODISCARD static inline wr_status wr_decoder_header(struct wr_decoder *decoder,
                                                       struct wr_slice line, struct wr_error *err)
{
    return decoder->ops->header == NULL ? WR_OK : decoder->ops->header(decoder, line, err);
}

static inline void wr_decoder_destroy(struct wr_decoder *decoder) /* NULL is fine */
{
    if (decoder != NULL) {
        decoder->ops->destroy(decoder);
    }
}

/* ---- for the formats themselves ---- */

/* Adds a fault of the row; field may be NULL. */
void wr_faults_add(struct wr_faults *faults, uint32_t row, const char *field, const char *fmt, ...)
    WR_PRINTF(4, 5);

/* Ends a batch: rows, and sel over the rows without a fault. Zeroes the bad rows of the columns
 * that have a path. */
void wr_decoder_finish(struct wr_batch *batch, const struct wr_schema *schema, uint32_t rows,
                       const struct wr_faults *faults);

/* "a.b.c" of a field's path, in arena. */
char *wr_decoder_dotted(const struct wr_field *field, struct wr_arena *arena);

/* Converts the text of a scalar to the field's type at row of its column, as SQL's casts do;
 * BYTEA: \x hex or base64. number: the text came as a number, not as quoted text. unit_digits:
 * TIMESTAMP from a number: 0 s, 3 ms, 6 us, 9 ns. TEXT and JSON are borrowed from text. */
bool wr_decoder_convert(struct wr_type type, struct wr_slice text, bool number,
                        uint32_t unit_digits, struct wr_arena *arena, void *out);

/* The timestamp_unit option as digits: 0, 3, 6 or 9; options may be NULL (ms). */
uint32_t wr_decoder_unit_digits(const struct wr_options *options);

#endif
