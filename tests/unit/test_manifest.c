#include "base/clock.h"
#include "base/rand.h"
#include "state/manifest.h"
#include <criterion/criterion.h>

static struct wr_error err;
static struct wr_rand seeded;

static uint64_t pick(uint64_t below)
{
    return wr_rand_below(&seeded, below);
}

/* Names as the world has them: quotes, control characters, other scripts, bytes that are no text. */
static const char *name(struct wr_manifest *m, const char *what, uint32_t index)
{
    static const char *const odd[] = { "plain", "a\"b\\c", "tab\tline\n", "gr\xc3\xbc\xc3\x9f",
                                       "bad\xff\xfe", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\x7f\x01" };
    return wr_arena_printf(&m->arena, "%s-%u-%s", what, index, odd[pick(8)]);
}

static int64_t number(void)
{
    switch (pick(5)) {
    case 0: return INT64_MAX;
    case 1: return -(int64_t)pick(1000);
    case 2: return INT64_MIN + 1;
    default: return (int64_t)pick(1ULL << 62);
    }
}

static int64_t time_us(void)
{
    return pick(4) == 0 ? WR_TIME_MIN : number();
}

static void fill_cuts(struct wr_manifest *m)
{
    m->cut_count = (uint32_t)pick(4);
    m->cuts = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_cut, m->cut_count);
    for (uint32_t c = 0; c < m->cut_count; c++) {
        struct wr_manifest_cut *cut = &m->cuts[c];
        cut->epoch = m->epoch - m->cut_count + c + 1;
        cut->source_count = (uint32_t)pick(3);
        cut->sources = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_source, cut->source_count);
        for (uint32_t s = 0; s < cut->source_count; s++) {
            struct wr_manifest_source *source = &cut->sources[s];
            source->name = name(m, "source", s);
            source->emitted_us = time_us();
            source->split_count = (uint32_t)pick(5);
            source->splits = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_split, source->split_count);
            for (uint32_t p = 0; p < source->split_count; p++) {
                source->splits[p] = (struct wr_manifest_split){
                    .name = name(m, "split", p), .position = number(), .watermark_us = time_us(),
                    .max_event_us = time_us(), .idle = pick(2) == 0,
                    .note = pick(2) == 0 ? NULL : name(m, "note", p)
                };
            }
        }
    }
}

static uint64_t some_cut(const struct wr_manifest *m)
{
    return m->cut_count == 0 ? 0 : m->cuts[pick(m->cut_count)].epoch;
}

static void fill_sinks(struct wr_manifest *m)
{
    static const char *const receipts[] = { "{\"adds\":[{\"path\":\"a b\",\"size\":1.50}]}", "null",
                                            "[1, 2,\n 3]", "\"\\u00e9\"", "123456789012345678901234567890" };
    m->sink_count = (uint32_t)pick(4);
    m->sinks = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_sink, m->sink_count);
    for (uint32_t k = 0; k < m->sink_count; k++) {
        struct wr_manifest_sink *sink = &m->sinks[k];
        *sink = (struct wr_manifest_sink){ .name = name(m, "sink", k), .connector = "delta",
                                           .exactly_once = pick(2) == 0, .cut = some_cut(m),
                                           .published = pick(2) == 0 };
        sink->receipt_count = sink->cut == 0 ? 0 : (uint32_t)pick(3);
        sink->receipts = WR_ARENA_ARRAY(&m->arena, struct wr_slice, sink->receipt_count);
        for (uint32_t r = 0; r < sink->receipt_count; r++) {
            sink->receipts[r] = wr_slice_of(receipts[pick(5)]);
        }
    }
}

static void fill_operators(struct wr_manifest *m)
{
    m->operator_count = (uint32_t)pick(4);
    m->operators = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_operator, m->operator_count);
    for (uint32_t o = 0; o < m->operator_count; o++) {
        m->operators[o] = (struct wr_manifest_operator){ name(m, "view", o),
                                                         "{\"kind\":\"tumble\",\"keys\":[]}",
                                                         some_cut(m), time_us() };
    }
    m->snapshot_count = (uint32_t)pick(4);
    m->snapshots = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_snapshot, m->snapshot_count);
    for (uint32_t s = 0; s < m->snapshot_count; s++) {
        m->snapshots[s] = (struct wr_manifest_snapshot){ name(m, "snapshot", s), 1 + s / 2, pick(1 << 30) };
    }
    m->activation_count = (uint32_t)pick(3);
    m->activations = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_activation, m->activation_count);
    for (uint32_t a = 0; a < m->activation_count; a++) {
        m->activations[a] = (struct wr_manifest_activation){ name(m, "s", a), name(m, "p", a), number(),
                                                             time_us() };
    }
}

