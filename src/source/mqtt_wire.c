/* mqtt_wire.c: see mqtt_wire.h. Sections are those of "MQTT Version 5.0", OASIS Standard. */
#include "source/mqtt_wire.h"

#include <stdint.h>

/* ---- writing ---- */

static void put_u16(struct wr_buf *into, uint32_t value)
{
    wr_buf_byte(into, (uint8_t)(value >> 8));
    wr_buf_byte(into, (uint8_t)value);
}

static void put_u32(struct wr_buf *into, uint32_t value)
{
    put_u16(into, value >> 16);
    put_u16(into, value & 0xffff);
}

/* 1.5.5: seven bits a byte, the lowest first. */
static void put_varint(struct wr_buf *into, size_t value)
{
    do {
        const uint8_t low = value & 0x7f;
        value >>= 7;
        wr_buf_byte(into, (uint8_t)(low | (value > 0 ? 0x80 : 0)));
    } while (value > 0);
}

/* Options are checked to be shorter than 64 KiB (mqtt.c). */
static void put_text(struct wr_buf *into, const char *text)
{
    const size_t bytes = strlen(text);
    put_u16(into, (uint32_t)bytes);
    wr_buf_append(into, text, bytes);
}

static void put_packet(struct wr_buf *into, uint32_t first_byte, const struct wr_buf *body)
{
    wr_buf_byte(into, (uint8_t)first_byte);
    put_varint(into, body->bytes);
    wr_buf_append(into, body->data, body->bytes);
}

void wr_mqtt_put_connect(struct wr_buf *into, const struct wr_mqtt_connect *c)
{
    struct wr_buf body = { 0 };
    put_text(&body, "MQTT");
    wr_buf_byte(&body, (uint8_t)c->version);
    wr_buf_byte(&body, (uint8_t)((c->username != NULL ? 0x80 : 0) | (c->password != NULL ? 0x40 : 0) |
                                 (c->clean ? 0x02 : 0)));
    put_u16(&body, c->keepalive_s);
    if (c->version == WR_MQTT_5) {
        put_varint(&body, 5 + 3); /* both below */
        wr_buf_byte(&body, WR_MQTT_SESSION_EXPIRY);
        put_u32(&body, c->session_expiry_s);
        wr_buf_byte(&body, WR_MQTT_RECEIVE_MAXIMUM);
        put_u16(&body, c->receive_maximum);
    }
    put_text(&body, c->client_id);
    if (c->username != NULL) {
        put_text(&body, c->username);
    }
    if (c->password != NULL) {
        put_text(&body, c->password);
    }
    put_packet(into, WR_MQTT_CONNECT << 4, &body);
    if (body.data != NULL) {
        explicit_bzero(body.data, body.bytes); /* the password */
    }
    wr_buf_deinit(&body);
}

void wr_mqtt_put_subscribe(struct wr_buf *into, uint16_t id, const struct wr_mqtt_subscribe *s)
{
    struct wr_buf body = { 0 };
    put_u16(&body, id);
    if (s->version == WR_MQTT_5) {
        put_varint(&body, 0); /* no properties */
    }
    for (uint32_t i = 0; i < s->count; i++) {
        put_text(&body, s->filters[i]);
        wr_buf_byte(&body, (uint8_t)(s->qos | (s->version == WR_MQTT_5 ? s->retain_handling << 4 : 0)));
    }
    put_packet(into, WR_MQTT_SUBSCRIBE << 4 | 0x02, &body);
    wr_buf_deinit(&body);
}

void wr_mqtt_put_ack(struct wr_buf *into, enum wr_mqtt_type type, uint16_t id)
{
    wr_buf_byte(into, (uint8_t)(type << 4));
    wr_buf_byte(into, 2); /* 5: without a reason code it is success (3.4.2.1) */
    put_u16(into, id);
}

void wr_mqtt_put_pingreq(struct wr_buf *into)
{
    wr_buf_byte(into, WR_MQTT_PINGREQ << 4);
    wr_buf_byte(into, 0);
}

void wr_mqtt_put_disconnect(struct wr_buf *into)
{
    wr_buf_byte(into, WR_MQTT_DISCONNECT << 4);
    wr_buf_byte(into, 0); /* 5: without a reason code it is a normal one (3.14.2.1) */
}

/* ---- reading ---- */

