/* file_avro.c: see file_avro.h. */
#include "source/file_avro.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/text.h"
#include "decode/avro_value.h"
#include <stdio.h>

/* What a dead letter keeps of a damaged part. */
#define KEPT_BYTES (64u << 10)
/* A buffer that one giant block made larger than this is given back. */
#define BUFFER_KEPT_BYTES (4u << 20)

/* A schema that files were written with. */
struct wr_avro_writer_schema {
    struct wr_avro_writer_schema *next;
    struct wr_avro_schema *schema; /* NULL: it cannot be read */
    size_t bytes;
    char problem[160];
    char text[];
};

struct wr_avro_records {
    struct wr_records base; /* first: records and this are the same address */
    struct wr_avro_records *next;
    struct wr_block *block;
    const struct wr_avro_writer_schema *schema; /* NULL: the file has no header */
    char damage[200];                           /* not empty: the one record is no row */
    struct wr_record items[];
};

/* ---- records ---- */

void wr_avro_pool_init(struct wr_avro_pool *pool, uint32_t rows)
{
    *pool = (struct wr_avro_pool){ .rows = rows };
}

void wr_avro_pool_deinit(struct wr_avro_pool *pool)
{
    wr_assert(pool->out == 0);
    while (pool->free != NULL) {
        struct wr_avro_records *records = pool->free;
        pool->free = records->next;
        free(records);
    }
    while (pool->schemas != NULL) {
        struct wr_avro_writer_schema *schema = pool->schemas;
        pool->schemas = schema->next;
        wr_avro_schema_destroy(schema->schema);
        free(schema);
    }
    wr_avro_unpack_deinit(&pool->unpack);
}

static void release_records(struct wr_records *base)
{
    struct wr_avro_records *records = (struct wr_avro_records *)base;
    struct wr_avro_pool *pool = base->owner;
    wr_block_release(records->block);
    records->block = NULL;
    records->next = pool->free;
    pool->free = records;
    pool->out--;
}

/* Of base nothing but the items: it may be a copy. */
static struct wr_slice header(const struct wr_records *base, uint32_t index, const char *name)
{
    const struct wr_avro_records *records = base->items[index].handle;
    if (strcmp(name, "avro.schema") == 0 && records->schema != NULL) {
        return (struct wr_slice){ records->schema->text, records->schema->bytes };
    }
    if (records->damage[0] != '\0' && strcmp(name, "weir.damage") == 0) {
        return wr_slice_of(records->damage);
    }
    return (struct wr_slice){ 0 };
}

static struct wr_slice headers_json(const struct wr_records *base, uint32_t index, void *into)
{
    static const char *const names[] = { "avro.schema", "weir.damage" };
    struct wr_buf *buf = into;
    const size_t begin = buf->bytes;
    for (uint32_t i = 0; i < 2; i++) {
        const struct wr_slice value = header(base, index, names[i]);
        if (value.data != NULL) {
            wr_buf_printf(buf, "%s\"%s\":", buf->bytes == begin ? "{" : ",", names[i]);
            wr_text_json_string(buf, value.data, value.bytes);
        }
    }
    if (buf->bytes > begin) {
        wr_buf_byte(buf, '}');
    }
    return (struct wr_slice){ buf->data + begin, buf->bytes - begin };
}

static struct wr_avro_records *take_records(struct wr_avro_cutter *c)
{
    struct wr_avro_pool *pool = c->pool;
    struct wr_avro_records *records = pool->free;
    if (records == NULL) {
        records = wr_malloc(sizeof *records + pool->rows * sizeof records->items[0]);
    } else {
        pool->free = records->next;
    }
    pool->out++;
    records->next = NULL;
    records->block = NULL;
    records->schema = c->schema;
    records->damage[0] = '\0';
    records->base = (struct wr_records){ .items = records->items,
                                         .refs = 1,
                                         .release = release_records,
                                         .headers_json = headers_json,
                                         .header = header,
                                         .owner = pool };
    return records;
}

static void set_record(struct wr_avro_cutter *c, struct wr_avro_records *records, const char *data,
                       size_t bytes)
{
    records->items[records->base.count++] = (struct wr_record){ .data = data,
                                                                .bytes = (uint32_t)bytes,
                                                                .position = c->row++,
                                                                .timestamp_us = WR_RECORD_NO_TIME,
                                                                .handle = records };
    records->base.payload_bytes += bytes;
    c->given++;
}

