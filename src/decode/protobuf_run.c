/* protobuf_run.c: the walk through a record; see protobuf_program.h. */
#include "base/heap.h"
#include "decode/fast_text.h"
#include "decode/protobuf_step.h"
#include <stdio.h>

/* Without it the cursor goes to memory and back around each call. */
#define INLINE __attribute__((always_inline)) static inline
#define COLD __attribute__((cold, noinline)) static

struct machine {
    const struct wr_protobuf_program *program;
    struct wr_protobuf_run *run;
    uint64_t *seen;
    uint32_t row;
};

/* ---- failures ---- */

COLD bool failed(struct machine *m, const char *dotted, const char *message)
{
    snprintf(m->run->field, sizeof m->run->field, "%s", dotted != NULL ? dotted : "");
    snprintf(m->run->message, sizeof m->run->message, "%s", message);
    return false;
}

COLD bool malformed(struct machine *m, const char *dotted, const char *what)
{
    snprintf(m->run->field, sizeof m->run->field, "%s", dotted != NULL ? dotted : "");
    snprintf(m->run->message, sizeof m->run->message, "malformed Protobuf: %s", what);
    return false;
}

/* What the work says: a value that does not fit, or bytes that are none. */
COLD bool stumbled(struct machine *m, const char *dotted)
{
    struct wr_protobuf_work *w = &m->run->work;
    char name[64];
    snprintf(m->run->field, sizeof m->run->field, "%s%.90s", dotted, w->path);
    if (w->shown[0] != '\0') {
        snprintf(m->run->message, sizeof m->run->message, "%s is not a valid %s", w->shown,
                 wr_type_name(w->wanted, name, sizeof name));
    } else {
        snprintf(m->run->message, sizeof m->run->message, "malformed Protobuf: %s", w->problem);
    }
    w->shown[0] = w->path[0] = '\0';
    return false;
}

static const char too_early[] = "the record ends too early";

/* ---- reading ---- */

/* False: not a varint within [*at, end). */
INLINE bool varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    uint64_t raw;
    if (__builtin_expect(*at < end && **at < 0x80, 1)) {
        *value = *(*at)++;
        return true;
    }
    if (end - *at >= 8) {
        /* Up to eight bytes at once: the sevens of bits are pushed together pairwise. */
        memcpy(&raw, *at, 8);
        const uint64_t stops = ~raw & 0x8080808080808080u;
        if (stops != 0) {
            const uint32_t last = (uint32_t)__builtin_ctzll(stops); /* the top bit of the last byte */
            *at += last / 8 + 1;
            raw &= (UINT64_MAX >> (63 - last)) & 0x7f7f7f7f7f7f7f7fu;
            raw = (raw & 0x007f007f007f007fu) | (raw & 0x7f007f007f007f00u) >> 1;
            raw = (raw & 0x00003fff00003fffu) | (raw & 0x3fff00003fff0000u) >> 2;
            *value = (raw & 0x000000000fffffffu) | (raw & 0x0fffffff00000000u) >> 4;
            return true;
        }
    }
    struct wr_proto_reader r = { *at, end, false };
    uint64_t number = 0;
    const bool read = wr_proto_varint(&r, &number);
    *at = r.at;
    *value = number;
    return read;
}

INLINE void *slot(struct machine *m, const struct wr_protobuf_step *step)
{
    return (char *)m->run->values[step->column] + (size_t)m->row * step->width;
}

INLINE void mark(struct machine *m, uint32_t bit)
{
    m->seen[bit / 64] |= 1ULL << bit % 64;
}

INLINE bool is_marked(const struct machine *m, uint32_t bit)
{
    return (m->seen[bit / 64] >> bit % 64 & 1) != 0;
}

/* ---- steps ---- */

static bool run_fields(struct machine *m, const struct wr_protobuf_table *table,
                       struct wr_slice message);

