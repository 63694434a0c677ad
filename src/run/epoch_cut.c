#include "run/epoch_cut.h"

#include "base/clock.h"
#include "base/heap.h"
#include "state/snapshot.h"

#define ADD(LIST, ITEM)                                                                            \
    do {                                                                                           \
        if ((LIST)->count == (LIST)->capacity) {                                                   \
            (LIST)->capacity = (LIST)->capacity * 2 + 8;                                           \
            (LIST)->items = wr_realloc((LIST)->items, (LIST)->capacity * sizeof *(LIST)->items);   \
        }                                                                                          \
        (LIST)->items[(LIST)->count++] = (ITEM);                                                   \
    } while (0)

void wr_epoch_cut_begin(struct wr_epoch_cut *cut, uint64_t epoch, bool final)
{
    for (uint32_t i = 0; i < cut->snapshots.count; i++) {
        wr_snapshot_writer_destroy(cut->snapshots.items[i].writer);
    }
    wr_arena_reset(&cut->names);
    cut->epoch = epoch;
    cut->final = final;
    cut->splits.count = 0;
    cut->ledger.count = 0;
    cut->sources.count = 0;
    cut->operators.count = 0;
    cut->activations.count = 0;
    cut->snapshots.count = 0;
    cut->oldest_open_us = WR_TIME_MAX;
    cut->needed.count = 0;
}

void wr_epoch_cut_deinit(struct wr_epoch_cut *cut)
{
    for (uint32_t i = 0; i < cut->snapshots.count; i++) {
        wr_snapshot_writer_destroy(cut->snapshots.items[i].writer);
    }
    free(cut->splits.items);
    free(cut->ledger.items);
    free(cut->sources.items);
    free(cut->operators.items);
    free(cut->activations.items);
    free(cut->snapshots.items);
    free(cut->needed.items);
    wr_arena_deinit(&cut->names);
    *cut = (struct wr_epoch_cut){ 0 };
}

void wr_epoch_cut_split(struct wr_epoch_cut *cut, const struct wr_split_cut *split)
{
    struct wr_split_cut own = *split;
    own.name = wr_arena_strndup(&cut->names, split->name, strlen(split->name));
    if (split->note != NULL) {
        own.note = wr_arena_strndup(&cut->names, split->note, strlen(split->note));
    }
    ADD(&cut->splits, own);
}

void wr_epoch_cut_ledger(struct wr_epoch_cut *cut, const struct wr_ledger_cut *line)
{
    ADD(&cut->ledger, *line);
}

void wr_epoch_cut_source(struct wr_epoch_cut *cut, uint32_t source, int64_t emitted_us)
{
    for (uint32_t i = 0; i < cut->sources.count; i++) {
        struct wr_source_cut *at = &cut->sources.items[i];
        if (at->source == source) {
            at->emitted_us = emitted_us < at->emitted_us ? emitted_us : at->emitted_us;
            return;
        }
    }
    ADD(&cut->sources, ((struct wr_source_cut){ source, emitted_us }));
}

void wr_epoch_cut_operator(struct wr_epoch_cut *cut, uint32_t node, int64_t watermark_us)
{
    for (uint32_t i = 0; i < cut->operators.count; i++) {
        struct wr_operator_cut *at = &cut->operators.items[i];
        if (at->node == node) {
            at->watermark_us = watermark_us > at->watermark_us ? watermark_us : at->watermark_us;
            return;
        }
    }
    ADD(&cut->operators, ((struct wr_operator_cut){ node, watermark_us }));
}

void wr_epoch_cut_activation(struct wr_epoch_cut *cut, const struct wr_activation_cut *activation)
{
    struct wr_activation_cut own = *activation;
    own.split = wr_arena_strndup(&cut->names, activation->split, strlen(activation->split));
    ADD(&cut->activations, own);
}

void wr_epoch_cut_snapshot(struct wr_epoch_cut *cut, uint32_t worker,
                           struct wr_snapshot_writer *writer)
{
    ADD(&cut->snapshots, ((struct wr_snapshot_cut){ worker, writer }));
}

void wr_epoch_cut_needed(struct wr_epoch_cut *cut, uint64_t epoch)
{
    ADD(&cut->needed, ((struct wr_needed_cut){ epoch }));
}

void wr_epoch_cut_merge(struct wr_epoch_cut *cut, struct wr_epoch_cut *part)
{
    for (uint32_t i = 0; i < part->splits.count; i++) {
        wr_epoch_cut_split(cut, &part->splits.items[i]);
    }
    for (uint32_t i = 0; i < part->ledger.count; i++) {
        wr_epoch_cut_ledger(cut, &part->ledger.items[i]);
    }
    for (uint32_t i = 0; i < part->sources.count; i++) {
        wr_epoch_cut_source(cut, part->sources.items[i].source, part->sources.items[i].emitted_us);
    }
    for (uint32_t i = 0; i < part->operators.count; i++) {
        wr_epoch_cut_operator(cut, part->operators.items[i].node,
                              part->operators.items[i].watermark_us);
    }
    for (uint32_t i = 0; i < part->activations.count; i++) {
        wr_epoch_cut_activation(cut, &part->activations.items[i]);
    }
    for (uint32_t i = 0; i < part->snapshots.count; i++) {
        wr_epoch_cut_snapshot(cut, part->snapshots.items[i].worker, part->snapshots.items[i].writer);
    }
    part->snapshots.count = 0;
    if (part->oldest_open_us < cut->oldest_open_us) {
        cut->oldest_open_us = part->oldest_open_us;
    }
    for (uint32_t i = 0; i < part->needed.count; i++) {
        wr_epoch_cut_needed(cut, part->needed.items[i].epoch);
    }
}
