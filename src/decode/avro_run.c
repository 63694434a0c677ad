/* avro_run.c: the machine that carries out a program's steps; see avro_program.h. */
#include "decode/avro_nest.h"
#include "decode/fast_text.h"
#include <stdio.h>

/* Without it the cursor goes to memory and back around each call: half of a record's time. */
#define INLINE __attribute__((always_inline)) static inline

struct machine {
    struct wr_avro_cursor c;
    struct wr_avro_run *run;
    uint32_t row;
    const uint8_t *mark; /* one is enough: nothing but a leaf stands between a mark and its back */
};

__attribute__((cold, noinline)) static bool failed(struct machine *m, const struct wr_avro_step *step,
                                                   const char *message)
{
    m->run->field = step->dotted;
    snprintf(m->run->message, sizeof m->run->message, "%s",
             message != NULL ? message : "malformed Avro");
    return false;
}

/* What the cursor stumbled over. */
__attribute__((cold, noinline)) static bool stumbled(struct machine *m, const struct wr_avro_step *step)
{
    m->run->field = step->dotted;
    snprintf(m->run->message, sizeof m->run->message, "malformed Avro: %s", m->c.problem);
    return false;
}

__attribute__((cold, noinline)) static bool misfit_as(struct machine *m, struct wr_type wanted,
                                                      const char *shown)
{
    char name[32];
    snprintf(m->run->message, sizeof m->run->message, "%s is not a valid %s", shown,
             wr_type_name(wanted, name, sizeof name));
    return false;
}

static bool misfit(struct machine *m, const struct wr_avro_step *step, const char *shown)
{
    m->run->field = step->dotted;
    return misfit_as(m, step->type, shown);
}

INLINE void *slot(struct machine *m, const struct wr_avro_step *step)
{
    return (char *)m->run->values[step->column] + (size_t)m->row * step->width;
}

__attribute__((noinline)) static bool set_null(struct machine *m, const struct wr_avro_step *step)
{
    if (step->not_null) {
        return failed(m, step, "column is NOT NULL, but the value is null or missing");
    }
    memset(slot(m, step), 0, step->width);
    wr_bit_clear(wr_batch_nullable(m->run->batch, step->column), m->row);
    return true;
}

__attribute__((noinline)) static bool run_value(struct machine *m, const struct wr_avro_step *step,
                                                uint32_t unit_digits)
{
    union wr_scalar value;
    char shown[64];
    if (!wr_avro_read(&m->c, step->node, step->type, unit_digits, &m->run->batch->arena, &value,
                      shown)) {
        return shown[0] != '\0' ? misfit(m, step, shown) : stumbled(m, step);
    }
    memcpy(slot(m, step), &value, step->width);
    return true;
}

__attribute__((noinline)) static bool run_json(struct machine *m, const struct wr_avro_step *step)
{
    struct wr_buf buf = { 0 };
    const bool made = wr_avro_json(&m->c, step->node, 0, &buf);
    if (made) {
        *(struct wr_view *)slot(m, step) =
            wr_view_of(wr_arena_strndup(&m->run->batch->arena, buf.data, buf.bytes), buf.bytes);
    }
    wr_buf_deinit(&buf);
    return made || stumbled(m, step);
}

__attribute__((noinline)) static bool run_nested(struct machine *m, const struct wr_avro_step *step,
                                                 uint32_t unit_digits)
{
    struct wr_avro_nest_run run = { .c = &m->c,
                                    .writer = m->run->writer,
                                    .arena = &m->run->batch->arena,
                                    .unit_digits = unit_digits };
    if (wr_avro_nest_run(step->nest, &run, slot(m, step))) {
        return true;
    }
    wr_nested_path_text(&run.path, step->dotted, m->run->path, sizeof m->run->path);
    if (run.refused != NULL) {
        (void)failed(m, step, run.refused);
    } else if (run.shown[0] != '\0') {
        (void)misfit_as(m, run.wanted, run.shown);
    } else {
        (void)stumbled(m, step);
    }
    m->run->field = m->run->path;
    return false;
}

/* ---- the fast steps: they work on a copy of the cursor that stays in registers ---- */

__attribute__((cold, noinline)) static bool trip(struct machine *m, const struct wr_avro_step *step,
                                                 const char *problem)
{
    m->c.problem = problem;
    return stumbled(m, step);
}

__attribute__((cold, noinline)) static bool out_of_range(struct machine *m, const struct wr_avro_step *step,
                                                         int64_t number)
{
    char shown[32];
    snprintf(shown, sizeof shown, "%lld", (long long)number);
    return misfit(m, step, shown);
}