static void fill_ledger(struct wr_manifest *m)
{
    m->ledger_count = (uint32_t)pick(5);
    m->ledger = WR_ARENA_ARRAY(&m->arena, struct wr_manifest_ledger, m->ledger_count);
    for (uint32_t l = 0; l < m->ledger_count; l++) {
        struct wr_manifest_ledger line = { name(m, "k", l), name(m, "s", l), name(m, "p", l),
                                           .landed = pick(1ULL << 60), .late = pick(100),
                                           .partly_late = pick(5), .dead_lettered = pick(100),
                                           .filtered = pick(1000), .in_flight = pick(10) };
        line.read = line.landed + line.late + line.dead_lettered + line.filtered + line.in_flight;
        m->ledger[l] = line;
    }
}

static void fill(struct wr_manifest *m)
{
    wr_manifest_init(m);
    strcpy(m->uuid, "6f1d9a54-2b0e-4d5c-9a77-0123456789ab");
    m->epoch = 10 + pick(1ULL << 40);
    m->pipeline = name(m, "pipeline", 0);
    m->owner = (struct wr_owner){ .id = "0123456789abcdef", .host = name(m, "host", 0), .boot = "b",
                                  .pid = (int64_t)pick(1 << 22), .pid_start = pick(1 << 30),
                                  .pid_namespace = 4026531836, .at_ms = number(),
                                  .released = pick(2) == 0 };
    m->predecessor_count = (uint32_t)pick(3);
    m->predecessors = WR_ARENA_ARRAY(&m->arena, const char *, m->predecessor_count);
    for (uint32_t i = 0; i < m->predecessor_count; i++) {
        m->predecessors[i] = name(m, "owner", i);
    }
    fill_cuts(m);
    fill_sinks(m);
    fill_operators(m);
    fill_ledger(m);
}

static struct wr_slice slice_of(const struct wr_buf *buf)
{
    return (struct wr_slice){ buf->data, buf->bytes };
}

static void assert_equal(const struct wr_manifest *a, const struct wr_manifest *b)
{
    cr_assert_eq(a->epoch, b->epoch);
    cr_assert_str_eq(a->pipeline, b->pipeline);
    cr_assert_str_eq(a->owner.host, b->owner.host);
    cr_assert_eq(a->owner.pid_namespace, b->owner.pid_namespace);
    cr_assert_eq(a->cut_count, b->cut_count);
    for (uint32_t c = 0; c < a->cut_count; c++) {
        const struct wr_manifest_cut *x = &a->cuts[c], *y = &b->cuts[c];
        cr_assert(x->epoch == y->epoch && x->source_count == y->source_count);
        for (uint32_t s = 0; s < x->source_count; s++) {
            cr_assert_eq(x->sources[s].split_count, y->sources[s].split_count);
            for (uint32_t p = 0; p < x->sources[s].split_count; p++) {
                const struct wr_manifest_split *m = &x->sources[s].splits[p];
                const struct wr_manifest_split *n = wr_manifest_split_of(&y->sources[s], m->name);
                cr_assert(n != NULL && m->position == n->position &&
                          m->watermark_us == n->watermark_us && m->max_event_us == n->max_event_us &&
                          m->idle == n->idle && (m->note == NULL) == (n->note == NULL));
                cr_assert(m->note == NULL || strcmp(m->note, n->note) == 0);
            }
        }
    }
    cr_assert_eq(a->sink_count, b->sink_count);
    for (uint32_t k = 0; k < a->sink_count; k++) {
        const struct wr_manifest_sink *x = &a->sinks[k], *y = wr_manifest_sink_of(b, x->name);
        cr_assert(y != NULL && x->receipt_count == y->receipt_count && x->published == y->published);
        for (uint32_t r = 0; r < x->receipt_count; r++) {
            cr_assert(wr_slice_equal(x->receipts[r], y->receipts[r]), "byte by byte");
        }
    }
    cr_assert_eq(a->ledger_count, b->ledger_count);
    for (uint32_t l = 0; l < a->ledger_count; l++) {
        cr_assert_eq(a->ledger[l].read, b->ledger[l].read);
        cr_assert_str_eq(a->ledger[l].split, b->ledger[l].split);
    }
}

