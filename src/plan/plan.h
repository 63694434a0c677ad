/* plan.h: the physical plan of a pipeline as plain data (interface): sql makes it, exec and run carry it out,
 * EXPLAIN prints it.
 *
 * Everything lies in one arena (plan->arena) and is read-only after binding; all threads share it.
 * Invariants:
 *   (1) nodes are in topological order: a node's inputs have smaller indexes
 *   (2) a SCAN's schema holds only the columns that some query, watermark or partition expression uses; its
 *       fields keep `declared`, their index in the source's full column list
 *   (3) expressions of a node refer to columns of its (single or each) input's schema
 *   (4) WINDOW nodes are the only ones that exchange; exchange ids are dense, and a WINDOW that feeds another has the
 *       smaller id
 */
#ifndef WR_PLAN_PLAN_H
#define WR_PLAN_PLAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "plan/expr.h"

struct wr_option_pair; /* config/option.h: carried through, read by source and sink */
struct wr_options;

#define WR_NO_COLUMN UINT32_MAX
#define WR_NO_NODE UINT32_MAX

/* Metadata columns: after the declared columns in a source's full list, in this order. */
enum wr_metadata { WR_META_TOPIC, WR_META_PARTITION, WR_META_OFFSET, WR_META_TIMESTAMP, WR_META_KEY, WR_META_HEADERS, WR_META_MESSAGE_ID, WR_META_COUNT_ };
/* "_topic" TEXT, "_partition" INTEGER, "_offset" BIGINT, "_timestamp" TIMESTAMP, "_key" TEXT, "_headers" JSON, "_message_id" TEXT */

enum wr_error_policy { WR_ON_ERROR_SKIP, WR_ON_ERROR_FAIL, WR_ON_ERROR_SINK };

struct wr_plan_source {
    const char *name;
    const char *connector;          /* "kafka" */
    const char *format;             /* "json", "csv"; "" for connectors that make columns themselves */
    struct wr_option_pair *pairs;   /* the WITH clause as given (environment replaced) */
    uint32_t pair_count;
    struct wr_options *options;     /* the same, parsed: connector's, format's and common source options */
    const char *shown;              /* the given options as EXPLAIN prints them, secrets masked */
    struct wr_schema declared;      /* all columns of CREATE SOURCE (metadata columns not included) */
    /* What is decoded and scanned, incl. used metadata columns (after the others). A field of a declared STRUCT column that is used
     * without the whole of it is a column of its own ("payload.user.id", by its path); its `declared` is UINT32_MAX. */
    struct wr_schema scan;
    uint32_t metadata_column[WR_META_COUNT_]; /* column in scan or WR_NO_COLUMN */
    uint32_t event_time;            /* scan column of WATERMARK FOR, or WR_NO_COLUMN */
    const struct wr_expr *watermark; /* over scan; TIMESTAMP(TZ); NULL: no watermark */
    int64_t watermark_delay_us;     /* when watermark is event_time - constant; else -1 (evaluate it) */
    int64_t lateness_us;            /* allowed_lateness, default 0 */
    int64_t idle_timeout_us;        /* default 30 s */
    int64_t max_ahead_us;           /* <0: off (files); default 1 day */
    enum wr_error_policy on_error;  /* default SKIP (counted) */
    uint32_t error_sink;            /* index in sinks when on_error == SINK */
    uint32_t late_sink;             /* index in sinks or UINT32_MAX: counted */
    uint32_t dedup_column;          /* scan column of deduplicate_by, or WR_NO_COLUMN */
    int64_t dedup_within_us;        /* how long, in event time, a value is remembered */
    /* dedup_column is _message_id: which copies may still come is the source's to say (source.h, redelivers_from); no event time is needed. */
    bool dedup_message_id;
    bool counts_arrivals; /* what a crash makes come again is not recognised by its position (source.h) */
    const struct wr_expr *const *computed; /* per scan column: NULL, or a computed column over scan (col AS expr) */
    uint32_t scan_node;
    uint32_t at; /* byte offset of the statement in the SQL text */
};

enum wr_node_kind { WR_NODE_SCAN, WR_NODE_FILTER, WR_NODE_PROJECT, WR_NODE_WINDOW, WR_NODE_UNION, WR_NODE_UNNEST };

enum wr_window_kind {
    WR_WINDOW_TUMBLE,
    WR_WINDOW_HOP,
    WR_WINDOW_SESSION,
    WR_WINDOW_INHERIT, /* group by the window_start, window_end columns of an inner window */
};

enum wr_aggregate {
    WR_AGG_COUNT_STAR, WR_AGG_COUNT, WR_AGG_COUNT_DISTINCT,
    WR_AGG_SUM, WR_AGG_SUM_DISTINCT, WR_AGG_AVG, WR_AGG_MIN, WR_AGG_MAX,
    WR_AGG_STDDEV_POP, WR_AGG_STDDEV_SAMP, WR_AGG_VAR_POP, WR_AGG_VAR_SAMP,
    WR_AGG_BOOL_AND, WR_AGG_BOOL_OR,
    WR_AGG_FIRST_VALUE, WR_AGG_LAST_VALUE,          /* by event time; ties by split, position */
    WR_AGG_APPROX_COUNT_DISTINCT, WR_AGG_APPROX_PERCENTILE, /* HyperLogLog p=12; DDSketch-like, 1 % relative */
    WR_AGG_COUNT_
};

