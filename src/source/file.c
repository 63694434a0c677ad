/* file.c: the connector 'file': NDJSON, CSV and Avro container files from files, globs, directories and standard input,
 * plain or packed.
 *
 * Each file is a split; file i is read by worker i % workers. A reader has up to ACTIVE_MAX files
 * open at a time and takes a block's lines from each in turn, so that files of one source advance
 * together; the others wait, opened as splits (so that they hold the watermark) but not as files.
 * Positions are bytes of a file's text (unpacked) and always behind a line's end; in Avro container files, which are cut into records
 * by file_avro.c, numbers of records, with their place in the split's note. A resumed run reads
 * on there: in a packed file by unpacking it again, in a CSV file after its first line has told the
 * columns again; what was appended meanwhile is read, files that are new to a glob or directory are
 * read from their beginning. (A last line without a line end counts as one when a run ends there;
 * what is appended to it later is a line of its own.) A split's note holds a hash of the file's
 * first bytes, so that another file under the same name is not taken for its continuation.
 * Standard input: a redirected file is resumed like any other one when it is the same. Anything else
 * cannot be: it is new data, whose positions follow the old ones; what the last run had taken from the
 * pipe and not committed is lost, which a warning says.
 * Threads: see weir/source.h. What readers share (list, options) is read-only after open, but for
 * the gate.
 * Memory, of env->memory_bytes and per worker: blocks_limit x block_bytes; a file needs at most
 * FILE_BLOCKS of them at once (read-ahead, the block being cut, the one being unpacked into), and a
 * line longer than a block up to line_max twice.
 */
#include "source/connectors.h"

#include "base/assert.h"
#include "base/heap.h"
#include "source/file_list.h"
#include "source/file_start.h"
#include "source/file_stream.h"
#include "source/source_gate.h"
#include "source/source_lines.h"

#define ACTIVE_MAX 64u
#define FILE_BLOCKS (WR_FILE_READ_AHEAD + 3u)
/* Room before a block's text for the piece of line that the last one ended with. */
#define HEADROOM_BYTES (32u << 10)
/* Measured: half a megabyte is long enough that few batches are short, and stays in L2 and L3
 * until it is decoded. */
#define BLOCK_BYTES_MAX ((512u << 10) + HEADROOM_BYTES)
#define BLOCK_BYTES_MIN (64u << 10)
#define BLOCKS_MAX 64u

struct wr_source {
    struct wr_source_env env;
    struct wr_file_list files;
    struct wr_file_start *starts; /* per file */
    struct wr_open_gate gate;
    bool csv;
    bool avro; /* container files */
    bool header;
    char delimiter;
    char quote;
    size_t line_max;
    size_t block_bytes;
    uint32_t blocks_limit;
};

enum file_state { FILE_WAITING, FILE_READING, FILE_LAST_LINES, FILE_ENDED };

struct reader_file {
    uint32_t split;
    enum file_state state;
    bool header_due;
    bool header_told; /* just now */
    bool started;    /* its first bytes were looked at */
    bool told_caught_up;
    struct wr_file_stream stream;
    struct wr_cutter cutter;
    struct wr_avro_cutter container; /* in the cutter's place */
};

struct wr_reader {
    struct wr_source *source;
    struct wr_io *io;
    struct reader_file *files; /* those of this worker */
    uint32_t file_count;
    uint32_t opened;      /* SPLIT_OPENED given */
    uint32_t unconfirmed; /* of those, not yet told to the gate */
    uint32_t next_file;   /* the first that was not yet read */
    uint32_t active[ACTIVE_MAX];
    uint32_t active_count;
    uint32_t active_max;
    uint32_t turn; /* index in active */
    struct wr_block_pool blocks;
    struct wr_line_records_pool records;
    struct wr_avro_pool container_records;
    char note[WR_SPLIT_NOTE_BYTES_MAX]; /* of the last poll */
    struct wr_records *header; /* kept while a poll that shows it is being looked at */
};

static const struct wr_option file_options[] = {
    { "path", WR_OPTION_LIST, NULL,
      "A file, a glob ('logs/*.ndjson.zst'), a directory, '-' for standard input, or several "
      "separated by commas; gzip and zstd are recognised by themselves.",
      .flags = WR_OPTION_REQUIRED },
    { NULL },
};

/* ---- source ---- */

