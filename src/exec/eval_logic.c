/* eval_logic.c: AND, OR, NOT, IS …, CASE, COALESCE, NULLIF, IN: nodes that look at NULLs themselves
 * and evaluate their arguments only for the rows that still need them, so that an error in a branch
 * that is not taken does not exist.
 */
#include "base/hash.h"
#include "base/heap.h"
#include "exec/eval_node.h"
#include "exec/eval_time.h"

/* ---- bits and bytes ---- */

void wr_bools_pack(const uint8_t *bools, uint32_t rows, uint64_t *words)
{
    memset(words, 0, (size_t)((rows + 63) / 64) * 8);
    uint32_t row = 0;
    for (; row + 8 <= rows; row += 8) {
        uint64_t eight;
        memcpy(&eight, bools + row, 8);
        /* Each of the eight 0/1 bytes is moved to its own bit of the top byte. */
        const uint64_t bits = (eight * 0x0102040810204080ULL) >> 56;
        words[row / 64] |= bits << (row % 64);
    }
    for (; row < rows; row++) {
        words[row / 64] |= (uint64_t)(bools[row] & 1) << (row % 64);
    }
}

void wr_bools_unpack(const uint64_t *words, uint32_t rows, uint8_t *bools)
{
    uint32_t row = 0;
    for (; row + 8 <= rows; row += 8) {
        const uint64_t bits = (words[row / 64] >> (row % 64)) & 0xFF;
        /* Byte k keeps bit k; adding 0x7F carries what is not zero into the byte's top bit. */
        const uint64_t spread = (bits * 0x0101010101010101ULL) & 0x8040201008040201ULL;
        const uint64_t eight = ((spread + 0x7F7F7F7F7F7F7F7FULL) >> 7) & 0x0101010101010101ULL;
        memcpy(bools + row, &eight, 8);
    }
    for (; row < rows; row++) {
        bools[row] = (words[row / 64] >> (row % 64)) & 1;
    }
}

/* Values of a BOOLEAN column as words: what is true, what is false, what is NULL, among live rows.
 * */
struct truth {
    uint64_t yes[WR_LIVE_WORDS];
    uint64_t no[WR_LIVE_WORDS];
};

static void run_truth(struct wr_node *node, struct wr_run *run, const uint64_t *live,
                      struct truth *truth)
{
    wr_node_run(node, run, live);
    wr_bools_pack(node->column.values, run->rows, truth->yes);
    for (uint32_t w = 0; w < run->words; w++) {
        const uint64_t known = live[w] & wr_valid_word(&node->column, w) & ~run->faulted[w];
        truth->no[w] = known & ~truth->yes[w];
        truth->yes[w] &= known;
    }
}

/* Result: true where yes, NULL where unknown, else false. */
static void put_truth(struct wr_node *node, const struct wr_run *run, const uint64_t *yes,
                      const uint64_t *unknown)
{
    wr_bools_unpack(yes, run->rows, node->values);
    node->column.values = node->values;
    node->column.validity = NULL;
    if (unknown != NULL && !wr_words_empty(unknown, run->words)) {
        for (uint32_t w = 0; w < run->words; w++) {
            wr_word_put(node->validity, w, ~unknown[w]);
        }
        node->column.validity = node->validity;
    }
}

/* ---- AND, OR, NOT ---- */

/* OR is AND with true and false exchanged. decided: rows that an argument has settled (false for
 * AND). */
