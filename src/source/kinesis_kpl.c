/* kinesis_kpl.c: see kinesis_kpl.h. */
#include "source/kinesis_kpl.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/proto_wire.h"
#include <openssl/evp.h>

#define MAGIC       "\xf3\x89\x9a\xc2"
#define MAGIC_BYTES 4u
#define MD5_BYTES   16u
#define NO_INDEX    UINT32_MAX

struct key {
    struct wr_slice text;
    unsigned __int128 hash;
    bool hashed;
};

struct packed {
    struct wr_slice data;
    uint32_t key;
    uint32_t explicit_key; /* NO_INDEX: none */
    bool elsewhere;
};

struct wr_kpl {
    EVP_MD *md5;
    EVP_MD_CTX *digest;
    struct key *keys;
    struct key *explicit_keys;
    struct packed *records;
    uint32_t key_count, key_capacity;
    uint32_t explicit_count, explicit_capacity;
    uint32_t record_count, record_capacity;
};

wr_status wr_kpl_create(struct wr_kpl **out, struct wr_error *err)
{
    struct wr_kpl *kpl = wr_calloc(1, sizeof *kpl);
    kpl->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    kpl->digest = EVP_MD_CTX_new();
    if (kpl->md5 == NULL || kpl->digest == NULL) {
        wr_kpl_destroy(kpl);
        (void)wr_fail(err, WR_CLASS_FATAL, "OpenSSL gives no MD5, which records of the Kinesis "
                                           "Producer Library are checked with");
        wr_error_hint(err, "its FIPS mode leaves MD5 out: the default provider has it");
        return WR_FAIL;
    }
    *out = kpl;
    return WR_OK;
}

void wr_kpl_destroy(struct wr_kpl *kpl)
{
    if (kpl != NULL) {
        EVP_MD_CTX_free(kpl->digest);
        EVP_MD_free(kpl->md5);
        free(kpl->keys);
        free(kpl->explicit_keys);
        free(kpl->records);
        free(kpl);
    }
}