static void size_memory(struct wr_source *s)
{
    const uint64_t share = s->env.memory_bytes / s->env.workers;
    uint64_t block = share / (FILE_BLOCKS * 4);
    block = block > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : block;
    block = block < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : block;
    uint64_t limit = share / block;
    limit = limit > BLOCKS_MAX ? BLOCKS_MAX : limit;
    limit = limit < FILE_BLOCKS ? FILE_BLOCKS : limit;
    s->block_bytes = (size_t)block;
    s->blocks_limit = (uint32_t)limit;
    const uint64_t line = s->env.memory_bytes / 4;
    s->line_max = line < WR_RECORD_BYTES_MAX ? (size_t)line : WR_RECORD_BYTES_MAX;
}

/* As decode/csv.h reads these options (and refuses what is not one character). */
static char csv_char(const char *text)
{
    return strcmp(text, "\\t") == 0 || strcmp(text, "tab") == 0 ? '\t' : text[0];
}

static void file_close(struct wr_source *s)
{
    if (s != NULL) {
        free(s->starts);
        wr_file_list_deinit(&s->files);
        wr_open_gate_deinit(&s->gate);
        free(s);
    }
}

static wr_status file_open(struct wr_source **out, const struct wr_source_env *env,
                           struct wr_error *err)
{
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    wr_open_gate_init(&s->gate, env);
    const struct wr_options *options = env->plan->options;
    uint32_t count;
    const char *const *paths = wr_options_list(options, "path", &count);
    if (wr_file_list_expand(&s->files, paths, count, err) != WR_OK) {
        file_close(s);
        return WR_FAIL;
    }
    s->starts = wr_calloc(s->files.count, sizeof *s->starts);
    if (wr_file_starts_find(s->starts, &s->files, env, err) != WR_OK) {
        file_close(s);
        return WR_FAIL;
    }
    s->csv = strcmp(env->plan->format, "csv") == 0;
    s->avro = strcmp(env->plan->format, "avro") == 0;
    if (s->csv) {
        s->header = wr_options_bool(options, "header");
        s->delimiter = csv_char(wr_options_text(options, "delimiter"));
        s->quote = csv_char(wr_options_text(options, "quote"));
    }
    size_memory(s);
    wr_open_gate_announce(&s->gate, s->files.count);
    *out = s;
    return WR_OK;
}

/* ---- reader ---- */

static wr_status file_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                  struct wr_io *io, struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->io = io;
    for (uint32_t i = worker; i < s->files.count; i += s->env.workers) {
        r->file_count++;
    }
    r->files = wr_calloc(r->file_count + 1, sizeof *r->files);
    for (uint32_t i = 0; i < r->file_count; i++) {
        r->files[i].split = worker + i * s->env.workers;
        r->files[i].header_due = s->header;
    }
    r->active_max = s->blocks_limit / FILE_BLOCKS;
    r->active_max = r->active_max > ACTIVE_MAX ? ACTIVE_MAX : r->active_max;
    wr_block_pool_init(&r->blocks, s->block_bytes, HEADROOM_BYTES, s->blocks_limit);
    wr_line_records_pool_init(&r->records, s->env.batch_rows);
    wr_avro_pool_init(&r->container_records, s->env.batch_rows);
    *out = r;
    return WR_OK;
}

static void stop_file(struct reader_file *f)
{
    wr_cutter_deinit(&f->cutter);
    wr_avro_cutter_deinit(&f->container);
    wr_file_stream_close(&f->stream);
}

static void file_reader_close(struct wr_reader *r)
{
    wr_records_release(r->header);
    for (uint32_t i = 0; i < r->file_count; i++) {
        stop_file(&r->files[i]);
    }
    wr_line_records_pool_deinit(&r->records);
    wr_avro_pool_deinit(&r->container_records);
    wr_block_pool_deinit(&r->blocks);
    free(r->files);
    free(r);
}

/* Opens a file where its rows go on; at its beginning while its header is due. */
static wr_status start_file(struct wr_reader *r, struct reader_file *f, struct wr_error *err)
{
    const struct wr_source *s = r->source;
    const struct wr_file_start *start = &s->starts[f->split];
    const int64_t at = f->header_due || s->avro ? start->origin : start->position;
    f->state = FILE_READING;
    f->started = at > start->origin; /* a byte order mark stands at the beginning */
    f->cutter = (struct wr_cutter){ .records = &r->records,
                                    .csv = s->csv,
                                    .delimiter = s->delimiter,
                                    .quote = s->quote,
                                    .bytes_max = s->line_max };
    if (s->avro) {
        wr_avro_cutter_init(&f->container, &r->container_records, start->position, start->place);
    }
    return wr_file_stream_open(&f->stream, s->files.paths[f->split], start->origin, at, r->io,
                               &r->blocks, err);
}