static void run_and_or(struct wr_node *node, struct wr_run *run, const uint64_t *live, bool is_or)
{
    uint64_t remaining[WR_LIVE_WORDS];
    uint64_t decided[WR_LIVE_WORDS] = { 0 };
    uint64_t unknown[WR_LIVE_WORDS] = { 0 };
    for (uint32_t w = 0; w < run->words; w++) {
        remaining[w] = live[w] & ~run->faulted[w];
    }
    for (uint32_t i = 0; i < node->arg_count && !wr_words_empty(remaining, run->words); i++) {
        struct truth truth;
        run_truth(node->args[i], run, remaining, &truth);
        const uint64_t *settles = is_or ? truth.yes : truth.no;
        for (uint32_t w = 0; w < run->words; w++) {
            decided[w] |= settles[w];
            unknown[w] |= remaining[w] & ~truth.yes[w] & ~truth.no[w];
            remaining[w] &= ~settles[w] & ~run->faulted[w];
        }
    }
    uint64_t yes[WR_LIVE_WORDS];
    for (uint32_t w = 0; w < run->words; w++) {
        unknown[w] &= ~decided[w];
        yes[w] = is_or ? decided[w] : live[w] & ~decided[w] & ~unknown[w];
    }
    put_truth(node, run, yes, unknown);
}

static void run_and(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    run_and_or(node, run, live, false);
}

static void run_or(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    run_and_or(node, run, live, true);
}

static void run_not(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    struct truth truth;
    uint64_t unknown[WR_LIVE_WORDS];
    run_truth(node->args[0], run, live, &truth);
    for (uint32_t w = 0; w < run->words; w++) {
        unknown[w] = live[w] & ~truth.yes[w] & ~truth.no[w];
    }
    put_truth(node, run, truth.no, unknown);
}

/* ---- IS … ---- */

static void run_is_null_or_not(struct wr_node *node, struct wr_run *run, const uint64_t *live,
                               bool wants_null)
{
    uint64_t yes[WR_LIVE_WORDS];
    wr_node_run(node->args[0], run, live);
    for (uint32_t w = 0; w < run->words; w++) {
        const uint64_t valid = wr_valid_word(&node->args[0]->column, w);
        yes[w] = live[w] & (wants_null ? ~valid : valid);
    }
    put_truth(node, run, yes, NULL);
}

static void run_is_null(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    run_is_null_or_not(node, run, live, true);
}

static void run_is_not_null(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    run_is_null_or_not(node, run, live, false);
}

static void run_is_true(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    struct truth truth;
    run_truth(node->args[0], run, live, &truth);
    put_truth(node, run, truth.yes, NULL);
}

static void run_is_false(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    struct truth truth;
    run_truth(node->args[0], run, live, &truth);
    put_truth(node, run, truth.no, NULL);
}

static void run_is_distinct(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    const struct wr_column *a = &node->args[0]->column;
    const struct wr_column *b = &node->args[1]->column;
    wr_node_run(node->args[0], run, live);
    wr_node_run(node->args[1], run, live);
    uint64_t both[WR_LIVE_WORDS];
    uint64_t equal[WR_LIVE_WORDS];
    for (uint32_t w = 0; w < run->words; w++) {
        both[w] = live[w] & wr_valid_word(a, w) & wr_valid_word(b, w);
    }
    wr_equal_words(a, b, both, run->words, equal);
    for (uint32_t w = 0; w < run->words; w++) {
        const uint64_t one = wr_valid_word(a, w) ^ wr_valid_word(b, w);
        equal[w] = live[w] & (one | (both[w] & ~equal[w]));
    }
    put_truth(node, run, equal, NULL);
}

/* ---- CASE, COALESCE, NULLIF ---- */

/* Copies the rows of mask from a branch's result into the node's. */
static void take_rows(struct wr_node *node, const struct wr_run *run, const struct wr_node *from,
                      const uint64_t *mask)
{
    const size_t width = node->width;
    wr_dassert(from->width == width);
    char *to = node->values;
    const char *source = from->column.values;
    for (uint32_t w = 0; w < run->words; w++) {
        if (mask[w] == ~(uint64_t)0) {
            memcpy(to + w * 64 * width, source + w * 64 * width, 64 * width);
            continue;
        }
        for (uint64_t m = mask[w]; m != 0; m &= m - 1) {
            const size_t row = w * 64 + (uint32_t)__builtin_ctzll(m);
            switch (width) {
            case 8:
                memcpy(to + row * 8, source + row * 8, 8);
                break;
            case 16:
                memcpy(to + row * 16, source + row * 16, 16);
                break;
            default:
                memcpy(to + row * width, source + row * width, width);
                break;
            }
        }
    }
}