bool wr_hash_key_parse(struct wr_slice text, unsigned __int128 *key)
{
    unsigned __int128 sum = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        const char c = text.data[i];
        const unsigned __int128 digit = (unsigned)(c - '0');
        if (c < '0' || c > '9' || sum > (~(unsigned __int128)0 - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *key = sum;
    return text.bytes > 0;
}

static void md5(struct wr_kpl *kpl, struct wr_slice data, uint8_t sum[MD5_BYTES])
{
    unsigned bytes = 0;
    wr_assert(EVP_DigestInit_ex2(kpl->digest, kpl->md5, NULL) == 1 &&
              EVP_DigestUpdate(kpl->digest, data.data, data.bytes) == 1 &&
              EVP_DigestFinal_ex(kpl->digest, sum, &bytes) == 1 && bytes == MD5_BYTES);
}

static unsigned __int128 hash_of(struct wr_kpl *kpl, struct wr_slice key)
{
    uint8_t sum[MD5_BYTES];
    unsigned __int128 hash = 0;
    md5(kpl, key, sum);
    for (uint32_t i = 0; i < MD5_BYTES; i++) {
        hash = hash << 8 | sum[i];
    }
    return hash;
}

/* ---- reading ---- */

static void *room(void *items, uint32_t count, uint32_t *capacity, size_t each)
{
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity * 2 + 16;
    return wr_realloc(items, *capacity * each);
}

static bool read_record(struct wr_kpl *kpl, struct wr_slice message)
{
    struct wr_proto_reader r = wr_proto_read(message);
    struct wr_proto_field field;
    struct packed packed = { .key = NO_INDEX, .explicit_key = NO_INDEX };
    bool has_data = false;
    while (wr_proto_next(&r, &field)) {
        if (field.number == 1 && field.kind == WR_PROTO_VARINT && field.value < NO_INDEX) {
            packed.key = (uint32_t)field.value;
        } else if (field.number == 2 && field.kind == WR_PROTO_VARINT && field.value < NO_INDEX) {
            packed.explicit_key = (uint32_t)field.value;
        } else if (field.number == 3 && field.kind == WR_PROTO_BYTES) {
            packed.data = field.bytes;
            has_data = true;
        } else if (field.number <= 3) {
            return false;
        }
    }
    kpl->records = room(kpl->records, kpl->record_count, &kpl->record_capacity, sizeof packed);
    kpl->records[kpl->record_count++] = packed;
    return !r.bad && has_data && packed.key != NO_INDEX;
}

static bool read_message(struct wr_kpl *kpl, struct wr_slice message)
{
    struct wr_proto_reader r = wr_proto_read(message);
    struct wr_proto_field field;
    kpl->key_count = kpl->explicit_count = kpl->record_count = 0;
    while (wr_proto_next(&r, &field)) {
        if (field.number >= 1 && field.number <= 3 && field.kind != WR_PROTO_BYTES) {
            return false;
        }
        if (field.number == 1) {
            kpl->keys = room(kpl->keys, kpl->key_count, &kpl->key_capacity, sizeof *kpl->keys);
            kpl->keys[kpl->key_count++] = (struct key){ .text = field.bytes };
        } else if (field.number == 2) {
            struct key key = { .text = field.bytes, .hashed = true };
            if (!wr_hash_key_parse(field.bytes, &key.hash)) {
                return false;
            }
            kpl->explicit_keys = room(kpl->explicit_keys, kpl->explicit_count,
                                      &kpl->explicit_capacity, sizeof *kpl->explicit_keys);
            kpl->explicit_keys[kpl->explicit_count++] = key;
        } else if (field.number == 3 && !read_record(kpl, field.bytes)) {
            return false;
        }
    }
    return !r.bad && kpl->record_count > 0;
}

/* Indexes lead into the tables, which may stand behind the records. */
static bool place_records(struct wr_kpl *kpl, const struct wr_hash_range *range)
{
    const bool whole = range->first == 0 && range->last == ~(unsigned __int128)0;
    for (uint32_t i = 0; i < kpl->record_count; i++) {
        struct packed *record = &kpl->records[i];
        const bool has_explicit = record->explicit_key != NO_INDEX;
        if (record->key >= kpl->key_count ||
            (has_explicit && record->explicit_key >= kpl->explicit_count)) {
            return false;
        }
        struct key *key =
            has_explicit ? &kpl->explicit_keys[record->explicit_key] : &kpl->keys[record->key];
        if (!whole && !key->hashed) {
            key->hash = hash_of(kpl, key->text);
            key->hashed = true;
        }
        record->elsewhere = !whole && (key->hash < range->first || key->hash > range->last);
    }
    return true;
}

bool wr_kpl_open(struct wr_kpl *kpl, struct wr_slice data, const struct wr_hash_range *range)
{
    uint8_t sum[MD5_BYTES];
    kpl->record_count = 0;
    if (data.bytes <= MAGIC_BYTES + MD5_BYTES || memcmp(data.data, MAGIC, MAGIC_BYTES) != 0) {
        return false;
    }
    const struct wr_slice message = { data.data + MAGIC_BYTES,
                                      data.bytes - MAGIC_BYTES - MD5_BYTES };
    md5(kpl, message, sum);
    return memcmp(sum, message.data + message.bytes, MD5_BYTES) == 0 &&
           read_message(kpl, message) && place_records(kpl, range);
}

uint32_t wr_kpl_count(const struct wr_kpl *kpl)
{
    return kpl->record_count;
}

struct wr_kpl_record wr_kpl_at(const struct wr_kpl *kpl, uint32_t sub)
{
    wr_assert(sub < kpl->record_count);
    const struct packed *record = &kpl->records[sub];
    return (struct wr_kpl_record){ .key = kpl->keys[record->key].text,
                                   .data = record->data,
                                   .sub = sub,
                                   .last = sub + 1 == kpl->record_count,
                                   .elsewhere = record->elsewhere };
}