/* Brings files into reading until there are active_max. */
static wr_status start_files(struct wr_reader *r, struct wr_error *err)
{
    while (r->active_count < r->active_max && r->next_file < r->file_count) {
        WR_TRY(start_file(r, &r->files[r->next_file], err));
        r->active[r->active_count++] = r->next_file++;
    }
    return WR_OK;
}

static void end_file(struct wr_reader *r, uint32_t slot, struct wr_poll *out)
{
    struct reader_file *f = &r->files[r->active[slot]];
    stop_file(f);
    f->state = FILE_ENDED;
    r->active[slot] = r->active[--r->active_count];
    out->kind = WR_POLL_SPLIT_ENDED;
    out->split = f->split;
}

/* A UTF-8 byte order mark is no part of the first line. */
static void skip_mark(struct reader_file *f, struct wr_block *block)
{
    if (!f->started && block->end - block->begin >= 3 &&
        memcmp(block->data + block->begin, "\xef\xbb\xbf", 3) == 0) {
        block->begin += 3;
        block->position += 3;
    }
    f->started = true;
}

static void give_records(struct wr_reader *r, struct reader_file *f, struct wr_records *records,
                         struct wr_poll *out)
{
    records->split = f->split;
    out->split = f->split;
    if (f->header_due) {
        f->header_due = false;
        f->header_told = true;
        r->header = records;
        out->kind = WR_POLL_SPLIT_HEADER;
        out->header = (struct wr_slice){ records->items[0].data, records->items[0].bytes };
        return;
    }
    out->kind = WR_POLL_ROWS;
    out->records = records;
    out->next_position = f->cutter.next_position;
    f->told_caught_up = false;
}

/* The next block of a file's text. WR_OK: *block, or out is set; WR_AGAIN: nothing from it now; WR_END. */
static wr_status next_block(struct wr_reader *r, struct reader_file *f, struct wr_block **block,
                            struct wr_poll *out, struct wr_error *err)
{
    const wr_status status = wr_file_stream_next(&f->stream, block, err);
    if (status == WR_AGAIN && !f->stream.regular && f->started && !f->told_caught_up &&
        f->stream.queued == f->stream.under_way) {
        f->told_caught_up = true; /* a pipe's end is what was written so far */
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
        out->split = f->split;
        return WR_OK;
    }
    return status;
}

static void give_container_records(struct wr_reader *r, struct reader_file *f,
                                   struct wr_records *records, struct wr_poll *out)
{
    const struct wr_file_start *start = &r->source->starts[f->split];
    records->split = f->split;
    out->split = f->split;
    out->kind = WR_POLL_ROWS;
    out->records = records;
    out->next_position = f->container.row;
    wr_file_start_note(start, wr_avro_cutter_place(&f->container), r->note);
    out->split_note = start->note[0] != '\0' ? r->note : NULL;
    f->told_caught_up = false;
}

/* Where an earlier run came to, now that the header is known. */
static wr_status jump(struct wr_reader *r, struct reader_file *f, int64_t offset,
                      struct wr_error *err)
{
    const struct wr_source *s = r->source;
    const int64_t origin = s->starts[f->split].origin;
    wr_file_stream_close(&f->stream);
    return wr_file_stream_open(&f->stream, s->files.paths[f->split], origin, origin + offset, r->io,
                               &r->blocks, err);
}