static wr_status broken(struct wr_error *err, const char *what)
{
    return wr_fail(err, WR_CLASS_RETRY, "the broker sent a packet that is not MQTT: %s", what);
}

/* 1.5.5; at most four bytes. WR_AGAIN: they have not all come. */
static wr_status read_varint(const char *data, size_t bytes, size_t *value, size_t *used,
                             struct wr_error *err)
{
    *value = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i == bytes) {
            return WR_AGAIN;
        }
        const uint8_t byte = (uint8_t)data[i];
        *value |= (size_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *used = i + 1;
            return WR_OK;
        }
    }
    return broken(err, "a length of more than four bytes");
}

wr_status wr_mqtt_read_frame(const char *data, size_t bytes, struct wr_mqtt_frame *out,
                             struct wr_error *err)
{
    size_t used;
    if (bytes == 0) {
        return WR_AGAIN;
    }
    out->type = (enum wr_mqtt_type)((uint8_t)data[0] >> 4);
    out->flags = (uint8_t)data[0] & 0x0f;
    WR_TRY(read_varint(data + 1, bytes - 1, &out->body_bytes, &used, err));
    out->header_bytes = 1 + used;
    return WR_OK;
}

static bool take_u16(struct wr_slice *from, uint32_t *value)
{
    if (from->bytes < 2) {
        return false;
    }
    *value = (uint32_t)(uint8_t)from->data[0] << 8 | (uint8_t)from->data[1];
    from->data += 2;
    from->bytes -= 2;
    return true;
}

static bool take_bytes(struct wr_slice *from, size_t bytes, struct wr_slice *out)
{
    if (from->bytes < bytes) {
        return false;
    }
    *out = (struct wr_slice){ from->data, bytes };
    from->data += bytes;
    from->bytes -= bytes;
    return true;
}

static bool take_byte(struct wr_slice *from, uint8_t *value)
{
    struct wr_slice one;
    if (!take_bytes(from, 1, &one)) {
        return false;
    }
    *value = (uint8_t)one.data[0];
    return true;
}

static bool take_text(struct wr_slice *from, struct wr_slice *out)
{
    uint32_t bytes;
    return take_u16(from, &bytes) && take_bytes(from, bytes, out);
}

/* 2.2.2.2: what kind of value each property has. */
static char property_kind(size_t id)
{
    switch (id) {
    case 0x01: case 0x17: case 0x19: case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a:
        return '1'; /* a byte */
    case 0x13: case 0x21: case 0x22: case 0x23:
        return '2';
    case 0x02: case 0x11: case 0x18: case 0x27:
        return '4';
    case 0x0b:
        return 'v';
    case 0x03: case 0x08: case 0x09: case 0x12: case 0x15: case 0x16: case 0x1a: case 0x1c: case 0x1f:
        return 't';
    case 0x26:
        return 'p'; /* a pair of texts */
    default:
        return 0;
    }
}

static bool take_number(struct wr_slice *rest, size_t bytes, uint32_t *number)
{
    struct wr_slice digits;
    if (!take_bytes(rest, bytes, &digits)) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < bytes; i++) {
        *number = *number << 8 | (uint8_t)digits.data[i];
    }
    return true;
}

static bool take_value(struct wr_slice *rest, char kind, struct wr_mqtt_property *out)
{
    size_t number;
    size_t used;
    switch (kind) {
    case '1': return take_number(rest, 1, &out->number);
    case '2': return take_number(rest, 2, &out->number);
    case '4': return take_number(rest, 4, &out->number);
    case 't': return take_text(rest, &out->value);
    case 'p': return take_text(rest, &out->name) && take_text(rest, &out->value);
    case 'v':
        if (read_varint(rest->data, rest->bytes, &number, &used, NULL) != WR_OK) {
            return false;
        }
        out->number = (uint32_t)number;
        rest->data += used;
        rest->bytes -= used;
        return true;
    default: return false;
    }
}

wr_status wr_mqtt_read_property(struct wr_slice *rest, struct wr_mqtt_property *out, struct wr_error *err)
{
    size_t id;
    size_t used;
    if (rest->bytes == 0) {
        return WR_END;
    }
    if (read_varint(rest->data, rest->bytes, &id, &used, NULL) != WR_OK) {
        return broken(err, "a property without an end");
    }
    *out = (struct wr_mqtt_property){ .id = (uint32_t)id };
    rest->data += used;
    rest->bytes -= used;
    if (!take_value(rest, property_kind(id), out)) {
        return broken(err, property_kind(id) == 0 ? "an unknown property" : "a property without an end");
    }
    return WR_OK;
}

