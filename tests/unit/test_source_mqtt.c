#include "base/rand.h"
#include "source/mqtt_inflight.h"
#include "source/mqtt_link.h"
#include "source/mqtt_wire.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct wr_slice bytes_of(const char *data, size_t bytes)
{
    return (struct wr_slice){ data, bytes };
}

#define BYTES(text) bytes_of("" text, sizeof(text) - 1)

/* ---- packets ---- */

Test(source_mqtt, connect_is_as_the_standard_writes_it)
{
    struct wr_buf buf = { 0 };
    struct wr_mqtt_connect c = { .version = WR_MQTT_3_1_1, .client_id = "ab", .clean = true, .keepalive_s = 10 };
    wr_mqtt_put_connect(&buf, &c);
    cr_assert_eq(buf.bytes, 16);
    cr_assert(memcmp(buf.data, "\x10\x0e\x00\x04MQTT\x04\x02\x00\x0a\x00\x02" "ab", 16) == 0);
    buf.bytes = 0;
    c = (struct wr_mqtt_connect){ .version = WR_MQTT_5, .client_id = "ab", .username = "u", .password = "pw",
                                  .session_expiry_s = 0x01020304, .receive_maximum = 500 };
    wr_mqtt_put_connect(&buf, &c);
    static const char expected[] = "\x10\x1e\x00\x04MQTT\x05\xc0\x00\x00\x08\x11\x01\x02\x03\x04\x21\x01\xf4"
                                   "\x00\x02" "ab" "\x00\x01" "u" "\x00\x02" "pw";
    cr_assert_eq(buf.bytes, sizeof expected - 1);
    cr_assert(memcmp(buf.data, expected, buf.bytes) == 0);
    wr_buf_deinit(&buf);
}

Test(source_mqtt, subscriptions_and_acknowledgements)
{
    struct wr_buf buf = { 0 };
    const char *const filters[] = { "a/#", "b" };
    struct wr_mqtt_subscribe s = { .version = WR_MQTT_5, .filters = filters, .count = 2, .qos = 1, .retain_handling = 1 };
    wr_mqtt_put_subscribe(&buf, 7, &s);
    cr_assert(wr_slice_equal(bytes_of(buf.data, buf.bytes),
                             BYTES("\x82\x0d\x00\x07\x00\x00\x03" "a/#" "\x11\x00\x01" "b" "\x11")));
    buf.bytes = 0;
    s.version = WR_MQTT_3_1_1;
    s.count = 1;
    wr_mqtt_put_subscribe(&buf, 7, &s);
    wr_mqtt_put_ack(&buf, WR_MQTT_PUBACK, 0x1234);
    wr_mqtt_put_pingreq(&buf);
    wr_mqtt_put_disconnect(&buf);
    cr_assert(wr_slice_equal(bytes_of(buf.data, buf.bytes), BYTES("\x82\x08\x00\x07\x00\x03" "a/#" "\x01"
                                                                  "\x40\x02\x12\x34\xc0\x00\xe0\x00")));
    wr_buf_deinit(&buf);
}

