#include "base/rand.h"
#include "net/pubsub_api.h"
#include "source/pubsub_held.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- held messages ---- */

static int64_t add(struct wr_pubsub_held *held, const char *id, const char *ack_id, int64_t now)
{
    return wr_pubsub_held_add(held, wr_slice_of(id), wr_slice_of(ack_id), now);
}

static uint32_t take(struct wr_pubsub_held *held, struct wr_pubsub_entry **into)
{
    return wr_pubsub_held_take(held, into, 100, 1 << 20);
}

Test(source_pubsub, only_what_is_committed_is_taken_to_be_acknowledged)
{
    struct wr_pubsub_held held;
    struct wr_pubsub_entry *e[100];
    wr_pubsub_held_init(&held, 40);
    cr_assert_eq(add(&held, "a", "1", 0), 40);
    cr_assert_eq(add(&held, "b", "2", 0), 41);
    cr_assert_eq(add(&held, "c", "3", 0), 42);
    cr_assert_eq(take(&held, e), 0);
    wr_pubsub_held_settle(&held, 42);
    cr_assert_eq(held.ready, 2);
    cr_assert_eq(take(&held, e), 2);
    cr_assert(e[0]->id_bytes == 1 && e[0]->id[0] == 'a');
    cr_assert_eq(take(&held, e + 2), 0, "what is under way is not taken again");
    wr_pubsub_held_done(&held, e[0]);
    cr_assert_eq(held.first, 41);
    wr_pubsub_held_retry(&held, e[1]);
    cr_assert_eq(take(&held, e), 1);
    wr_pubsub_held_done(&held, e[0]);
    cr_assert_eq(held.first, 42);
    wr_pubsub_held_settle(&held, 1000); /* more than there is */
    cr_assert_eq(held.settled, 43);
    cr_assert_eq(take(&held, e), 1);
    wr_pubsub_held_done(&held, e[0]);
    cr_assert_eq(held.count, 0);
    cr_assert_eq(held.first, 43);
    wr_pubsub_held_deinit(&held);
}

Test(source_pubsub, a_message_that_comes_again_is_known_and_its_newer_ack_id_counts)
{
    struct wr_pubsub_held held;
    struct wr_pubsub_entry *e[100];
    wr_pubsub_held_init(&held, 0);
    cr_assert_eq(add(&held, "a", "1", 0), 0);
    cr_assert_eq(add(&held, "a", "22", 5), -1);
    wr_pubsub_held_settle(&held, 1);
    cr_assert_eq(take(&held, e), 1);
    cr_assert_eq(e[0]->ack_bytes, 2);
    cr_assert_eq(e[0]->lease_ns, 5);
    cr_assert_eq(add(&held, "a", "333", 6), -1); /* while its acknowledgement is under way */
    wr_pubsub_held_done(&held, e[0]);
    cr_assert_eq(held.ready, 1, "the newer id is to be acknowledged as well");
    cr_assert_eq(take(&held, e), 1);
    cr_assert_eq(e[0]->ack_bytes, 3);
    wr_pubsub_held_done(&held, e[0]);
    cr_assert_eq(add(&held, "a", "4", 7), 1, "acknowledged is forgotten");
    wr_pubsub_held_deinit(&held);
}

Test(source_pubsub, a_lost_one_is_acknowledged_when_it_comes_again_or_forgotten_at_last)
{
    struct wr_pubsub_held held;
    struct wr_pubsub_entry *e[100];
    int64_t from = 0;
    wr_pubsub_held_init(&held, 0);
    (void)add(&held, "a", "1", 0);
    (void)add(&held, "b", "2", 0);
    wr_pubsub_held_settle(&held, 2);
    cr_assert_eq(take(&held, e), 2);
    wr_pubsub_held_lose(&held, e[0], 100);
    wr_pubsub_held_lose(&held, e[1], 100);
    cr_assert_eq(held.ready, 0);
    cr_assert_null(wr_pubsub_held_walk(&held, &from), "nothing to extend");
    cr_assert_eq(add(&held, "a", "9", 0), -1);
    cr_assert_eq(held.ready, 1);
    cr_assert_eq(take(&held, e), 1);
    wr_pubsub_held_done(&held, e[0]);
    wr_pubsub_held_forget(&held, 100);
    cr_assert_eq(held.count, 1);
    wr_pubsub_held_forget(&held, 101);
    cr_assert_eq(held.count, 0);
    wr_pubsub_held_deinit(&held);
}