/* The properties of a packet, all of them well-formed. */
static wr_status take_properties(struct wr_slice *body, struct wr_slice *out, struct wr_error *err)
{
    size_t bytes;
    size_t used;
    if (read_varint(body->data, body->bytes, &bytes, &used, NULL) != WR_OK || body->bytes - used < bytes) {
        return broken(err, "properties longer than their packet");
    }
    *out = (struct wr_slice){ body->data + used, bytes };
    body->data += used + bytes;
    body->bytes -= used + bytes;
    struct wr_slice rest = *out;
    struct wr_mqtt_property property;
    wr_status status;
    do {
        status = wr_mqtt_read_property(&rest, &property, err);
    } while (status == WR_OK);
    return status == WR_END ? WR_OK : status;
}

static struct wr_slice reason_string(struct wr_slice properties)
{
    struct wr_mqtt_property property;
    while (wr_mqtt_read_property(&properties, &property, NULL) == WR_OK) {
        if (property.id == WR_MQTT_REASON_STRING) {
            return property.value;
        }
    }
    return (struct wr_slice){ "", 0 };
}

wr_status wr_mqtt_read_connack(enum wr_mqtt_version version, struct wr_slice body,
                               struct wr_mqtt_connack *out, struct wr_error *err)
{
    uint8_t flags;
    struct wr_slice properties = { "", 0 };
    struct wr_mqtt_property property;
    if (!take_byte(&body, &flags) || !take_byte(&body, &out->reason)) {
        return broken(err, "a CONNACK that is too short");
    }
    out->session_present = (flags & 1) != 0;
    out->keepalive_s = -1;
    /* A broker of 3.1.1 refuses version 5 in its own form, without properties. */
    if (version == WR_MQTT_5 && body.bytes > 0) {
        WR_TRY(take_properties(&body, &properties, err));
    }
    out->explained = reason_string(properties);
    while (wr_mqtt_read_property(&properties, &property, NULL) == WR_OK) {
        if (property.id == WR_MQTT_SERVER_KEEP_ALIVE) {
            out->keepalive_s = (int32_t)property.number;
        }
    }
    return WR_OK;
}

wr_status wr_mqtt_read_suback(enum wr_mqtt_version version, struct wr_slice body,
                              struct wr_mqtt_suback *out, struct wr_error *err)
{
    uint32_t id;
    struct wr_slice properties = { "", 0 };
    if (!take_u16(&body, &id)) {
        return broken(err, "a SUBACK that is too short");
    }
    if (version == WR_MQTT_5) {
        WR_TRY(take_properties(&body, &properties, err));
    }
    out->id = (uint16_t)id;
    out->explained = reason_string(properties);
    out->codes = body;
    return WR_OK;
}

wr_status wr_mqtt_read_publish(enum wr_mqtt_version version, uint8_t flags, struct wr_slice body,
                               struct wr_mqtt_publish *out, struct wr_error *err)
{
    uint32_t id = 0;
    struct wr_mqtt_property property;
    *out = (struct wr_mqtt_publish){ .dup = (flags & 0x08) != 0, .qos = (flags >> 1) & 0x03,
                                     .retain = (flags & 0x01) != 0, .properties = { "", 0 } };
    if (out->qos == 3) {
        return broken(err, "a PUBLISH of QoS 3");
    }
    if (!take_text(&body, &out->topic)) {
        return broken(err, "a PUBLISH shorter than its topic");
    }
    if (out->qos > 0 && (!take_u16(&body, &id) || id == 0)) {
        return broken(err, "a PUBLISH without a packet identifier");
    }
    if (version == WR_MQTT_5) {
        WR_TRY(take_properties(&body, &out->properties, err));
    }
    for (struct wr_slice rest = out->properties; wr_mqtt_read_property(&rest, &property, NULL) == WR_OK;) {
        if (property.id == WR_MQTT_TOPIC_ALIAS) {
            return broken(err, "a topic alias, which was not allowed");
        }
    }
    if (out->topic.bytes == 0) {
        return broken(err, "a PUBLISH without a topic");
    }
    out->id = (uint16_t)id;
    out->payload = body;
    return WR_OK;
}

