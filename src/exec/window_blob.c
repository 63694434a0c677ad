/* window_blob.c: a row as one self-contained run of bytes, for other workers and for snapshots.
 *
 * The row from its key on, then what its views and states keep elsewhere, in order: long key texts,
 * then each aggregate's part (agg.h, save). Pointers within the row's bytes mean nothing to a
 * reader: zero for keys, and load puts its own in their place.
 */
#include "exec/window.h"

#include "batch/nested.h"

void wr_window_save_row(struct wr_window *w, const uint8_t *row, struct wr_buf *into)
{
    const uint32_t offset = w->shape.key_offset;
    const size_t begin = into->bytes;
    wr_buf_append(into, row + offset, w->shape.stride - offset);
    for (uint32_t v = 0; v < w->shape.view_count; v++) {
        struct wr_view view;
        memcpy(&view, row + offset + 16 * (size_t)v, sizeof view);
        if (view.bytes > WR_VIEW_INLINE_BYTES) {
            wr_buf_append(into, view.data, view.bytes);
            view.data = NULL;
            memcpy(into->data + begin + 16 * (size_t)v, &view, sizeof view);
        }
    }
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        const struct wr_agg *agg = &w->aggs.items[a];
        if (agg->ops->save != NULL) {
            agg->ops->save(agg, row, into);
        }
    }
}

static const char *load_keys(const struct wr_window *w, uint8_t *row, const char *from,
                             const char *end)
{
    for (uint32_t v = 0; v < w->shape.view_count; v++) {
        uint8_t *at = row + w->shape.key_offset + 16 * (size_t)v;
        struct wr_view view;
        memcpy(&view, at, sizeof view);
        if (view.bytes <= WR_VIEW_INLINE_BYTES) {
            continue;
        }
        if ((size_t)(end - from) < view.bytes) {
            return NULL;
        }
        view.data = from;
        memcpy(at, &view, sizeof view);
        from += view.bytes;
    }
    return from;
}

/* Readers of STRUCT, ARRAY and MAP do not check: what a damaged snapshot holds must not come to them. */
static bool keys_are_sound(const struct wr_window *w, const uint8_t *row)
{
    const uint8_t *image = row + w->shape.key_offset;
    for (uint32_t k = 0; k < w->key_count; k++) {
        const struct wr_window_key *key = &w->keys[k];
        const bool null = key->null_bit != UINT32_MAX && wr_agg_flag(image, key->null_bit);
        if (!wr_type_is_nested(key->type) || null) {
            continue;
        }
        struct wr_view view;
        memcpy(&view, image + key->offset, sizeof view);
        if (!wr_nested_check(key->type, wr_view_slice(&view))) {
            return false;
        }
    }
    return true;
}

void wr_window_take_states(const struct wr_window *w, uint8_t *into, const uint8_t *row)
{
    if (w->aggs.count > 0) {
        /* The first flags may share their byte with the key's NULL bits, which are equal. */
        const uint32_t first = w->aggs.items[0].bit / 8;
        memcpy(into + first, row + first, w->shape.stride - first);
    }
}

/* Those of the first count aggregates. */
static void release_first(struct wr_window *w, uint8_t *row, uint32_t count)
{
    const struct wr_agg_list list = { w->aggs.items, count, w->aggs.has_blocks };
    wr_agg_release_row(&list, row);
}

uint8_t *wr_window_load_row(struct wr_window *w, const char *blob, size_t bytes)
{
    uint8_t *row = (uint8_t *)w->blob_row;
    const uint32_t fixed = w->shape.stride - w->shape.key_offset;
    const char *end = blob + bytes;
    if (bytes < fixed) {
        return NULL;
    }
    memset(row, 0, w->shape.stride + 16);
    memcpy(row + w->shape.key_offset, blob, fixed);
    const char *from = load_keys(w, row, blob + fixed, end);
    if (from == NULL || !keys_are_sound(w, row)) {
        return NULL;
    }
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        const struct wr_agg *agg = &w->aggs.items[a];
        if (agg->ops->load == NULL) {
            continue;
        }
        from = agg->ops->load(agg, row, from, end);
        if (from == NULL) {
            release_first(w, row, a);
            return NULL;
        }
    }
    if (from != end) {
        release_first(w, row, w->aggs.count);
        return NULL;
    }
    return row;
}
