/* schema_columns.h: what CREATE SOURCE learns from a binary format's schema, for every such format: its columns, or whether it can fill
 * those declared; and where a schema comes from, a file or a registry.
 *
 * Of all formats the same: which option wins, what is asked of whom, what is said when there is no schema. Of the format, by its
 * table: its schemas, columns out of one, and whether columns can be filled by one.
 *
 * Ownership: a schema is the caller's, as the table's `destroy` takes it. Threads: control (files are read, registries asked).
 */
#ifndef WR_DECODE_SCHEMA_COLUMNS_H
#define WR_DECODE_SCHEMA_COLUMNS_H

#include "base/buf.h"
#include "config/option.h"
#include "decode/decoder.h"
#include "decode/registry.h"

/* A column that a program fills. */
struct wr_schema_column {
    const char *const *path;
    uint32_t path_count;
    const char *dotted;
    struct wr_type type;
    bool not_null;
    uint32_t index; /* in the batch */
};

/* One per format, constant. schema: what `parse` and `link` have made, of the format's own type. */
struct wr_schema_format {
    const char *name;          /* "avro" */
    const char *title;         /* "Avro" */
    const char *records;       /* what it calls them: "records" */
    const char *registry_type; /* as a registry says it: "AVRO" */
    const char *file;          /* in hints: "file.avsc" */
    const char *file_options;  /* behind that: " and message = '…'" */
    const char *file_hint;     /* what `schema` names */
    size_t file_bytes_max;     /* of which one byte more is read, for parse to refuse */
    bool containers;           /* connector 'file' reads files with a schema of their own */

    /* The text of the schema's file; path: for its imports. */
    wr_status (*of_file)(void **schema, const char *path, struct wr_slice text, struct wr_error *err);
    /* The texts of a registry's answer. */
    wr_status (*of_texts)(void **schema, const struct wr_slice *texts, uint32_t count, struct wr_error *err);
    void (*destroy)(void *schema); /* NULL is fine */

    /* Columns that nobody declared. options may choose within the schema. */
    wr_status (*derive)(const void *schema, const struct wr_options *options, struct wr_arena *arena,
                        struct wr_schema *columns, struct wr_error *err);
    /* Whether the columns can be filled; see wr_schema_compile_failed. */
    wr_status (*check)(const void *schema, const struct wr_options *options, const struct wr_schema_column *columns,
                       uint32_t count, struct wr_error *err);
};

/* Appends up to bytes_max + 1 bytes of the file. False: errno says why. */
bool wr_schema_read_file(const char *path, size_t bytes_max, struct wr_buf *text);

/* The schema in the file that `schema` names (class USER). */
WR_NODISCARD wr_status wr_schema_of_file(const struct wr_schema_format *format, void **schema, const char *path,
                                         struct wr_error *err);
/* A registry's answer. */
WR_NODISCARD wr_status wr_schema_of_answer(const struct wr_schema_format *format, void **schema,
                                           const struct wr_registry_schema *answer, struct wr_error *err);
/* The latest schema of `subject`; waits for it (class USER). */
WR_NODISCARD wr_status wr_schema_of_subject(const struct wr_schema_format *format, void **schema,
                                            struct wr_registry *registry, const char *subject, struct wr_error *err);

/* What a schema's columns are, for a program: those of fields that have a path. Returns how many; dotted names lie in
 * arena. */
uint32_t wr_schema_columns_of(const struct wr_schema *fields, struct wr_arena *arena,
                              struct wr_schema_column **columns);

/* A column as a schema's field of that name gives it: the index-th. Its type is the caller's to set. */
struct wr_field wr_schema_field(const char *name, uint32_t index, struct wr_arena *arena);

/* Says which column (NULL: the record), and that the schema file is at fault. */
void wr_schema_compile_failed(const char *field, const char *where, struct wr_error *err);

/* wr_decoder_ops.columns, but for sources whose records bring their schema along. */
wr_status wr_schema_columns(const struct wr_schema_format *format, const struct wr_options *options,
                            struct wr_arena *arena, struct wr_schema *columns, struct wr_error *err);

#endif
