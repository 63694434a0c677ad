/* window.h: one WINDOW node on one worker (private to exec).
 *
 * Rows fall into cells, one hash table each: a TUMBLE's cell is its window, an INHERIT's the inner
 * window, a HOP's a slice of gcd(size, slide) together with the first window that may still count
 * it (design.md, "late"). Sessions have one table for all. With several workers there are two
 * sides: `local` pre-aggregates this worker's rows and is sent off when its watermark passes,
 * `owned` merges what all workers send for the keys of this worker's shards and emits. With one
 * worker `owned` gets the rows directly.
 *
 * Threads: the worker.
 * Invariants:
 *   (1) a cell of `owned` is only removed when every worker's watermark has passed its close time
 *   (2) what is emitted is forwarded before the watermark that released it
 */
#ifndef WR_EXEC_WINDOW_H
#define WR_EXEC_WINDOW_H

#include "exec/agg.h"
#include "exec/exec_graph.h"
#include "exec/table_rows.h"
#include "exec/window_snapshot.h"

#define WR_CELL_CACHE 64u

/* Runs CALL(views, words) for a shape, with constants where keys are of a common kind: one or two
 * columns of up to 8 bytes, or one or two texts, with or without NULLs. */
#define WR_KEY_SHAPES(SHAPE, CALL)                                                                 \
    switch ((SHAPE)->view_count << 16 | (SHAPE)->key_words) {                                      \
    case 1: CALL(0, 1); break;                                                                     \
    case 2: CALL(0, 2); break;                                                                     \
    case 3: CALL(0, 3); break;                                                                     \
    case 1 << 16 | 2: CALL(1, 2); break;                                                           \
    case 1 << 16 | 3: CALL(1, 3); break;                                                           \
    case 2 << 16 | 4: CALL(2, 4); break;                                                           \
    case 2 << 16 | 5: CALL(2, 5); break;                                                           \
    default: CALL((SHAPE)->view_count, (SHAPE)->key_words);                                        \
    }

/* order sorts cells by close time: TUMBLE: window number; HOP: first window, sub: slice; INHERIT:
 * window_end, sub: window_start. */
struct wr_cell {
    int64_t order;
    int64_t sub;
    struct wr_table table;
    struct wr_sweep sweep; /* `owned`: of its records in snapshots */
};

struct wr_cell_queue {
    struct wr_cell **items; /* sorted, items[first..first+count) */
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
};

struct wr_session_due {
    int64_t time_us;
    uint32_t row;
};

struct wr_side {
    struct wr_cell_queue cells;
    struct wr_cell *cache[WR_CELL_CACHE]; /* by the low bits of sub and order; may be NULL */
    struct wr_cell *spare[WR_CELL_CACHE]; /* emptied cells, kept with their memory */
    uint32_t spare_count;
    bool tracked; /* `owned` with snapshots: tables note what changes */
    struct wr_table sessions;
    struct wr_sweep sweep; /* of sessions */
    struct wr_session_due *due; /* binary heap by time */
    uint32_t due_count;
    uint32_t due_capacity;
};

struct wr_window_column { /* a key, an aggregate's argument or its filter */
    struct wr_eval *eval; /* NULL: none */
    uint32_t bare;
    struct wr_column result; /* of the batch at hand */
};

struct wr_window_key {
    struct wr_window_column in;
    struct wr_type type;
    uint32_t width;
    uint32_t offset;   /* in the key */
    uint32_t null_bit; /* counted from the key's first bit */
};

struct wr_window_arg {
    struct wr_window_column value;
    struct wr_window_column filter;
};

/* The running combination of a HOP (window_hop.c). */
struct wr_hop {
    struct wr_table_shape shape; /* as the window's, but keys leave one by one */
    struct wr_table running;
    struct wr_cell_queue active; /* cells that are in it, sorted by slice: sub is the order here */
    uint64_t active_keys;        /* rows in them: of keys that `running` has */
    uint8_t *scratch;            /* a row */
};