static const char too_early[] = "the record ends too early";

/* problem: what wr_avro_long_slow said. */
INLINE bool fast_long(struct wr_avro_cursor *c, struct machine *m, const struct wr_avro_step *step,
                             int64_t *number)
{
    return wr_avro_long(c, number) || trip(m, step, c->problem);
}

INLINE bool fast_text(struct wr_avro_cursor *c, struct machine *m, const struct wr_avro_step *step,
                             struct wr_slice *text)
{
    int64_t bytes = 0;
    if (!fast_long(c, m, step, &bytes)) {
        return false;
    }
    if ((uint64_t)bytes > (uint64_t)(c->end - c->at)) {
        return trip(m, step, bytes < 0 ? "a length is negative" : too_early);
    }
    *text = (struct wr_slice){ (const char *)c->at, (size_t)bytes };
    c->at += bytes;
    return true;
}

/* bytes of the record as they are, into the column, or (into NULL) nowhere. */
INLINE bool fast_copy(struct wr_avro_cursor *c, struct machine *m, const struct wr_avro_step *step,
                             void *into, size_t bytes)
{
    if ((size_t)(c->end - c->at) < bytes) {
        return trip(m, step, too_early);
    }
    if (into != NULL) {
        memcpy(into, c->at, bytes);
    }
    c->at += bytes;
    return true;
}

INLINE bool fast_index(struct wr_avro_cursor *c, struct machine *m, const struct wr_avro_step *step,
                              const char *problem, uint32_t *index)
{
    int64_t number = 0;
    if (!fast_long(c, m, step, &number)) {
        return false;
    }
    if ((uint64_t)number >= step->count) {
        return trip(m, step, problem);
    }
    *index = (uint32_t)number;
    return true;
}

/* The union's index before an optional value. *null: the value is NULL, and done. */
INLINE bool fast_optional(struct wr_avro_cursor *c, struct machine *m,
                                 const struct wr_avro_step *step, bool *null)
{
    int64_t index = 0;
    if (!fast_long(c, m, step, &index)) {
        return false;
    }
    if (index == step->null_index) {
        *null = true;
        return step->op >= OP_SKIP_LONG || set_null(m, step);
    }
    return index == 1 - (int64_t)step->null_index || trip(m, step, "a union's index is out of range");
}

static bool run_steps(const struct wr_avro_program *program, struct machine *m, uint32_t first);

/* The value of a key that is asked for, or over it. seen: per key, whether it was there. */
static bool run_entry(const struct wr_avro_program *program, struct machine *m,
                      const struct wr_avro_step *step, bool *seen)
{
    const struct wr_avro_map_keys *map = step->map;
    struct wr_slice name;
    if (!wr_avro_bytes(&m->c, &name)) {
        return stumbled(m, step);
    }
    for (uint32_t k = 0; k < map->count; k++) {
        if (!seen[k] && wr_slice_equal(map->keys[k].name, name)) {
            seen[k] = true;
            return run_steps(program, m, map->keys[k].found);
        }
    }
    return wr_avro_skip(&m->c, map->values, 0) || stumbled(m, step);
}

__attribute__((noinline)) static bool run_map(const struct wr_avro_program *program,
                                              struct machine *m, const struct wr_avro_step *step)
{
    bool seen[WR_COLUMNS_MAX] = { false };
    uint64_t items = 0;
    int64_t bytes;
    bool fine = true;
    do {
        if (!wr_avro_block(&m->c, &items, &bytes)) {
            return stumbled(m, step);
        }
        for (uint64_t i = 0; i < items && fine; i++) {
            fine = run_entry(program, m, step, seen);
        }
    } while (items > 0 && fine);
    for (uint32_t k = 0; k < step->map->count && fine; k++) {
        fine = seen[k] || run_steps(program, m, step->map->keys[k].missing);
    }
    return fine;
}

/* Steps that call out work on the machine's own cursor. */
static bool slow_step(const struct wr_avro_program *program, struct machine *m,
                      const struct wr_avro_step *step)
{
    switch ((enum wr_avro_op)step->op) {
    case OP_VALUE:
        return run_value(m, step, program->unit_digits);
    case OP_JSON:
        return run_json(m, step);
    case OP_NESTED:
        return run_nested(m, step, program->unit_digits);
    case OP_SKIP_NODE:
        return wr_avro_skip(&m->c, step->node, 0) || stumbled(m, step);
    case OP_NULL:
        return set_null(m, step);
    case OP_MAP:
        return run_map(program, m, step);
    default:
        return failed(m, step, step->message);
    }
}