Test(source_pubsub, requests_are_bounded_in_bytes_and_number)
{
    struct wr_pubsub_held held;
    struct wr_pubsub_entry *e[100];
    wr_pubsub_held_init(&held, 0);
    char id[16];
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "m%d", i);
        (void)add(&held, id, "0123456789", 0);
    }
    wr_pubsub_held_settle(&held, 10);
    cr_assert_eq(wr_pubsub_held_take(&held, e, 3, 1000), 3);
    cr_assert_eq(wr_pubsub_held_take(&held, e, 100, 33), 2, "two of 10 and their framing fit 33 bytes");
    cr_assert_eq(wr_pubsub_held_take(&held, e, 100, 1), 1, "one at least");
    wr_pubsub_held_deinit(&held);
}

/* Against a plain model: every message is in one state, and ends acknowledged exactly once. */
Test(source_pubsub, random_histories_keep_the_books)
{
    enum { COUNT = 5000 };
    static int acknowledged[COUNT];
    struct wr_pubsub_held held;
    struct wr_rand rand;
    struct wr_pubsub_entry *e[100];
    int sent = 0, known = 0;
    wr_rand_seed(&rand, 11);
    wr_pubsub_held_init(&held, 7);
    while (held.first < 7 + COUNT) {
        char id[24], ack_id[24];
        const bool fresh = sent < COUNT && wr_rand_below(&rand, 10) < 7;
        const int newest = sent < 50 ? sent : 50;
        const int which = fresh ? sent : sent - (newest > 0 ? 1 + (int)wr_rand_below(&rand, (uint64_t)newest) : 0);
        if (fresh || (sent > 0 && !acknowledged[which])) {
            snprintf(id, sizeof id, "%d", which);
            snprintf(ack_id, sizeof ack_id, "%d-%llu", which, (unsigned long long)wr_rand_below(&rand, 1000));
            const int64_t position = add(&held, id, ack_id, 0);
            cr_assert_eq(position, fresh ? 7 + which : -1);
            sent += fresh;
            known += !fresh;
        }
        if (wr_rand_below(&rand, 20) == 0) {
            wr_pubsub_held_settle(&held, held.settled + (int64_t)wr_rand_below(&rand, 200));
            const uint32_t taken = wr_pubsub_held_take(&held, e, 100, 1 << 16);
            for (uint32_t i = 0; i < taken; i++) {
                const int message = (int)(e[i]->position - 7);
                switch (wr_rand_below(&rand, 4)) {
                case 0: wr_pubsub_held_retry(&held, e[i]); break;
                case 1:
                    wr_pubsub_held_lose(&held, e[i], 0);
                    snprintf(id, sizeof id, "%d", message);
                    cr_assert_eq(add(&held, id, "again", 0), -1);
                    break;
                default:
                    acknowledged[message]++;
                    wr_pubsub_held_done(&held, e[i]);
                }
            }
        }
    }
    cr_assert_gt(known, 100);
    cr_assert_eq(held.count, 0);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(acknowledged[i], 1);
    }
    wr_pubsub_held_deinit(&held);
}

/* ---- messages on the wire ---- */

static void put_received(struct wr_buf *buf, const char *ack_id, const char *id, const char *data)
{
    const size_t received = wr_proto_begin(buf, 1);
    wr_proto_put_bytes(buf, 1, ack_id, strlen(ack_id));
    const size_t message = wr_proto_begin(buf, 2);
    wr_proto_put_bytes(buf, 1, data, strlen(data));
    const size_t entry = wr_proto_begin(buf, 2);
    wr_proto_put_bytes(buf, 1, "colour", 6);
    wr_proto_put_bytes(buf, 2, "red", 3);
    wr_proto_end(buf, entry);
    wr_proto_put_bytes(buf, 3, id, strlen(id));
    const size_t time = wr_proto_begin(buf, 4);
    wr_proto_put_varint(buf, 1, 1700000000);
    wr_proto_put_varint(buf, 2, 123456789);
    wr_proto_end(buf, time);
    wr_proto_put_bytes(buf, 5, "k", 1);
    wr_proto_end(buf, message);
    wr_proto_end(buf, received);
}