__attribute__((noinline)) static bool run_timestamp(struct machine *m,
                                                    const struct wr_protobuf_step *step,
                                                    struct wr_slice bytes)
{
    /* A second occurrence is merged with the first, as messages are. */
    int64_t us = is_marked(m, step->bit) ? *(int64_t *)slot(m, step) : 0;
    const uint8_t *at = (const uint8_t *)bytes.data;
    const uint8_t *end = at + bytes.bytes;
    uint64_t seconds = 0;
    uint64_t nanos = 0;
    /* As everybody writes it: the seconds, then the nanoseconds if there are any. */
    if (us == 0 && at < end && *at == 0x08 && (at++, varint(&at, end, &seconds)) &&
        (at == end || (*at == 0x10 && (at++, varint(&at, end, &nanos)) && at == end)) &&
        seconds < 1ULL << 40 && nanos < 1000000000) {
        *(int64_t *)slot(m, step) = (int64_t)(seconds * 1000000 + nanos / 1000);
        return true;
    }
    if (!wr_protobuf_timestamp(&m->run->work, bytes, &us)) {
        return stumbled(m, step->dotted);
    }
    *(int64_t *)slot(m, step) = us;
    return true;
}

__attribute__((noinline)) static bool run_value(struct machine *m,
                                                const struct wr_protobuf_step *step,
                                                uint64_t number, struct wr_slice bytes)
{
    union wr_scalar value;
    m->run->work.texts = &m->run->batch->arena;
    if (!wr_protobuf_scalar(&m->run->work, step->shape, number, bytes, &value)) {
        return stumbled(m, step->dotted);
    }
    memcpy(slot(m, step), &value, step->width);
    return true;
}

__attribute__((noinline)) static bool run_choice(struct machine *m,
                                                 const struct wr_protobuf_step *step,
                                                 uint64_t number)
{
    return run_value(m, step, number, (struct wr_slice){ "", 0 });
}

__attribute__((noinline)) static bool run_scaled(struct machine *m,
                                                 const struct wr_protobuf_step *step,
                                                 uint64_t number)
{
    char shown[32];
    if (!__builtin_mul_overflow((int64_t)number, step->factor, (int64_t *)slot(m, step))) {
        return true;
    }
    snprintf(shown, sizeof shown, "%lld is out of range", (long long)number);
    return failed(m, step->dotted, shown);
}

__attribute__((noinline)) static bool run_defer(struct machine *m,
                                                const struct wr_protobuf_step *step,
                                                const struct wr_proto_field *field)
{
    struct wr_protobuf_list *list = &m->run->lists[step->bit];
    if (!is_marked(m, step->bit)) {
        *list = (struct wr_protobuf_list){ 0 };
    }
    return wr_protobuf_note(&m->run->work, list, step->all, field) || stumbled(m, step->dotted);
}

/* Steps that call out. */
__attribute__((noinline)) static bool slow_step(struct machine *m, const struct wr_protobuf_step *step,
                                                uint64_t number, struct wr_slice bytes,
                                                enum wr_proto_kind kind)
{
    const struct wr_proto_field field = { step->number, kind, number, bytes };
    switch ((enum wr_protobuf_op)step->op) {
    case OP_TIMESTAMP:
        return run_timestamp(m, step, bytes);
    case OP_DEFER:
        return run_defer(m, step, &field);
    case OP_DESCEND:
        mark(m, step->bit);
        return run_fields(m, step->table, bytes);
    default:
        return run_value(m, step, number, bytes);
    }
}

