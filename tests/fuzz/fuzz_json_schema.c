/* JSON Schema over any bytes: the text up to a newline is a schema, the rest a value that is held against it. Nothing may crash, and
 * every check ends. */
#include "base/assert.h"
#include "base/heap.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include "decode/json_schema.h"
#include "decode/json_schema_columns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(const struct wr_json_schema *schema, const uint8_t *data, size_t bytes)
{
    char *copy = wr_malloc(bytes + 1); /* of its own size, so that ASan sees any step over its end */
    memcpy(copy, data, bytes);
    copy = wr_realloc(copy, bytes > 0 ? bytes : 1);
    const struct wr_slice value = { copy, bytes };
    if (wr_json_valid(value)) {
        struct wr_json_checker *checker = wr_json_checker_create();
        struct wr_json_violation violation = { 0 };
        if (!wr_json_check(checker, schema, value, &violation)) {
            wr_assert(violation.message[0] != '\0');
        }
        wr_json_checker_destroy(checker);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *end = bytes > 0 ? memchr(data, '\n', bytes) : NULL;
    const size_t length = end != NULL ? (size_t)(end - data) : bytes;
    struct wr_json_schema *schema = NULL;
    struct wr_error err = { 0 };
    if (wr_json_schema_parse(&schema, (struct wr_slice){ bytes > 0 ? (const char *)data : "", length }, &err) != WR_OK) {
        wr_assert(err.message[0] != '\0');
        return 0;
    }
    struct wr_arena arena;
    struct wr_schema columns = { 0 };
    wr_arena_init(&arena, 0);
    (void)(wr_json_schema_columns(schema, &arena, &columns, &err) == WR_OK);
    wr_arena_deinit(&arena);
    if (end != NULL) {
        check(schema, end + 1, bytes - length - 1);
    }
    wr_json_schema_destroy(schema);
    return 0;
}
