/* snapshot.c: see snapshot.h. */
#include "state/snapshot.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/heap.h"
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#define MAGIC "WRSN"
#define VERSION 1u
#define BLOCK_RAW_BYTES (1u << 20) /* a block is closed once it has this much: enough for zstd's window */
#define BLOCK_RAW_MAX (1u << 30)   /* more than any record that can be made (limits.h); bounds what a damaged length may ask for */
#define NAME_BYTES_MAX (64u << 10)
#define LEVEL 1
/* With more than this in a writer (a large state's first snapshot) full blocks are packed as they are told: it would else be
 * in memory twice. Below, packing is left to finish, off the worker. */
#define PACK_FROM_BYTES (8u << 20)

struct block {
    struct wr_buf records; /* raw, or packed already */
    uint32_t name;         /* index */
    uint32_t raw;          /* bytes, when packed; else 0 */
};

struct wr_snapshot_writer {
    char **names;
    uint32_t *open; /* per name: block that still takes records, UINT32_MAX: none */
    uint32_t name_count;
    struct block *blocks;
    uint32_t block_count;
    uint32_t block_capacity;
    uint64_t raw_bytes;
    ZSTD_CCtx *context;    /* of pack_early; NULL: nothing was large yet */
    struct wr_buf scratch;
};

struct wr_snapshot_writer *wr_snapshot_writer_create(void)
{
    return wr_calloc(1, sizeof(struct wr_snapshot_writer));
}

static void forget_blocks(struct wr_snapshot_writer *writer)
{
    for (uint32_t i = 0; i < writer->block_count; i++) {
        wr_buf_deinit(&writer->blocks[i].records);
    }
    for (uint32_t i = 0; i < writer->name_count; i++) {
        writer->open[i] = UINT32_MAX;
    }
    writer->block_count = 0;
    writer->raw_bytes = 0;
}

void wr_snapshot_writer_destroy(struct wr_snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    forget_blocks(writer);
    for (uint32_t i = 0; i < writer->name_count; i++) {
        free(writer->names[i]);
    }
    free(writer->names);
    free(writer->open);
    free(writer->blocks);
    ZSTD_freeCCtx(writer->context);
    wr_buf_deinit(&writer->scratch);
    free(writer);
}

static uint32_t name_index(struct wr_snapshot_writer *writer, const char *name)
{
    for (uint32_t i = 0; i < writer->name_count; i++) {
        if (strcmp(writer->names[i], name) == 0) {
            return i;
        }
    }
    wr_assert(name[0] != '\0' && strlen(name) <= NAME_BYTES_MAX);
    const uint32_t index = writer->name_count++;
    writer->names = wr_realloc(writer->names, sizeof *writer->names * writer->name_count);
    writer->open = wr_realloc(writer->open, sizeof *writer->open * writer->name_count);
    writer->names[index] = wr_strdup(name);
    writer->open[index] = UINT32_MAX;
    return index;
}

static struct block *new_block(struct wr_snapshot_writer *writer, uint32_t name)
{
    if (writer->block_count == writer->block_capacity) {
        writer->block_capacity = writer->block_capacity * 2 + 8;
        writer->blocks = wr_realloc(writer->blocks, sizeof *writer->blocks * writer->block_capacity);
    }
    writer->open[name] = writer->block_count;
    struct block *block = &writer->blocks[writer->block_count++];
    *block = (struct block){ .name = name };
    return block;
}

/* What cannot be packed stays as it is: finish tells why. */
static void pack_early(struct wr_snapshot_writer *writer, struct block *block)
{
    struct wr_buf packed = { 0 };
    const size_t bound = ZSTD_compressBound(block->records.bytes);
    if (writer->context == NULL) {
        writer->context = ZSTD_createCCtx();
        wr_assert(writer->context != NULL);
    }
    writer->scratch.bytes = 0;
    char *at = wr_buf_reserve(&writer->scratch, bound);
    const size_t bytes = ZSTD_compressCCtx(writer->context, at, bound, block->records.data,
                                           block->records.bytes, LEVEL);
    if (!ZSTD_isError(bytes)) {
        block->raw = (uint32_t)block->records.bytes;
        wr_buf_append(&packed, at, bytes);
        wr_buf_deinit(&block->records);
        block->records = packed;
    }
}

