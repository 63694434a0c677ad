/* avro_c_recode: Avro C as the writer, for comparison: reads records as it understands them and writes them again.
 *
 *   avro_c_recode SCHEMA.avsc < RECORDS > RECORDS
 *   avro_c_recode SCHEMA.avsc CODEC FILE.avro < RECORDS      a container file; codecs: null, deflate, snappy, lzma
 *
 * RECORDS: each a 4-byte little-endian length and that many bytes. Exit code 3: Avro C does not take the schema.
 */
#include <avro.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (1u << 20)
#define BLOCK_BYTES (64u << 10)

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, BYTES_MAX);
    if (file == NULL || text == NULL || fread(text, 1, BYTES_MAX - 1, file) == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    fclose(file);
    return text;
}

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, avro_strerror());
    return 2;
}

/* One record of standard input into value; 0: there is none any more. */
static int read_record(char *room, avro_value_t *value)
{
    uint32_t bytes;
    if (fread(&bytes, sizeof bytes, 1, stdin) != 1) {
        return 0;
    }
    if (bytes > BYTES_MAX || fread(room, 1, bytes, stdin) != bytes) {
        fprintf(stderr, "the input is cut off\n");
        exit(2);
    }
    avro_reader_t reader = avro_reader_memory(room, bytes);
    avro_value_reset(value);
    if (avro_value_read(reader, value) != 0) {
        exit(failed("reading a record"));
    }
    avro_reader_free(reader);
    return 1;
}

static int recode(avro_value_t *value, char *in, char *out)
{
    while (read_record(in, value) != 0) {
        avro_writer_t writer = avro_writer_memory(out, BYTES_MAX);
        if (avro_value_write(writer, value) != 0) {
            return failed("writing a record");
        }
        const uint32_t bytes = (uint32_t)avro_writer_tell(writer);
        fwrite(&bytes, sizeof bytes, 1, stdout);
        fwrite(out, 1, bytes, stdout);
        avro_writer_free(writer);
    }
    return 0;
}

static int contain(avro_schema_t schema, avro_value_t *value, char *in, const char *codec,
                   const char *path)
{
    avro_file_writer_t file;
    if (avro_file_writer_create_with_codec(path, schema, &file, codec, BLOCK_BYTES) != 0) {
        return failed(path);
    }
    while (read_record(in, value) != 0) {
        if (avro_file_writer_append_value(file, value) != 0) {
            return failed("appending a record");
        }
    }
    return avro_file_writer_close(file) != 0 ? failed(path) : 0;
}

int main(int argc, char **argv)
{
    avro_schema_t schema;
    avro_value_t value;
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "avro_c_recode: a schema, or a schema, a codec and a file\n");
        return 2;
    }
    char *text = read_file(argv[1]);
    char *in = malloc(BYTES_MAX);
    char *out = malloc(BYTES_MAX);
    if (avro_schema_from_json_length(text, strlen(text), &schema) != 0) {
        fprintf(stderr, "%s\n", avro_strerror());
        return 3;
    }
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    if (iface == NULL || avro_generic_value_new(iface, &value) != 0) {
        return failed("a value");
    }
    const int code = argc == 2 ? recode(&value, in, out)
                               : contain(schema, &value, in, argv[2], argv[3]);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    free(in);
    free(out);
    free(text);
    return code;
}
