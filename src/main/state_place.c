#include "main/state_place.h"

#include "run/owner_head.h"
#include <sys/stat.h>

static bool is_pipeline(const char *argument)
{
    struct stat info;
    const size_t bytes = strlen(argument);
    return (stat(argument, &info) == 0 && S_ISREG(info.st_mode)) ||
           (bytes > 4 && strcmp(argument + bytes - 4, ".sql") == 0);
}

static wr_status of_pipeline(struct wr_state_place *place, const char *file,
                             const struct wr_overrides *overrides, struct wr_error *err)
{
    WR_TRY(wr_load_plan(file, overrides, &place->text, &place->plan, err));
    place->config.file = file;
    WR_TRY(wr_run_config_settle(&place->config, place->plan, &place->arena, err));
    place->url = place->config.state_url;
    place->options = place->config.state_options;
    wr_ensure(place->url != NULL, err, WR_CLASS_USER, "%s says state = 'none': it has no state", file);
    return WR_OK;
}

static wr_status of_url(struct wr_state_place *place, const char *url,
                        const struct wr_overrides *overrides, struct wr_error *err)
{
    static const struct wr_option *const tables[] = { wr_store_options, NULL };
    struct wr_option_pair pairs[sizeof overrides->pairs / sizeof overrides->pairs[0]];
    uint32_t count = 0;
    struct wr_options *options = NULL;
    for (uint32_t i = 0; i < overrides->count; i++) {
        if (strncmp(overrides->pairs[i].name, "state.", 6) == 0) {
            pairs[count] = overrides->pairs[i];
            pairs[count++].name += 6;
        }
    }
    WR_TRY(wr_options_parse(tables, "state", pairs, count, &place->arena, &options, NULL, err));
    place->url = wr_arena_strdup(&place->arena, url);
    place->options = options;
    return wr_store_check(url, options, err);
}

wr_status wr_state_place_find(struct wr_state_place *place, const char *argument,
                              const struct wr_overrides *overrides, struct wr_error *err)
{
    memset(place, 0, sizeof *place);
    wr_arena_init(&place->arena, 0);
    return is_pipeline(argument) ? of_pipeline(place, argument, overrides, err)
                                 : of_url(place, argument, overrides, err);
}

void wr_state_place_deinit(struct wr_state_place *place)
{
    wr_plan_destroy(place->plan);
    wr_buf_deinit(&place->text);
    wr_arena_deinit(&place->arena);
    memset(place, 0, sizeof *place);
}

static wr_status no_state(const struct wr_state_place *place, struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_USER, "there is no state at %s", place->url);
    wr_error_hint(err, "weir run makes it; without --state it lies in .weir beside the pipeline's file");
    return WR_FAIL;
}

wr_status wr_state_place_open(const struct wr_state_place *place, struct wr_store **store,
                              struct wr_error *err)
{
    struct stat info;
    const bool file_url = strncmp(place->url, "file://", 7) == 0;
    const char *path = file_url ? place->url + 7 : place->url;
    if ((file_url || strstr(place->url, "://") == NULL) && stat(path, &info) != 0) {
        return no_state(place, err);
    }
    return wr_store_open(store, place->url, place->options, NULL, err);
}

wr_status wr_state_place_head(const struct wr_state_place *place, struct wr_store *store,
                              struct wr_manifest *head, struct wr_error *err)
{
    struct wr_manifest_span span;
    wr_status status = WR_END;
    /* While it runs manifests leave: one that went between listing and reading is not the newest any more. */
    for (uint32_t attempt = 0; attempt < 5 && status == WR_END; attempt++) {
        status = wr_head_newest(store, &span, head, err);
        if (status == WR_END && span.newest == 0) {
            return no_state(place, err);
        }
    }
    wr_ensure(status != WR_END, err, WR_CLASS_FATAL, "the manifests of %s leave faster than they can be read",
              place->url);
    return status;
}