/* Before branches are taken: no row has a value yet. */
static void start_branches(struct wr_node *node, const struct wr_run *run)
{
    memset(node->values, 0, (size_t)run->rows * node->width);
    memset(node->validity, 0, (size_t)run->words * 8);
    node->column.values = node->values;
    node->column.validity = node->validity;
}

/* Where every live row got a value the bitmap can go. */
static void end_branches(struct wr_node *node, const struct wr_run *run, const uint64_t *live)
{
    uint64_t missing = 0;
    for (uint32_t w = 0; w < run->words; w++) {
        missing |= live[w] & ~wr_word_get(node->validity, w);
    }
    if (missing == 0) {
        node->column.validity = NULL;
    }
}

/* Evaluates the branch for the rows of mask and takes what is not NULL there; taken: those rows
 * (may be NULL). */
static void run_branch(struct wr_node *node, struct wr_run *run, struct wr_node *branch,
                       const uint64_t *mask, uint64_t *taken)
{
    uint64_t filled[WR_LIVE_WORDS];
    wr_node_run(branch, run, mask);
    for (uint32_t w = 0; w < run->words; w++) {
        filled[w] = mask[w] & wr_valid_word(&branch->column, w) & ~run->faulted[w];
        wr_word_put(node->validity, w, wr_word_get(node->validity, w) | filled[w]);
    }
    if (branch->column.type.id != WR_TYPE_NULL) {
        take_rows(node, run, branch, filled);
    }
    if (taken != NULL) {
        memcpy(taken, filled, (size_t)run->words * 8);
    }
}

static void run_case(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    uint64_t remaining[WR_LIVE_WORDS];
    start_branches(node, run);
    for (uint32_t w = 0; w < run->words; w++) {
        remaining[w] = live[w] & ~run->faulted[w];
    }
    uint32_t i = 0;
    for (; i + 1 < node->arg_count && !wr_words_empty(remaining, run->words); i += 2) {
        struct truth truth;
        run_truth(node->args[i], run, remaining, &truth);
        if (!wr_words_empty(truth.yes, run->words)) {
            run_branch(node, run, node->args[i + 1], truth.yes, NULL);
        }
        for (uint32_t w = 0; w < run->words; w++) {
            remaining[w] &= ~truth.yes[w] & ~run->faulted[w];
        }
    }
    if (node->arg_count % 2 == 1 && !wr_words_empty(remaining, run->words)) {
        run_branch(node, run, node->args[node->arg_count - 1], remaining, NULL);
    }
    end_branches(node, run, live);
}

static void run_coalesce(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    uint64_t remaining[WR_LIVE_WORDS];
    start_branches(node, run);
    for (uint32_t w = 0; w < run->words; w++) {
        remaining[w] = live[w] & ~run->faulted[w];
    }
    for (uint32_t i = 0; i < node->arg_count && !wr_words_empty(remaining, run->words); i++) {
        uint64_t taken[WR_LIVE_WORDS];
        run_branch(node, run, node->args[i], remaining, taken);
        for (uint32_t w = 0; w < run->words; w++) {
            remaining[w] &= ~taken[w] & ~run->faulted[w];
        }
    }
    end_branches(node, run, live);
}

static void run_nullif(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    const struct wr_column *a = &node->args[0]->column;
    const struct wr_column *b = &node->args[1]->column;
    wr_node_run(node->args[0], run, live);
    wr_node_run(node->args[1], run, live);
    uint64_t both[WR_LIVE_WORDS];
    uint64_t equal[WR_LIVE_WORDS];
    uint64_t kept[WR_LIVE_WORDS];
    for (uint32_t w = 0; w < run->words; w++) {
        both[w] = live[w] & wr_valid_word(a, w) & wr_valid_word(b, w);
    }
    wr_equal_words(a, b, both, run->words, equal);
    start_branches(node, run);
    for (uint32_t w = 0; w < run->words; w++) {
        kept[w] = live[w] & wr_valid_word(a, w) & ~equal[w] & ~run->faulted[w];
        wr_word_put(node->validity, w, kept[w]);
    }
    take_rows(node, run, node->args[0], kept);
    end_branches(node, run, live);
}

