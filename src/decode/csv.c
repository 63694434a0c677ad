/* csv.c: see csv.h. A line is first cut into cells, then each column converts its own. */
#include "decode/csv.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/text.h"

const struct wr_option wr_csv_options[] = {
    { "delimiter", WR_OPTION_TEXT, ",", "What separates fields: one character, '\\t' or 'tab'." },
    { "quote", WR_OPTION_TEXT, "\"",
      "What encloses fields that hold delimiters or line ends: one character." },
    { "null_text", WR_OPTION_TEXT, "", "An unquoted field of this text is NULL." },
    { "header", WR_OPTION_BOOL, "true", "Whether a file's first line names the columns." },
    { NULL },
};

#define SHOWN_BYTES 60
#define NO_CELL UINT32_MAX

struct cell {
    struct wr_slice text; /* without its quotes */
    bool quoted;
    bool doubled; /* holds doubled quotes */
};

struct csv_decoder {
    struct wr_decoder base;
    const struct wr_schema *schema;
    struct wr_arena arena;
    uint32_t *cell_of; /* per schema column; NO_CELL: none */
    const char **dotted;
    struct cell *cells;    /* the line at hand */
    uint32_t cells_needed; /* 1 + the last one that a column uses */
    uint32_t cells_named;  /* in the header; 0: there was none */
    uint32_t unit_digits;
    char delimiter;
    char quote;
    struct wr_slice null_text;
};

/* ---- making one ---- */

static wr_status option_char(const struct wr_options *options, const char *name, char otherwise,
                             char *value, struct wr_error *err)
{
    const char *text = options == NULL ? NULL : wr_options_text(options, name);
    if (text == NULL) {
        *value = otherwise;
        return WR_OK;
    }
    if (strcmp(text, "\\t") == 0 || strcmp(text, "tab") == 0) {
        *value = '\t';
        return WR_OK;
    }
    wr_ensure(strlen(text) == 1 && *text != '\n' && *text != '\r', err, WR_CLASS_USER,
              "option '%s' must be one character, not '%s'", name, text);
    *value = *text;
    return WR_OK;
}

static void size_cells(struct csv_decoder *d)
{
    d->cells_needed = 0;
    for (uint32_t c = 0; c < d->schema->count; c++) {
        if (d->cell_of[c] != NO_CELL && d->cell_of[c] >= d->cells_needed) {
            d->cells_needed = d->cell_of[c] + 1;
        }
    }
    d->cells = wr_realloc(d->cells, (d->cells_needed + 1) * sizeof(*d->cells));
}

static wr_status read_options(struct csv_decoder *d, const struct wr_options *options,
                              struct wr_error *err)
{
    WR_TRY(option_char(options, "delimiter", ',', &d->delimiter, err));
    WR_TRY(option_char(options, "quote", '"', &d->quote, err));
    wr_ensure(d->delimiter != d->quote, err, WR_CLASS_USER,
              "options 'delimiter' and 'quote' must differ");
    d->null_text = wr_slice_of(options == NULL ? "" : wr_options_text(options, "null_text"));
    d->unit_digits = wr_decoder_unit_digits(options);
    return WR_OK;
}

wr_status wr_csv_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                        const struct wr_options *options, struct wr_error *err)
{
    struct csv_decoder *d = wr_calloc(1, sizeof(*d));
    d->base.ops = wr_decoder_find("csv");
    d->schema = scan_fields;
    wr_arena_init(&d->arena, 0);
    if (read_options(d, options, err) != WR_OK) {
        wr_csv_destroy(&d->base);
        return WR_FAIL;
    }
    d->cell_of = WR_ARENA_ARRAY(&d->arena, uint32_t, scan_fields->count + 1);
    d->dotted = WR_ARENA_ARRAY(&d->arena, const char *, scan_fields->count + 1);
    for (uint32_t c = 0; c < scan_fields->count; c++) {
        const struct wr_field *field = &scan_fields->fields[c];
        const bool decoded = field->path != NULL && field->path_count > 0;
        d->cell_of[c] = decoded ? field->declared : NO_CELL;
        d->dotted[c] = decoded ? wr_decoder_dotted(field, &d->arena) : "";
    }
    size_cells(d);
    *decoder = &d->base;
    return WR_OK;
}

void wr_csv_destroy(struct wr_decoder *decoder)
{
    struct csv_decoder *d = (struct csv_decoder *)decoder;
    wr_arena_deinit(&d->arena);
    free(d->cells);
    free(d);
}

/* ---- lines and cells ---- */

enum line_state { FIELD_START, QUOTED, QUOTE_IN_QUOTED, UNQUOTED };