/* As step_file, of a container file. */
static wr_status step_container(struct wr_reader *r, uint32_t slot, struct wr_poll *out, bool *next,
                                struct wr_error *err)
{
    struct reader_file *f = &r->files[r->active[slot]];
    for (;;) {
        int64_t offset;
        struct wr_records *records =
            wr_avro_cutter_take(&f->container, r->source->env.batch_rows);
        if (records != NULL) {
            give_container_records(r, f, records, out);
            return WR_OK;
        }
        if (wr_avro_cutter_jumps(&f->container, &offset)) {
            WR_TRY(jump(r, f, offset, err));
            continue;
        }
        *next = true;
        if (f->state == FILE_LAST_LINES) {
            end_file(r, slot, out);
            return WR_OK;
        }
        struct wr_block *block = NULL;
        const wr_status status = next_block(r, f, &block, out, err);
        if (status == WR_END) {
            f->state = FILE_LAST_LINES;
            wr_avro_cutter_end(&f->container);
            continue;
        }
        if (status != WR_OK || block == NULL) {
            return status;
        }
        f->started = true;
        wr_avro_cutter_feed(&f->container, block);
        wr_block_release(block);
    }
}

/* One step of one file. WR_OK: out is set; WR_AGAIN: nothing from it now. next: the turn goes to
 * another file. */
static wr_status step_file(struct wr_reader *r, uint32_t slot, struct wr_poll *out, bool *next,
                           struct wr_error *err)
{
    struct reader_file *f = &r->files[r->active[slot]];
    if (f->header_told) { /* an earlier run had the lines up to the split's start */
        f->header_told = false;
        if (r->source->starts[f->split].position > f->cutter.next_position) {
            stop_file(f);
            WR_TRY(start_file(r, f, err));
        }
    }
    for (;;) {
        const uint32_t rows = f->header_due ? 1 : r->source->env.batch_rows;
        struct wr_records *records = wr_cutter_take(&f->cutter, rows, WR_RECORD_NO_TIME);
        if (records != NULL) {
            give_records(r, f, records, out);
            return WR_OK;
        }
        *next = true; /* a block is over */
        if (f->state == FILE_LAST_LINES) {
            end_file(r, slot, out);
            return WR_OK;
        }
        struct wr_block *block = NULL;
        const wr_status status = next_block(r, f, &block, out, err);
        if (status == WR_END) {
            f->state = FILE_LAST_LINES;
            wr_cutter_end(&f->cutter);
            continue;
        }
        if (status != WR_OK || block == NULL) {
            return status;
        }
        skip_mark(f, block);
        wr_cutter_feed(&f->cutter, block);
    }
}

static bool open_splits(struct wr_reader *r, struct wr_poll *out)
{
    wr_open_gate_confirm(&r->source->gate, r->unconfirmed);
    r->unconfirmed = 0;
    if (r->opened == r->file_count) {
        return false;
    }
    const struct reader_file *f = &r->files[r->opened++];
    const char *path = r->source->files.paths[f->split];
    out->kind = WR_POLL_SPLIT_OPENED;
    out->split = f->split;
    out->split_name = path;
    const struct wr_file_start *start = &r->source->starts[f->split];
    out->next_position = start->position;
    out->split_note = start->note[0] != '\0' ? start->note : NULL;
    if (r->source->avro && out->split_note != NULL) {
        wr_file_start_note(start, start->place, r->note);
        out->split_note = r->note;
    }
    out->partition = -1;
    r->unconfirmed = 1;
    return true;
}

static wr_status file_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                           struct wr_poll *out, struct wr_error *err)
{
    wr_records_release(r->header); /* the last poll's */
    r->header = NULL;
    if (open_splits(r, out) || !wr_open_gate_is_open(&r->source->gate)) {
        return WR_OK;
    }
    WR_TRY(start_files(r, err));
    if (r->active_count == 0) {
        out->kind = WR_POLL_FINISHED;
        return WR_OK;
    }
    for (uint32_t tried = 0; tried < r->active_count; tried++) {
        const uint32_t slot = r->turn % r->active_count;
        bool next = false;
        const wr_status status = r->source->avro ? step_container(r, slot, out, &next, err)
                                                 : step_file(r, slot, out, &next, err);
        r->turn = next ? slot + 1 : slot;
        if (status != WR_AGAIN) {
            return status;
        }
    }
    return WR_OK; /* a read's end will come through the loop */
}

const struct wr_source_ops wr_source_file = {
    .name = "file",
    .help = "Lines (or Avro containers) of files, globs, directories or standard input; plain, gzip or zstd.",
    .options = file_options,
    .always_bounded = true,
    .is_file = true,
    .metadata = { [WR_META_OFFSET] = true },
    .open = file_open,
    .reader_open = file_reader_open,
    .poll = file_poll,
    .reader_close = file_reader_close,
    .close = file_close,
};
