/* store_driver: a store behind a line protocol, for the Python tests.
 *
 *   store_driver URL [OPTION=VALUE...]      then commands on standard input, one per line, words
 * parted by tabs store_driver --sign REGION SERVICE      signs requests: see sign() below
 *
 * Each command answers one line: OK[\t...], END, or FAIL\tclass\tmessage\tdetail\thint. Data goes
 * through files.
 */
#include "base/log.h"
#include "net/aws_sigv4.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX  80
#define LINE_BYTES (1 << 16)

static void answer(wr_status status, const struct wr_error *err)
{
    if (status == WR_FAIL) {
        printf("FAIL\t%d\t%s\t%s\t%s\n", (int)err->cls, err->message, err->detail, err->hint);
    } else {
        printf("%s\n", status == WR_OK ? "OK" : status == WR_END ? "END" : "AGAIN");
    }
}

static struct wr_buf read_file(const char *path)
{
    struct wr_buf into = {0};
    FILE *file = fopen(path, "rb");
    size_t got = 1;
    while (file != NULL && got > 0) {
        got = fread(wr_buf_reserve(&into, 1 << 20), 1, 1 << 20, file);
        into.bytes += got;
    }
    if (file != NULL) {
        fclose(file);
    }
    return into;
}

static void write_file(const char *path, const struct wr_buf *from)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL ||
        (from->bytes > 0 && fwrite(from->data, 1, from->bytes, file) != from->bytes) ||
        fclose(file) != 0) {
        abort();
    }
}

static void print_key(void *ctx, const char *key, uint64_t bytes)
{
    (void)ctx;
    printf("\t%s\t%lu", key, bytes);
}

static wr_status put(struct wr_store *store, char **word, enum wr_put_condition condition,
                     struct wr_error *err)
{
    struct wr_buf data = read_file(word[2]);
    const wr_status status = wr_store_put(store, word[1], data.data, data.bytes, condition, err);
    wr_buf_deinit(&data);
    return status;
}

static wr_status get(struct wr_store *store, char **word, struct wr_error *err)
{
    struct wr_buf data = {0};
    const wr_status status = wr_store_get(store, word[1], &data, err);
    if (status == WR_OK) {
        write_file(word[2], &data);
    }
    wr_buf_deinit(&data);
    return status;
}

/* The file's content in pieces of word[2] bytes. */
static wr_status write_pieces(struct wr_upload *upload, char **word, struct wr_error *err)
{
    struct wr_buf data = read_file(word[1]);
    const size_t piece = strtoul(word[2], NULL, 10);
    wr_status status = WR_OK;
    for (size_t at = 0; at < data.bytes && status == WR_OK; at += piece) {
        status = wr_upload_write(upload, data.data + at,
                                 data.bytes - at < piece ? data.bytes - at : piece, err);
    }
    wr_buf_deinit(&data);
    return status;
}

static struct wr_upload *uploads[8];

static wr_status upload_command(struct wr_store *store, char **word, struct wr_error *err)
{
    struct wr_upload **upload = &uploads[atoi(word[1]) & 7];
    if (strcmp(word[0], "upload") == 0) {
        return wr_upload_open(upload, store, word[2], err);
    }
    if (strcmp(word[0], "write") == 0) {
        return write_pieces(*upload, word + 1, err);
    }
    if (strcmp(word[0], "direct") == 0) {
        wr_upload_direct(*upload);
        return WR_OK;
    }
    if (strcmp(word[0], "prepare_begin") == 0) {
        wr_upload_prepare_begin(*upload);
        return WR_OK;
    }
    if (strcmp(word[0], "publish_begin") == 0) {
        wr_upload_publish_begin(*upload);
        return WR_OK;
    }
    if (strcmp(word[0], "prepare") == 0) {
        return wr_upload_prepare(*upload, err);
    }
    if (strcmp(word[0], "publish") == 0) {
        return wr_upload_publish(*upload, err);
    }
    if (strcmp(word[0], "ticket") == 0) {
        struct wr_buf ticket = {0};
        wr_upload_ticket(*upload, &ticket);
        printf("TICKET\t%s\t", wr_buf_cstr(&ticket));
        wr_buf_deinit(&ticket);
        return WR_OK;
    }
    if (strcmp(word[0], "keep") == 0) {
        wr_upload_keep(*upload);
        return WR_OK;
    }
    if (strcmp(word[0], "close") == 0) {
        wr_upload_close(*upload);
        *upload = NULL;
        return WR_OK;
    }
    return wr_fail(err, WR_CLASS_USER, "no command %s", word[0]);
}

static bool contains(void *ctx, const char *key)
{
    return strstr(key, ctx) != NULL;
}

static wr_status get_range(struct wr_store *store, char **word, struct wr_error *err)
{
    struct wr_buf data = {0};
    const wr_status status = wr_store_get_range(store, word[1], strtoull(word[2], NULL, 10),
                                                strtoull(word[3], NULL, 10), &data, err);
    if (status == WR_OK) {
        write_file(word[4], &data);
    }
    wr_buf_deinit(&data);
    return status;
}

