/* kafka_spool.h: an epoch's messages for Kafka, kept in the state's store until they are sent in one transaction.
 *
 * A spool is a list of parts, each one object: "WRKS" u32 version=1, then per message u32 key bytes (UINT32_MAX: no key),
 * u32 value bytes, key, value; all little endian. Its receipt is JSON:
 *   {"rows":3,"after":16,"parts":[{"key":"spool/0123456789abcdef-out-0-17","rows":3,"bytes":123,"crc32c":99}]}
 * after: the newest epoch with messages before this one (0: none), so that a forgotten marker is noticed (kafka_commit.c).
 * Messages gather in memory; what is more than part_bytes becomes an object at once. A part's bytes stay in memory until
 * the epoch is sent if keep_bytes allows (all parts together), else they are read back.
 * Threads: one (the sink worker).
 * Invariants:
 *   (1) after wr_kafka_spools_cut returned WR_OK every part of that epoch is durable in the store
 *   (2) bytes from the store are taken only when length and CRC are those of the receipt
 *   (3) an object is removed only when a later epoch has been sent, or when no receipt names it
 */
#ifndef WR_SINK_KAFKA_SPOOL_H
#define WR_SINK_KAFKA_SPOOL_H

#include "base/buf.h"
#include "store/store.h"

struct wr_kafka_part {
    char *key;
    uint64_t bytes;
    uint64_t rows;
    uint32_t crc;
    struct wr_buf data; /* empty: only in the store */
};

/* Rows that arrived at one time: told when they are visible. */
struct wr_kafka_arrival {
    int64_t ingest_us;
    uint64_t rows;
};

struct wr_kafka_spool {
    struct wr_kafka_spool *next;
    uint64_t epoch;
    uint64_t after;
    uint64_t rows;
    struct wr_kafka_part *parts;
    uint32_t part_count;
    struct wr_kafka_arrival *arrivals; /* not of a spool from a receipt */
    uint32_t arrival_count;
    uint32_t arrival_capacity;
    uint64_t *refused; /* a bit per row that the brokers refuse for good; NULL: none */
};

struct wr_kafka_spools {
    struct wr_store *store;
    char *prefix; /* "spool/<owner>-<sink>-<lane>-" */
    uint64_t part_bytes;
    uint64_t keep_bytes;
    uint64_t sequence; /* of part names */
    uint64_t kept;     /* bytes of parts in memory */
    uint64_t last;     /* newest epoch that was cut */
    struct wr_kafka_spool *filling; /* what is written now, without the part in `data` */
    struct wr_buf data;             /* the part that is filled */
    uint64_t data_rows;
    struct wr_kafka_spool *prepared; /* oldest first */
    char **trash;                    /* keys to be removed */
    uint32_t trash_count;
};

struct wr_kafka_message {
    struct wr_slice key; /* data NULL: none */
    struct wr_slice value;
};

/* Takes the store. */
void wr_kafka_spools_init(struct wr_kafka_spools *spools, struct wr_store *store, const char *owner,
                          const char *sink, uint32_t lane, uint64_t memory_bytes);
void wr_kafka_spools_deinit(struct wr_kafka_spools *spools); /* zeroed is fine */

/* Room for one more message: puts a full part away first. */
WR_NODISCARD wr_status wr_kafka_spools_ready(struct wr_kafka_spools *spools, struct wr_error *err);
/* A message: begin, append the value to spools->data, end. key.data NULL: none. end returns the value's bytes. */
size_t wr_kafka_spools_begin(struct wr_kafka_spools *spools, struct wr_slice key);
size_t wr_kafka_spools_end(struct wr_kafka_spools *spools, size_t mark);
void wr_kafka_spools_undo(struct wr_kafka_spools *spools, size_t mark); /* instead of end */
void wr_kafka_spools_arrived(struct wr_kafka_spools *spools, int64_t ingest_us, uint64_t rows);

/* Ends the epoch: its parts are durable, *spool stands at the end of `prepared` (NULL: no message). May be repeated. */
WR_NODISCARD wr_status wr_kafka_spools_cut(struct wr_kafka_spools *spools, uint64_t epoch,
                                           const struct wr_kafka_spool **spool,
                                           struct wr_error *err);
void wr_kafka_spool_receipt(const struct wr_kafka_spool *spool, struct wr_buf *receipt);
/* FATAL: not a receipt. */
WR_NODISCARD wr_status wr_kafka_spool_of_receipt(struct wr_kafka_spool **spool, uint64_t epoch,
                                                 const char *text, size_t bytes,
                                                 struct wr_error *err);
void wr_kafka_spool_destroy(struct wr_kafka_spool *spool); /* NULL is fine */

/* The part's bytes, from memory or the store; FATAL when the object is gone or damaged. */
WR_NODISCARD wr_status wr_kafka_spools_load(struct wr_kafka_spools *spools,
                                            struct wr_kafka_part *part, struct wr_error *err);
/* Gives a part's memory back when the bound asks for it (or always: all). */
void wr_kafka_spools_unload(struct wr_kafka_spools *spools, struct wr_kafka_part *part, bool all);
/* Messages of a loaded part: *at begins at 0. WR_END: no more; FATAL: damaged. */
WR_NODISCARD wr_status wr_kafka_part_next(const struct wr_kafka_part *part, size_t *at,
                                          struct wr_kafka_message *message, struct wr_error *err);

/* Was sent, and something after it too: its objects may go. Takes spool (NULL is fine). */
void wr_kafka_spools_forget(struct wr_kafka_spools *spools, struct wr_kafka_spool *spool);
/* Removes one object that may go; false: there is none. Failures are logged, recovery looks for what is left. */
bool wr_kafka_spools_sweep(struct wr_kafka_spools *spools);
/* Marks all objects of an earlier owner that keep does not name as those that may go. */
WR_NODISCARD wr_status wr_kafka_spools_abandon(struct wr_kafka_spools *spools, const char *owner,
                                               const char *sink, const struct wr_kafka_spool *keep,
                                               struct wr_error *err);

uint64_t wr_kafka_spools_held(const struct wr_kafka_spools *spools);

#endif