/* One occurrence of a field. */
INLINE bool store(struct machine *m, const struct wr_protobuf_step *step, uint64_t number,
                  struct wr_slice bytes, enum wr_proto_kind kind, const uint8_t *end)
{
    float narrow;
    switch ((enum wr_protobuf_op)step->op) {
    case OP_NOTHING:
        return true;
    case OP_WORD64:
        *(uint64_t *)slot(m, step) = number;
        return true;
    case OP_WORD32:
        *(uint32_t *)slot(m, step) = (uint32_t)number;
        return true;
    case OP_SIGNED64:
        *(int64_t *)slot(m, step) = (int32_t)number;
        return true;
    case OP_UNSIGNED64:
        *(uint64_t *)slot(m, step) = (uint32_t)number;
        return true;
    case OP_ZIGZAG32:
        *(int32_t *)slot(m, step) = (int32_t)wr_proto_zigzag((uint32_t)number);
        return true;
    case OP_ZIGZAG64:
        *(int64_t *)slot(m, step) = wr_proto_zigzag(number);
        return true;
    case OP_BOOL:
        *(uint8_t *)slot(m, step) = number != 0;
        return true;
    case OP_WIDEN:
        memcpy(&narrow, &number, sizeof narrow);
        *(double *)slot(m, step) = (double)narrow;
        return true;
    case OP_TEXT:
        if (!wr_fast_utf8(bytes.data, bytes.bytes)) {
            return malformed(m, step->dotted, "a string is not UTF-8");
        }
        *(struct wr_view *)slot(m, step) = wr_fast_view(bytes.data, bytes.bytes, end);
        return true;
    case OP_BYTES:
        *(struct wr_view *)slot(m, step) = wr_fast_view(bytes.data, bytes.bytes, end);
        return true;
    case OP_CHOICE:
        if (number < step->name_count && step->names[number].bytes > 0) {
            *(struct wr_view *)slot(m, step) = step->names[number];
            return true;
        }
        return run_choice(m, step, number);
    case OP_SCALED:
        return run_scaled(m, step, number);
    default:
        return slow_step(m, step, number, bytes, kind);
    }
}

/* ---- the walk ---- */

