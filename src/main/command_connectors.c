/* command_connectors.c: weir connectors: the reference, printed from the option tables. */
#include "config/common_options.h"
#include "main/commands.h"
#include "decode/decoder.h"
#include "run/policy.h"
#include "weir/sink.h"
#include "weir/source.h"
#include <stdio.h>

static const char help[] =
    "usage: weir connectors [NAME]\n"
    "\n"
    "Lists the connectors, or every option of one with type, default and meaning.\n"
    "\n"
    "Examples:\n"
    "  weir connectors\n"
    "  weir connectors kafka\n";

static void line(const char *kind, const char *name, const char *text, const char *unavailable)
{
    printf("  %-7s %-10s %s%s%s\n", kind, name, text, unavailable != NULL ? "; not built in: " : "",
           unavailable != NULL ? unavailable : "");
}

static void list_all(void)
{
    printf("Connectors (weir connectors NAME shows the options):\n");
    for (uint32_t i = 0; wr_sources[i] != NULL; i++) {
        line("source", wr_sources[i]->name, wr_sources[i]->help, wr_sources[i]->unavailable);
    }
    for (uint32_t i = 0; wr_sinks[i] != NULL; i++) {
        line("sink", wr_sinks[i]->name, wr_sinks[i]->help, wr_sinks[i]->unavailable);
    }
    printf("Formats:");
    for (uint32_t i = 0; wr_decoders[i].name != NULL; i++) {
        printf(" %s", wr_decoders[i].name);
    }
    printf("\n");
}

static void section(struct wr_buf *out, const char *title, const struct wr_option *options)
{
    if (options != NULL && options[0].name != NULL) {
        wr_buf_printf(out, "\n%s\n", title);
        wr_options_reference(options, out);
    }
}

/* Columns that a connector brings when CREATE SOURCE lists none. */
static void own_columns(struct wr_buf *out, const struct wr_schema *schema)
{
    char type[32];
    if (schema == NULL) {
        return;
    }
    wr_buf_text(out, "\nIts columns, when CREATE SOURCE lists none:\n");
    for (uint32_t c = 0; c < schema->count; c++) {
        wr_buf_printf(out, "  %-20s %s\n", schema->fields[c].name,
                      wr_type_name(schema->fields[c].type, type, sizeof type));
    }
}

static bool show_one(const char *name)
{
    struct wr_buf out = { 0 };
    for (uint32_t i = 0; wr_sources[i] != NULL; i++) {
        if (strcmp(wr_sources[i]->name, name) == 0) {
            wr_buf_printf(&out, "source %s: %s\n", name, wr_sources[i]->help);
            own_columns(&out, wr_sources[i]->own_columns);
            section(&out, "Its own options:", wr_sources[i]->options);
            section(&out, "Options of every source:", wr_source_common_options);
            for (uint32_t f = 0; !wr_sources[i]->makes_columns && wr_decoders[f].name != NULL; f++) {
                char title[64];
                snprintf(title, sizeof title, "Options of format '%s':", wr_decoders[f].name);
                section(&out, title, wr_decoders[f].options);
            }
            wr_buf_text(&out, "\n");
        }
    }
    for (uint32_t i = 0; wr_sinks[i] != NULL; i++) {
        if (strcmp(wr_sinks[i]->name, name) == 0) {
            wr_buf_printf(&out, "sink %s: %s\n", name, wr_sinks[i]->help);
            section(&out, "Its own options:", wr_sinks[i]->options);
            section(&out, "Options of every sink:", wr_sink_common_options);
        }
    }
    fwrite(out.data != NULL ? out.data : "", 1, out.bytes, stdout);
    const bool found = out.bytes > 0;
    wr_buf_deinit(&out);
    return found;
}

int wr_command_connectors(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return WR_EXIT_OK;
    }
    if (argc == 1) {
        list_all();
        return WR_EXIT_OK;
    }
    if (argc == 2 && show_one(argv[1])) {
        return WR_EXIT_OK;
    }
    fprintf(stderr, "weir: no connector \"%s\"\ntry: weir connectors\n", argv[1]);
    return WR_EXIT_USAGE;
}
