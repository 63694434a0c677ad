/* json_template.c: see json_template.h. Learning a template, and what is rare when one matches. */
#include "decode/json_template.h"

#include "base/heap.h"
#include "batch/json_scan.h"
#include "decode/json_shape.h"

/* Of new templates per trial: learning costs as much as walking some ten records. */
#define LEARNS_PER_TRIAL 4u
/* How many batches templates rest that matched less than a quarter of a trial. */
#define REST_BATCHES 64u
/* Each leaf has a quote of its own before it. */
#define LEAVES_MAX WR_JSON_TEMPLATE_QUOTES_MAX
#define PIECES_MAX WR_JSON_TEMPLATE_QUOTES_MAX

/* A template under construction over the record [at, end). */
struct learning {
    struct wr_json_decoder *d;
    const char *end;
    const char *text;    /* where the text since the last leaf begins */
    uint32_t mark;       /* the last one passed */
    uint32_t text_mark;  /* the last one before text */
    uint32_t tail_mark;  /* of the text that came last: see the template's */
    uint32_t tail_bytes;
    bool after_bare; /* the last leaf is bare: the text behind it hangs on the next mark */
    bool opening;    /* no leaf yet */
    uint32_t piece_count;
    uint32_t text_count;
    uint32_t leaf_count;
    uint32_t fixed_bytes;
    uint64_t seen[WR_COLUMNS_MAX / 64];
    struct wr_json_piece pieces[PIECES_MAX];
    struct wr_json_place places[PIECES_MAX];
    struct wr_json_leaf texts[LEAVES_MAX];
    struct wr_json_leaf leaves[LEAVES_MAX];
};

/* Cuts the text [l->text, l->text + bytes) into pieces. lead: how many of its bytes lie before the
 * mark. */
static bool add_pieces(struct learning *l, size_t bytes, uint32_t mark, size_t lead)
{
    l->fixed_bytes += (uint32_t)bytes;
    size_t skip = WR_JSON_LEAD_BYTES - lead; /* bytes of the first piece that do not count */
    for (size_t done = 0; done < bytes;) {
        if (l->piece_count == PIECES_MAX) {
            return false;
        }
        const size_t left = bytes - done;
        const size_t room = WR_JSON_PIECE_BYTES - skip;
        const size_t part = left < room ? left : room;
        struct wr_json_piece *piece = &l->pieces[l->piece_count];
        memset(piece, 0, sizeof(*piece));
        memcpy(piece->text + skip, l->text + done, part);
        memset(piece->mask + skip, 0xff, part);
        l->places[l->piece_count++] = (struct wr_json_place){
            .mark = (uint16_t)mark,
            .offset = (uint16_t)(WR_JSON_LEAD_BYTES + done - skip - lead),
        };
        done += part;
        skip = 0;
    }
    return true;
}

/* The text since the last leaf ends at to, where a leaf or the record's end is. */
static bool end_text(struct learning *l, const char *to)
{
    const size_t bytes = (size_t)(to - l->text);
    const char *anchor = l->text; /* where the mark lies */
    l->tail_mark = l->text_mark;
    if (l->after_bare) {
        const char *quote = memchr(l->text, '"', bytes);
        if (quote == NULL && to != l->end) {
            return false; /* two bare values without a quote between them: nothing parts them */
        }
        anchor = quote == NULL ? to : quote;
        l->tail_mark++;
        struct wr_json_leaf *bare = &l->leaves[l->leaf_count - 1];
        bare->around = (uint16_t)(bare->before + (anchor - l->text));
    } else if (!l->opening) {
        anchor--; /* the closing quote */
    }
    l->tail_bytes = (uint32_t)(to - anchor);
    if (anchor > l->text) {
        const size_t lead = (size_t)(anchor - l->text);
        return lead <= WR_JSON_LEAD_BYTES && add_pieces(l, bytes, l->tail_mark, lead);
    }
    l->text = anchor;
    return add_pieces(l, (size_t)(to - anchor), l->tail_mark, 0);
}

static enum wr_json_kind kind_of(const struct wr_json_field *field, bool string)
{
    if (field == NULL) {
        return WR_JSON_SKIP;
    }
    const enum wr_json_kind kind = wr_json_kind_of(field->type);
    const bool plain = string ? kind == WR_JSON_TEXT || kind == WR_JSON_TIME : kind != WR_JSON_TEXT;
    return plain && field->next == NULL ? kind : WR_JSON_OTHER;
}

