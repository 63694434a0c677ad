#include "sink/receipt_json.h"

wr_status wr_receipt_bad(const struct wr_sink_env *env, const char *member, struct wr_error *err)
{
    wr_fail(err, WR_CLASS_FATAL, "the state's receipt of sink \"%s\" cannot be read: %s",
            env->plan->name, member);
    wr_error_hint(err, "the state was damaged or was written by another version of weir; see: "
                       "weir state show");
    return WR_FAIL;
}

wr_status wr_receipt_parse(const struct wr_sink_env *env, const struct wr_receipt *receipt,
                           json_t **object, struct wr_error *err)
{
    json_error_t problem;
    *object = json_loadb(receipt->text, receipt->bytes, JSON_REJECT_DUPLICATES, &problem);
    if (*object == NULL) {
        return wr_receipt_bad(env, problem.text, err);
    }
    if (!json_is_object(*object)) {
        json_decref(*object);
        return wr_receipt_bad(env, "it is not an object", err);
    }
    return WR_OK;
}

wr_status wr_receipt_u64(const struct wr_sink_env *env, const json_t *object, const char *member,
                         uint64_t *value, struct wr_error *err)
{
    const json_t *found = json_object_get(object, member);
    if (!json_is_integer(found) || json_integer_value(found) < 0) {
        return wr_receipt_bad(env, member, err);
    }
    *value = (uint64_t)json_integer_value(found);
    return WR_OK;
}

wr_status wr_receipt_text(const struct wr_sink_env *env, const json_t *object, const char *member,
                          const char **value, struct wr_error *err)
{
    *value = json_string_value(json_object_get(object, member));
    return *value != NULL ? WR_OK : wr_receipt_bad(env, member, err);
}