Test(source_mqtt, a_long_body_has_a_length_of_several_bytes)
{
    struct wr_buf buf = { 0 };
    struct wr_mqtt_frame frame;
    struct wr_error err;
    char *id = malloc(20001);
    memset(id, 'x', 20000);
    id[20000] = '\0';
    const struct wr_mqtt_connect c = { .version = WR_MQTT_3_1_1, .client_id = id };
    wr_mqtt_put_connect(&buf, &c);
    cr_assert_eq(wr_mqtt_read_frame(buf.data, buf.bytes, &frame, &err), WR_OK);
    cr_assert_eq(frame.type, WR_MQTT_CONNECT);
    cr_assert_eq(frame.header_bytes, 4);
    cr_assert_eq(frame.header_bytes + frame.body_bytes, buf.bytes);
    for (size_t n = 0; n < 4; n++) {
        cr_assert_eq(wr_mqtt_read_frame(buf.data, n, &frame, &err), WR_AGAIN);
    }
    cr_assert_eq(wr_mqtt_read_frame("\x30\xff\xff\xff\xff\x01", 6, &frame, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_RETRY);
    free(id);
    wr_buf_deinit(&buf);
}

Test(source_mqtt, connack_tells_session_reason_and_the_brokers_wishes)
{
    struct wr_mqtt_connack out;
    struct wr_error err;
    cr_assert_eq(wr_mqtt_read_connack(WR_MQTT_3_1_1, BYTES("\x01\x00"), &out, &err), WR_OK);
    cr_assert(out.session_present && out.reason == 0 && out.keepalive_s == -1);
    cr_assert_eq(wr_mqtt_read_connack(WR_MQTT_5, BYTES("\x00\x87\x09\x13\x00\x05\x1f\x00\x03" "why"), &out, &err), WR_OK);
    cr_assert(!out.session_present && out.reason == 0x87 && out.keepalive_s == 5);
    cr_assert(wr_slice_is(out.explained, "why"));
    cr_assert_str_eq(wr_mqtt_reason(WR_MQTT_5, WR_MQTT_CONNACK, out.reason), "not authorized");
    /* A broker that does not know version 5 answers in its own form. */
    cr_assert_eq(wr_mqtt_read_connack(WR_MQTT_5, BYTES("\x00\x01"), &out, &err), WR_OK);
    cr_assert_str_eq(wr_mqtt_reason(WR_MQTT_5, WR_MQTT_CONNACK, 1), "it does not speak this version of MQTT");
    cr_assert_eq(wr_mqtt_read_connack(WR_MQTT_5, BYTES("\x00"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_connack(WR_MQTT_5, BYTES("\x00\x00\x05\x13\x00"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_connack(WR_MQTT_5, BYTES("\x00\x00\x02\x7f\x00"), &out, &err), WR_FAIL);
}

Test(source_mqtt, publish_gives_topic_properties_and_payload)
{
    struct wr_mqtt_publish out;
    struct wr_mqtt_property property;
    struct wr_error err;
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_3_1_1, 0x03, BYTES("\x00\x03" "a/b" "\x00\x09" "body"), &out, &err), WR_OK);
    cr_assert(wr_slice_is(out.topic, "a/b") && wr_slice_is(out.payload, "body"));
    cr_assert(out.id == 9 && out.qos == 1 && out.retain && !out.dup && out.properties.bytes == 0);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_3_1_1, 0x00, BYTES("\x00\x01" "a"), &out, &err), WR_OK);
    cr_assert(out.payload.bytes == 0 && out.qos == 0 && out.id == 0);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x0c, BYTES("\x00\x01" "a" "\x01\x00\x0b\x26\x00\x01" "k" "\x00\x02" "vw"
                                                            "\x01\x01\x00" "p"), &out, &err),
                 WR_FAIL, "a property that ends behind its packet's properties");
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x0c, BYTES("\x00\x01" "a" "\x01\x00\x0a\x26\x00\x01" "k" "\x00\x02" "vw"
                                                            "\x01\x01" "p"), &out, &err), WR_OK);
    cr_assert(out.id == 256 && out.qos == 2 && out.dup && wr_slice_is(out.payload, "p"));
    struct wr_slice rest = out.properties;
    cr_assert_eq(wr_mqtt_read_property(&rest, &property, &err), WR_OK);
    cr_assert(property.id == WR_MQTT_USER_PROPERTY && wr_slice_is(property.name, "k") && wr_slice_is(property.value, "vw"));
    cr_assert_eq(wr_mqtt_read_property(&rest, &property, &err), WR_OK);
    cr_assert(property.id == 1 && property.number == 1);
    cr_assert_eq(wr_mqtt_read_property(&rest, &property, &err), WR_END);
}

Test(source_mqtt, publish_that_is_broken_is_refused)
{
    struct wr_mqtt_publish out;
    struct wr_error err;
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x06, BYTES("\x00\x01" "a" "\x00\x01\x00"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x02, BYTES("\x00\x01" "a" "\x00\x00\x00"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x02, BYTES("\x00\x01" "a" "\x00"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x00, BYTES("\x00\x09" "a"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x00, BYTES("\x00\x00\x00"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x00, BYTES("\x00\x01" "a" "\x03\x23\x00\x01"), &out, &err), WR_FAIL);
    cr_assert_eq(wr_mqtt_read_publish(WR_MQTT_5, 0x00, BYTES("\x00\x01" "a" "\xff\xff\xff\x7f"), &out, &err), WR_FAIL);
}

Test(source_mqtt, random_bytes_are_read_within_their_bounds)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 5);
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        const size_t bytes = wr_rand_below(&rand, 40);
        char *data = malloc(bytes + 1); /* its own block: the sanitizer sees what is read behind it */
        for (size_t k = 0; k < bytes; k++) {
            data[k] = (char)(wr_rand_below(&rand, 3) == 0 ? wr_rand_below(&rand, 256) : wr_rand_below(&rand, 6));
        }
        struct wr_slice body = bytes_of(data, bytes);
        struct wr_mqtt_publish publish;
        struct wr_mqtt_connack connack;
        struct wr_mqtt_suback suback;
        struct wr_mqtt_disconnect disconnect;
        struct wr_mqtt_frame frame;
        const enum wr_mqtt_version version = wr_rand_below(&rand, 2) == 0 ? WR_MQTT_5 : WR_MQTT_3_1_1;
        if (wr_mqtt_read_publish(version, (uint8_t)wr_rand_below(&rand, 16), body, &publish, NULL) == WR_OK) {
            accepted++;
            cr_assert(publish.topic.data >= data && publish.payload.data + publish.payload.bytes == data + bytes);
        }
        accepted += wr_mqtt_read_connack(version, body, &connack, NULL) == WR_OK;
        accepted += wr_mqtt_read_suback(version, body, &suback, NULL) == WR_OK;
        accepted += wr_mqtt_read_disconnect(body, &disconnect, NULL) == WR_OK;
        accepted += wr_mqtt_read_frame(data, bytes, &frame, NULL) == WR_OK;
        free(data);
    }
    cr_assert_gt(accepted, 10000);
}