size_t wr_csv_line_end(const char *data, size_t bytes, char delimiter, char quote, uint32_t *state)
{
    if (bytes > 0 && (*state == FIELD_START || *state == UNQUOTED)) {
        /* Most lines hold no quote at all. */
        const char *end = memchr(data, '\n', bytes);
        const size_t plain = end == NULL ? bytes : (size_t)(end - data);
        if (memchr(data, quote, plain) == NULL) {
            if (end == NULL) {
                *state = data[bytes - 1] == delimiter ? FIELD_START : UNQUOTED;
            }
            return plain;
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        const char c = data[i];
        if (*state == QUOTED) {
            *state = c == quote ? QUOTE_IN_QUOTED : QUOTED;
        } else if (c == '\n') {
            return i;
        } else if (c == quote && *state != UNQUOTED) {
            *state = QUOTED; /* opens the field, or the second of two */
        } else {
            *state = c == delimiter ? FIELD_START : UNQUOTED;
        }
    }
    return bytes;
}

/* at: behind the opening quote. Returns the closing one or NULL. */
static const char *closing_quote(const char *at, const char *end, char quote, bool *doubled)
{
    *doubled = false;
    for (;;) {
        at = at == end ? NULL : memchr(at, quote, (size_t)(end - at));
        if (at == NULL || at + 1 == end || at[1] != quote) {
            return at;
        }
        *doubled = true;
        at += 2;
    }
}

/* Cuts the next cell off; *at ends behind its delimiter, or NULL after the last. Returns what is
 * wrong, or NULL. */
static const char *cut_cell(const struct csv_decoder *d, const char **at, const char *end,
                            struct cell *cell)
{
    const char *start = *at;
    const char *stop;
    memset(cell, 0, sizeof(*cell));
    if (start < end && *start == d->quote) {
        const char *quote = closing_quote(start + 1, end, d->quote, &cell->doubled);
        if (quote == NULL) {
            return "quoted field without an end";
        }
        stop = quote + 1;
        if (stop < end && *stop != d->delimiter) {
            return "text after a closing quote";
        }
        cell->quoted = true;
        cell->text = (struct wr_slice){ start + 1, (size_t)(quote - start) - 1 };
    } else {
        stop = start == end ? NULL : memchr(start, d->delimiter, (size_t)(end - start));
        stop = stop == NULL ? end : stop;
        cell->text = (struct wr_slice){ start, (size_t)(stop - start) };
    }
    *at = stop < end ? stop + 1 : NULL;
    return NULL;
}

static struct wr_slice undoubled(struct csv_decoder *d, const struct cell *cell,
                                 struct wr_arena *arena)
{
    if (!cell->doubled) {
        return cell->text;
    }
    char *into = wr_arena_alloc(arena, cell->text.bytes);
    size_t made = 0;
    for (size_t i = 0; i < cell->text.bytes; i++) {
        into[made++] = cell->text.data[i];
        i += cell->text.data[i] == d->quote; /* quotes come in pairs here */
    }
    return (struct wr_slice){ into, made };
}

static const char *line_end(const char *data, size_t bytes)
{
    return data + bytes - (bytes > 0 && data[bytes - 1] == '\r');
}

/* ---- the header ---- */

static void claim_column(struct csv_decoder *d, struct wr_slice name, uint32_t index)
{
    for (uint32_t c = 0; c < d->schema->count; c++) {
        if (d->schema->fields[c].path_count > 0 && d->schema->fields[c].path != NULL &&
            d->cell_of[c] == NO_CELL && wr_slice_is(name, d->dotted[c])) {
            d->cell_of[c] = index;
        }
    }
}

wr_status wr_csv_header(struct wr_decoder *decoder, struct wr_slice line, struct wr_error *err)
{
    struct csv_decoder *d = (struct csv_decoder *)decoder;
    if (line.bytes >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0) {
        line.data += 3; /* a byte order mark, as spreadsheets write it */
        line.bytes -= 3;
    }
    for (uint32_t c = 0; c < d->schema->count; c++) {
        d->cell_of[c] = NO_CELL;
    }
    const char *end = line_end(line.data, line.bytes);
    const char *at = line.data;
    uint32_t count = 0;
    while (at != NULL) {
        struct cell cell;
        const char *wrong = cut_cell(d, &at, end, &cell);
        wr_ensure(wrong == NULL, err, WR_CLASS_DATA, "CSV header: %s", wrong);
        claim_column(d, undoubled(d, &cell, &d->arena), count++);
    }
    for (uint32_t c = 0; c < d->schema->count; c++) {
        const struct wr_field *field = &d->schema->fields[c];
        if (field->not_null && field->path != NULL && d->cell_of[c] == NO_CELL) {
            wr_fail(err, WR_CLASS_DATA, "CSV header: no column \"%s\", which is NOT NULL",
                    d->dotted[c]);
            wr_error_detail(err, "the header is: %.*s", WR_SLICE_ARG(line));
            return WR_FAIL;
        }
    }
    d->cells_named = count;
    size_cells(d);
    return WR_OK;
}

/* ---- rows ---- */

/* Cuts the line; false after a fault. */
static bool cut_line(struct csv_decoder *d, const struct wr_record *record, uint32_t row,
                     struct wr_faults *faults)
{
    if (record->data == NULL || record->bytes > WR_RECORD_BYTES_MAX) {
        wr_faults_add(faults, row, NULL, "%s",
                      record->data == NULL ? "empty record" : "record is larger than 64 MiB");
        return false;
    }
    const char *end = line_end(record->data, record->bytes);
    const char *at = record->data;
    uint32_t count = 0;
    while (at != NULL) {
        struct cell *cell = &d->cells[count < d->cells_needed ? count : d->cells_needed];
        const char *start = at;
        const char *wrong = cut_cell(d, &at, end, cell);
        if (wrong != NULL) {
            wr_faults_add(faults, row, NULL, "malformed CSV: %s (field %u, at byte %zu)", wrong,
                          count + 1, (size_t)(start - record->data));
            return false;
        }
        count++;
    }
    if (d->cells_named != 0 && count != d->cells_named) {
        wr_faults_add(faults, row, NULL, "the line has %u fields, the header %u", count,
                      d->cells_named);
        return false;
    }
    if (count < d->cells_needed) {
        wr_faults_add(faults, row, NULL, "the line has only %u fields, %u are needed", count,
                      d->cells_needed);
        return false;
    }
    return true;
}

static bool set_null(struct csv_decoder *d, struct wr_batch *batch, uint32_t column, uint32_t row,
                     struct wr_faults *faults)
{
    const struct wr_field *field = &d->schema->fields[column];
    if (field->not_null) {
        wr_faults_add(faults, row, d->dotted[column],
                      "column is NOT NULL, but the value is null or missing");
        return false;
    }
    const uint32_t width = wr_type_width(field->type);
    memset((char *)batch->columns[column].values + (size_t)row * width, 0, width);
    wr_bit_clear(wr_batch_nullable(batch, column), row);
    return true;
}

static bool store(struct csv_decoder *d, struct wr_batch *batch, uint32_t column, uint32_t row,
                  struct wr_faults *faults)
{
    const struct wr_type type = d->schema->fields[column].type;
    const struct cell *cell = &d->cells[d->cell_of[column]];
    const struct wr_slice text = undoubled(d, cell, &batch->arena);
    const uint32_t width = wr_type_width(type);
    _Alignas(16) char room[16];
    const bool is_text = type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON;
    if ((is_text && !wr_utf8_valid(text.data, text.bytes)) ||
        !wr_decoder_convert(type, text, false, d->unit_digits, &batch->arena, room)) {
        char name[32];
        struct wr_buf shown = { 0 };
        wr_text_json_string(&shown, text.data, text.bytes > SHOWN_BYTES ? SHOWN_BYTES : text.bytes);
        wr_faults_add(faults, row, d->dotted[column], "%.*s%s is not a valid %s", (int)shown.bytes,
                      shown.data, text.bytes > SHOWN_BYTES ? "..." : "",
                      wr_type_name(type, name, sizeof(name)));
        wr_buf_deinit(&shown);
        return false;
    }
    memcpy((char *)batch->columns[column].values + (size_t)row * width, room, width);
    return true;
}

static bool fill_row(struct csv_decoder *d, struct wr_batch *batch, uint32_t row,
                     struct wr_faults *faults)
{
    for (uint32_t c = 0; c < d->schema->count; c++) {
        if (d->schema->fields[c].path == NULL || d->schema->fields[c].path_count == 0) {
            continue;
        }
        const struct cell *cell = d->cell_of[c] == NO_CELL ? NULL : &d->cells[d->cell_of[c]];
        const bool null =
            cell == NULL || (!cell->quoted && wr_slice_equal(cell->text, d->null_text));
        if (null ? !set_null(d, batch, c, row, faults) : !store(d, batch, c, row, faults)) {
            return false;
        }
    }
    return true;
}

void wr_csv_decode(struct wr_decoder *decoder, const struct wr_records *records,
                   struct wr_batch *batch, struct wr_faults *faults)
{
    struct csv_decoder *d = (struct csv_decoder *)decoder;
    wr_assert(batch->columns_count == d->schema->count && records->count <= WR_BATCH_ROWS_MAX);
    for (uint32_t row = 0; row < records->count; row++) {
        if (cut_line(d, &records->items[row], row, faults)) {
            fill_row(d, batch, row, faults);
        }
    }
    wr_decoder_finish(batch, d->schema, records->count, faults);
}
