/* thrift_tree.h: Thrift's compact protocol, reading: bytes from outside -> a tree of values, which can be changed and
 * written again. Parquet's footers, page headers and page indexes are read by it, also those of other programs, whose unknown
 * fields come through unchanged.
 *
 * Ownership: nodes lie in the caller's arena; binaries borrow the bytes that were read.
 * Every length is checked against the bytes that are there; a list never makes more nodes than it has bytes.
 */
#ifndef WR_ENCODE_THRIFT_TREE_H
#define WR_ENCODE_THRIFT_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

#define WR_THRIFT_TREE_DEPTH_MAX 24u

/* A field of a struct, or an element of a list (id 0). */
struct wr_thrift_node {
    int16_t id;
    uint8_t type;    /* enum wr_thrift_type; TRUE for both booleans; 10: set, 11: map */
    uint8_t element; /* lists: the type of their elements */
    uint32_t count;  /* structs: fields; lists: elements; maps: keys and values together */
    uint16_t map_types; /* maps: key type << 4 | value type */
    int64_t number;  /* integers and booleans; doubles: their bits */
    struct wr_slice binary; /* lists without children: their elements, written already */
    struct wr_thrift_node *children;
};

/* Reads one struct. Returns the byte after it, or NULL when it is ill-formed. */
const char *wr_thrift_tree_read(const char *at, const char *end, struct wr_arena *arena,
                                struct wr_thrift_node *into);
/* Appends the struct. */
void wr_thrift_tree_append(const struct wr_thrift_node *node, struct wr_buf *out);

/* The field, or NULL (also when node is NULL). */
struct wr_thrift_node *wr_thrift_field(const struct wr_thrift_node *node, int16_t id);
int64_t wr_thrift_number(const struct wr_thrift_node *node, int16_t id, int64_t fallback);
/* An empty slice when there is no such field. */
struct wr_slice wr_thrift_bytes(const struct wr_thrift_node *node, int16_t id);
/* The list's elements; *count 0 when it is not there. */
struct wr_thrift_node *wr_thrift_list(const struct wr_thrift_node *node, int16_t id,
                                      uint32_t *count);
/* Takes the field out, if it is there. */
void wr_thrift_drop(struct wr_thrift_node *node, int16_t id);
/* Changes the number of a field that is there. */
void wr_thrift_set(struct wr_thrift_node *node, int16_t id, int64_t number);

#endif
