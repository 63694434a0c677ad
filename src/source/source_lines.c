/* source_lines.c: see source_lines.h. */
#include "source/source_lines.h"

#include "base/assert.h"
#include "base/heap.h"
#include "decode/csv.h"

/* ---- records ---- */

void wr_line_records_pool_init(struct wr_line_records_pool *pool, uint32_t rows)
{
    *pool = (struct wr_line_records_pool){ .rows = rows };
}

void wr_line_records_pool_deinit(struct wr_line_records_pool *pool)
{
    wr_assert(pool->out == 0);
    while (pool->free != NULL) {
        struct wr_line_records *records = pool->free;
        pool->free = records->next;
        free(records);
    }
}

static void release_records(struct wr_records *base)
{
    struct wr_line_records *records = (struct wr_line_records *)base;
    struct wr_line_records_pool *pool = base->owner;
    wr_block_release(records->block);
    records->block = NULL;
    records->next = pool->free;
    pool->free = records;
    pool->out--;
}

static struct wr_line_records *take_records(struct wr_line_records_pool *pool)
{
    struct wr_line_records *records = pool->free;
    if (records == NULL) {
        records = wr_malloc(sizeof *records + pool->rows * sizeof records->items[0]);
    } else {
        pool->free = records->next;
    }
    pool->out++;
    records->next = NULL;
    records->block = NULL;
    records->base = (struct wr_records){
        .items = records->items, .refs = 1, .release = release_records, .owner = pool
    };
    return records;
}

/* ---- line ends ---- */

/* Offset of the line end in data[0..bytes), or bytes. */
static size_t line_end(struct wr_cutter *c, const char *data, size_t bytes)
{
    if (c->csv) {
        return wr_csv_line_end(data, bytes, c->delimiter, c->quote, &c->state);
    }
    const char *found = memchr(data, '\n', bytes);
    return found == NULL ? bytes : (size_t)(found - data);
}

/* ---- lines too long for a block ---- */

/* More fields than any table has columns (WR_COLUMNS_MAX is far below, but a header may name
 * more). */
#define CSV_MARKS (64u << 10)

/* What makes sure that no decoder reads a cut line as a row: JSON has no raw line end and nothing
 * after a value, CSV no more fields than columns (an open quote stays open and is refused too). */
static void mark_cut(struct wr_cutter *c)
{
    struct wr_block *g = c->gathered;
    const size_t marks = c->csv ? CSV_MARKS : 0;
    static const char note[] = "\n(cut: the line is too long)";
    struct wr_block *marked = wr_block_create(g->end - g->begin + marks + sizeof note);
    memcpy(marked->data, g->data + g->begin, g->end - g->begin);
    marked->end = g->end - g->begin;
    marked->position = g->position;
    memset(marked->data + marked->end, c->delimiter, marks);
    marked->end += marks;
    memcpy(marked->data + marked->end, note, sizeof note - 1);
    marked->end += sizeof note - 1;
    wr_block_release(g);
    c->gathered = marked;
}

static void gather_bytes(struct wr_cutter *c, const char *data, size_t bytes)
{
    struct wr_block *g = c->gathered;
    const size_t held = g->end - g->begin;
    if (c->gathered_cut) {
        return;
    }
    if (bytes > c->bytes_max - held) {
        c->gathered_cut = true;
        g->end = g->begin + (held < WR_LINE_KEPT_BYTES ? held : WR_LINE_KEPT_BYTES);
        const size_t missing = g->begin + WR_LINE_KEPT_BYTES - g->end;
        bytes = bytes < missing ? bytes : missing;
        if (g->capacity - g->end < bytes) {
            return; /* what there is will do */
        }
        memcpy(g->data + g->end, data, bytes);
        g->end += bytes;
        return;
    }
    if (g->capacity - g->end < bytes) {
        struct wr_block *bigger = wr_block_create((g->end + bytes) * 2);
        memcpy(bigger->data, g->data + g->begin, held);
        bigger->end = held;
        bigger->position = g->position;
        wr_block_release(g);
        c->gathered = g = bigger;
    }
    memcpy(g->data + g->end, data, bytes);
    g->end += bytes;
}

static void gathered_ends(struct wr_cutter *c)
{
    c->gathered_whole = true;
    if (c->gathered_cut) {
        mark_cut(c);
    }
}