/* ---- IN ---- */

/* Longer lists of constants go into a table: below, comparing with each is faster. */
#define IN_TABLE_MIN 9u

/* Open addressing; slots hold an argument's number, 0 is empty. */
struct in_table {
    uint32_t mask;
    uint32_t *slots;
    bool has_null;
};

static void free_in_table(void *state)
{
    struct in_table *table = state;
    free(table->slots);
    free(table);
}

static double value_of_float(const struct wr_column *column, uint32_t row)
{
    return column->type.id == WR_TYPE_FLOAT32 ? (double)((const float *)column->values)[row]
                                              : ((const double *)column->values)[row];
}

/* Equal values (as = sees them) have equal hashes. */
static uint64_t hash_value(const struct wr_column *column, uint32_t width, uint32_t row)
{
    const char *value = (const char *)column->values + (size_t)row * width;
    if (wr_type_is_view(column->type)) {
        const struct wr_slice text = wr_view_slice((const struct wr_view *)value);
        return wr_hash_bytes(text.data, text.bytes);
    }
    if (wr_type_is_float(column->type)) {
        double number = value_of_float(column, row);
        number = number == 0 ? 0 : number; /* -0 */
        uint64_t bits;
        memcpy(&bits, &number, 8);
        return wr_hash_u64(number != number ? 1 : bits);
    }
    if (column->type.id == WR_TYPE_INTERVAL) {
        struct wr_interval interval;
        memcpy(&interval, value, sizeof interval);
        const __int128 span = wr_interval_span(interval);
        return wr_hash_combine((uint64_t)span, (uint64_t)(span >> 64));
    }
    uint64_t words[2] = { 0, 0 };
    memcpy(words, value, width);
    return width <= 8 ? wr_hash_u64(words[0]) : wr_hash_combine(words[0], words[1]);
}

/* Does row of a hold the same value as row 0 of constant b? */
static bool same_value(const struct wr_column *a, uint32_t row, const struct wr_column *b,
                       uint32_t width)
{
    if (wr_type_is_view(a->type)) {
        return wr_view_equal((const struct wr_view *)a->values + row, b->values);
    }
    struct wr_column at = { .values = (char *)a->values + (size_t)row * width, .type = a->type };
    const uint64_t first[WR_LIVE_WORDS] = { 1 };
    uint64_t equal[WR_LIVE_WORDS];
    wr_equal_words(&at, b, first, 1, equal);
    return (equal[0] & 1) != 0;
}

static struct in_table *build_in_table(struct wr_node *node)
{
    struct in_table *table = wr_calloc(1, sizeof *table);
    uint32_t slots = 16;
    while (slots < node->arg_count * 2) {
        slots *= 2;
    }
    table->mask = slots - 1;
    table->slots = wr_calloc(slots, sizeof *table->slots);
    for (uint32_t i = 1; i < node->arg_count; i++) {
        if (node->args[i]->null_constant) {
            table->has_null = true;
            continue;
        }
        uint32_t at = (uint32_t)hash_value(&node->args[i]->column, node->args[i]->width, 0);
        while (table->slots[at & table->mask] != 0) {
            at++;
        }
        table->slots[at & table->mask] = i;
    }
    return table;
}

static void run_in_table(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    const struct in_table *table = node->state;
    struct wr_node *needle = node->args[0];
    uint64_t yes[WR_LIVE_WORDS] = { 0 };
    uint64_t looked[WR_LIVE_WORDS];
    uint64_t unknown[WR_LIVE_WORDS];
    wr_node_run(needle, run, live);
    for (uint32_t w = 0; w < run->words; w++) {
        looked[w] = live[w] & wr_valid_word(&needle->column, w);
    }
    WR_FOR_EACH_LIVE(looked, run->words, row)
    {
        uint32_t at = (uint32_t)hash_value(&needle->column, needle->width, row);
        uint32_t slot;
        while ((slot = table->slots[at & table->mask]) != 0) {
            if (same_value(&needle->column, row, &node->args[slot]->column, needle->width)) {
                yes[w_row] |= (uint64_t)1 << (row % 64);
                break;
            }
            at++;
        }
    }
    for (uint32_t w = 0; w < run->words; w++) {
        unknown[w] = live[w] & ~yes[w] & (table->has_null ? ~(uint64_t)0 : ~looked[w]);
    }
    put_truth(node, run, yes, unknown);
}

