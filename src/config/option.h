/* option.h: the one option table (interface): a row yields parsing, range, default, help and reference text.
 *
 * A connector, a format or the pipeline itself lists its options as a const array of rows. The binder gives the
 * pairs of a WITH clause to wr_options_parse, which checks every one (unknown: did-you-mean; wrong type, out of
 * range, missing) without touching the network, and returns a bag of typed values.
 *
 * Ownership: rows are static; a bag lives in the arena given. Threads: read-only after parsing.
 */
#ifndef WR_CONFIG_OPTION_H
#define WR_CONFIG_OPTION_H

#include "base/arena.h"
#include "base/status.h"

enum wr_option_kind {
    WR_OPTION_TEXT,
    WR_OPTION_BOOL,     /* true/false/on/off/yes/no/1/0 */
    WR_OPTION_INT,
    WR_OPTION_SIZE,     /* bytes: 512, 64KB, 128MB (10^6), 128MiB (2^20) */
    WR_OPTION_DURATION, /* microseconds: 50ms, 30s, 5m, 1h, 1d, '10 minutes', plain number = ms */
    WR_OPTION_DOUBLE,
    WR_OPTION_ENUM,     /* one of words, space-separated in enum_words */
    WR_OPTION_LIST,     /* comma-separated texts (brokers, topics) */
    WR_OPTION_PREFIX,   /* the row "kafka." takes every option that begins with it, as texts */
};

#define WR_OPTION_REQUIRED 1u
#define WR_OPTION_SECRET 2u /* never shown: EXPLAIN and errors print *** */

struct wr_option {
    const char *name; /* NULL ends the array */
    enum wr_option_kind kind;
    const char *default_text; /* parsed like a given value; NULL: unset */
    const char *help;         /* one sentence */
    int64_t min;              /* INT, SIZE, DURATION; both 0: any */
    int64_t max;
    const char *enum_words;
    uint32_t flags;
    const char *unavailable; /* not built in: the reason; using it is an error with that reason */
};

/* One pair of a WITH clause, SET or command line. Texts in the pipeline's arena, ${NAME} already
 * replaced by its caller (value); raw keeps what was written, for EXPLAIN. */
struct wr_option_pair {
    const char *name;
    const char *value;
    const char *raw;
    uint32_t name_at; /* byte offset in the SQL text, for carets; UINT32_MAX: not from SQL */
    uint32_t value_at;
};

struct wr_options; /* the bag */

/* tables: NULL-terminated array of option arrays (connector's, format's, common ones). bad_at receives the byte offset to
 * point the caret at (may be NULL). what: "connector 'kafka'" for messages. */
WR_NODISCARD wr_status wr_options_parse(const struct wr_option *const *tables, const char *what,
                                        const struct wr_option_pair *pairs, uint32_t pair_count,
                                        struct wr_arena *arena, struct wr_options **bag,
                                        uint32_t *bad_at, struct wr_error *err);

/* Getters: the name must be a row of the tables (else a programming error, asserted). */
bool wr_options_has(const struct wr_options *bag, const char *name); /* given or has a default */
bool wr_options_given(const struct wr_options *bag, const char *name);
const char *wr_options_text(const struct wr_options *bag, const char *name); /* NULL when unset */
int64_t wr_options_int(const struct wr_options *bag, const char *name);      /* INT, SIZE, DURATION (us) */
bool wr_options_bool(const struct wr_options *bag, const char *name);
double wr_options_double(const struct wr_options *bag, const char *name);
/* LIST: count entries. */
const char *const *wr_options_list(const struct wr_options *bag, const char *name, uint32_t *count);
/* PREFIX: pairs given under that prefix, names without it. */
const struct wr_option_pair *wr_options_prefixed(const struct wr_options *bag, const char *prefix,
                                                 uint32_t *count);
/* Where the value stands in the SQL text (UINT32_MAX unknown), for later errors. */
uint32_t wr_options_at(const struct wr_options *bag, const char *name);
/* Calls show for each option that is set or defaulted, secrets as "***". */
void wr_options_each(const struct wr_options *bag,
                     void (*show)(void *ctx, const char *name, const char *value, bool given),
                     void *ctx);

/* Parsers of their own, for the command line. */
bool wr_parse_size(struct wr_slice text, int64_t *bytes);
bool wr_parse_duration(struct wr_slice text, int64_t *us);

/* Prints the reference of an option array (weir connectors NAME): name, type, default, range, meaning. */
struct wr_buf;
void wr_options_reference(const struct wr_option *table, struct wr_buf *into);

#endif
