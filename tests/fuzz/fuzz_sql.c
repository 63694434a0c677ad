/* The SQL front end over any bytes: each text becomes a plan, which is explained, or an error with
 * a message and a hint. Neither may depend on anything but the text: both are made twice and
 * compared. */
#include "../sql/catalog.h"

#include "base/assert.h"
#include "base/buf.h"

#include <stdlib.h>

static wr_status explain(struct wr_slice text, struct wr_buf *out, struct wr_error *err)
{
    struct wr_plan *plan = NULL;
    const wr_status status = wr_sql_plan("fuzz.sql", text, &catalog, NULL, 0, &plan, err);
    if (status == WR_OK) {
        wr_plan_explain(plan, out);
        wr_plan_destroy(plan);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct wr_slice text = {(const char *)data, bytes};
    struct wr_buf out[2] = {{0}, {0}};
    struct wr_error err[2];
    memset(err, 0, sizeof(err));
    const wr_status first = explain(text, &out[0], &err[0]);
    wr_assert(first == explain(text, &out[1], &err[1]));
    if (first == WR_OK) {
        wr_assert(out[0].bytes > 0 && out[0].bytes == out[1].bytes);
        wr_assert(memcmp(out[0].data, out[1].data, out[0].bytes) == 0);
        wr_assert(memmem(out[0].data, out[0].bytes, "hunter2", 7) == NULL ||
                  memmem(data, bytes, "hunter2", 7) != NULL);
    } else {
        wr_assert(first == WR_FAIL && err[0].cls == WR_CLASS_USER);
        wr_assert(err[0].message[0] != '\0' && strcmp(err[0].message, err[1].message) == 0);
        wr_assert(wr_utf8_valid(err[0].message, strlen(err[0].message)));
        wr_assert(wr_utf8_valid(err[0].detail, strlen(err[0].detail)));
    }
    wr_buf_deinit(&out[0]);
    wr_buf_deinit(&out[1]);
    return 0;
}