/* ---- making one ---- */

void wr_avro_cutter_init(struct wr_avro_cutter *c, struct wr_avro_pool *pool, int64_t row,
                         struct wr_avro_place place)
{
    *c = (struct wr_avro_cutter){
        .pool = pool, .row = row, .skip = place.given, .jump = place.block
    };
}

void wr_avro_cutter_deinit(struct wr_avro_cutter *c)
{
    wr_block_release(c->block);
    wr_buf_deinit(&c->pending);
    wr_buf_deinit(&c->lost_bytes);
    *c = (struct wr_avro_cutter){ 0 };
}

/* (1) */
static void consume(struct wr_avro_cutter *c, size_t bytes)
{
    c->at += bytes;
    c->offset += (int64_t)bytes;
}

void wr_avro_cutter_feed(struct wr_avro_cutter *c, const struct wr_block *block)
{
    /* Moved down only when what is done is at least as much as what is moved: each byte once on average. */
    const size_t left = c->pending.bytes - c->at;
    if (c->at > 0 && c->at >= left) {
        memmove(c->pending.data, c->pending.data + c->at, left);
        c->pending.bytes = left;
        c->at = 0;
    }
    if (left == 0 && c->pending.capacity > BUFFER_KEPT_BYTES) {
        wr_buf_deinit(&c->pending);
    }
    wr_buf_append(&c->pending, block->data + block->begin, block->end - block->begin);
}

bool wr_avro_cutter_jumps(struct wr_avro_cutter *c, int64_t *offset)
{
    if (c->jump == 0 || c->schema == NULL) {
        return false;
    }
    c->pending.bytes = 0;
    c->at = 0;
    c->offset = *offset = c->jump;
    c->jump = 0;
    return true;
}

struct wr_avro_place wr_avro_cutter_place(const struct wr_avro_cutter *c)
{
    return c->block != NULL ? (struct wr_avro_place){ c->block_offset, c->given }
                            : (struct wr_avro_place){ c->offset, 0 };
}

static struct wr_avro_writer_schema *find_schema(struct wr_avro_pool *pool, struct wr_slice text)
{
    struct wr_error err;
    for (struct wr_avro_writer_schema *s = pool->schemas; s != NULL; s = s->next) {
        if (s->bytes == text.bytes && memcmp(s->text, text.data, text.bytes) == 0) {
            return s;
        }
    }
    struct wr_avro_writer_schema *made = wr_calloc(1, sizeof *made + text.bytes + 1);
    made->bytes = text.bytes;
    memcpy(made->text, text.data, text.bytes);
    if (wr_avro_schema_parse(&made->schema, &text, 1, &err) != WR_OK) {
        (void)snprintf(made->problem, sizeof made->problem, "%.150s", err.message);
    }
    made->next = pool->schemas;
    pool->schemas = made;
    return made;
}

/* ---- damage ---- */

/* Steps over bytes that are part of what is lost. */
static void lose(struct wr_avro_cutter *c, size_t bytes)
{
    const size_t room = KEPT_BYTES - c->lost_bytes.bytes;
    wr_buf_append(&c->lost_bytes, c->pending.data + c->at, bytes < room ? bytes : room);
    c->lost_count += bytes;
    consume(c, bytes);
}

static void begin_loss(struct wr_avro_cutter *c, const char *why)
{
    c->lost = true;
    c->lost_bytes.bytes = 0;
    c->lost_count = 0;
    c->block_offset = c->offset;
    c->given = 0;
    (void)snprintf(c->damage, sizeof c->damage, "%.140s", why);
}

/* The one record that stands for it; NULL: an earlier run had it. */
static struct wr_records *damaged(struct wr_avro_cutter *c, const char *data, size_t bytes,
                                  const char *why)
{
    if (c->skip > 0) {
        c->skip--;
        return NULL;
    }
    struct wr_avro_records *records = take_records(c);
    const size_t kept = bytes < KEPT_BYTES ? bytes : KEPT_BYTES;
    records->block = wr_block_create(kept + 1);
    memcpy(records->block->data, data, kept);
    (void)snprintf(records->damage, sizeof records->damage, "%s (block at byte %lld, %zu bytes)", why,
                   (long long)c->block_offset, bytes);
    set_record(c, records, records->block->data, kept);
    return &records->base;
}

