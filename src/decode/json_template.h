/* json_template.h: whole records as templates (private to the JSON decoder).
 *
 * Events of one kind differ in their leaves (strings and bare values: numbers, true, false, null)
 * and agree in all bytes between them. A template is learnt from a record that the walk has taken:
 * the texts between its leaves, and what to do with each leaf. A later record is matched without
 * going through it byte by byte: one pass of vector compares finds its quotes, and all places
 * follow from them: a string leaf lies between two neighbouring quotes, a bare leaf between two
 * neighbouring quotes less the fixed texts around it. No place depends on the one before, so the
 * processor works on all of them at once.
 *
 * Why a match means well-formed JSON: a record without backslashes and control characters, whose
 * bytes above 0x7f are UTF-8, that has as many quotes as the template and the template's text at
 * every place, differs from a well-formed record in leaves only; string leaves then hold no quote,
 * and each bare leaf is checked to be exactly one value.
 *
 * Everything that does not match is left to the walk (json_walk.h), which is complete by itself.
 */
#ifndef WR_DECODE_JSON_TEMPLATE_H
#define WR_DECODE_JSON_TEMPLATE_H

#include "base/slice.h"

/* One vector register of text. */
#define WR_JSON_PIECE_BYTES 32u
/* Text that hangs on a quote may begin this many bytes before it, and so before the record. */
#define WR_JSON_LEAD_BYTES 8u
#define WR_JSON_TEMPLATE_BYTES_MAX 4096u
#define WR_JSON_TEMPLATE_QUOTES_MAX 1024u
#define WR_JSON_TEMPLATE_DEPTH_MAX 16u
/* Shapes of events that are remembered at a time. */
#define WR_JSON_TEMPLATES 4u
/* Records that are matched side by side. */
#define WR_JSON_LANES 16u
#define WR_JSON_MARKS_SPARE 80u
/* Room for the marks of all lanes, and of one of any length. */
#define WR_JSON_LANES_MARKS (WR_JSON_LANES * 256u)
#define WR_JSON_MARKS_ROOM                                                                         \
    (WR_JSON_LANES_MARKS + WR_JSON_TEMPLATE_BYTES_MAX + 2u + WR_JSON_MARKS_SPARE)
/* After so many tries it is seen whether templates pay. */
#define WR_JSON_TRIAL_RECORDS 1024u

struct wr_json_decoder;
struct wr_json_field;

/* Positions are counted in marks: mark 0 is the record's start, mark i its i-th quote, mark
 * quotes + 1 its end. */
struct wr_json_marks {
    uint16_t *at; /* at up to WR_JSON_MARKS_SPARE more than there are may be stored */
    uint32_t quotes;
    bool doubtful; /* bytes above 0x7f or control characters occur */
};

/* Bytes that must stand around a mark, from WR_JSON_LEAD_BYTES before it on. */
struct wr_json_piece {
    char text[WR_JSON_PIECE_BYTES];
    char mask[WR_JSON_PIECE_BYTES]; /* all ones for the bytes of text that count */
};

/* Where a piece lies. */
struct wr_json_place {
    uint16_t mark;
    uint16_t offset; /* from the mark on: of the later pieces of a long text */
};

struct wr_json_leaf {
    void *values; /* of the field, in the batch at hand; set by the decoder per batch */
    struct wr_json_field *field; /* NULL: only checked */
    uint16_t mark;               /* string: its opening quote; bare: the quote before it */
    uint16_t before;             /* bytes from that mark to the leaf */
    uint16_t around;             /* bytes from mark to mark + 1 that are not the leaf's */
    uint8_t kind;                /* enum wr_json_kind */
    bool string;
};

struct wr_json_template {
    uint32_t quotes;
    uint32_t bytes_min;   /* of a record that fits */
    uint32_t tail_mark;   /* the record ends tail_bytes behind this mark */
    uint32_t tail_bytes;
    uint32_t piece_count;
    uint32_t text_count;
    uint32_t leaf_count;
    uint32_t hits; /* lately */
    bool complete; /* every column has a leaf */
    uint64_t *seen; /* columns that have a leaf; the decoder's seen_words */
    struct wr_json_piece *pieces; /* aligned; their places beside them */
    struct wr_json_place *places;
    struct wr_json_leaf *texts;  /* strings for TEXT columns: they cannot fail */
    struct wr_json_leaf *leaves; /* what may fail, in the record's order, as the walk meets it */
};

struct wr_json_templates {
    struct wr_json_template *items[WR_JSON_TEMPLATES]; /* NULL where none is learnt */
    const struct wr_json_template *pinned; /* in use: must not be replaced */
    uint32_t recent; /* the one that fitted last */
    uint32_t tries;  /* in this trial */
    uint32_t hits;
    uint32_t learns_left; /* in this trial */
    uint32_t rest;        /* batches for which templates are left alone: they did not pay */
    uint32_t learns;      /* ever; finds objects that come twice in a record */
};

/* Learns the record at hand, which the walk has just taken without a fault. */
void wr_json_template_learn(struct wr_json_decoder *d);
/* Once per batch, before it. */
void wr_json_templates_refresh(struct wr_json_decoder *d);
void wr_json_templates_deinit(struct wr_json_templates *templates);

/* A leaf that is not of its column's plain form, at [at, after), a string with its quotes. Returns
 * WR_JSON_LEAF_*. */
enum wr_json_leaf_result {
    WR_JSON_LEAF_TAKEN,
    WR_JSON_LEAF_FAULT, /* the row has its fault */
    WR_JSON_LEAF_OTHER, /* not one JSON value: the walk says what is wrong */
};
enum wr_json_leaf_result wr_json_leaf_slow(struct wr_json_decoder *d,
                                           const struct wr_json_leaf *leaf, const char *at,
                                           const char *after);

#endif
