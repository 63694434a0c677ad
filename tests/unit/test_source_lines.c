#include "source/source_lines.h"

#include "base/buf.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ROWS 8

struct fixture {
    struct wr_block_pool blocks;
    struct wr_line_records_pool records;
    struct wr_cutter cutter;
    struct wr_buf seen; /* records, each as "position:text|" */
};

static void init(struct fixture *f, size_t block, size_t headroom)
{
    memset(f, 0, sizeof *f);
    wr_block_pool_init(&f->blocks, block, headroom, 8);
    wr_line_records_pool_init(&f->records, ROWS);
    f->cutter.records = &f->records;
    f->cutter.bytes_max = 1 << 20;
    f->cutter.delimiter = ',';
    f->cutter.quote = '"';
}

static void take_all(struct fixture *f)
{
    struct wr_records *records;
    while ((records = wr_cutter_take(&f->cutter, ROWS, 0)) != NULL) {
        cr_assert(records->count > 0 && records->count <= ROWS);
        for (uint32_t i = 0; i < records->count; i++) {
            const struct wr_record *r = &records->items[i];
            wr_buf_printf(&f->seen, "%d:%.*s|", (int)r->position, (int)r->bytes, r->data);
        }
        wr_records_release(records);
    }
}

static void feed(struct fixture *f, const char *text, size_t bytes, size_t at)
{
    struct wr_block *block = wr_block_take(&f->blocks);
    cr_assert(block != NULL && block->capacity - block->end >= bytes);
    memcpy(block->data + block->end, text, bytes);
    block->end += bytes;
    block->position = (int64_t)at;
    wr_cutter_feed(&f->cutter, block);
    take_all(f);
}

static void end(struct fixture *f, const char *expected)
{
    wr_cutter_end(&f->cutter);
    take_all(f);
    cr_assert_str_eq(wr_buf_cstr(&f->seen), expected);
    wr_cutter_deinit(&f->cutter);
    wr_line_records_pool_deinit(&f->records);
    wr_block_pool_deinit(&f->blocks);
    wr_buf_deinit(&f->seen);
}

Test(source_lines, every_pair_of_borders_gives_the_same_lines)
{
    const char text[] = "one\ntwo22\r\n\n\r\nthree and longer\nfour";
    const size_t bytes = sizeof text - 1;
    for (size_t headroom = 0; headroom <= 24; headroom += 6) {
        for (size_t a = 0; a <= bytes; a++) {
            for (size_t b = a; b <= bytes; b++) {
                struct fixture f;
                init(&f, 128, headroom);
                feed(&f, text, a, 0);
                feed(&f, text + a, b - a, a);
                feed(&f, text + b, bytes - b, b);
                end(&f, "0:one|4:two22|14:three and longer|31:four|");
            }
        }
    }
}

Test(source_lines, quoted_line_ends_of_csv_are_kept_whatever_the_borders)
{
    const char text[] = "a,\"x\ny\"\r\n\"p\"\"\n\",q\nlast,\"open\n";
    const size_t bytes = sizeof text - 1;
    for (size_t headroom = 0; headroom <= 32; headroom += 8) {
        for (size_t a = 0; a <= bytes; a++) {
            struct fixture f;
            init(&f, 128, headroom);
            f.cutter.csv = true;
            feed(&f, text, a, 0);
            feed(&f, text + a, bytes - a, a);
            end(&f, "0:a,\"x\ny\"|9:\"p\"\"\n\",q|18:last,\"open\n|");
        }
    }
}

Test(source_lines, single_bytes_are_gathered_to_lines)
{
    const char text[] = "abcdef\n\ngh\n";
    struct fixture f;
    init(&f, 8, 2);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        feed(&f, text + i, 1, i);
    }
    end(&f, "0:abcdef|8:gh|");
}

Test(source_lines, a_line_longer_than_the_limit_is_one_cut_record)
{
    struct fixture f;
    init(&f, 64 << 10, 16);
    f.cutter.bytes_max = 300 << 10;
    char *part = malloc(60 << 10);
    memset(part, 'x', 60 << 10);
    size_t at = 0;
    uint32_t records = 0;
    for (int i = 0; i < 100; i++, at += 60 << 10) {
        struct wr_block *block = wr_block_take(&f.blocks);
        memcpy(block->data + block->end, part, 60 << 10);
        block->end += 60 << 10;
        block->position = (int64_t)at;
        wr_cutter_feed(&f.cutter, block);
        cr_assert_null(wr_cutter_take(&f.cutter, ROWS, 0));
        cr_assert(f.cutter.gathered == NULL || f.cutter.gathered->capacity <= 2 * (360u << 10));
    }
    struct wr_block *block = wr_block_take(&f.blocks);
    memcpy(block->data + block->end, "\nok\n", 4);
    block->end += 4;
    block->position = (int64_t)at;
    wr_cutter_feed(&f.cutter, block);
    struct wr_records *r;
    while ((r = wr_cutter_take(&f.cutter, ROWS, 0)) != NULL) {
        records++;
        if (records == 1) {
            cr_assert_eq(r->count, 1u);
            cr_assert_eq(r->items[0].position, 0);
            cr_assert(r->items[0].bytes > WR_LINE_KEPT_BYTES);
            cr_assert(r->items[0].bytes < WR_LINE_KEPT_BYTES + 100);
            cr_assert_eq(r->items[0].data[WR_LINE_KEPT_BYTES], '\n');
        } else {
            cr_assert_eq(r->items[0].bytes, 2u);
            cr_assert_eq(r->items[0].position, (int64_t)at + 1);
        }
        wr_records_release(r);
    }
    cr_assert_eq(records, 2u);
    free(part);
    end(&f, "");
}

Test(source_lines, records_keep_their_block_until_they_are_released)
{
    struct fixture f;
    init(&f, 64, 8);
    feed(&f, "", 0, 0);
    struct wr_block *block = wr_block_take(&f.blocks);
    memcpy(block->data + block->end, "a\nb\n", 4);
    block->end += 4;
    wr_cutter_feed(&f.cutter, block);
    struct wr_records *held = wr_cutter_take(&f.cutter, ROWS, 7);
    cr_assert_eq(held->count, 2u);
    cr_assert_eq(held->items[1].timestamp_us, 7);
    feed(&f, "c\n", 2, 4);
    cr_assert_eq(memcmp(held->items[0].data, "a\nb\n", 4), 0);
    wr_records_release(held);
    end(&f, "4:c|");
}
