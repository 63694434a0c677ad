/* function.c: the rows of function.h's table. */
#include "plan/function.h"

const struct wr_function_row wr_functions[WR_FUNCTION_COUNT_] = {
#define WR_X(id, name, signature, flags) [WR_FN_##id] = {#id, name, signature, flags},
    WR_FUNCTION_TABLE(WR_X)
#undef WR_X
};

bool wr_function_is_nested(const struct wr_function_row *row)
{
    return strpbrk(row->signature, "RAMx") != NULL;
}

struct wr_type wr_function_type(char letter)
{
    static const struct {
        char letter;
        uint8_t id;
    } codes[] = {
        {'b', WR_TYPE_BOOL},     {'h', WR_TYPE_INT16},     {'i', WR_TYPE_INT32},
        {'l', WR_TYPE_INT64},    {'H', WR_TYPE_UINT16},    {'I', WR_TYPE_UINT32},
        {'L', WR_TYPE_UINT64},   {'f', WR_TYPE_FLOAT32},   {'d', WR_TYPE_FLOAT64},
        {'n', WR_TYPE_DECIMAL},  {'t', WR_TYPE_TEXT},      {'y', WR_TYPE_BYTES},
        {'D', WR_TYPE_DATE},     {'s', WR_TYPE_TIMESTAMP}, {'z', WR_TYPE_TIMESTAMPTZ},
        {'v', WR_TYPE_INTERVAL}, {'j', WR_TYPE_JSON},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].letter == letter) {
            return wr_type_of((enum wr_type_id)codes[i].id);
        }
    }
    return wr_type_of(WR_TYPE_NULL);
}
