/* eval_pending.c: functions that are being written: they fail by name. */
#include "exec/eval_node.h"

static void pending(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        wr_result_fail(call, row, "function is not built in yet");
    }
}

void wr_kernel_ASCII(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_BTRIM(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_BTRIM_CHARS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_CHAR_LENGTH(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_CHR(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_CONCAT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_CONCAT_OP(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_CONCAT_WS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_CONTAINS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_DECODE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_ENCODE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_ENDS_WITH(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_ILIKE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_ILIKE_ESCAPE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_INITCAP(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_JSON_ARRAY_LENGTH(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_JSON_GET(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_JSON_GET_INDEX(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_JSON_GET_INDEX_TEXT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_JSON_GET_TEXT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_JSON_TYPEOF(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LEFT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LENGTH(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LENGTH_BYTES(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LIKE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LIKE_ESCAPE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LOWER(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LPAD(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LPAD_FILL(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LTRIM(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_LTRIM_CHARS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_MD5(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_MD5_BYTES(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_OCTET_LENGTH(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_POSITION(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_COUNT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_EXTRACT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_IMATCH_OP(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_LIKE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_LIKE_FLAGS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_MATCH_OP(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_REPLACE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_REPLACE_FLAGS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REGEXP_SUBSTR(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REPEAT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REPLACE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_REVERSE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_RIGHT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_RPAD(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_RPAD_FILL(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_RTRIM(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_RTRIM_CHARS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SHA256(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SHA256_BYTES(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SPLIT_PART(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_STARTS_WITH(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_STRPOS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SUBSTR(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SUBSTRING(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SUBSTRING_FOR(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_SUBSTR_FOR(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_TO_CHAR(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_TO_HEX(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_TO_TIMESTAMP_TEXT(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_TRANSLATE(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_TRIM(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_TRIM_CHARS(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_UPPER(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_XXHASH64(struct wr_call *call)
{
    pending(call);
}
void wr_kernel_XXHASH64_BYTES(struct wr_call *call)
{
    pending(call);
}
wr_status wr_prepare_pattern(struct wr_node *node, struct wr_error *err) { return WR_OK; }
wr_status wr_prepare_regexp(struct wr_node *node, struct wr_error *err) { return WR_OK; }
