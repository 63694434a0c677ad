#include "main/load.h"

#include "base/limits.h"
#include <errno.h>
#include <stdio.h>

bool wr_overrides_set(struct wr_overrides *overrides, const char *name, const char *value)
{
    if (overrides->count == sizeof overrides->pairs / sizeof overrides->pairs[0]) {
        fprintf(stderr, "weir: too many --set options\n");
        return false;
    }
    overrides->pairs[overrides->count++] = (struct wr_option_pair){
        .name = name, .value = value, .raw = value, .name_at = UINT32_MAX, .value_at = UINT32_MAX
    };
    return true;
}

bool wr_overrides_add(struct wr_overrides *overrides, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        fprintf(stderr, "weir: --set takes NAME=VALUE, not \"%s\"\n", text);
        return false;
    }
    *equals = '\0';
    return wr_overrides_set(overrides, text, equals + 1);
}

static wr_status read_all(FILE *file, const char *name, struct wr_buf *text, struct wr_error *err)
{
    size_t got;
    do {
        got = fread(wr_buf_reserve(text, 64 << 10), 1, 64 << 10, file);
        text->bytes += got;
        wr_ensure(text->bytes <= WR_SQL_BYTES_MAX, err, WR_CLASS_USER,
                  "%s is larger than a pipeline can be (%u MiB)", name, WR_SQL_BYTES_MAX >> 20);
    } while (got > 0);
    if (ferror(file) != 0) {
        (void)wr_fail(err, WR_CLASS_USER, "cannot read %s: %s", name, strerror(errno));
        wr_error_hint(err, "give the path of a pipeline file, or - for standard input");
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_load_plan(const char *path, const struct wr_overrides *overrides, struct wr_buf *text,
                       struct wr_plan **plan, struct wr_error *err)
{
    const bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (file == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "cannot open %s: %s", path, strerror(errno));
        wr_error_hint(err, "give the path of a pipeline file, or - for standard input");
        return WR_FAIL;
    }
    const wr_status status = read_all(file, path, text, err);
    if (!standard_input) {
        fclose(file);
    }
    WR_TRY(status);
    return wr_catalog_plan(standard_input ? "<stdin>" : path,
                           (struct wr_slice){ text->data, text->bytes }, overrides->pairs,
                           overrides->count, plan, err);
}
