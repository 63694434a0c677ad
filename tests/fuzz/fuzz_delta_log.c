/* Any bytes as a commit of a Delta table's log: it is replayed, or refused with a message. */
#include "base/assert.h"
#include "table/delta_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct wr_delta_state state;
    struct wr_error err = { 0 };
    wr_delta_state_init(&state);
    if (wr_delta_replay(&state, 3, (const char *)data, bytes, "fuzz", &err) == WR_OK) {
        static struct wr_field fields[] = { { .name = "id", .type = { .id = WR_TYPE_INT64 } } };
        const struct wr_schema schema = { fields, 1 };
        const struct wr_delta_spec spec = { .name = "t", .schema = &schema, .evolve = true };
        struct wr_schema theirs;
        struct wr_arena arena;
        bool adds;
        wr_arena_init(&arena, 0);
        wr_assert(state.version == 3);
        if (wr_delta_check_protocol(&state, &err) == WR_OK &&
            wr_delta_check_spec(&state, &spec, &adds, &err) == WR_OK && adds) {
            json_decref(wr_delta_make_metadata(&spec, state.metadata));
        }
        if (state.metadata != NULL &&
            wr_delta_table_schema(&state, &arena, &theirs, NULL, &err) == WR_OK) {
            wr_assert(theirs.fields != NULL);
        }
        (void)wr_delta_config_interval_ms(&state, "delta.logRetentionDuration", 1);
        wr_arena_deinit(&arena);
    } else {
        wr_assert(err.message[0] != '\0');
    }
    wr_delta_state_deinit(&state);
    return 0;
}
