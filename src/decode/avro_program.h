/* avro_program.h: an Avro schema compiled for the columns that are asked for: a program of small steps that runs over each
 * record once, from left to right, and puts values straight into the batch.
 *
 * Resolution happens here, once per schema: the writer's fields are found by the columns' paths (exactly, by the reader's
 * aliases, else by letter case), numbers are promoted, what the writer does not have gets the reader's default or NULL.
 *
 * A step reads one value of the writer, or steps over it, or governs which step comes next:
 *   leaf       one value into one column; one that is optional (a union with null) reads its union's index first
 *   nested     a value into a STRUCT, ARRAY or MAP column: a tree of its own (avro_nest.h)
 *   skip       what nobody asked for
 *   union      index -> first step of that branch; each branch ends with a jump behind the last
 *   map        the steps of the keys that columns ask for; over the other entries
 *   mark/back  go over the same bytes again for the next column
 *   null/set   a column that this branch or writer does not have
 *   refuse     a branch that no column can take
 *
 * Ownership: a program borrows nodes of the schemas and the columns' paths: they must outlive it. Texts that it stores
 * borrow from the record, the batch's arena or the program. Threads: read-only while it runs.
 */
#ifndef WR_DECODE_AVRO_PROGRAM_H
#define WR_DECODE_AVRO_PROGRAM_H

#include "batch/batch.h"
#include "batch/nested.h"
#include "decode/avro_schema.h"
#include "decode/schema_columns.h"

struct wr_avro_program;

/* reader: what the pipeline was written for (defaults, aliases, enum defaults), or NULL. WR_FAIL (class DATA): no record of
 * this writer can become a row; *field is the column at fault, or NULL. */
WR_NODISCARD wr_status wr_avro_compile(struct wr_avro_program **program,
                                       const struct wr_avro_node *writer,
                                       const struct wr_avro_node *reader,
                                       const struct wr_schema_column *columns, uint32_t count,
                                       uint32_t unit_digits, const char **field,
                                       struct wr_error *err);
void wr_avro_program_destroy(struct wr_avro_program *program); /* NULL is fine */

/* One batch's run; where a record failed. */
struct wr_avro_run {
    struct wr_batch *batch;
    void **values; /* of the batch's columns */
    struct wr_nested_writer *writer; /* for nested values */
    const char *field; /* dotted path of the column at fault, or path; NULL: the record */
    char path[120];    /* within a nested value */
    char message[160];
};

/* Decodes one record into row. False: run says why, the row's values are undefined. */
bool wr_avro_run(const struct wr_avro_program *program, struct wr_avro_run *run, const char *data,
                 size_t bytes, uint32_t row);

#endif