static const struct wr_protobuf_step *find_step(const struct wr_protobuf_table *table, uint32_t number)
{
    if (number < table->dense_count) {
        return table->dense[number];
    }
    uint32_t low = 0;
    uint32_t high = table->sparse_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (table->sparse[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < table->sparse_count && table->sparse[low]->number == number ? table->sparse[low] : NULL;
}

/* A field by the general way; *at moves behind it. */
__attribute__((noinline)) static bool run_field(struct machine *m, const struct wr_protobuf_table *table,
                                                const uint8_t **at, const uint8_t *end)
{
    struct wr_proto_reader r = { *at, end, false };
    struct wr_proto_field field;
    if (!wr_proto_next(&r, &field)) {
        struct wr_proto_reader tag = { *at, end, false };
        uint64_t key = 0;
        (void)wr_proto_varint(&tag, &key);
        const struct wr_protobuf_step *step = find_step(table, (uint32_t)(key >> 3));
        return malformed(m, step != NULL && step->dotted != NULL ? step->dotted : table->dotted,
                         "a field's tag or bytes are cut off or not well formed");
    }
    *at = r.at;
    for (const struct wr_protobuf_step *s = find_step(table, field.number); s != NULL; s = s->also) {
        if (field.kind != s->kind && !(s->packs && field.kind == WR_PROTO_BYTES)) {
            return true; /* an unknown field, as everybody takes it */
        }
        for (uint32_t i = 0; i < s->clear_count; i++) {
            m->seen[s->clears[i].word] &= ~s->clears[i].mask;
        }
        if (!store(m, s, field.value, field.bytes, field.kind, end)) {
            return false;
        }
        if (s->bit != NO_BIT) {
            mark(m, s->bit);
        }
    }
    return true;
}

static bool run_fields(struct machine *m, const struct wr_protobuf_table *table,
                       struct wr_slice message)
{
    const uint8_t *at = (const uint8_t *)message.data;
    const uint8_t *end = at + message.bytes;
    while (at < end) {
        const struct wr_protobuf_step *step = *at < 0x80 ? table->fast[*at] : NULL;
        struct wr_slice bytes = { "", 0 };
        uint64_t number = 0;
        if (step == NULL) {
            if (!run_field(m, table, &at, end)) {
                return false;
            }
            continue;
        }
        at++;
        if (step->kind == WR_PROTO_FIXED64 || step->kind == WR_PROTO_FIXED32) {
            const size_t width = step->kind == WR_PROTO_FIXED64 ? 8 : 4;
            if ((size_t)(end - at) < width) {
                return malformed(m, step->dotted, too_early);
            }
            if (width == 8) {
                memcpy(&number, at, 8);
            } else {
                memcpy(&number, at, 4);
            }
            at += width;
        } else {
            if (!varint(&at, end, &number)) {
                return malformed(m, step->dotted, at == end ? too_early : "a number is longer than ten bytes");
            }
            if (step->kind == WR_PROTO_BYTES) {
                if (number > (uint64_t)(end - at)) {
                    return malformed(m, step->dotted, too_early);
                }
                bytes = (struct wr_slice){ (const char *)at, (size_t)number };
                at += number;
            }
        }
        if (!store(m, step, number, bytes, (enum wr_proto_kind)step->kind, end)) {
            return false;
        }
        mark(m, step->bit);
    }
    return true;
}

/* ---- the record's end ---- */

static bool set_null(struct machine *m, const struct wr_protobuf_leaf *leaf)
{
    if (leaf->not_null) {
        return failed(m, leaf->dotted, "column is NOT NULL, but the value is null or missing");
    }
    memset((char *)m->run->values[leaf->column] + (size_t)m->row * leaf->width, 0, leaf->width);
    wr_bit_clear(wr_batch_nullable(m->run->batch, leaf->column), m->row);
    return true;
}

static bool set_absent(struct machine *m, const struct wr_protobuf_leaf *leaf)
{
    const bool around = leaf->message == NO_BIT || is_marked(m, leaf->message);
    if (leaf->never || leaf->presence || !around) {
        return set_null(m, leaf);
    }
    if (leaf->zero_problem != NULL) {
        return failed(m, leaf->dotted, leaf->zero_problem);
    }
    memcpy((char *)m->run->values[leaf->column] + (size_t)m->row * leaf->width, &leaf->zero, leaf->width);
    return true;
}

static bool make_deferred(struct machine *m)
{
    for (uint32_t i = 0; i < m->program->leaf_count; i++) {
        const struct wr_protobuf_leaf *leaf = &m->program->leaves[i];
        union wr_scalar value;
        if (!leaf->deferred || !is_marked(m, i)) {
            continue;
        }
        if (!wr_protobuf_make(&m->run->work, leaf->shape, &m->run->lists[i], &m->run->batch->arena, &value)) {
            return stumbled(m, leaf->dotted);
        }
        memcpy((char *)m->run->values[leaf->column] + (size_t)m->row * leaf->width, &value, leaf->width);
    }
    return true;
}

static bool fill_absent(struct machine *m)
{
    const uint32_t count = m->program->leaf_count;
    for (uint32_t first = 0; first < count; first += 64) {
        const uint64_t all = count - first >= 64 ? UINT64_MAX : (1ULL << (count - first)) - 1;
        for (uint64_t absent = ~m->seen[first / 64] & all; absent != 0; absent &= absent - 1) {
            if (!set_absent(m, &m->program->leaves[first + (uint32_t)__builtin_ctzll(absent)])) {
                return false;
            }
        }
    }
    return true;
}

static void make_room(const struct wr_protobuf_program *program, struct wr_protobuf_run *run)
{
    const uint32_t words = program->bit_count / 64 + 1;
    if (run->words < words) {
        free(run->seen);
        run->seen = wr_calloc(words, sizeof(uint64_t));
        run->words = words;
    }
    if (run->columns < program->leaf_count) {
        free(run->lists);
        run->lists = wr_calloc(program->leaf_count, sizeof(struct wr_protobuf_list));
        run->columns = program->leaf_count;
    }
}

bool wr_protobuf_run_record(const struct wr_protobuf_program *program, struct wr_protobuf_run *run,
                            const char *data, size_t bytes, uint32_t row)
{
    if (__builtin_expect(run->words < program->bit_count / 64 + 1 || run->columns < program->leaf_count, 0)) {
        make_room(program, run);
    }
    struct machine m = { .program = program, .run = run, .seen = run->seen, .row = row };
    for (uint32_t w = 0; w <= program->bit_count / 64; w++) {
        run->seen[w] = 0;
    }
    run->work.unit_digits = program->unit_digits;
    wr_protobuf_work_begin(&run->work, bytes);
    return run_fields(&m, program->table, (struct wr_slice){ data, bytes }) &&
           (!program->defers || make_deferred(&m)) && fill_absent(&m);
}

void wr_protobuf_run_deinit(struct wr_protobuf_run *run)
{
    wr_protobuf_work_deinit(&run->work);
    free(run->seen);
    free(run->lists);
    memset(run, 0, sizeof *run);
}