/* Goes on with the gathered line in a block that has just come. */
static void gather_from(struct wr_cutter *c)
{
    struct wr_block *block = c->block;
    const size_t bytes = block->end - c->line;
    const size_t end = line_end(c, block->data + c->line, bytes);
    gather_bytes(c, block->data + c->line, end);
    c->line += end;
    if (end < bytes) {
        c->line++;
        c->state = 0;
        gathered_ends(c);
    }
    c->seen = c->line;
}

void wr_cutter_deinit(struct wr_cutter *c)
{
    wr_block_release(c->block);
    wr_block_release(c->gathered);
    *c = (struct wr_cutter){ 0 };
}

void wr_cutter_feed(struct wr_cutter *c, struct wr_block *block)
{
    struct wr_block *old = c->block;
    const size_t tail = old == NULL ? 0 : old->end - c->line;
    wr_assert(!c->gathered_whole && !c->ended);
    c->block = block;
    if (c->gathered == NULL && tail <= block->begin) {
        if (tail > 0) {
            memcpy(block->data + block->begin - tail, old->data + c->line, tail);
        }
        block->begin -= tail;
        block->position -= (int64_t)tail;
        c->line = block->begin;
        c->seen = block->begin + tail;
    } else {
        if (c->gathered == NULL) {
            c->gathered = wr_block_create(tail * 2 + 4096);
            c->gathered->position = old->position + (int64_t)(c->line - old->begin);
            c->gathered_cut = false;
            gather_bytes(c, old->data + c->line, tail);
        }
        c->line = block->begin;
        gather_from(c);
    }
    wr_block_release(old);
}

static void set_record(struct wr_records *records, const char *data, size_t bytes,
                       int64_t position, int64_t timestamp_us)
{
    records->items[records->count++] = (struct wr_record){ .data = data,
                                                           .bytes = (uint32_t)bytes,
                                                           .position = position,
                                                           .timestamp_us = timestamp_us };
    records->payload_bytes += bytes;
}

/* NULL: it was an empty line. */
static struct wr_records *take_gathered(struct wr_cutter *c, int64_t timestamp_us)
{
    struct wr_block *g = c->gathered;
    size_t bytes = g->end - g->begin;
    bytes -= bytes > 0 && g->data[g->begin + bytes - 1] == '\r';
    c->gathered = NULL;
    c->gathered_whole = false;
    c->gathered_cut = false;
    c->next_position = c->block->position + (int64_t)(c->line - c->block->begin);
    if (bytes == 0) {
        wr_block_release(g);
        return NULL;
    }
    struct wr_line_records *records = take_records(c->records);
    set_record(&records->base, g->data + g->begin, bytes, g->position, timestamp_us);
    records->block = g; /* its reference moves */
    return &records->base;
}

/* Cuts lines of the current block into records until it ends or records are full. */
static void cut(struct wr_cutter *c, struct wr_records *records, uint32_t rows,
                int64_t timestamp_us)
{
    const char *data = c->block->data;
    const size_t end = c->block->end;
    const int64_t base = c->block->position - (int64_t)c->block->begin;
    while (records->count < rows && c->line < end) {
        size_t at = c->seen + line_end(c, data + c->seen, end - c->seen);
        if (at == end && !c->ended) {
            c->seen = end; /* (2) */
            break;
        }
        size_t bytes = at - c->line;
        bytes -= bytes > 0 && data[c->line + bytes - 1] == '\r';
        if (bytes > 0) {
            set_record(records, data + c->line, bytes, base + (int64_t)c->line, timestamp_us);
        }
        at += at < end;
        c->line = at;
        c->seen = at;
        c->state = 0;
    }
    c->next_position = base + (int64_t)c->line;
}

struct wr_records *wr_cutter_take(struct wr_cutter *c, uint32_t rows, int64_t timestamp_us)
{
    wr_assert(rows > 0 && rows <= c->records->rows);
    if (c->gathered != NULL && c->ended && !c->gathered_whole) {
        gathered_ends(c);
    }
    struct wr_records *gathered = c->gathered_whole ? take_gathered(c, timestamp_us) : NULL;
    if (gathered != NULL || c->gathered != NULL) {
        return gathered;
    }
    if (c->block == NULL || c->line == c->block->end) {
        return NULL;
    }
    struct wr_line_records *records = take_records(c->records);
    cut(c, &records->base, rows, timestamp_us);
    if (records->base.count == 0) {
        wr_records_release(&records->base);
        return NULL;
    }
    records->block = c->block;
    wr_block_retain(c->block);
    return &records->base;
}
