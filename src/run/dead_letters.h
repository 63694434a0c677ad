/* dead_letters.h: reads back what an error sink holds: for `weir dlq` and for replaying (replay.h).
 *
 * A sink's letters lie in parts, each with positions of its own: a file (bytes), a topic's partition (offsets), the rows of a table or
 * directory (epochs). What has been replayed of a
 * part is a split of the source that the letters belong to: "dlq/SINK/PART", and for what `--error TEXT` has replayed
 * alone "dlq/SINK/PART?error=TEXT". A letter is done when it lies before the position of the first, or before that of one of the others
 * and its error has that text.
 *
 * Ownership: letters borrow from their reader until its next call. Threads: whoever opened them; a reader belongs to one thread.
 * Invariants:
 *   (1) positions of a part ascend; position < next_position
 *   (2) whatever lies in a part is given: what is no dead letter comes with readable == false
 */
#ifndef WR_RUN_DEAD_LETTERS_H
#define WR_RUN_DEAD_LETTERS_H

#include "plan/plan.h"
#include "state/manifest.h"

#define WR_REPLAY_PREFIX "dlq/"
/* Of `--error TEXT`: it becomes part of a split's name. */
#define WR_REPLAY_ERROR_BYTES_MAX 100u

struct wr_letter {
    int64_t position;
    int64_t next_position;
    bool readable; /* false: nothing else is set */
    /* data NULL: null */
    struct wr_slice source;
    struct wr_slice split; /* NULL: a result row, or a row that a sink's other side refused */
    struct wr_slice key;
    struct wr_slice headers; /* JSON */
    struct wr_slice value;   /* the raw payload */
    struct wr_slice error;
    struct wr_slice field;
    struct wr_slice sinks; /* JSON: the names of those that have not had the record; NULL: none has */
    bool base64;          /* it was so in the letter */
    bool has_payload;     /* false: the source makes rows itself; there is nothing to decode again */
    int64_t origin_position;
    int64_t timestamp_us; /* WR_RECORD_NO_TIME: null */
};

struct wr_letters;
struct wr_letter_reader;

/* Opens what the sink has written; nothing there yet: no parts. A connector that cannot be read back is an error (USER) that names those
 * that can. */
WR_NODISCARD wr_status wr_letters_open(struct wr_letters **letters, const struct wr_plan_sink *sink,
                                       struct wr_error *err);
void wr_letters_close(struct wr_letters *letters); /* NULL is fine; its readers are closed */
uint32_t wr_letters_parts(const struct wr_letters *letters);
const char *wr_letters_part(const struct wr_letters *letters, uint32_t part); /* "bad.ndjson", "topic/3" */
/* Where the part begins and ends now: behind the last whole letter. */
WR_NODISCARD wr_status wr_letters_span(struct wr_letters *letters, uint32_t part, int64_t *begin,
                                       int64_t *end, struct wr_error *err);
/* What tells this part from another under the same name, as printable text (a hash of how it begins); "" when it needs none. */
#define WR_LETTERS_MARK_BYTES 40
WR_NODISCARD wr_status wr_letters_mark(struct wr_letters *letters, uint32_t part,
                                       char mark[WR_LETTERS_MARK_BYTES], struct wr_error *err);
/* Whether the part is the one that mark was made of. */
bool wr_letters_fit(struct wr_letters *letters, uint32_t part, const char *mark);

/* Letters with from <= position < to. */
WR_NODISCARD wr_status wr_letter_reader_open(struct wr_letter_reader **reader,
                                             struct wr_letters *letters, uint32_t part,
                                             int64_t from, int64_t to, struct wr_error *err);
/* WR_AGAIN: nothing now, soon; WR_END: that was all. Waits only where letters lie in a store, for the next of its files. */
WR_NODISCARD wr_status wr_letter_reader_next(struct wr_letter_reader *reader,
                                             struct wr_letter *letter, struct wr_error *err);
void wr_letter_reader_close(struct wr_letter_reader *reader); /* NULL is fine */

/* One line of NDJSON. letter's slices borrow from scratch, which is the caller's. */
struct wr_letter_scratch;
struct wr_letter_scratch *wr_letter_scratch_create(void);
void wr_letter_scratch_destroy(struct wr_letter_scratch *scratch); /* NULL is fine */
void wr_letter_parse(struct wr_letter_scratch *scratch, struct wr_slice line,
                     struct wr_letter *letter);

/* ---- how far ---- */

/* "dlq/SINK/PART", with error (may be NULL) "?error=TEXT"; the caller's to free. */
char *wr_replay_split_name(const char *sink, const char *part, const char *error);

/* What was replayed of one part. */
struct wr_replay_marks {
    struct {
        char *error; /* NULL: of all letters */
        int64_t position;
        const char *note; /* borrowed from the splits; may be NULL */
    } *items;
    uint32_t count;
};

/* Looks through the splits of a source: names, positions and notes, count of them. */
struct wr_replay_known {
    const char *name;
    int64_t position;
    const char *note;
};
void wr_replay_marks_find(struct wr_replay_marks *marks, const char *sink, const char *part,
                          const struct wr_replay_known *splits, uint32_t count);
void wr_replay_marks_deinit(struct wr_replay_marks *marks); /* zeroed is fine */
bool wr_replay_marks_done(const struct wr_replay_marks *marks, const struct wr_letter *letter);
/* Whether `--error text` means this letter; NULL: all are meant. */
bool wr_letter_has_error(const struct wr_letter *letter, const char *text);
/* Whether it can be replayed at all. */
static inline bool wr_letter_replayable(const struct wr_letter *letter)
{
    return letter->readable && letter->split.data != NULL && letter->has_payload;
}

#endif
