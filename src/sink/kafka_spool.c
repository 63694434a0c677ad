/* kafka_spool.c: see kafka_spool.h. */
#include "sink/kafka_spool.h"

#include "base/crc32c.h"
#include "base/heap.h"
#include "base/log.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define MAGIC "WRKS"
#define HEADER_BYTES 8u
#define MESSAGE_HEADER_BYTES 8u
#define NO_KEY UINT32_MAX
#define PART_BYTES_MIN (64u << 10)
#define PART_BYTES_MAX (16u << 20)
/* A receipt that names more cannot be one of ours: parts are at least PART_BYTES_MIN. */
#define RECEIPT_PARTS_MAX 1000000u

/* ---- names ---- */

/* Letters, digits and _ stay; so "-" divides owner, sink and lane without doubt. */
static void append_name(struct wr_buf *text, const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           (*c >= '0' && *c <= '9') || *c == '_';
        if (plain) {
            wr_buf_byte(text, (uint8_t)*c);
        } else {
            wr_buf_printf(text, ".%02x", (unsigned)(uint8_t)*c);
        }
    }
}

static char *prefix_of(const char *owner, const char *sink)
{
    struct wr_buf text = { 0 };
    wr_buf_printf(&text, "spool/%s-", owner);
    append_name(&text, sink);
    wr_buf_byte(&text, '-');
    char *prefix = wr_strdup(wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    return prefix;
}

void wr_kafka_spools_init(struct wr_kafka_spools *spools, struct wr_store *store, const char *owner,
                          const char *sink, uint32_t lane, uint64_t memory_bytes)
{
    uint64_t part = memory_bytes / 4;
    part = part < PART_BYTES_MIN ? PART_BYTES_MIN : part;
    part = part > PART_BYTES_MAX ? PART_BYTES_MAX : part;
    *spools = (struct wr_kafka_spools){ .store = store,
                                        .part_bytes = part,
                                        .keep_bytes = memory_bytes / 2 };
    char *begin = prefix_of(owner, sink);
    struct wr_buf text = { 0 };
    wr_buf_printf(&text, "%s%u-", begin, lane);
    spools->prefix = wr_strdup(wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    free(begin);
}

void wr_kafka_spool_destroy(struct wr_kafka_spool *spool)
{
    for (uint32_t i = 0; spool != NULL && i < spool->part_count; i++) {
        free(spool->parts[i].key);
        wr_buf_deinit(&spool->parts[i].data);
    }
    if (spool != NULL) {
        free(spool->parts);
        free(spool->arrivals);
        free(spool->refused);
        free(spool);
    }
}

void wr_kafka_spools_deinit(struct wr_kafka_spools *spools)
{
    while (spools->prepared != NULL) {
        struct wr_kafka_spool *spool = spools->prepared;
        spools->prepared = spool->next;
        wr_kafka_spool_destroy(spool);
    }
    wr_kafka_spool_destroy(spools->filling);
    for (uint32_t i = 0; i < spools->trash_count; i++) {
        free(spools->trash[i]);
    }
    free(spools->trash);
    free(spools->prefix);
    wr_buf_deinit(&spools->data);
    wr_store_close(spools->store);
    *spools = (struct wr_kafka_spools){ 0 };
}

/* ---- filling ---- */

static struct wr_kafka_spool *filling(struct wr_kafka_spools *spools)
{
    if (spools->filling == NULL) {
        spools->filling = wr_calloc(1, sizeof *spools->filling);
    }
    return spools->filling;
}

static struct wr_kafka_part *add_part(struct wr_kafka_spool *spool)
{
    spool->parts = wr_realloc(spool->parts, (spool->part_count + 1) * sizeof *spool->parts);
    struct wr_kafka_part *part = &spool->parts[spool->part_count++];
    *part = (struct wr_kafka_part){ 0 };
    return part;
}

/* The filled part becomes an object; a failed put is repeated under the same name. */
static wr_status put_part(struct wr_kafka_spools *spools, struct wr_error *err)
{
    if (spools->data_rows == 0) {
        return WR_OK;
    }
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, spools->sequence);
    struct wr_buf key = { 0 };
    wr_buf_text(&key, spools->prefix);
    wr_buf_text(&key, number);
    const wr_status status = wr_store_put(spools->store, wr_buf_cstr(&key), spools->data.data,
                                          spools->data.bytes, WR_PUT_ALWAYS, err);
    if (status != WR_OK) {
        wr_buf_deinit(&key);
        return status;
    }
    spools->sequence++;
    struct wr_kafka_spool *spool = filling(spools);
    struct wr_kafka_part *part = add_part(spool);
    part->key = wr_strdup(wr_buf_cstr(&key));
    part->bytes = spools->data.bytes;
    part->rows = spools->data_rows;
    part->crc = wr_crc32c(0, spools->data.data, spools->data.bytes);
    part->data = spools->data;
    spools->kept += part->data.bytes;
    spools->data = (struct wr_buf){ 0 };
    spools->data_rows = 0;
    wr_buf_deinit(&key);
    wr_kafka_spools_unload(spools, part, false);
    return WR_OK;
}

wr_status wr_kafka_spools_ready(struct wr_kafka_spools *spools, struct wr_error *err)
{
    return spools->data.bytes < spools->part_bytes ? WR_OK : put_part(spools, err);
}

static void put_u32(char *at, uint32_t value) /* every machine that Weir runs on is little endian */
{
    memcpy(at, &value, sizeof value);
}

static uint32_t get_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

size_t wr_kafka_spools_begin(struct wr_kafka_spools *spools, struct wr_slice key)
{
    struct wr_buf *data = &spools->data;
    if (data->bytes == 0) {
        wr_buf_append(data, MAGIC "\1\0\0\0", HEADER_BYTES);
    }
    const size_t mark = data->bytes;
    char *at = wr_buf_reserve(data, MESSAGE_HEADER_BYTES);
    put_u32(at, key.data == NULL ? NO_KEY : (uint32_t)key.bytes);
    put_u32(at + 4, 0);
    data->bytes += MESSAGE_HEADER_BYTES;
    wr_buf_append(data, key.data, key.data == NULL ? 0 : key.bytes);
    return mark;
}

/* Where the value of the message at mark begins. */
static size_t value_at(const struct wr_kafka_spools *spools, size_t mark)
{
    const uint32_t key = get_u32(spools->data.data + mark);
    return mark + MESSAGE_HEADER_BYTES + (key == NO_KEY ? 0 : key);
}

size_t wr_kafka_spools_end(struct wr_kafka_spools *spools, size_t mark)
{
    const size_t bytes = spools->data.bytes - value_at(spools, mark);
    put_u32(spools->data.data + mark + 4, (uint32_t)bytes);
    spools->data_rows++;
    filling(spools)->rows++;
    return bytes;
}

void wr_kafka_spools_undo(struct wr_kafka_spools *spools, size_t mark)
{
    spools->data.bytes = mark;
}

void wr_kafka_spools_arrived(struct wr_kafka_spools *spools, int64_t ingest_us, uint64_t rows)
{
    struct wr_kafka_spool *spool = filling(spools);
    if (spool->arrival_count > 0 &&
        spool->arrivals[spool->arrival_count - 1].ingest_us == ingest_us) {
        spool->arrivals[spool->arrival_count - 1].rows += rows;
        return;
    }
    if (spool->arrival_count == spool->arrival_capacity) {
        spool->arrival_capacity = spool->arrival_capacity * 2 + 16;
        spool->arrivals =
            wr_realloc(spool->arrivals, spool->arrival_capacity * sizeof *spool->arrivals);
    }
    spool->arrivals[spool->arrival_count++] = (struct wr_kafka_arrival){ ingest_us, rows };
}

wr_status wr_kafka_spools_cut(struct wr_kafka_spools *spools, uint64_t epoch,
                              const struct wr_kafka_spool **out, struct wr_error *err)
{
    WR_TRY(put_part(spools, err));
    struct wr_kafka_spool *spool = spools->filling;
    *out = NULL;
    if (spool == NULL || spool->rows == 0) {
        return WR_OK;
    }
    spools->filling = NULL;
    spool->epoch = epoch;
    spool->after = spools->last;
    spools->last = epoch;
    struct wr_kafka_spool **end = &spools->prepared;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = spool;
    *out = spool;
    return WR_OK;
}

/* ---- receipts ---- */

void wr_kafka_spool_receipt(const struct wr_kafka_spool *spool, struct wr_buf *receipt)
{
    wr_buf_printf(receipt, "{\"rows\":%" PRIu64 ",\"after\":%" PRIu64 ",\"parts\":[", spool->rows,
                  spool->after);
    for (uint32_t i = 0; i < spool->part_count; i++) {
        const struct wr_kafka_part *part = &spool->parts[i];
        /* A key holds nothing that JSON would have to escape (append_name). */
        wr_buf_printf(receipt,
                      "%s{\"key\":\"%s\",\"rows\":%" PRIu64 ",\"bytes\":%" PRIu64
                      ",\"crc32c\":%" PRIu32 "}",
                      i > 0 ? "," : "", part->key, part->rows, part->bytes, part->crc);
    }
    wr_buf_text(receipt, "]}");
}

static bool read_part(const json_t *json, struct wr_kafka_spool *spool)
{
    const json_t *key = json_object_get(json, "key");
    const json_int_t rows = json_integer_value(json_object_get(json, "rows"));
    const json_int_t bytes = json_integer_value(json_object_get(json, "bytes"));
    const json_t *crc = json_object_get(json, "crc32c");
    if (!json_is_string(key) || !json_is_integer(crc) || rows <= 0 || bytes <= HEADER_BYTES ||
        json_integer_value(crc) < 0 || json_integer_value(crc) > UINT32_MAX ||
        rows > bytes / (json_int_t)MESSAGE_HEADER_BYTES ||
        strncmp(json_string_value(key), "spool/", 6) != 0) {
        return false;
    }
    struct wr_kafka_part *part = add_part(spool);
    part->key = wr_strdup(json_string_value(key));
    part->rows = (uint64_t)rows;
    part->bytes = (uint64_t)bytes;
    part->crc = (uint32_t)json_integer_value(crc);
    spool->rows += part->rows;
    return true;
}

wr_status wr_kafka_spool_of_receipt(struct wr_kafka_spool **out, uint64_t epoch, const char *text,
                                    size_t bytes, struct wr_error *err)
{
    json_error_t why;
    json_t *json = json_loadb(text, bytes, 0, &why);
    const json_t *parts = json_object_get(json, "parts");
    const json_t *after = json_object_get(json, "after");
    struct wr_kafka_spool *spool = wr_calloc(1, sizeof *spool);
    spool->epoch = epoch;
    bool good = json_is_array(parts) && json_array_size(parts) > 0 &&
                json_array_size(parts) <= RECEIPT_PARTS_MAX && json_is_integer(after) &&
                json_integer_value(after) >= 0;
    for (size_t i = 0; good && i < json_array_size(parts); i++) {
        good = read_part(json_array_get(parts, i), spool);
    }
    good = good && (json_int_t)spool->rows == json_integer_value(json_object_get(json, "rows"));
    spool->after = good ? (uint64_t)json_integer_value(after) : 0;
    json_decref(json);
    if (!good) {
        wr_kafka_spool_destroy(spool);
        (void)wr_fail(err, WR_CLASS_FATAL, "the receipt of epoch %" PRIu64 " is damaged", epoch);
        wr_error_hint(err, "the state's manifest was changed by something else: restore it, or "
                           "begin anew with weir state reset");
        return WR_FAIL;
    }
    *out = spool;
    return WR_OK;
}

/* ---- reading ---- */

wr_status wr_kafka_spools_load(struct wr_kafka_spools *spools, struct wr_kafka_part *part,
                               struct wr_error *err)
{
    if (part->data.bytes > 0) {
        return WR_OK;
    }
    const wr_status status = wr_store_get(spools->store, part->key, &part->data, err);
    if (status == WR_FAIL) {
        part->data.bytes = 0;
        return WR_FAIL;
    }
    const char *why = status == WR_END ? "is not there" : NULL;
    if (why == NULL && part->data.bytes != part->bytes) {
        why = "has another length than its receipt says";
    }
    if (why == NULL && wr_crc32c(0, part->data.data, part->data.bytes) != part->crc) {
        why = "has another CRC than its receipt says"; /* (2) */
    }
    if (why == NULL && memcmp(part->data.data, MAGIC "\1\0\0\0", HEADER_BYTES) != 0) {
        why = "is of another version";
    }
    if (why != NULL) {
        wr_buf_deinit(&part->data);
        (void)wr_fail(err, WR_CLASS_FATAL, "the object %s in the state %s", part->key, why);
        wr_error_hint(err, "messages that were committed, but not yet sent, lie in it: restore it "
                           "from a copy of the state");
        return WR_FAIL;
    }
    spools->kept += part->data.bytes;
    return WR_OK;
}

void wr_kafka_spools_unload(struct wr_kafka_spools *spools, struct wr_kafka_part *part, bool all)
{
    if (part->data.bytes > 0 && (all || spools->kept > spools->keep_bytes)) {
        spools->kept -= part->data.bytes;
        wr_buf_deinit(&part->data);
    }
}

wr_status wr_kafka_part_next(const struct wr_kafka_part *part, size_t *at,
                             struct wr_kafka_message *message, struct wr_error *err)
{
    *at = *at == 0 ? HEADER_BYTES : *at;
    const size_t left = part->data.bytes - *at;
    if (left == 0) {
        return WR_END;
    }
    const char *from = part->data.data + *at;
    const uint32_t key = left < MESSAGE_HEADER_BYTES ? 0 : get_u32(from);
    const uint32_t value = left < MESSAGE_HEADER_BYTES ? 0 : get_u32(from + 4);
    const uint64_t bytes = MESSAGE_HEADER_BYTES + (uint64_t)(key == NO_KEY ? 0 : key) + value;
    wr_ensure(bytes <= left, err, WR_CLASS_FATAL, "the object %s is cut off", part->key);
    from += MESSAGE_HEADER_BYTES;
    *message = (struct wr_kafka_message){ 0 };
    if (key != NO_KEY) {
        message->key = (struct wr_slice){ from, key };
        from += key;
    }
    message->value = (struct wr_slice){ from, value };
    *at += bytes;
    return WR_OK;
}

/* ---- removing ---- */

static void add_trash(struct wr_kafka_spools *spools, const char *key)
{
    spools->trash = wr_realloc(spools->trash, (spools->trash_count + 1) * sizeof *spools->trash);
    spools->trash[spools->trash_count++] = wr_strdup(key);
}

void wr_kafka_spools_forget(struct wr_kafka_spools *spools, struct wr_kafka_spool *spool)
{
    for (uint32_t i = 0; spool != NULL && i < spool->part_count; i++) {
        wr_kafka_spools_unload(spools, &spool->parts[i], true);
        add_trash(spools, spool->parts[i].key);
    }
    wr_kafka_spool_destroy(spool);
}

bool wr_kafka_spools_sweep(struct wr_kafka_spools *spools)
{
    if (spools->trash_count == 0) {
        return false;
    }
    struct wr_error err;
    char *key = spools->trash[--spools->trash_count];
    const wr_status status = wr_store_delete(spools->store, key, &err);
    if (status == WR_FAIL) {
        wr_log_debug("kafka", "spool object %s was not removed: %s", key, err.message);
    }
    free(key);
    return true;
}

struct abandoned {
    struct wr_kafka_spools *spools;
    const struct wr_kafka_spool *keep;
};

static void found_abandoned(void *ctx, const char *key, uint64_t bytes)
{
    const struct abandoned *abandoned = ctx;
    const struct wr_kafka_spool *keep = abandoned->keep;
    for (uint32_t i = 0; keep != NULL && i < keep->part_count; i++) {
        if (strcmp(keep->parts[i].key, key) == 0) {
            return;
        }
    }
    add_trash(abandoned->spools, key);
}

wr_status wr_kafka_spools_abandon(struct wr_kafka_spools *spools, const char *owner,
                                  const char *sink, const struct wr_kafka_spool *keep,
                                  struct wr_error *err)
{
    char *prefix = prefix_of(owner, sink);
    struct abandoned abandoned = { spools, keep };
    const wr_status status =
        wr_store_list(spools->store, prefix, NULL, found_abandoned, &abandoned, err);
    free(prefix);
    return status;
}

uint64_t wr_kafka_spools_held(const struct wr_kafka_spools *spools)
{
    return spools->data.capacity + spools->kept;
}