static void run_in(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    if (node->state != NULL) {
        run_in_table(node, run, live);
        return;
    }
    const struct wr_column *needle = &node->args[0]->column;
    uint64_t remaining[WR_LIVE_WORDS];
    uint64_t yes[WR_LIVE_WORDS] = { 0 };
    uint64_t unknown[WR_LIVE_WORDS];
    wr_node_run(node->args[0], run, live);
    for (uint32_t w = 0; w < run->words; w++) {
        remaining[w] = live[w] & wr_valid_word(needle, w) & ~run->faulted[w];
        unknown[w] = live[w] & ~remaining[w];
    }
    for (uint32_t i = 1; i < node->arg_count && !wr_words_empty(remaining, run->words); i++) {
        const struct wr_column *item = &node->args[i]->column;
        uint64_t both[WR_LIVE_WORDS];
        uint64_t equal[WR_LIVE_WORDS];
        wr_node_run(node->args[i], run, remaining);
        for (uint32_t w = 0; w < run->words; w++) {
            both[w] = remaining[w] & wr_valid_word(item, w);
            unknown[w] |= remaining[w] & ~both[w];
        }
        wr_equal_words(needle, item, both, run->words, equal);
        for (uint32_t w = 0; w < run->words; w++) {
            yes[w] |= equal[w];
            remaining[w] &= ~equal[w] & ~run->faulted[w];
        }
    }
    for (uint32_t w = 0; w < run->words; w++) {
        unknown[w] &= ~yes[w];
    }
    put_truth(node, run, yes, unknown);
}

/* A table serves when all items are constants of exactly the needle's type (decimals of one scale).
 * */
static bool wants_in_table(const struct wr_node *node)
{
    if (node->arg_count <= IN_TABLE_MIN) {
        return false;
    }
    for (uint32_t i = 1; i < node->arg_count; i++) {
        const struct wr_node *item = node->args[i];
        const bool same = item->expr->type.id == node->args[0]->expr->type.id &&
                          item->expr->type.scale == node->args[0]->expr->type.scale;
        if (!item->constant || (!same && !item->null_constant)) {
            return false;
        }
    }
    return true;
}

/* ---- what the compiler asks ---- */

wr_node_run_fn wr_logic_run_fn(enum wr_expr_kind kind)
{
    switch (kind) {
    case WR_EXPR_AND:
        return run_and;
    case WR_EXPR_OR:
        return run_or;
    case WR_EXPR_NOT:
        return run_not;
    case WR_EXPR_IS_NULL:
        return run_is_null;
    case WR_EXPR_IS_NOT_NULL:
        return run_is_not_null;
    case WR_EXPR_IS_TRUE:
        return run_is_true;
    case WR_EXPR_IS_FALSE:
        return run_is_false;
    case WR_EXPR_IS_DISTINCT:
        return run_is_distinct;
    case WR_EXPR_CASE:
        return run_case;
    case WR_EXPR_COALESCE:
        return run_coalesce;
    case WR_EXPR_NULLIF:
        return run_nullif;
    case WR_EXPR_IN:
        return run_in;
    default:
        return NULL;
    }
}

wr_status wr_logic_prepare(struct wr_node *node, struct wr_error *err)
{
    wr_assert(node->arg_count >= 1);
    if (node->expr->kind == WR_EXPR_IN && wants_in_table(node)) {
        node->state = build_in_table(node);
        node->state_free = free_in_table;
    }
    return WR_OK;
}