Test(manifest, random_manifests_come_back_equal)
{
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct wr_manifest m, back;
        struct wr_buf text = { 0 }, again = { 0 };
        wr_rand_seed(&seeded, seed);
        fill(&m);
        cr_assert_eq(wr_manifest_check(&m, &err), WR_OK, "%s", err.message);
        wr_manifest_write(&m, &text);
        wr_manifest_init(&back);
        cr_assert_eq(wr_manifest_read(&back, slice_of(&text), &err), WR_OK, "%s", err.message);
        assert_equal(&m, &back);
        wr_manifest_write(&back, &again);
        cr_assert(wr_slice_equal(slice_of(&text), slice_of(&again)), "the same text");
        cr_assert_eq(wr_manifest_check(&back, &err), WR_OK);
        wr_manifest_deinit(&m);
        wr_manifest_deinit(&back);
        wr_buf_deinit(&text);
        wr_buf_deinit(&again);
    }
}

Test(manifest, cut_and_changed_texts_are_errors_and_never_crashes, .timeout = 60)
{
    struct wr_manifest m;
    struct wr_buf text = { 0 };
    uint32_t refused = 0;
    wr_rand_seed(&seeded, 7);
    fill(&m);
    wr_manifest_write(&m, &text);
    for (size_t bytes = 0; bytes + 2 < text.bytes; bytes++) {
        struct wr_manifest back;
        char *copy = malloc(bytes + 1);
        memcpy(copy, text.data, bytes);
        wr_manifest_init(&back);
        cr_assert_eq(wr_manifest_read(&back, (struct wr_slice){ copy, bytes }, &err), WR_FAIL);
        cr_assert_eq(err.cls, WR_CLASS_FATAL);
        wr_manifest_deinit(&back);
        free(copy);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        struct wr_manifest back;
        const size_t at = pick(text.bytes);
        const char kept = text.data[at];
        static const char into[] = "{}[]\",:0-9nulltrue\\ \xff";
        text.data[at] = into[pick(sizeof into - 1)];
        wr_manifest_init(&back);
        err.message[0] = '\0';
        if (wr_manifest_read(&back, slice_of(&text), &err) == WR_FAIL) {
            cr_assert_neq(err.message[0], '\0');
            refused++;
        } else {
            (void)!wr_manifest_check(&back, &err);
        }
        wr_manifest_deinit(&back);
        text.data[at] = kept;
    }
    cr_assert_gt(refused, 1000);
    wr_manifest_deinit(&m);
    wr_buf_deinit(&text);
}

static wr_status read_text(const char *text)
{
    struct wr_manifest m;
    wr_manifest_init(&m);
    const wr_status status = wr_manifest_read(&m, wr_slice_of(text), &err);
    wr_manifest_deinit(&m);
    return status;
}

#define MINIMAL(format, more)                                                                      \
    "{\"format\":" format ",\"uuid\":\"u\",\"epoch\":1,\"pipeline\":\"p\",\"owner\":{\"id\":\"0\","   \
    "\"host\":\"\",\"boot\":\"\",\"pid\":1,\"pid_start\":1,\"pid_namespace\":1,\"at_ms\":1,"        \
    "\"released\":false},\"predecessors\":[],\"cuts\":[],\"activations\":[],\"sinks\":[],"         \
    "\"operators\":[],\"snapshots\":[]," more "}"

Test(manifest, newer_formats_are_refused_with_a_hint_and_unknown_fields_passed_over)
{
    cr_assert_eq(read_text(MINIMAL("1", "\"ledger\":[],\"later\":{\"x\":[1]}")), WR_OK, "%s", err.message);
    cr_assert_eq(read_text(MINIMAL("2", "\"ledger\":[]")), WR_FAIL);
    cr_assert_not_null(strstr(err.message, "newer weir"));
    cr_assert_not_null(strstr(err.hint, "format 2"));
    cr_assert_eq(read_text(MINIMAL("0", "\"ledger\":[]")), WR_FAIL);
    cr_assert_eq(read_text(MINIMAL("1", "\"x\":1")), WR_FAIL);
    cr_assert_not_null(strstr(err.message, "\"ledger\" is missing"), "%s", err.message);
    cr_assert_eq(read_text(MINIMAL("1", "\"ledger\":{}")), WR_FAIL);
    cr_assert_eq(read_text("[]"), WR_FAIL);
    cr_assert_eq(read_text(""), WR_FAIL);
    cr_assert_eq(read_text("{\"format\":1}"), WR_FAIL);
}