static struct wr_records *end_loss(struct wr_avro_cutter *c)
{
    c->lost = false;
    struct wr_records *records = damaged(c, c->lost_bytes.data != NULL ? c->lost_bytes.data : "",
                                         c->lost_count, c->damage);
    wr_buf_deinit(&c->lost_bytes);
    return records;
}

/* Looks for the next sync marker. False: more bytes are needed. */
static bool resync(struct wr_avro_cutter *c)
{
    const char *from = c->pending.data + c->at;
    const size_t bytes = c->pending.bytes - c->at;
    const char *found = c->no_file ? NULL : memmem(from, bytes, c->sync, WR_AVRO_SYNC_BYTES);
    if (found != NULL) {
        lose(c, (size_t)(found - from));
        consume(c, WR_AVRO_SYNC_BYTES);
        return true;
    }
    /* A marker may have begun to come. */
    lose(c, c->ended ? bytes : bytes < WR_AVRO_SYNC_BYTES ? 0 : bytes - (WR_AVRO_SYNC_BYTES - 1));
    return c->ended;
}

/* ---- blocks ---- */

/* WR_AGAIN: more bytes are needed. */
static wr_status read_header(struct wr_avro_cutter *c)
{
    struct wr_avro_header head;
    struct wr_error err;
    const char *from = c->pending.data + c->at;
    const size_t bytes = c->pending.bytes - c->at;
    if (bytes == 0) {
        return c->ended ? WR_END : WR_AGAIN; /* an empty file has no rows */
    }
    const wr_status status = wr_avro_header_read(&head, from, bytes, &err);
    if (status == WR_OK) {
        c->schema = find_schema(c->pool, head.schema);
        c->codec = head.codec;
        memcpy(c->sync, head.sync, sizeof c->sync);
        consume(c, head.bytes);
        return WR_OK;
    }
    if (status == WR_FAIL || c->ended) {
        c->no_file = true;
        c->skip = c->jump > 0 ? 1 : c->skip; /* an earlier run had said so */
        c->jump = 0;
        begin_loss(c, status == WR_FAIL ? err.message : "the file ends within its header");
        return WR_OK;
    }
    return WR_AGAIN;
}

/* Makes the records of a whole block the ones at hand. */
static wr_status open_block(struct wr_avro_cutter *c, uint64_t count, struct wr_slice packed,
                            struct wr_error *err)
{
    struct wr_slice bytes;
    if (c->schema->schema == NULL) {
        return wr_fail(err, WR_CLASS_DATA, "%s", c->schema->problem);
    }
    const struct wr_slice text = { c->schema->text, c->schema->bytes };
    /* Records may be empty, but nobody means this. */
    wr_ensure(count <= WR_AVRO_BLOCK_BYTES_MAX, err, WR_CLASS_DATA, "a block says that it has %llu records",
              (unsigned long long)count);
    WR_TRY(wr_avro_unpack_block(&c->pool->unpack, c->codec, text, count, packed, &bytes, err));
    c->block = wr_block_create(bytes.bytes + 1);
    memcpy(c->block->data, bytes.data, bytes.bytes);
    c->block->begin = 0;
    c->block->end = bytes.bytes;
    c->next = 0;
    c->left = count;
    if (c->pool->unpack.out.capacity > BUFFER_KEPT_BYTES) {
        wr_buf_deinit(&c->pool->unpack.out);
    }
    return WR_OK;
}

