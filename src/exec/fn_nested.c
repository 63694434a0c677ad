/* fn_nested.c: STRUCT, ARRAY and MAP in expressions: fields, elements and values, constructors, functions, casts from and to JSON.
 *
 * What is taken out of a value borrows its bytes; what is made lies in the run's arena.
 */
#include "base/heap.h"
#include "batch/nested_json.h"
#include "batch/text.h"
#include "exec/eval_node.h"

/* ---- taking out ---- */

/* Puts what was found, as it lies in a column. */
static void put_value(struct wr_call *call, uint32_t row, bool found, const void *value)
{
    if (!found) {
        wr_result_null(call, row);
        return;
    }
    memcpy((char *)wr_result_values(call) + (size_t)row * call->node->width, value,
           call->node->width);
}

void wr_kernel_STRUCT_FIELD(struct wr_call *call)
{
    const struct wr_type type = wr_arg_type(call, 0);
    const uint32_t field = (uint32_t)call->node->expr->args[1]->value.i32;
    char value[16] __attribute__((aligned(16)));
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        put_value(call, row, wr_nested_at(type, wr_arg_text(call, 0, row), field, value), value);
    }
}

void wr_kernel_ARRAY_ELEMENT(struct wr_call *call)
{
    const struct wr_type type = wr_arg_type(call, 0);
    const int64_t *indexes = wr_arg_values(call, 1);
    char value[16] __attribute__((aligned(16)));
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice body = wr_arg_text(call, 0, row);
        const int64_t index = indexes[row];
        const bool inside = index >= 1 && index <= (int64_t)wr_nested_count(type, body);
        put_value(call, row, inside && wr_nested_at(type, body, (uint32_t)(index - 1), value),
                  value);
    }
}

void wr_kernel_MAP_VALUE(struct wr_call *call)
{
    const struct wr_type type = wr_arg_type(call, 0);
    const char *keys = wr_arg_values(call, 1);
    const size_t width = wr_type_width(wr_arg_type(call, 1));
    char value[16] __attribute__((aligned(16)));
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char key[16] __attribute__((aligned(16))) = { 0 };
        memcpy(key, keys + row * width, width);
        put_value(call, row, wr_nested_lookup(type, wr_arg_text(call, 0, row), key, value), value);
    }
}

static void count_parts(struct wr_call *call)
{
    const struct wr_type type = wr_arg_type(call, 0);
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        out[row] = (int32_t)wr_nested_count(type, wr_arg_text(call, 0, row));
    }
}

void wr_kernel_CARDINALITY_ARRAY(struct wr_call *call)
{
    count_parts(call);
}

void wr_kernel_CARDINALITY_MAP(struct wr_call *call)
{
    count_parts(call);
}

void wr_kernel_ARRAY_LENGTH(struct wr_call *call)
{
    count_parts(call);
}

void wr_kernel_ARRAY_CONTAINS(struct wr_call *call)
{
    const struct wr_type type = wr_arg_type(call, 0);
    const size_t width = wr_type_width(wr_arg_type(call, 1));
    uint8_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        /* One element's worth of columns: = decides as it does for columns. */
        char element[16] __attribute__((aligned(16)));
        char wanted[16] __attribute__((aligned(16))) = { 0 };
        struct wr_column a = { .values = element, .type = wr_arg_type(call, 1) };
        struct wr_column b = { .values = wanted, .type = a.type };
        const uint64_t first[1] = { 1 };
        uint64_t equal[1] = { 0 };
        struct wr_nested_cursor cursor;
        struct wr_type slot;
        bool null;
        memcpy(wanted, (const char *)wr_arg_values(call, 1) + row * width, width);
        wr_nested_walk(&cursor, type, wr_arg_text(call, 0, row));
        while (equal[0] == 0 && wr_nested_next(&cursor, &slot, element, &null)) {
            if (!null) {
                wr_equal_words(&a, &b, first, 1, equal);
            }
        }
        out[row] = (uint8_t)equal[0];
    }
}

/* ---- making ---- */

struct maker {
    struct wr_nested_writer writer;
    struct wr_buf json; /* of casts */
};

static void free_maker(void *state)
{
    struct maker *maker = state;
    wr_nested_writer_deinit(&maker->writer);
    wr_buf_deinit(&maker->json);
    free(maker);
}

static struct maker *maker_of(struct wr_call *call)
{
    if (call->node->state == NULL) {
        call->node->state = wr_calloc(1, sizeof(struct maker));
        call->node->state_free = free_maker;
    }
    return call->node->state;
}

static void finish(struct wr_call *call, uint32_t row, struct wr_nested_writer *w)
{
    const struct wr_slice body = wr_nested_close(w);
    wr_result_text(call, row, body.data, body.bytes);
}