static struct wr_json_leaf *add_leaf(struct learning *l, const char *at,
                                     const struct wr_json_key *key, bool string)
{
    if (l->leaf_count == LEAVES_MAX || l->text_count == LEAVES_MAX || !end_text(l, at)) {
        return NULL;
    }
    struct wr_json_field *field = key == NULL ? NULL : key->field;
    const bool plain_text = kind_of(field, string) == WR_JSON_TEXT;
    struct wr_json_leaf *leaf = plain_text ? &l->texts[l->text_count] : &l->leaves[l->leaf_count];
    *leaf = (struct wr_json_leaf){ .field = field, .mark = (uint16_t)l->mark, .string = string };
    leaf->kind = (uint8_t)kind_of(field, string);
    leaf->before = string;
    leaf->around = string;
    if (plain_text) {
        l->text_count++;
    } else if (field != NULL || !string) {
        l->leaf_count++; /* strings for nobody are fine once the text around them is */
    }
    for (const struct wr_json_field *f = field; f != NULL; f = f->next) {
        if ((l->seen[f->seen_word] & f->seen_bit) != 0) {
            return NULL; /* a key that came twice */
        }
        l->seen[f->seen_word] |= f->seen_bit;
    }
    l->opening = false;
    return leaf;
}

/* at: at the opening quote. Keys too count their quotes here. */
static const char *pass_string(struct learning *l, const char *at)
{
    const char *quote = memchr(at + 1, '"', (size_t)(l->end - at - 1));
    l->mark += 2;
    return l->mark >= WR_JSON_TEMPLATE_QUOTES_MAX || quote == NULL ? NULL : quote + 1;
}

static const char *learn_string(struct learning *l, const char *at, const struct wr_json_key *key)
{
    l->mark++; /* its opening quote belongs to the text before it */
    if (add_leaf(l, at + 1, key, true) == NULL) {
        return NULL;
    }
    l->mark--;
    at = pass_string(l, at);
    l->text = at;
    l->text_mark = l->mark;
    l->after_bare = false;
    return at;
}

static const char *learn_bare(struct learning *l, const char *quote, const char *at,
                              const struct wr_json_key *key)
{
    const char *after = at;
    while (after < l->end && strchr(",]} ", *after) == NULL) {
        after++;
    }
    struct wr_json_leaf *leaf = add_leaf(l, at, key, false);
    if (leaf == NULL || quote == NULL) {
        return NULL;
    }
    leaf->before = (uint16_t)(at - quote);
    l->text = after;
    l->text_mark = l->mark;
    l->after_bare = true;
    return after;
}

static const char *skip_spaces(const struct learning *l, const char *at)
{
    return wr_json_skip_space(at, l->end);
}

static const char *learn_value(struct learning *l, const char *quote, const char *at,
                               const struct wr_json_key *key, uint32_t depth);

/* at: behind the '{'. node: NULL where nobody asks for anything inside. */
static const char *learn_object(struct learning *l, struct wr_json_node *node, const char *at,
                                uint32_t depth)
{
    if (node != NULL && node->learns == l->d->templates.learns) {
        return NULL; /* its key came twice: what came first does not count */
    }
    if (node != NULL) {
        node->learns = l->d->templates.learns;
    }
    for (at = skip_spaces(l, at); *at != '}'; at = skip_spaces(l, at)) {
        if (*at == ',') {
            at = skip_spaces(l, at + 1);
        }
        const char *after = pass_string(l, at);
        if (after == NULL) {
            return NULL;
        }
        const struct wr_slice name = { at + 1, (size_t)(after - at) - 2 };
        at = skip_spaces(l, skip_spaces(l, after) + 1);
        const struct wr_json_key *key = node == NULL ? NULL : wr_json_find_key(node, name);
        at = learn_value(l, after - 1, at, key, depth);
        if (at == NULL) {
            return NULL;
        }
    }
    return at + 1;
}

static const char *learn_array(struct learning *l, const char *quote, const char *at,
                               uint32_t depth)
{
    for (at = skip_spaces(l, at); *at != ']'; at = skip_spaces(l, at)) {
        if (*at == ',') {
            at = skip_spaces(l, at + 1);
        }
        at = learn_value(l, quote, at, NULL, depth);
        if (at == NULL) {
            return NULL;
        }
        quote = at[-1] == '"' ? at - 1 : NULL;
    }
    return at + 1;
}

/* quote: the last one before at that is the mark of a bare value here; NULL: there is none. */
static const char *learn_value(struct learning *l, const char *quote, const char *at,
                               const struct wr_json_key *key, uint32_t depth)
{
    const bool nested = *at == '{' || *at == '[';
    if (key != NULL && ((key->child != NULL && (*at != '{' || key->field != NULL)) ||
                        (nested && key->field != NULL))) {
        return NULL; /* not the shape that the columns expect, or the text of an object is one */
    }
    if (!nested) {
        return *at == '"' ? learn_string(l, at, key) : learn_bare(l, quote, at, key);
    }
    if (depth == WR_JSON_TEMPLATE_DEPTH_MAX) {
        return NULL;
    }
    return *at == '{' ? learn_object(l, key == NULL ? NULL : key->child, at + 1, depth + 1)
                      : learn_array(l, quote, at + 1, depth + 1);
}

static void *copied(const void *items, size_t bytes)
{
    return memcpy(wr_malloc(bytes + 1), items, bytes);
}