Test(source_pubsub, a_response_is_read_with_its_properties)
{
    struct wr_buf buf = { 0 };
    struct wr_pubsub_response response;
    struct wr_pubsub_message m;
    struct wr_pubsub_attributes walk;
    struct wr_slice name, value;
    bool bad;
    put_received(&buf, "ack", "17", "{}");
    const size_t properties = wr_proto_begin(&buf, 4);
    wr_proto_put_varint(&buf, 1, 1);
    wr_proto_put_varint(&buf, 2, 1);
    wr_proto_end(&buf, properties);
    wr_pubsub_response_begin(&response, (struct wr_slice){ buf.data, buf.bytes });
    cr_assert(wr_pubsub_response_next(&response, &m, &bad));
    cr_assert(wr_slice_is(m.ack_id, "ack") && wr_slice_is(m.message_id, "17") && wr_slice_is(m.data, "{}"));
    cr_assert(wr_slice_is(m.ordering_key, "k"));
    cr_assert_eq(m.publish_us, 1700000000123456);
    wr_pubsub_attributes_begin(&walk, m.whole);
    cr_assert(wr_pubsub_attributes_next(&walk, &name, &value));
    cr_assert(wr_slice_is(name, "colour") && wr_slice_is(value, "red"));
    cr_assert_not(wr_pubsub_attributes_next(&walk, &name, &value));
    cr_assert_not(wr_pubsub_response_next(&response, &m, &bad));
    cr_assert_not(bad);
    cr_assert(response.has_properties && response.exactly_once && response.ordering);
    wr_buf_deinit(&buf);
}

/* Cut off anywhere, or changed anywhere: read to some end, and never beyond it (the copy is exactly as long). */
Test(source_pubsub, damaged_responses_are_read_without_harm)
{
    struct wr_buf buf = { 0 };
    struct wr_rand rand;
    wr_rand_seed(&rand, 5);
    for (int i = 0; i < 3; i++) {
        put_received(&buf, "ack-id", "1234567890", "{\"id\": 1}");
    }
    uint32_t bad_ones = 0;
    for (int round = 0; round < 20000; round++) {
        const size_t bytes = round < (int)buf.bytes ? (size_t)round : buf.bytes;
        char *copy = malloc(bytes + (bytes == 0));
        memcpy(copy, buf.data, bytes);
        for (uint64_t n = wr_rand_below(&rand, 4); n > 0 && bytes > 0; n--) {
            copy[wr_rand_below(&rand, bytes)] = (char)wr_rand_next(&rand);
        }
        struct wr_pubsub_response response;
        struct wr_pubsub_message m;
        bool bad;
        uint32_t read = 0;
        wr_pubsub_response_begin(&response, (struct wr_slice){ copy, bytes });
        while (wr_pubsub_response_next(&response, &m, &bad)) {
            struct wr_pubsub_attributes walk;
            struct wr_slice name, value;
            wr_pubsub_attributes_begin(&walk, m.whole);
            while (wr_pubsub_attributes_next(&walk, &name, &value)) {
                cr_assert(value.data == NULL || value.bytes <= bytes);
            }
            cr_assert(m.data.bytes <= bytes);
            cr_assert_leq(++read, bytes);
        }
        bad_ones += bad;
        free(copy);
    }
    cr_assert_gt(bad_ones, 100);
    wr_buf_deinit(&buf);
}

struct told {
    char text[128];
};

static void tell(void *ctx, struct wr_slice ack_id, bool permanent)
{
    struct told *told = ctx;
    const size_t at = strlen(told->text);
    snprintf(told->text + at, sizeof told->text - at, "%.*s:%s ", WR_SLICE_ARG(ack_id), permanent ? "lost" : "again");
}

static void put_pair(struct wr_buf *buf, uint32_t number, const char *name, const void *value, size_t bytes)
{
    const size_t pair = wr_proto_begin(buf, number);
    wr_proto_put_bytes(buf, 1, name, strlen(name));
    wr_proto_put_bytes(buf, 2, value, bytes);
    wr_proto_end(buf, pair);
}

Test(source_pubsub, a_refused_acknowledgement_tells_of_single_ids)
{
    struct wr_buf info = { 0 };
    struct wr_buf status = { 0 };
    struct told told = { "" };
    put_pair(&info, 3, "a", "PERMANENT_FAILURE_INVALID_ACK_ID", 32);
    put_pair(&info, 3, "b", "TRANSIENT_FAILURE_OTHER", 23);
    put_pair(&info, 3, "c", "something else", 14);
    wr_proto_put_varint(&status, 1, 9);
    put_pair(&status, 3, "type.googleapis.com/google.rpc.DebugInfo", info.data, info.bytes);
    put_pair(&status, 3, "type.googleapis.com/google.rpc.ErrorInfo", info.data, info.bytes);
    wr_pubsub_ack_failures((struct wr_slice){ status.data, status.bytes }, tell, &told);
    cr_assert_str_eq(told.text, "a:lost b:again ");
    wr_buf_deinit(&info);
    wr_buf_deinit(&status);
}