wr_status wr_mqtt_read_id(struct wr_slice body, uint16_t *id, struct wr_error *err)
{
    uint32_t value;
    if (!take_u16(&body, &value) || value == 0) {
        return broken(err, "a packet without its identifier");
    }
    *id = (uint16_t)value;
    return WR_OK;
}

wr_status wr_mqtt_read_disconnect(struct wr_slice body, struct wr_mqtt_disconnect *out,
                                  struct wr_error *err)
{
    struct wr_slice properties = { "", 0 };
    *out = (struct wr_mqtt_disconnect){ .explained = { "", 0 } };
    if (take_byte(&body, &out->reason) && body.bytes > 0) {
        WR_TRY(take_properties(&body, &properties, err));
        out->explained = reason_string(properties);
    }
    return WR_OK;
}

/* ---- reasons ---- */

static const char *connack_3(uint8_t code)
{
    switch (code) {
    case 1: return "it does not speak this version of MQTT";
    case 2: return "the client id is not valid";
    case 3: return "it is not available";
    case 4: return "bad user name or password";
    case 5: return "not authorized";
    default: return "a reason unknown to MQTT 3.1.1";
    }
}

const char *wr_mqtt_reason(enum wr_mqtt_version version, enum wr_mqtt_type type, uint8_t code)
{
    if (code < 0x80 && type == WR_MQTT_CONNACK) {
        return connack_3(code); /* also from a broker that does not speak 5 */
    }
    if (version == WR_MQTT_3_1_1) {
        return type == WR_MQTT_SUBACK ? "refused" : connack_3(code);
    }
    switch (code) {
    case 0x00: return "it closes the connection";
    case 0x81: return "malformed packet";
    case 0x82: return "protocol error";
    case 0x83: return "an error of its own kind";
    case 0x84: return "it does not speak this version of MQTT";
    case 0x85: return "the client id is not valid";
    case 0x86: return "bad user name or password";
    case 0x87: return "not authorized";
    case 0x88: return "it is not available";
    case 0x89: return "it is busy";
    case 0x8a: return "this client is banned";
    case 0x8b: return "it is shutting down";
    case 0x8c: return "bad authentication method";
    case 0x8d: return "it heard nothing for too long (keepalive)";
    case 0x8e: return "another client uses the same client id";
    case 0x8f: return "the topic filter is not valid";
    case 0x91: return "the packet identifier is in use";
    case 0x93: return "more messages were on their way than the receive maximum";
    case 0x95: return "packet too large";
    case 0x96: return "too many messages";
    case 0x97: return "a quota is used up";
    case 0x98: return "an administrator closed the connection";
    case 0x9c: return "use another server";
    case 0x9d: return "the server has moved";
    case 0x9e: return "it does not support shared subscriptions";
    case 0x9f: return "too many connections";
    case 0xa1: return "it does not support subscription identifiers";
    case 0xa2: return "it does not support wildcards";
    default: return "an unspecified error";
    }
}

/* ---- topics ---- */

#define SHARE "$share/"

const char *wr_mqtt_filter_unshared(const char *filter)
{
    if (strncmp(filter, SHARE, sizeof SHARE - 1) != 0) {
        return filter;
    }
    const char *slash = strchr(filter + sizeof SHARE - 1, '/');
    return slash != NULL ? slash + 1 : "";
}

const char *wr_mqtt_filter_fault(const char *filter)
{
    const char *own = wr_mqtt_filter_unshared(filter);
    const size_t bytes = strlen(filter);
    if (bytes > UINT16_MAX) {
        return "it is longer than 65,535 bytes";
    }
    if (!wr_utf8_valid(filter, bytes)) {
        return "it is not UTF-8";
    }
    if (own != filter) {
        const char *group = filter + sizeof SHARE - 1;
        if (own == group + 1 || strcspn(group, "+#/") != strcspn(group, "/")) {
            return "a shared subscription is written $share/group/topic";
        }
    }
    if (own[0] == '\0') {
        return own == filter ? "it is empty" : "a shared subscription is written $share/group/topic";
    }
    for (const char *c = own; *c != '\0'; c++) {
        const bool begins = c == own || c[-1] == '/';
        if (*c == '#' && (!begins || c[1] != '\0')) {
            return "# stands for all that follows: alone at the end, after a /";
        }
        if (*c == '+' && (!begins || (c[1] != '\0' && c[1] != '/'))) {
            return "+ stands for a whole level, between two /";
        }
    }
    return NULL;
}