/* WR_OK: there is a block at hand, or a loss, or *out; WR_AGAIN: more bytes are needed; WR_END: there is no more. */
static wr_status next_block(struct wr_avro_cutter *c, struct wr_records **out)
{
    struct wr_error err;
    const char *from = c->pending.data + c->at;
    const size_t bytes = c->pending.bytes - c->at;
    uint64_t count = 0;
    size_t size = 0;
    size_t head = 0;
    if (bytes == 0) {
        return c->ended ? WR_END : WR_AGAIN;
    }
    wr_status status = wr_avro_block_read(from, bytes, &count, &size, &head, &err);
    if (status == WR_OK && bytes < head + size + WR_AVRO_SYNC_BYTES) {
        status = WR_AGAIN;
    }
    if (status == WR_AGAIN && !c->ended) {
        return WR_AGAIN;
    }
    if (status != WR_OK) {
        begin_loss(c, status == WR_AGAIN ? "the file ends within a block" : err.message);
        return WR_OK;
    }
    if (memcmp(from + head + size, c->sync, WR_AVRO_SYNC_BYTES) != 0) {
        begin_loss(c, "a block does not end with the file's sync marker");
        return WR_OK;
    }
    c->block_offset = c->offset;
    c->given = 0;
    const struct wr_slice packed = { from + head, size };
    consume(c, head + size + WR_AVRO_SYNC_BYTES);
    if (open_block(c, count, packed, &err) != WR_OK) {
        char why[180];
        (void)snprintf(why, sizeof why, "%.110s; its %llu records are lost", err.message,
                       (unsigned long long)count);
        *out = damaged(c, packed.data, packed.bytes, why);
    }
    return WR_OK;
}

static void close_block(struct wr_avro_cutter *c)
{
    wr_block_release(c->block);
    c->block = NULL;
}

/* Where the record at hand ends; NULL: problem says why nobody knows. */
static const char *record_end(const struct wr_avro_cutter *c, const char **problem)
{
    const uint8_t *from = (const uint8_t *)c->block->data + c->next;
    const size_t bytes = c->block->end - c->next;
    struct wr_avro_cursor cursor = { .at = from, .end = from + bytes, .budget = wr_avro_budget(bytes) };
    if (!wr_avro_skip(&cursor, c->schema->schema->root, 0)) {
        *problem = cursor.problem;
        return NULL;
    }
    return (const char *)cursor.at;
}

static void cut(struct wr_avro_cutter *c, struct wr_avro_records *records, uint32_t rows,
                const char **problem)
{
    while (records->base.count < rows && c->left > 0) {
        const char *end = record_end(c, problem);
        if (end == NULL) {
            return;
        }
        const char *from = c->block->data + c->next;
        c->next = (size_t)(end - c->block->data);
        c->left--;
        if (c->skip > 0) {
            c->skip--;
            c->given++;
        } else {
            set_record(c, records, from, (size_t)(end - from));
        }
    }
}

/* What is left of a block whose records cannot be told apart any more. */
static struct wr_records *rest_of_block(struct wr_avro_cutter *c, const char *problem)
{
    char why[180];
    const char *from = c->block->data + c->next;
    const size_t bytes = c->block->end - c->next;
    if (problem != NULL) {
        (void)snprintf(why, sizeof why, "malformed Avro: %.60s; %llu records of the block are lost", problem,
                       (unsigned long long)c->left);
    } else {
        (void)snprintf(why, sizeof why, "malformed Avro: bytes are left after the block's last record");
    }
    struct wr_records *records = damaged(c, from, bytes, why);
    close_block(c);
    return records;
}

static struct wr_records *take_from_block(struct wr_avro_cutter *c, uint32_t rows)
{
    const char *problem = NULL;
    struct wr_avro_records *records = take_records(c);
    cut(c, records, rows, &problem);
    if (records->base.count > 0) {
        records->block = c->block;
        wr_block_retain(c->block);
        if (c->left == 0 && c->next == c->block->end) {
            close_block(c);
        }
        return &records->base;
    }
    wr_records_release(&records->base);
    if (problem != NULL || c->next < c->block->end) {
        return rest_of_block(c, problem);
    }
    close_block(c);
    return NULL;
}

struct wr_records *wr_avro_cutter_take(struct wr_avro_cutter *c, uint32_t rows)
{
    rows = rows < c->pool->rows ? rows : c->pool->rows;
    for (;;) {
        struct wr_records *records = NULL;
        if (c->jump > 0 && c->schema != NULL) {
            return NULL;
        }
        if (c->lost) {
            if (!resync(c)) {
                return NULL;
            }
            records = end_loss(c);
        } else if (c->block != NULL) {
            records = take_from_block(c, rows);
        } else {
            const wr_status status = c->schema == NULL && !c->no_file ? read_header(c)
                                                                      : next_block(c, &records);
            if (status != WR_OK) {
                return NULL;
            }
        }
        if (records != NULL) {
            return records;
        }
    }
}