/* ---- topics and addresses ---- */

Test(source_mqtt, topic_filters)
{
    static const char *const good[] = { "a", "/", "a/b", "+", "#", "a/#", "+/b/+/#", "$SYS/#", "$share/g/a/+", "a b", "//" };
    static const char *const bad[] = { "", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "$share/g", "$share/g/",
                                       "$share//a", "$share/g+/a", "\xff" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_null(wr_mqtt_filter_fault(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not_null(wr_mqtt_filter_fault(bad[i]), "%s", bad[i]);
    }
    cr_assert_str_eq(wr_mqtt_filter_unshared("$share/g/a/b"), "a/b");
    cr_assert_str_eq(wr_mqtt_filter_unshared("a/b"), "a/b");
}

Test(source_mqtt, addresses)
{
    static const struct {
        const char *url, *host, *port;
        bool tls;
    } good[] = { { "mqtt://h", "h", "1883", false },          { "tcp://h.example:1884", "h.example", "1884", false },
                 { "mqtts://h/", "h", "8883", true },         { "ssl://[::1]:99/", "::1", "99", true },
                 { "tls://10.0.0.1", "10.0.0.1", "8883", true } };
    static const char *const bad[] = { "h", "http://h", "mqtt://", "mqtt://:1883", "mqtt://h:0", "mqtt://h:65536", "mqtt://h:1x",
                                       "mqtt://h:-1", "mqtt://u@h", "mqtt://u:p@h", "mqtt://[::1", "mqtt://h/topic" };
    struct wr_mqtt_endpoint to;
    struct wr_error err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(wr_mqtt_endpoint_parse(good[i].url, &to, &err), WR_OK, "%s", good[i].url);
        cr_assert_str_eq(to.host, good[i].host);
        cr_assert_str_eq(to.port, good[i].port);
        cr_assert_eq(to.tls, good[i].tls);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(wr_mqtt_endpoint_parse(bad[i], &to, &err), WR_FAIL, "%s", bad[i]);
        cr_assert(err.cls == WR_CLASS_USER && err.hint[0] != '\0' && strstr(err.message, ":p") == NULL);
    }
}

/* ---- what is acknowledged when ---- */

struct bed {
    struct wr_mqtt_inflight f;
    uint16_t acked[16];
};

static struct bed make_bed(void)
{
    struct bed bed = { 0 };
    wr_mqtt_inflight_init(&bed.f);
    wr_mqtt_inflight_connected(&bed.f, false);
    return bed;
}

static uint32_t drain(struct bed *bed, int64_t committed)
{
    uint32_t count = 0;
    while (wr_mqtt_inflight_next(&bed->f, committed, &bed->acked[count])) {
        count++;
    }
    return count;
}

static enum wr_mqtt_arrival arrive(struct bed *bed, uint16_t id, bool dup, int64_t position)
{
    return wr_mqtt_inflight_arrived(&bed->f, id, id * 7u, 1, dup, position);
}

Test(source_mqtt, acknowledgements_follow_the_commit_in_order_of_arrival)
{
    struct bed bed = make_bed();
    cr_assert_eq(arrive(&bed, 5, false, 0), WR_MQTT_ARRIVED_NEW);
    cr_assert_eq(arrive(&bed, 3, false, 1), WR_MQTT_ARRIVED_NEW);
    cr_assert_eq(arrive(&bed, 9, false, 3), WR_MQTT_ARRIVED_NEW); /* position 2 was of QoS 0 */
    cr_assert_eq(drain(&bed, 0), 0);
    cr_assert_eq(drain(&bed, 2), 2);
    cr_assert(bed.acked[0] == 5 && bed.acked[1] == 3 && bed.f.open == 1);
    cr_assert_eq(drain(&bed, 3), 0);
    cr_assert_eq(drain(&bed, 4), 1);
    cr_assert(bed.acked[0] == 9 && bed.f.open == 0);
    cr_assert_eq(arrive(&bed, 5, false, 4), WR_MQTT_ARRIVED_NEW); /* the identifier is free again */
    cr_assert_eq(drain(&bed, 5), 1);
    wr_mqtt_inflight_deinit(&bed.f);
}

Test(source_mqtt, what_comes_again_after_a_broken_connection_is_not_read_twice)
{
    struct bed bed = make_bed();
    (void)arrive(&bed, 1, false, 0);
    (void)arrive(&bed, 2, false, 1);
    (void)arrive(&bed, 3, false, 2);
    wr_mqtt_inflight_connected(&bed.f, true);
    cr_assert_eq(drain(&bed, 1), 0, "its message has not come on this connection"); /* (1) */
    cr_assert_eq(arrive(&bed, 1, true, 3), WR_MQTT_ARRIVED_SETTLED);
    cr_assert_eq(arrive(&bed, 2, true, 3), WR_MQTT_ARRIVED_AGAIN);
    cr_assert_eq(drain(&bed, 2), 1);
    cr_assert_eq(bed.acked[0], 2);
    cr_assert_eq(arrive(&bed, 3, true, 3), WR_MQTT_ARRIVED_AGAIN);
    cr_assert_eq(arrive(&bed, 4, true, 3), WR_MQTT_ARRIVED_NEW, "sent before, but it never came");
    cr_assert_eq(drain(&bed, 4), 2);
    cr_assert_eq(bed.f.open, 0);
    wr_mqtt_inflight_deinit(&bed.f);
}

Test(source_mqtt, an_identifier_with_other_content_is_a_new_message)
{
    struct bed bed = make_bed();
    (void)arrive(&bed, 1, false, 0);
    wr_mqtt_inflight_connected(&bed.f, true);
    cr_assert_eq(wr_mqtt_inflight_arrived(&bed.f, 1, 999, 1, true, 1), WR_MQTT_ARRIVED_NEW); /* (2) */
    cr_assert_eq(drain(&bed, 1), 0);
    cr_assert_eq(drain(&bed, 2), 1);
    (void)arrive(&bed, 2, false, 2);
    wr_mqtt_inflight_connected(&bed.f, true);
    cr_assert_eq(arrive(&bed, 2, false, 3), WR_MQTT_ARRIVED_NEW, "the broker does not say that it comes again");
    wr_mqtt_inflight_connected(&bed.f, false); /* it has forgotten the session */
    cr_assert_eq(drain(&bed, 100), 0);
    cr_assert_eq(bed.f.open, 0);
    cr_assert_eq(arrive(&bed, 2, false, 4), WR_MQTT_ARRIVED_NEW);
    cr_assert_eq(drain(&bed, 100), 1);
    wr_mqtt_inflight_deinit(&bed.f);
}

Test(source_mqtt, all_identifiers_may_be_open_and_replaced_again_and_again)
{
    struct bed bed = make_bed();
    int64_t position = 0;
    for (uint32_t round = 0; round < 3; round++) { /* a broker without memory: each of them is new each time */
        for (uint32_t id = 1; id <= 65535; id++) {
            cr_assert_eq(wr_mqtt_inflight_arrived(&bed.f, (uint16_t)id, id + round * 100000u, 1, true, position++),
                         WR_MQTT_ARRIVED_NEW);
        }
    }
    cr_assert_eq(bed.f.open, 65535);
    uint16_t id;
    uint32_t count = 0;
    while (wr_mqtt_inflight_next(&bed.f, position, &id)) {
        count++;
        cr_assert_eq(id, count);
    }
    cr_assert_eq(count, 65535);
    /* One that is never committed, the others replaced behind it. */
    (void)wr_mqtt_inflight_arrived(&bed.f, 1, 1, 1, false, position++);
    for (uint32_t i = 0; i < 200000; i++) {
        (void)wr_mqtt_inflight_arrived(&bed.f, (uint16_t)(2 + i % 3), i, 1, false, position++);
    }
    cr_assert_eq(bed.f.open, 4);
    cr_assert_eq(drain(&bed, position), 4);
    wr_mqtt_inflight_deinit(&bed.f);
}