static void assert_broken(void (*change)(struct wr_manifest *m), const char *says)
{
    struct wr_manifest m;
    wr_manifest_init(&m);
    strcpy(m.uuid, "6f1d9a54-2b0e-4d5c-9a77-0123456789ab");
    strcpy(m.owner.id, "0123456789abcdef");
    m.epoch = 9;
    m.cut_count = 2;
    m.cuts = WR_ARENA_ARRAY(&m.arena, struct wr_manifest_cut, 2);
    m.cuts[0].epoch = 3;
    m.cuts[1].epoch = 8;
    m.sink_count = 2;
    m.sinks = WR_ARENA_ARRAY(&m.arena, struct wr_manifest_sink, 2);
    m.sinks[0] = (struct wr_manifest_sink){ .name = "a", .cut = 3 };
    m.sinks[1] = (struct wr_manifest_sink){ .name = "b", .cut = 8 };
    m.ledger_count = 1;
    m.ledger = WR_ARENA_NEW(&m.arena, struct wr_manifest_ledger);
    *m.ledger = (struct wr_manifest_ledger){ "a", "s", "s/0", .read = 5, .landed = 3, .late = 2 };
    cr_assert_eq(wr_manifest_check(&m, &err), WR_OK, "%s", err.message);
    change(&m);
    cr_assert_eq(wr_manifest_check(&m, &err), WR_FAIL, "%s", says);
    cr_assert_not_null(strstr(err.message, says), "%s", err.message);
    wr_manifest_deinit(&m);
}

static void no_epoch(struct wr_manifest *m) { m->epoch = 0; }
static void no_uuid(struct wr_manifest *m) { m->uuid[8] = 'x'; }
static void cuts_turned(struct wr_manifest *m) { m->cuts[0].epoch = 8; }
static void cut_ahead(struct wr_manifest *m) { m->cuts[1].epoch = 10; }
static void sink_nowhere(struct wr_manifest *m) { m->sinks[0].cut = 4; }
static void sinks_alike(struct wr_manifest *m) { m->sinks[0].name = "b"; }
static void row_lost(struct wr_manifest *m) { m->ledger[0].landed--; }
static void receipt_is_text(struct wr_manifest *m)
{
    m->sinks[1].receipts = WR_ARENA_NEW(&m->arena, struct wr_slice);
    m->sinks[1].receipts[0] = wr_slice_of("{\"a\":}");
    m->sinks[1].receipt_count = 1;
}
static void row_made(struct wr_manifest *m) { m->ledger[0].in_flight = UINT64_MAX; }

Test(manifest, each_invariant_is_checked)
{
    assert_broken(no_epoch, "epoch is 0");
    assert_broken(no_uuid, "not a UUID");
    assert_broken(cuts_turned, "out of order");
    assert_broken(cut_ahead, "out of order");
    assert_broken(sink_nowhere, "of which there is no cut");
    assert_broken(sinks_alike, "are called b");
    assert_broken(row_lost, "does not balance: sink a, source s, split s/0: 5 read, 4 accounted");
    assert_broken(receipt_is_text, "a receipt of sink b is not JSON");
    assert_broken(row_made, "does not balance");
}

Test(manifest, keys_sort_by_epoch_and_tell_it)
{
    char key[48];
    uint64_t epoch = 0;
    wr_manifest_key(17, key);
    cr_assert_str_eq(key, "manifest/00000000000000000017.json");
    cr_assert(wr_manifest_key_epoch(key, &epoch));
    cr_assert_eq(epoch, 17);
    cr_assert_not(wr_manifest_key_epoch("manifest/17.json", &epoch));
    cr_assert_not(wr_manifest_key_epoch("manifest/last", &epoch));
    cr_assert_not(wr_manifest_key_epoch("manifest/00000000000000000017.json.bak", &epoch));
}
