/* protobuf_program.h: a message type compiled for the columns that are asked for: a table per message on the columns' paths that leads
 * from a field's number to the step for it, so that a record is walked once and values go straight into the batch.
 *
 * Fields come in any order and may be missing, so each record also has a set of bits: which columns (and messages on the way to
 * them) it had. At its end those without a value become NULL or, where the schema says so, the type's zero; columns whose value
 * needs all occurrences of a field (STRUCT, ARRAY, MAP, JSON, wrappers) are made then.
 *
 * A step does one of these with a field that the wire has:
 *   immediate  the value into the column; the last one wins
 *   defer      an occurrence more on the column's list
 *   descend    the fields inside a message, by its own table
 *   nothing    a member of a oneof that nobody asked for: it only takes back the others
 * Fields without a step are stepped over, so are those of a wire type that they cannot have.
 *
 * Ownership: a program borrows the schemas and the columns' paths: they must outlive it, and texts of enums borrow from them. Other
 * texts borrow from the record or the batch's arena. Threads: read-only while it runs; a run belongs to one thread.
 */
#ifndef WR_DECODE_PROTOBUF_PROGRAM_H
#define WR_DECODE_PROTOBUF_PROGRAM_H

#include "batch/batch.h"
#include "decode/protobuf_value.h"
#include "decode/schema_columns.h"

struct wr_protobuf_program;

/* reader: the message that the pipeline was written for, or NULL. WR_FAIL (class DATA): no record of this message can become a
 * row; *field is the column at fault, or NULL. */
WR_NODISCARD wr_status wr_protobuf_compile(struct wr_protobuf_program **program,
                                           const struct wr_protobuf_message *writer,
                                           const struct wr_protobuf_message *reader,
                                           const struct wr_schema_column *columns, uint32_t count,
                                           uint32_t unit_digits, const char **field,
                                           struct wr_error *err);
void wr_protobuf_program_destroy(struct wr_protobuf_program *program); /* NULL is fine */

/* A decoder's working memory, of all its programs; and where a record failed. */
struct wr_protobuf_run {
    struct wr_protobuf_work work;
    struct wr_batch *batch;
    void **values; /* of the batch's columns */
    uint64_t *seen; /* bits of columns and messages */
    struct wr_protobuf_list *lists; /* of columns that are deferred */
    uint32_t words; /* room in seen */
    uint32_t columns; /* room in lists */
    char field[120]; /* dotted path of what is at fault; empty: the record */
    char message[160];
};

void wr_protobuf_run_deinit(struct wr_protobuf_run *run); /* zeroed is fine */

/* Decodes one record into row. False: run says why, the row's values are undefined. */
bool wr_protobuf_run_record(const struct wr_protobuf_program *program, struct wr_protobuf_run *run,
                            const char *data, size_t bytes, uint32_t row);

#endif
