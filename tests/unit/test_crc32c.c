#include "base/crc32c.h"
#include <criterion/criterion.h>
#include <string.h>

Test(crc32c, gives_the_values_of_rfc_3720)
{
    uint8_t bytes[32];
    memset(bytes, 0, sizeof(bytes));
    cr_assert_eq(wr_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    cr_assert_eq(wr_crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    cr_assert_eq(wr_crc32c(0, bytes, 32), 0x46dd794e);
    cr_assert_eq(wr_crc32c(0, "123456789", 9), 0xe3069283);
    cr_assert_eq(wr_crc32c(0, "", 0), 0);
}

Test(crc32c, the_instruction_agrees_with_the_table_at_every_length_and_alignment)
{
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 131 + 7);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t count = 0; start + count <= sizeof(bytes); count++) {
            cr_assert_eq(wr_crc32c(0, bytes + start, count),
                         wr_crc32c_portable(0, bytes + start, count));
        }
    }
}

Test(crc32c, continues_where_it_stopped)
{
    const char *text = "the quick brown fox jumps over the lazy dog";
    const size_t bytes = strlen(text);
    const uint32_t whole = wr_crc32c(0, text, bytes);
    for (size_t cut = 0; cut <= bytes; cut++) {
        const uint32_t first = wr_crc32c(0, text, cut);
        cr_assert_eq(wr_crc32c(first, text + cut, bytes - cut), whole);
    }
}