/* Result types: count* BIGINT; sum of integers BIGINT (128 bits inside; too large is an error of the result row), of
 * REAL/DOUBLE DOUBLE, of NUMERIC(p,s) NUMERIC(38,s); avg DOUBLE (NUMERIC -> NUMERIC(38, max(s,6))); min/max/first/last
 * the argument's; stddev etc. and approx_percentile DOUBLE; bool_* BOOLEAN. */
struct wr_plan_aggregate {
    enum wr_aggregate kind;
    struct wr_expr *arg;    /* over the node's input; NULL for count(*) */
    struct wr_expr *filter; /* FILTER (WHERE …) or NULL */
    double parameter;       /* approx_percentile's fraction */
    struct wr_type type;    /* of the result */
};

struct wr_plan_window {
    enum wr_window_kind kind;
    int64_t size_us;   /* TUMBLE, HOP; SESSION: the gap */
    int64_t slide_us;  /* HOP */
    int64_t offset_us; /* windows start at offset + k * slide */
    uint32_t time_column;  /* of the input: TIMESTAMP or TIMESTAMPTZ; INHERIT: window_start column */
    uint32_t end_column;   /* INHERIT: window_end column */
    int64_t lateness_us;   /* largest allowed_lateness of the sources below: emit at end + this */
    int64_t hold_us;       /* outer windows: how much the forwarded watermark is held back because the time column is
                              earlier than the result's event time (e.g. window_start of the inner window) */
    bool outer;            /* input rows are results: never late */
    struct wr_expr **keys; /* over the input */
    uint32_t key_count;
    struct wr_plan_aggregate *aggregates;
    uint32_t aggregate_count;
    uint32_t exchange; /* dense id */
};

/* A row in, a row out for each element of its ARRAY or entry of its MAP. What a column of the output is: a column of the input (its
 * number), or one of these; an element's field (a MAP's entry: 0 the key, 1 the value) is WR_UNNEST_FIELD + its index. */
#define WR_UNNEST_FIELD 0x10000000u
#define WR_UNNEST_ELEMENT 0x20000000u
#define WR_UNNEST_ORDINALITY 0x20000001u /* BIGINT, from 1 */

struct wr_plan_unnest {
    struct wr_expr *value; /* over the input: ARRAY or MAP */
    uint32_t *columns;     /* schema.count of them */
    bool outer;            /* a row without elements gives one with NULLs; else none (it counts as filtered) */
};

struct wr_plan_node {
    enum wr_node_kind kind;
    uint32_t index;
    const char *name; /* of the view, sink or source it stands for; unique, stable: state is matched by it */
    uint32_t *inputs; /* node indexes; UNION: several of equal types */
    uint32_t input_count;
    uint32_t *consumers; /* nodes that read this one */
    uint32_t consumer_count;
    uint32_t *sinks; /* sinks that read this one directly */
    uint32_t sink_count;
    struct wr_schema schema; /* of its output */
    union {
        uint32_t source;        /* SCAN */
        struct wr_expr *filter; /* FILTER: keep rows where it is true */
        struct wr_expr **project; /* PROJECT: schema.count of them */
        struct wr_plan_window window; /* output: window_start, window_end, keys…, aggregates… */
        struct wr_plan_unnest unnest;
    };
};

/* What a side sink gets instead of a query. */
enum wr_sink_feed { WR_FEED_QUERY, WR_FEED_LATE, WR_FEED_ERRORS, WR_FEED_UNUSED };

struct wr_plan_sink {
    const char *name;
    const char *connector;
    const char *format;
    struct wr_option_pair *pairs;
    uint32_t pair_count;
    struct wr_options *options;
    const char *shown; /* the given options as EXPLAIN prints them, secrets masked */
    enum wr_sink_feed feed;
    uint32_t node;           /* FEED_QUERY: its input */
    struct wr_schema schema; /* what the connector gets; partition-only columns last, not in `visible` */
    uint32_t visible;        /* how many leading columns are the query's own output */
    uint32_t *partition;     /* columns of schema that partition_by names */
    uint32_t partition_count;
    int64_t commit_interval_us; /* 0: the pipeline's default */
    uint32_t *sources;       /* sources below it (for the ledger and watermark) */
    uint32_t source_count;
    bool windowed;           /* a WINDOW node is below it */
    uint32_t at;
};

struct wr_plan {
    struct wr_arena arena;
    const char *file;         /* name for messages */
    struct wr_slice text;     /* the SQL */
    struct wr_plan_source *sources;
    uint32_t source_count;
    struct wr_plan_sink *sinks;
    uint32_t sink_count;
    struct wr_plan_node *nodes;
    uint32_t node_count;
    uint32_t exchange_count;
    struct wr_option_pair *settings; /* SET name = value, in order */
    uint32_t setting_count;
};

void wr_plan_destroy(struct wr_plan *plan); /* NULL is fine */

/* The EXPLAIN text: sources with pushed-down columns, operators, sinks; secrets never. */
void wr_plan_explain(const struct wr_plan *plan, struct wr_buf *into);

const char *wr_aggregate_name(enum wr_aggregate kind);

#endif
