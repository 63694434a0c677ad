/* sim_world.h: the world that outlives the simulated process: broker log, object store, clock, seed.
 *
 * It lies in memory shared by the parent and all incarnations of the process (forked children), at the same address in all,
 * so pointers in it hold everywhere. Only one process runs at a time (the others are stopped or dead): nothing is locked.
 * All that is random is drawn from the world's one generator: the same seed gives the same history, step by step.
 *
 * An incarnation ends by a crash (_exit at a crash point: no handler, no flush), by a stop in order, or at its end.
 * Invariants:
 *   (1) between two crash points the world is consistent: a crash never tears it
 *   (2) the first violation of a promise is kept; it ends the incarnation at once
 */
#ifndef WR_TESTS_SIM_WORLD_H
#define WR_TESTS_SIM_WORLD_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/rand.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define SIM_SPLITS_MAX 6u
#define SIM_SINKS_MAX 8u
#define SIM_RUNS_MAX 12u
#define SIM_PROCESSES_MAX 1024u
#define SIM_COLUMNS 8u
#define SIM_EPOCH_WALL_US INT64_C(1700000000000000) /* wall clock at simulated time 0 */

/* How an incarnation's process ended. */
enum sim_exit {
    SIM_EXIT_DONE = 0,       /* the pipeline ended by itself, exit code 0 */
    SIM_EXIT_FAILED = 74,    /* the pipeline ended with an error: fenced, refused */
    SIM_EXIT_CRASH = 70,
    SIM_EXIT_VIOLATION = 71,
    SIM_EXIT_STUCK = 72,     /* more steps than any run needs */
    SIM_EXIT_RETRY = 73,     /* it gave up on a store that did not answer: its supervisor starts it again */
};

enum sim_event_kind { SIM_ROW, SIM_MALFORMED, SIM_NO_TIME, SIM_AHEAD };

struct sim_event {
    int64_t id;
    bool copy; /* of another event with this id: to be filtered, this one or that one */
    int64_t produced_ns;
    int64_t ts_us;
    int64_t value;
    int32_t key;
    enum sim_event_kind kind;
};

struct sim_split {
    char name[24];
    int64_t born_ns; /* found by the source from then on */
    struct sim_event *events;
    uint32_t count;
};

enum sim_window { SIM_TUMBLE, SIM_HOP, SIM_SESSION };

enum sim_feed { SIM_FEED_ROWS, SIM_FEED_WINDOW, SIM_FEED_LATE, SIM_FEED_BAD };

/* What a sink of the history's pipeline holds; the reference computes the same. */
struct sim_sink {
    char name[16];
    char connector[16];
    enum sim_feed feed;
    bool once; /* exactly once is promised */
    enum sim_window window;
    int64_t size_us;
    int64_t slide_us;
    bool nested;         /* WINDOW: the groups of a window summed once more, by window alone */
    int64_t interval_ms; /* commit_interval */
    bool filtered;       /* WHERE v % 5 <> 0 */
    bool partitioned;    /* by k */
};

/* What a history is, drawn from its seed before anything runs. */
struct sim_scenario {
    uint32_t workers[SIM_RUNS_MAX]; /* of each incarnation */
    uint32_t batch_rows;
    uint32_t lane_batches;
    uint32_t split_count;
    uint32_t sink_count;
    struct sim_sink sinks[SIM_SINKS_MAX];
    bool text_keys;
    int64_t delay_us;    /* of the watermark */
    int64_t lateness_us;
    int64_t idle_us;
    uint32_t key_count;
    uint32_t fault_per_mille; /* store ops that fail */
    uint32_t slow_ns;         /* most that a store op takes */
    uint32_t crashes;
    bool zero_hash;
    bool deduplicates; /* by id */
};

enum sim_point { SIM_POINT_FAULT, SIM_POINT_OP, SIM_POINT_STEP, SIM_POINT_COUNT_ };

/* One incarnation's fate: what happens at the countdown-th point of a kind. */
struct sim_run {
    enum sim_point crash_kind;
    uint32_t crash_after; /* 0: never */
    enum sim_point freeze_kind;
    uint32_t freeze_after; /* 0: never: stops itself there (a zombie), until the parent wakes it */
    uint32_t stop_after;   /* steps until an orderly stop (SIGTERM); 0: none */
    uint32_t seen[SIM_POINT_COUNT_];
    bool bounded;
    bool standby;
    bool frozen;    /* has been */
    uint32_t host;  /* which machine it runs on */
    uint32_t wakes_after; /* frozen: slices of others until it goes on */
    bool lose_state; /* the state's objects are gone before it starts */
    bool claimed;  /* has put a manifest */
    uint64_t steps;
};

struct sim_object {
    char *key;
    char *data;
    size_t bytes;
};

