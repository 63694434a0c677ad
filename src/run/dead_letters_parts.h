/* dead_letters_parts.h: what a kind of error sink must be able to do to be read back (dead_letters.c). Private to run/dead_letters*. */
#ifndef WR_RUN_DEAD_LETTERS_PARTS_H
#define WR_RUN_DEAD_LETTERS_PARTS_H

#include "run/dead_letters.h"

struct wr_letters_ops {
    const char *connector;
    bool any_format; /* letters are columns there: format has no meaning */
    wr_status (*open)(struct wr_letters *letters, struct wr_error *err);
    void (*close)(struct wr_letters *letters);
    wr_status (*span)(struct wr_letters *letters, uint32_t part, int64_t *begin, int64_t *end,
                      struct wr_error *err);
    wr_status (*head)(struct wr_letters *letters, uint32_t part, char *into, size_t *bytes,
                      struct wr_error *err); /* up to *bytes of the part's beginning; NULL: needs no mark */
    wr_status (*reader_open)(struct wr_letter_reader *reader, struct wr_error *err);
    wr_status (*next)(struct wr_letter_reader *reader, struct wr_letter *letter, struct wr_error *err);
    void (*reader_close)(struct wr_letter_reader *reader);
};

struct wr_letters {
    const struct wr_letters_ops *ops;
    const struct wr_plan_sink *sink;
    char **parts;
    uint32_t part_count;
    void *own; /* the kind's */
};

struct wr_letter_reader {
    struct wr_letters *letters;
    uint32_t part;
    int64_t from;
    int64_t to;
    struct wr_letter_scratch *scratch;
    void *own;
};

void wr_letters_add_part(struct wr_letters *letters, const char *name);
/* Decodes letter->value when it is base64, and sets what follows from key and value. False: it says base64 and is none. */
bool wr_letter_settle(struct wr_letter_scratch *scratch, struct wr_letter *letter);

extern const struct wr_letters_ops wr_letters_file;
extern const struct wr_letters_ops wr_letters_kafka;
extern const struct wr_letters_ops wr_letters_delta;
extern const struct wr_letters_ops wr_letters_parquet;
extern const struct wr_letters_ops wr_letters_eventhubs;

#endif