struct wr_window_emission {
    bool open;        /* more rows wait for a budget */
    bool inside;      /* HOP: `running` stands for window `order`, whose rows are being emitted */
    int64_t order;    /* HOP: the window at hand, or the last one; INT64_MIN: none yet */
    uint32_t row;     /* next row */
    struct wr_batch *out; /* results, being filled */
    uint32_t *good;       /* rows of out without an error */
    uint32_t good_count;
};

/* Neighbouring rows of a batch that fall into one cell. */
struct wr_window_run {
    int64_t order;
    int64_t sub;
    uint32_t end;  /* its rows are window->rows[end of the run before .. end) */
    uint32_t last; /* number of its last row */
};

struct wr_window {
    struct wr_exec *exec;
    struct wr_op *op;
    const struct wr_plan_window *plan;
    struct wr_window_key *keys;
    uint32_t key_count;
    uint32_t key_bits_word; /* of the image, from which on it may hold NULL bits and padding */
    struct wr_window_arg *args;
    struct wr_agg_list aggs;
    struct wr_state_pool pool;
    struct wr_table_shape shape;

    /* TUMBLE is a HOP with slide == size == slice. */
    int64_t size_us;
    int64_t slide_us;
    int64_t slice_us;

    struct wr_side local;
    struct wr_side owned;
    uint64_t local_keys; /* rows in local's cells */
    struct wr_hop hop;
    struct wr_window_emission emission;

    int64_t local_wm;  /* of this worker's rows, hold_us taken off */
    int64_t peer_wm[WR_WORKERS_MAX];
    int64_t ready_wm;  /* minimum of all: what may be emitted */
    int64_t finite_wm; /* the last one before the end of the input */
    int64_t newest_us; /* end of the newest window that was emitted; WR_TIME_MIN: none */
    int64_t reach_us; /* how much older than an input row's time the source rows behind it may be;
                         WR_TIME_MAX: unknown */
    uint32_t upstream_windows;
    uint32_t aligned;  /* of them, in the epoch at hand */
    struct wr_batch_pool *exchange_pool;
    struct wr_batch **outgoing; /* per worker, being filled */
    struct wr_window_snapshot snapshot;
    struct wr_buf blob;
    uint64_t *blob_row; /* scratch: an aligned copy of a row */

    /* Scratch of a push, indexed by the row's place among the live ones. */
    uint32_t *rows;
    struct wr_window_run *runs; /* SESSION: none */
    uint32_t run_count;
    uint64_t *images; /* key_words per row */
    uint64_t *hashes;
    uint8_t **states;
    uint32_t *agg_rows;
    uint8_t **agg_states;
    const int64_t *time; /* the time column's values */
};

WR_NODISCARD wr_status wr_window_create(struct wr_exec *exec, struct wr_op *op,
                                        struct wr_error *err);
void wr_window_destroy(struct wr_window *window);
void wr_window_push(struct wr_window *window, struct wr_batch *batch);
void wr_window_watermark(struct wr_window *window, int64_t watermark_us);
void wr_window_refresh(struct wr_window *window); /* after a peer's watermark */
bool wr_window_step(struct wr_window *window, uint32_t *budget);
int64_t wr_window_oldest_us(const struct wr_window *window); /* exec.h, wr_exec_oldest_open_us */
uint64_t wr_window_open_keys(const struct wr_window *window);
uint64_t wr_window_state_bytes(const struct wr_window *window);

/* What ends at or before this is closed at that watermark. */
int64_t wr_window_limit_us(const struct wr_window *window, int64_t watermark_us);

/* window_restore.c: exec.h, wr_exec_restore and wr_exec_restored. */
wr_status wr_window_restore(struct wr_window *window, uint64_t epoch, const void *records,
                            size_t bytes, struct wr_error *err);
void wr_window_restored(struct wr_window *window, int64_t watermark_us);

/* window_blob.c: a row as bytes. load: in blob_row, views lie in the blob and blocks are the row's
 * own; NULL: the bytes are not a row of this window. */
void wr_window_save_row(struct wr_window *window, const uint8_t *row, struct wr_buf *into);
/* into's states become row's, blocks and all; what into had must have been released. */
void wr_window_take_states(const struct wr_window *window, uint8_t *into, const uint8_t *row);
uint8_t *wr_window_load_row(struct wr_window *window, const char *blob, size_t bytes);