enum sim_upload_state { SIM_UPLOAD_OPEN, SIM_UPLOAD_PREPARED, SIM_UPLOAD_PUBLISHED, SIM_UPLOAD_GONE };

struct sim_upload {
    uint64_t id;
    char *key;
    char *data;
    size_t bytes;
    enum sim_upload_state state;
};

/* One row as a sink's readers see it: integers and times as they are, texts as a hash, NULL as SIM_NULL. */
#define SIM_NULL INT64_MIN
struct sim_row {
    int64_t column[SIM_COLUMNS];
};

/* The table behind a simulated sink (connectors simtable, simlog). */
struct sim_table {
    struct sim_row *rows;
    uint32_t count;
    uint32_t capacity;
    uint64_t committed; /* newest epoch of the owner's uuid */
    char uuid[40];
};

/* A split became active with a floor. It counts once the manifest of its epoch is put. */
struct sim_activation {
    uint32_t run;
    uint64_t epoch;
    uint32_t split;
    int64_t position;
    int64_t floor_us;
    bool committed;
};

/* The newest manifest. */
struct sim_head {
    uint64_t epoch;
    char owner[20];
    char uuid[40];
    char key[80];
    uint64_t cut;
    int64_t position[SIM_SPLITS_MAX]; /* at the newest cut */
};

struct sim_world {
    uint64_t seed;
    struct wr_rand rand;
    int64_t now_ns;
    bool trace;
    bool calm;    /* the parent looks: no faults, no crashes */
    uint32_t bug; /* enum sim_bug */
    struct sim_scenario scenario;
    struct sim_split splits[SIM_SPLITS_MAX];
    struct sim_run runs[SIM_RUNS_MAX];
    uint32_t run_now; /* the incarnation that is running */
    uint32_t alive;   /* processes that are not over */
    uint32_t asleep;  /* frozen ones of them */
    bool lives[SIM_PROCESSES_MAX]; /* by process id - 1 */
    uint32_t process_count;
    /* objects, sorted by key */
    struct sim_object *objects;
    uint32_t object_count;
    struct sim_upload *uploads;
    uint32_t upload_count;
    struct sim_table tables[SIM_SINKS_MAX];
    struct sim_activation *activations;
    uint32_t activation_count;
    struct sim_head head;
    uint32_t lost; /* how often the state was lost */
    uint64_t ops;
    int64_t quiet_ns; /* when a run that is not bounded has nothing more to wait for */
    char failure[256]; /* of the newest pipeline that failed */
    char violation[1024];
    size_t arena_bytes;
    size_t arena_used;
    char *arena;
};

extern struct sim_world *sim; /* the one world of this process */
/* This process opens its parts: many calls must all work; fewer faults then, as behind a store's own retries. */
extern bool sim_starting;

/* Maps the world; once. */
void sim_world_create(size_t bytes);
/* Empties it for the history of a seed. */
void sim_world_reset(uint64_t seed);
void *sim_alloc(size_t bytes); /* in the world, zeroed, for the history's life */
char *sim_strndup(const char *text, size_t bytes);

static inline uint64_t sim_below(uint64_t bound)
{
    return wr_rand_below(&sim->rand, bound);
}
static inline bool sim_chance(uint32_t per_mille)
{
    return sim_below(1000) < per_mille;
}
static inline int64_t sim_between(int64_t low, int64_t high) /* both included */
{
    return low + (int64_t)sim_below((uint64_t)(high - low + 1));
}
uint32_t sim_log_uniform(uint32_t low, uint32_t high); /* small ones as likely as large ones */

struct wr_time sim_now(void *unused);
void sim_trace(const char *fmt, ...) WR_PRINTF(1, 2);
/* A broken promise: kept, and in an incarnation the end of it. */
void sim_violation(const char *fmt, ...) WR_PRINTF(1, 2);
/* A place where the incarnation may crash or freeze. */
void sim_point(enum sim_point kind, const char *name);
void sim_point_now(const char *name); /* it does crash here */

int64_t sim_hash_text(const char *data, size_t bytes);
/* The text of an event's key. */
int sim_key_text(int32_t key, char into[40]);
/* The payload as the broker keeps it. Returns its bytes. */
uint32_t sim_payload(const struct sim_event *event, char into[192]);
uint32_t sim_produced(const struct sim_split *split, int64_t now_ns); /* events readable by then */

/* ---- objects (sim_store.c puts faults around them) ---- */

struct sim_object *sim_object_find(const char *key);
void sim_object_put(const char *key, const void *data, size_t bytes);
void sim_object_delete(const char *key);
uint32_t sim_object_lower(const char *key); /* index of the first key >= key */

/* ---- tables of simulated sinks ---- */

uint32_t sim_sink_index(const char *name); /* UINT32_MAX: none */
void sim_table_add(struct sim_table *table, const struct sim_row *row);

#endif