/* One leaf or skip. */
INLINE bool fast_step(const struct wr_avro_program *program, struct machine *m,
                             struct wr_avro_cursor *c, const struct wr_avro_step *step)
{
    struct wr_slice bytes = { "", 0 };
    int64_t number = 0;
    uint32_t index = 0;
    switch ((enum wr_avro_op)step->op) {
    case OP_INT64:
        if (!fast_long(c, m, step, &number)) {
            return false;
        }
        *(int64_t *)slot(m, step) = number;
        return true;
    case OP_INT32:
        if (!fast_long(c, m, step, &number)) {
            return false;
        }
        *(int32_t *)slot(m, step) = (int32_t)number;
        return number == (int32_t)number || out_of_range(m, step, number);
    case OP_SCALED:
        return fast_long(c, m, step, &number) &&
               (!__builtin_mul_overflow(number, step->factor, (int64_t *)slot(m, step)) ||
                out_of_range(m, step, number));
    case OP_FLOAT32:
        return fast_copy(c, m, step, slot(m, step), 4);
    case OP_FLOAT64:
        return fast_copy(c, m, step, slot(m, step), 8);
    case OP_WIDEN: {
        float narrow = 0;
        const bool there = fast_copy(c, m, step, &narrow, 4);
        *(double *)slot(m, step) = (double)narrow;
        return there;
    }
    case OP_BOOL:
        return fast_copy(c, m, step, slot(m, step), 1) &&
               (*(uint8_t *)slot(m, step) <= 1 || trip(m, step, "a boolean is neither 0 nor 1"));
    case OP_TEXT:
    case OP_BYTES:
        if (!fast_text(c, m, step, &bytes)) {
            return false;
        }
        if (step->op == OP_TEXT && !wr_fast_utf8(bytes.data, bytes.bytes)) {
            return trip(m, step, "a string is not UTF-8");
        }
        *(struct wr_view *)slot(m, step) = wr_fast_view(bytes.data, bytes.bytes, c->end);
        return true;
    case OP_ENUM:
        if (!fast_index(c, m, step, "an enum's index is out of range", &index)) {
            return false;
        }
        *(struct wr_view *)slot(m, step) = step->symbols[index];
        return true;
    case OP_SKIP_LONG:
        return fast_long(c, m, step, &number);
    case OP_SKIP_BYTES:
        return fast_text(c, m, step, &bytes);
    case OP_SKIP_COUNT:
        return fast_copy(c, m, step, NULL, step->bytes);
    case OP_SET:
        memcpy(slot(m, step), step->set, step->width);
        return true;
    default: {
        m->c.at = c->at;
        const bool fine = slow_step(program, m, step);
        c->at = m->c.at;
        return fine;
    }
    }
}

static bool run_steps(const struct wr_avro_program *program, struct machine *m, uint32_t first)
{
    struct wr_avro_cursor c = m->c;
    uint32_t index = 0;
    for (const struct wr_avro_step *step = &program->steps[first];; step++) {
        bool null = false;
        if (step->null_index != NOT_OPTIONAL) {
            if (!fast_optional(&c, m, step, &null)) {
                return false;
            }
            if (null) {
                continue;
            }
        }
        switch ((enum wr_avro_op)step->op) {
        case OP_END:
        case OP_RETURN:
            m->c.at = c.at;
            return true;
        case OP_UNION:
            if (!fast_index(&c, m, step, "a union's index is out of range", &index)) {
                return false;
            }
            step = &program->steps[program->jumps[step->jump + index]] - 1;
            break;
        case OP_JUMP:
            step = &program->steps[step->jump] - 1;
            break;
        case OP_MARK:
            m->mark = c.at;
            break;
        case OP_BACK:
            c.at = m->mark;
            break;
        default:
            if (!fast_step(program, m, &c, step)) {
                return false;
            }
        }
    }
}

bool wr_avro_run(const struct wr_avro_program *program, struct wr_avro_run *run, const char *data,
                 size_t bytes, uint32_t row)
{
    struct machine m = { .c = { .at = (const uint8_t *)data,
                                .end = (const uint8_t *)data + bytes,
                                .budget = wr_avro_budget(bytes) },
                         .run = run,
                         .row = row };
    if (!run_steps(program, &m, 0)) {
        return false;
    }
    if (m.c.at != m.c.end) {
        run->field = NULL;
        snprintf(run->message, sizeof run->message,
                 "malformed Avro: %zu bytes are left after the record's last field",
                 (size_t)(m.c.end - m.c.at));
        return false;
    }
    return true;
}