void wr_snapshot_add(struct wr_snapshot_writer *writer, const char *operator_name,
                     const void *records, size_t bytes)
{
    if (bytes == 0) {
        return;
    }
    wr_assert(bytes <= BLOCK_RAW_MAX - BLOCK_RAW_BYTES);
    const uint32_t name = name_index(writer, operator_name);
    struct block *block = writer->open[name] == UINT32_MAX ? new_block(writer, name)
                                                           : &writer->blocks[writer->open[name]];
    wr_buf_append(&block->records, records, bytes);
    writer->raw_bytes += bytes;
    if (block->records.bytes >= BLOCK_RAW_BYTES) {
        writer->open[name] = UINT32_MAX;
        if (writer->raw_bytes > PACK_FROM_BYTES) {
            pack_early(writer, block);
        }
    }
}

bool wr_snapshot_is_empty(const struct wr_snapshot_writer *writer)
{
    return writer->block_count == 0;
}

uint64_t wr_snapshot_raw_bytes(const struct wr_snapshot_writer *writer)
{
    return writer->raw_bytes;
}

static void put_u32(struct wr_buf *into, uint32_t value)
{
    const uint8_t bytes[4] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                               (uint8_t)(value >> 24) };
    wr_buf_append(into, bytes, sizeof bytes);
}

static wr_status put_block(ZSTD_CCtx *context, const struct block *block, const char *name,
                           struct wr_buf *object, uint32_t *chain, struct wr_error *err)
{
    const size_t start = object->bytes;
    const size_t header = 4 + strlen(name) + 12;
    const uint32_t raw = block->raw != 0 ? block->raw : (uint32_t)block->records.bytes;
    const size_t bound =
        block->raw != 0 ? block->records.bytes : ZSTD_compressBound(block->records.bytes);
    char *at = wr_buf_reserve(object, header + bound);
    size_t packed = block->records.bytes;
    if (block->raw != 0) {
        memcpy(at + header, block->records.data, packed);
    } else {
        packed = ZSTD_compressCCtx(context, at + header, bound, block->records.data,
                                   block->records.bytes, LEVEL);
    }
    wr_ensure(!ZSTD_isError(packed), err, WR_CLASS_FATAL, "cannot compress the snapshot of %s: %s",
              name, ZSTD_getErrorName(packed));
    put_u32(object, (uint32_t)strlen(name));
    wr_buf_text(object, name);
    put_u32(object, raw);
    put_u32(object, (uint32_t)packed);
    put_u32(object, wr_crc32c(0, at + header, packed));
    *chain = wr_crc32c(*chain, object->data + start, header);
    object->bytes += packed;
    return WR_OK;
}

wr_status wr_snapshot_finish(struct wr_snapshot_writer *writer, struct wr_buf *object,
                             struct wr_error *err)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    const size_t start = object->bytes;
    wr_status status = WR_OK;
    wr_assert(context != NULL);
    wr_buf_text(object, MAGIC);
    put_u32(object, VERSION);
    uint32_t chain = wr_crc32c(0, object->data + start, 8);
    for (uint32_t i = 0; i < writer->block_count && status == WR_OK; i++) {
        struct block *block = &writer->blocks[i];
        status = put_block(context, block, writer->names[block->name], object, &chain, err);
        wr_buf_deinit(&block->records); /* a large state's would else be there twice */
    }
    ZSTD_freeCCtx(context);
    if (status != WR_OK) {
        object->bytes = start;
        return status;
    }
    put_u32(object, 0);
    put_u32(object, writer->block_count);
    put_u32(object, 0);
    put_u32(object, chain);
    forget_blocks(writer);
    return WR_OK;
}

/* ---- reading ---- */

struct header {
    struct wr_slice name;
    uint32_t raw;
    uint32_t packed;
    uint32_t crc;
    const char *data;
};