/* window_judge.c: which rows count, and in which cells. Narrows window->rows, makes window->runs;
 * returns the count. */
uint32_t wr_window_judge(struct wr_window *window, const struct wr_batch *batch, uint32_t count);

/* HOP, TUMBLE: the last window that has closed at limit; the first and the last one that a slice
 * lies in. */
int64_t wr_window_last_closed(const struct wr_window *window, int64_t limit);
int64_t wr_window_first_of_slice(const struct wr_window *window, int64_t slice);
int64_t wr_window_last_of_slice(const struct wr_window *window, int64_t slice);

/* window_key.c */
wr_status wr_window_layout(struct wr_window *window, struct wr_error *err);
uint32_t wr_window_evaluate(struct wr_window *window, const struct wr_batch *batch,
                            uint32_t count);
void wr_window_images(struct wr_window *window, uint32_t count); /* and hashes */
void wr_window_update(struct wr_window *window, const struct wr_batch *batch, uint32_t count);

/* window_cell.c */
struct wr_cell *wr_cell_get(struct wr_window *window, struct wr_side *side, int64_t order,
                            int64_t sub);
void wr_cell_retire(struct wr_window *window, struct wr_side *side, struct wr_cell *cell);
void wr_cell_release_states(struct wr_window *window, struct wr_cell *cell);
void wr_queue_insert(struct wr_cell_queue *queue, struct wr_cell *cell, bool by_sub);
struct wr_cell *wr_queue_pop(struct wr_cell_queue *queue);
int64_t wr_cell_close_us(const struct wr_window *window, int64_t order);
void wr_side_deinit(struct wr_window *window, struct wr_side *side);

/* window_find.c: each row's state, found or made; returns how many were made. */
uint32_t wr_window_find(struct wr_window *window, struct wr_side *side, uint32_t count);

/* window_hop.c */
bool wr_hop_step(struct wr_window *window, int64_t limit, uint32_t *budget);
void wr_hop_init(struct wr_window *window);
void wr_hop_deinit(struct wr_window *window);

/* window_session.c */
void wr_session_add_rows(struct wr_window *window, struct wr_side *side, uint32_t count);
/* row: key and states of a session or a part of one; merged, not taken over. */
void wr_session_add_partial(struct wr_window *window, struct wr_side *side, int64_t start,
                            int64_t last, const uint8_t *row);
int64_t wr_session_oldest_us(const struct wr_side *side); /* smallest start; WR_TIME_MAX: none */
/* Calls close for the sessions whose end (in local: whose start) is at or before limit, about
 * *budget of them; true when more is waiting. */
bool wr_session_close(struct wr_window *window, struct wr_side *side, int64_t limit,
                      uint32_t *budget,
                      void (*close)(struct wr_window *window, int64_t start, int64_t last,
                                    uint8_t *row));
const uint8_t *wr_session_next(const uint8_t *session, int64_t *start, int64_t *last);
/* Restoring: forgets the key's sessions and puts one in their place (first), or adds a further one;
 * the row's states are taken over. Due times are set by wr_session_restored, which drops what ends
 * at or before limit. */
void wr_session_put(struct wr_window *window, int64_t start, int64_t last, const uint8_t *row,
                    bool first);
void wr_session_restored(struct wr_window *window, int64_t limit);
void wr_session_deinit(struct wr_window *window, struct wr_side *side);

/* window_emit.c: one result row; keys and states of row. */
void wr_window_emit(struct wr_window *window, int64_t start, int64_t end, const uint8_t *row);
void wr_window_flush(struct wr_window *window);

/* window_exchange.c */
wr_status wr_window_exchange_create(struct wr_window *window, struct wr_error *err);
void wr_window_exchange_destroy(struct wr_window *window);
/* Sends all partials that windows closing at or before watermark_us need; WR_TIME_MAX: all. */
void wr_window_send(struct wr_window *window, int64_t watermark_us);
void wr_window_send_if_large(struct wr_window *window, uint32_t keys_max);
void wr_window_announce(struct wr_window *window, int64_t watermark_us);
void wr_window_receive(struct wr_window *window, const struct wr_batch *batch);

#endif