static void put_argument(struct wr_call *call, struct wr_nested_writer *w, uint32_t index,
                         uint32_t row)
{
    const struct wr_column *column = wr_arg(call, index);
    if (wr_column_is_null(column, row)) {
        wr_nested_put_null(w);
        return;
    }
    wr_nested_put(w, column->type,
                  (const char *)column->values + (size_t)row * wr_type_width(column->type));
}

static void make_of_all(struct wr_call *call)
{
    struct wr_nested_writer *w = &maker_of(call)->writer;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        wr_nested_open(w, call->node->expr->type);
        for (uint32_t i = 0; i < call->node->arg_count; i++) {
            put_argument(call, w, i, row);
        }
        finish(call, row, w);
    }
}

void wr_kernel_MAKE_ARRAY(struct wr_call *call)
{
    make_of_all(call);
}

void wr_kernel_MAKE_STRUCT(struct wr_call *call)
{
    make_of_all(call);
}

/* Is the key of entry i there again further on? The last one counts. */
static bool is_replaced(struct wr_call *call, uint32_t i, uint32_t row)
{
    const uint64_t only[WR_LIVE_WORDS] = { [0] = 1 };
    struct wr_column a = *wr_arg(call, i);
    const size_t at = (size_t)row * wr_type_width(a.type);
    a.values = (char *)a.values + at;
    for (uint32_t k = i + 2; k < call->node->arg_count; k += 2) {
        struct wr_column b = *wr_arg(call, k);
        uint64_t equal[WR_LIVE_WORDS];
        b.values = (char *)b.values + at;
        wr_equal_words(&a, &b, only, 1, equal);
        if (!wr_column_is_null(wr_arg(call, k), row) && (equal[0] & 1) != 0) {
            return true;
        }
    }
    return false;
}

static bool has_null_key(struct wr_call *call, uint32_t row)
{
    for (uint32_t i = 0; i < call->node->arg_count; i += 2) {
        if (wr_column_is_null(wr_arg(call, i), row)) {
            return true;
        }
    }
    return false;
}

void wr_kernel_MAKE_MAP(struct wr_call *call)
{
    struct wr_nested_writer *w = &maker_of(call)->writer;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (has_null_key(call, row)) {
            wr_result_fail(call, row, "a key of a MAP is NULL");
        } else {
            wr_nested_open(w, call->node->expr->type);
            for (uint32_t i = 0; i < call->node->arg_count; i += 2) {
                if (!is_replaced(call, i, row)) {
                    put_argument(call, w, i, row);
                    put_argument(call, w, i + 1, row);
                }
            }
            finish(call, row, w);
        }
    }
}

/* The keys (part 0) or values (part 1) of a map as an array. */
static void take_parts(struct wr_call *call, uint32_t part)
{
    struct wr_nested_writer *w = &maker_of(call)->writer;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_nested_cursor cursor;
        struct wr_type slot;
        bool null;
        char value[16] __attribute__((aligned(16)));
        wr_nested_walk(&cursor, wr_arg_type(call, 0), wr_arg_text(call, 0, row));
        wr_nested_open(w, call->node->expr->type);
        for (uint32_t i = 0; wr_nested_next(&cursor, &slot, value, &null); i++) {
            if ((i & 1) != part) {
                continue;
            }
            if (null) {
                wr_nested_put_null(w);
            } else {
                wr_nested_put(w, slot, value);
            }
        }
        finish(call, row, w);
    }
}

void wr_kernel_MAP_KEYS(struct wr_call *call)
{
    take_parts(call, 0);
}

void wr_kernel_MAP_VALUES(struct wr_call *call)
{
    take_parts(call, 1);
}

/* ---- casts ---- */

static void parse_into(struct wr_call *call, uint32_t row, struct wr_slice json)
{
    char why[96];
    struct wr_slice body;
    if (wr_nested_parse_json(&maker_of(call)->writer, call->node->expr->type, json, &body, why,
                             sizeof why)) {
        wr_result_text(call, row, body.data, body.bytes);
    } else {
        wr_result_fail(call, row, "%s", why);
    }
}

static bool is_null_text(struct wr_slice json)
{
    const char *white = " \t\r\n";
    while (json.bytes > 0 && strchr(white, json.data[0]) != NULL) {
        json.data++;
        json.bytes--;
    }
    while (json.bytes > 0 && strchr(white, json.data[json.bytes - 1]) != NULL) {
        json.bytes--;
    }
    return wr_slice_is(json, "null");
}

void wr_cast_json_nested(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice json = wr_arg_text(call, 0, row);
        if (is_null_text(json)) {
            wr_result_null(call, row);
        } else {
            parse_into(call, row, json);
        }
    }
}

/* Over JSON: fields go by name, scalars by their texts, as the casts between them do. */
void wr_cast_nested_nested(struct wr_call *call)
{
    struct wr_buf *buf = &maker_of(call)->json;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        buf->bytes = 0;
        wr_nested_format_json(buf, wr_arg_type(call, 0), wr_arg_text(call, 0, row));
        parse_into(call, row, (struct wr_slice){ buf->data, buf->bytes });
    }
}