static uint32_t get_u32(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

#define DAMAGED(...) return wr_fail(err, WR_CLASS_FATAL, "the snapshot is damaged: " __VA_ARGS__)

/* Reads the header at *at and steps behind the block. */
static wr_status next_block(const char **at, const char *end, struct header *h, struct wr_error *err)
{
    size_t left = (size_t)(end - *at);
    const uint32_t name = left < 4 ? 0 : get_u32(*at);
    if (left < 16 || name > NAME_BYTES_MAX || left - 16 < name) {
        DAMAGED("it ends within the header of a block");
    }
    const char *fields = *at + 4 + name;
    h->name = (struct wr_slice){ *at + 4, name };
    h->raw = get_u32(fields);
    h->packed = get_u32(fields + 4);
    h->crc = get_u32(fields + 8);
    h->data = fields + 12;
    left -= 16 + (size_t)name;
    if (left < h->packed) {
        DAMAGED("it ends within a block of %.*s", (int)(name > 200 ? 200 : name), h->name.data);
    }
    *at = h->data + h->packed;
    return WR_OK;
}

static wr_status check_block(const struct header *h, struct wr_error *err)
{
    const int shown = (int)(h->name.bytes > 200 ? 200 : h->name.bytes);
    if (memchr(h->name.data, 0, h->name.bytes) != NULL) {
        DAMAGED("the name of a block holds a NUL");
    }
    if (wr_crc32c(0, h->data, h->packed) != h->crc) {
        DAMAGED("a block of %.*s has another checksum", shown, h->name.data);
    }
    if (h->raw == 0 || h->raw > BLOCK_RAW_MAX ||
        ZSTD_getFrameContentSize(h->data, h->packed) != h->raw) {
        DAMAGED("a block of %.*s has another length", shown, h->name.data);
    }
    return WR_OK;
}

static wr_status check_all(struct wr_slice object, struct wr_error *err)
{
    const char *at = object.data + 8;
    const char *end = object.data + object.bytes;
    if (object.bytes < 8 || memcmp(object.data, MAGIC, 4) != 0) {
        DAMAGED("it does not begin as one");
    }
    const uint32_t version = get_u32(object.data + 4);
    if (version != VERSION) {
        (void)wr_fail(err, WR_CLASS_FATAL, "the snapshot has version %u, this program knows %u",
                      version, VERSION);
        wr_error_hint(err, "run the weir that wrote it, or a newer one");
        return WR_FAIL;
    }
    uint32_t chain = wr_crc32c(0, object.data, 8);
    for (uint32_t blocks = 0;; blocks++) {
        struct header h;
        const char *start = at;
        WR_TRY(next_block(&at, end, &h, err));
        if (h.name.bytes == 0) {
            if (h.raw != blocks || h.packed != 0 || h.crc != chain || at != end) {
                DAMAGED("its end block does not fit the %u before it", blocks);
            }
            return WR_OK;
        }
        WR_TRY(check_block(&h, err));
        chain = wr_crc32c(chain, start, (size_t)(h.data - start));
    }
}

static wr_status unpack(const struct header *h, struct wr_buf *name, struct wr_buf *raw,
                        struct wr_error *err)
{
    name->bytes = 0;
    wr_buf_append(name, h->name.data, h->name.bytes);
    raw->bytes = 0;
    const size_t got = ZSTD_decompress(wr_buf_reserve(raw, h->raw), h->raw, h->data, h->packed);
    if (ZSTD_isError(got) || got != h->raw) {
        DAMAGED("a block of %.200s does not unpack: %s", wr_buf_cstr(name),
                ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it is shorter than told");
    }
    raw->bytes = got;
    return WR_OK;
}

wr_status wr_snapshot_read(struct wr_slice object,
                           wr_status (*found)(void *ctx, const char *operator_name,
                                              const void *records, size_t bytes,
                                              struct wr_error *err),
                           void *ctx, struct wr_error *err)
{
    WR_TRY(check_all(object, err)); /* (1) */
    const char *at = object.data + 8;
    struct wr_buf name = { 0 };
    struct wr_buf raw = { 0 };
    wr_status status = WR_OK;
    while (status == WR_OK) {
        struct header h;
        status = next_block(&at, object.data + object.bytes, &h, err);
        if (status != WR_OK || h.name.bytes == 0) {
            break;
        }
        status = unpack(&h, &name, &raw, err);
        if (status == WR_OK) {
            status = found(ctx, wr_buf_cstr(&name), raw.data, raw.bytes, err);
        }
    }
    wr_buf_deinit(&name);
    wr_buf_deinit(&raw);
    return status;
}

void wr_snapshot_key(uint64_t epoch, const char *owner, uint32_t worker, char key[96])
{
    snprintf(key, 96, "snapshot/%020llu-%.32s-%u.wrsn", (unsigned long long)epoch, owner, worker);
}

bool wr_snapshot_key_epoch(const char *key, uint64_t *epoch)
{
    unsigned long long value;
    if (sscanf(key, "snapshot/%20llu-", &value) != 1) {
        return false;
    }
    *epoch = value;
    return true;
}