static struct wr_json_template *make(const struct learning *l)
{
    const struct wr_json_decoder *d = l->d;
    struct wr_json_template *t = wr_calloc(1, sizeof(*t));
    t->quotes = l->mark;
    t->bytes_min = l->fixed_bytes;
    t->tail_mark = l->tail_mark;
    t->tail_bytes = l->tail_bytes;
    t->text_count = l->text_count;
    t->leaf_count = l->leaf_count;
    t->piece_count = l->piece_count;
    t->pieces = wr_calloc_aligned(l->piece_count * sizeof(l->pieces[0]));
    memcpy(t->pieces, l->pieces, l->piece_count * sizeof(l->pieces[0]));
    t->places = copied(l->places, l->piece_count * sizeof(l->places[0]));
    t->texts = copied(l->texts, l->text_count * sizeof(l->texts[0]));
    t->leaves = copied(l->leaves, l->leaf_count * sizeof(l->leaves[0]));
    t->seen = copied(l->seen, d->seen_words * sizeof(l->seen[0]));
    t->complete = memcmp(t->seen, d->all, d->seen_words * sizeof(l->seen[0])) == 0;
    return t;
}

static void destroy(struct wr_json_template *t)
{
    if (t != NULL) {
        free(t->pieces);
        free(t->places);
        free(t->texts);
        free(t->leaves);
        free(t->seen);
        free(t);
    }
}

static void aim(struct wr_json_leaf *leaves, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (leaves[i].field != NULL) {
            leaves[i].values = leaves[i].field->values;
        }
    }
}

/* An empty place, else the one that fitted least. */
static void put(struct wr_json_templates *all, struct wr_json_template *made)
{
    uint32_t place = all->items[0] != NULL && all->items[0] == all->pinned;
    for (uint32_t i = 0; i < WR_JSON_TEMPLATES; i++) {
        if (all->items[i] == NULL) {
            place = i;
            break;
        }
        if (all->items[i] != all->pinned && all->items[i]->hits < all->items[place]->hits) {
            place = i;
        }
    }
    destroy(all->items[place]);
    all->items[place] = made;
    all->recent = place;
}

static bool learnable(const struct wr_json_decoder *d)
{
    const size_t bytes = (size_t)(d->end - d->start);
    bool plain = bytes <= WR_JSON_TEMPLATE_BYTES_MAX;
    for (const char *at = d->start; plain && at < d->end; at++) {
        plain = *at != '\\' && (uint8_t)*at >= 0x20;
    }
    return plain;
}

void wr_json_template_learn(struct wr_json_decoder *d)
{
    d->templates.learns_left--;
    d->templates.learns++;
    if (!learnable(d)) {
        return;
    }
    struct learning *l = wr_malloc(sizeof(*l));
    memset(l, 0, offsetof(struct learning, pieces));
    l->d = d;
    l->end = d->end;
    l->text = d->start;
    l->opening = true;
    const char *at = learn_object(l, d->root, wr_json_skip_space(d->start, d->end) + 1, 1);
    if (at != NULL && !l->opening && end_text(l, d->end)) {
        struct wr_json_template *made = make(l);
        aim(made->texts, made->text_count);
        aim(made->leaves, made->leaf_count);
        put(&d->templates, made);
    }
    free(l);
}

void wr_json_templates_refresh(struct wr_json_decoder *d)
{
    struct wr_json_templates *all = &d->templates;
    all->rest -= all->rest > 0;
    if (all->tries >= WR_JSON_TRIAL_RECORDS) {
        all->rest = all->hits < all->tries / 4 ? REST_BATCHES : 0;
        all->tries = all->hits = 0;
        all->learns_left = LEARNS_PER_TRIAL;
    }
    for (uint32_t i = 0; i < WR_JSON_TEMPLATES; i++) {
        struct wr_json_template *t = all->items[i];
        if (t != NULL) {
            t->hits -= t->hits / 2;
            aim(t->texts, t->text_count);
            aim(t->leaves, t->leaf_count);
        }
    }
}

void wr_json_templates_deinit(struct wr_json_templates *templates)
{
    for (uint32_t i = 0; i < WR_JSON_TEMPLATES; i++) {
        destroy(templates->items[i]);
    }
}

enum wr_json_leaf_result wr_json_leaf_slow(struct wr_json_decoder *d,
                                           const struct wr_json_leaf *leaf, const char *at,
                                           const char *after)
{
    /* Another text may stand where the template has a bare leaf: even none, or an object. */
    if (!leaf->string && (at >= after || *at == '{' || *at == '[' ||
                          wr_json_scan_value(at, after, 0, NULL) != after)) {
        return WR_JSON_LEAF_OTHER;
    }
    return wr_json_store(d, leaf->field, at, after) ? WR_JSON_LEAF_TAKEN : WR_JSON_LEAF_FAULT;
}
