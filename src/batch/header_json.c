#include "batch/header_json.h"

#include "batch/text.h"

void wr_header_json_put(struct wr_buf *buf, const char *data, size_t bytes)
{
    if (wr_utf8_valid(data, bytes)) {
        wr_text_json_string(buf, data, bytes);
        return;
    }
    wr_buf_text(buf, "{\"base64\":\"");
    wr_text_base64(buf, data, bytes);
    wr_buf_text(buf, "\"}");
}