static void command(struct wr_store *store, char **word)
{
    struct wr_error err = {0};
    wr_status status;
    if (strcmp(word[0], "list") == 0) {
        printf("LIST");
        status = wr_store_list(store, word[1], word[2][0] != '\0' ? word[2] : NULL, print_key, NULL,
                               &err);
        printf("\t");
    } else if (strcmp(word[0], "put") == 0) {
        status = put(store, word, WR_PUT_ALWAYS, &err);
    } else if (strcmp(word[0], "put_new") == 0) {
        status = put(store, word, WR_PUT_IF_ABSENT, &err);
    } else if (strcmp(word[0], "get") == 0) {
        status = get(store, word, &err);
    } else if (strcmp(word[0], "get_range") == 0) {
        status = get_range(store, word, &err);
    } else if (strcmp(word[0], "publish_ticket") == 0) {
        status = wr_store_publish_ticket(store, word[1], strlen(word[1]), &err);
    } else if (strcmp(word[0], "abandon") == 0) { /* prefix, mark, a part of the keys to keep */
        status = wr_store_abandon(store, word[1], word[2], word[3][0] != '\0' ? contains : NULL,
                                  word[3], &err);
    } else if (strcmp(word[0], "delete") == 0) {
        status = wr_store_delete(store, word[1], &err);
    } else {
        status = upload_command(store, word, &err);
    }
    answer(status, &err);
}

/* date, access, secret, method, path, payload hash, number of query pairs, pairs..., number of
 * headers, pairs... */
static void sign(struct wr_aws_signer *signer, char **word)
{
    const struct wr_aws_credentials keys = {.access_key = word[1], .secret_key = word[2]};
    struct wr_aws_pair pairs[2][WR_AWS_PAIRS_MAX];
    uint32_t count[2];
    struct wr_buf out = {0}, query = {0};
    char **at = word + 6;
    for (int i = 0; i < 2; i++) {
        count[i] = (uint32_t)atoi(*at++);
        for (uint32_t j = 0; j < count[i]; j++, at += 2) {
            pairs[i][j] = (struct wr_aws_pair){at[0], at[1]};
        }
    }
    const struct wr_aws_request request = {.method = word[3],
                                           .path = word[4],
                                           .payload_hash = word[5],
                                           .query = pairs[0],
                                           .query_count = count[0],
                                           .headers = pairs[1],
                                           .header_count = count[1]};
    wr_aws_sign(signer, &keys, &request, word[0], &out);
    wr_aws_query(&query, pairs[0], count[0]);
    printf("%s\t%s\n", wr_buf_cstr(&out), wr_buf_cstr(&query));
    wr_buf_deinit(&out);
    wr_buf_deinit(&query);
}

static void split(char *line, char **word)
{
    static char nothing[] = "";
    int count = 0;
    line[strcspn(line, "\n")] = '\0';
    while (line != NULL && count < WORDS_MAX) {
        word[count++] = strsep(&line, "\t");
    }
    while (count < WORDS_MAX) {
        word[count++] = nothing;
    }
}

static wr_status open_store(struct wr_store **store, int argc, char **argv, struct wr_arena *arena,
                            struct wr_error *err)
{
    struct wr_option_pair *pairs = WR_ARENA_ARRAY(arena, struct wr_option_pair, argc);
    const struct wr_option *const tables[] = {wr_store_options, NULL};
    struct wr_options *options = NULL;
    uint32_t count = 0;
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        *equals = '\0';
        pairs[count++] = (struct wr_option_pair){.name = argv[i],
                                                 .value = equals + 1,
                                                 .raw = equals + 1,
                                                 .name_at = UINT32_MAX,
                                                 .value_at = UINT32_MAX};
    }
    WR_TRY(wr_options_parse(tables, "store", pairs, count, arena, &options, NULL, err));
    WR_TRY(wr_store_check(argv[1], options, err));
    return wr_store_open(store, argv[1], options, NULL, err);
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];
    char *word[WORDS_MAX];
    struct wr_arena arena = {0};
    struct wr_error err = {0};
    struct wr_store *store = NULL;
    struct wr_aws_signer *signer = NULL;
    const bool signs = argc == 4 && strcmp(argv[1], "--sign") == 0;
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    wr_log_setup(WR_LOG_DEBUG, WR_LOG_TEXT); /* the tests look for secrets in what is logged */
    wr_arena_init(&arena, 0);
    if (argc < 2) {
        return 2;
    }
    wr_status status = signs ? wr_aws_signer_create(&signer, argv[2], argv[3], &err)
                             : open_store(&store, argc, argv, &arena, &err);
    if (!signs || status != WR_OK) {
        answer(status, &err);
    }
    while (status == WR_OK && fgets(line, sizeof(line), stdin) != NULL) {
        split(line, word);
        if (signs) {
            sign(signer, word);
        } else {
            command(store, word);
        }
    }
    for (size_t i = 0; i < 8; i++) {
        wr_upload_close(uploads[i]);
    }
    wr_store_close(store);
    wr_aws_signer_destroy(signer);
    wr_arena_deinit(&arena);
    return 0;
}
