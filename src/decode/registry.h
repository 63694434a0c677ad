/* registry.h: a client of schema registries that speak Confluent's REST API, or AWS Glue's: schemas by id, by GUID, by subject.
 *
 * One client per address and login serves all decoders of the process; its one thread fetches, so that nobody who asks ever
 * waits. What was found is kept for good (an id never changes its schema); what was not is told for a while and asked for
 * again behind the scenes.
 *
 * A key's life, and the function that moves it:
 *   (unknown) -> wanted         [wr_registry_find]     the first to ask; answers WR_AGAIN from here on
 *   wanted -> found             [fetch thread]         answers WR_OK for ever
 *   wanted -> refused           [fetch thread]         the registry knows no such schema: WR_FAIL, and wanted again after 30 s
 *   wanted, registry_timeout ago -> overdue [wr_registry_find]   WR_FAIL, while the fetch thread goes on trying
 *
 * Ownership: a client lives from the first open to the last close; found schemas live as long.
 * Threads: all functions from any thread.
 */
#ifndef WR_DECODE_REGISTRY_H
#define WR_DECODE_REGISTRY_H

#include "base/slice.h"
#include "base/status.h"
#include "config/option.h"

struct wr_registry;

enum wr_registry_kind { WR_REGISTRY_ID, WR_REGISTRY_GUID, WR_REGISTRY_SUBJECT };

struct wr_registry_key {
    enum wr_registry_kind kind;
    uint32_t id;         /* ID */
    uint8_t guid[16];    /* GUID */
    const char *subject; /* SUBJECT: its latest version; borrowed for the call */
};

/* A schema and those that it refers to, which come first. */
struct wr_registry_schema {
    const char *type; /* "AVRO", "PROTOBUF", "JSON" */
    struct wr_slice *texts;
    uint32_t text_count;
};

/* The header that may hold the same bytes instead of the payload's beginning. */
#define WR_REGISTRY_HEADER "__value_schema_id"

/* Confluent's framing: 00 and a 4-byte id, or 01 and a 16-byte GUID, taken off the payload. False: it begins with neither. */
static inline bool wr_registry_read_key(struct wr_slice *from, struct wr_registry_key *key)
{
    const uint8_t *at = (const uint8_t *)from->data;
    size_t used = 0;
    if (from->bytes >= 5 && at[0] == 0) {
        key->kind = WR_REGISTRY_ID;
        key->id = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
        used = 5;
    } else if (from->bytes >= 17 && at[0] == 1) {
        key->kind = WR_REGISTRY_GUID;
        memcpy(key->guid, at + 1, 16);
        used = 17;
    }
    from->data += used;
    from->bytes -= used;
    return used > 0;
}

/* Of the kinds ID and GUID. */
static inline bool wr_registry_same_key(const struct wr_registry_key *a,
                                        const struct wr_registry_key *b)
{
    return a->kind == b->kind && (a->kind == WR_REGISTRY_ID ? a->id == b->id
                                                            : memcmp(a->guid, b->guid, 16) == 0);
}

/* Whether `registry` names AWS Glue's, whose ids are version ids (GUIDs) and whose subjects are schemas' names. */
bool wr_registry_is_glue(const struct wr_options *options);

/* Rows for the formats that can use a registry: registry, registry_region, registry_user, registry_password, registry_token, registry_ca,
 * registry_timeout. */
#define WR_REGISTRY_OPTIONS                                                                        \
    { "registry", WR_OPTION_LIST, NULL,                                                            \
      "Address of the schema registry (Confluent's API), such as http://127.0.0.1:8081; several "  \
      "are tried in turn. glue: AWS Glue's, with AWS's own ways of finding keys." },               \
        { "registry_region", WR_OPTION_TEXT, NULL,                                                 \
          "AWS Glue's region; default: AWS_REGION, or the profile's." },                           \
        { "registry_user", WR_OPTION_TEXT, NULL, "User for the registry." },                       \
        { "registry_password", WR_OPTION_TEXT, NULL, "Its password.", .flags = WR_OPTION_SECRET }, \
        { "registry_token", WR_OPTION_TEXT, NULL, "Bearer token for the registry.",                \
          .flags = WR_OPTION_SECRET },                                                             \
        { "registry_ca", WR_OPTION_TEXT, NULL,                                                     \
          "File with the certificates that the registry's is checked against; default: the "       \
          "system's." },                                                                           \
    {                                                                                              \
        "registry_timeout", WR_OPTION_DURATION, "10s",                                             \
            "How long records wait for a schema that the registry does not give, before they are " \
            "dead-lettered.",                                                                      \
            .min = 1000, .max = 120000000 /* a Kafka consumer that asks for nothing longer is out */ \
    }

/* options must have the rows above, and registry given. */
WR_NODISCARD wr_status wr_registry_open(struct wr_registry **registry,
                                        const struct wr_options *options, struct wr_error *err);
void wr_registry_close(struct wr_registry *registry); /* NULL is fine */

/* Never waits: WR_AGAIN while the schema is being fetched, WR_FAIL (class DATA) when it cannot be had now. */
WR_NODISCARD wr_status wr_registry_find(struct wr_registry *registry,
                                        const struct wr_registry_key *key,
                                        const struct wr_registry_schema **schema,
                                        struct wr_error *err);
/* The same for who may wait: at most registry_timeout. @thread control */
WR_NODISCARD wr_status wr_registry_wait(struct wr_registry *registry,
                                        const struct wr_registry_key *key,
                                        const struct wr_registry_schema **schema,
                                        struct wr_error *err);

#endif
