/* fuzz_replay.c: main of a fuzz target built without libFuzzer: fuzz_x [--mutate BYTES]
 * FILE|DIRECTORY...
 *
 * Replays each file as it is, then mutations of them (seeded: every run is the same) until about
 * so many bytes have gone through. With WEIR_TEST_FULL set BYTES counts 32 times. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUTS_MAX      4096u
#define INPUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct input {
    uint8_t *data;
    size_t bytes;
};

static struct input inputs[INPUTS_MAX];
static uint32_t input_count;
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || input_count == INPUTS_MAX) {
        fail("cannot read", path);
    }
    struct input *input = &inputs[input_count++];
    input->data = malloc(INPUT_BYTES_MAX);
    if (input->data == NULL) {
        fail("no memory for", path);
    }
    input->bytes = fread(input->data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    uint8_t *fitting = realloc(input->data, input->bytes + 1);
    input->data = fitting != NULL ? fitting : input->data;
}

static void add_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fail("cannot find", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        add_file(path);
        return;
    }
    struct dirent **names;
    const int count = scandir(path, &names, NULL, alphasort); /* sorted: the same order everywhere */
    for (int i = 0; i < count; i++) {
        char full[4096];
        const int bytes = snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && bytes > 0 && (size_t)bytes < sizeof(full)) {
            add_file(full);
        }
        free(names[i]);
    }
    if (count < 0) {
        fail("cannot list", path);
    }
    free(names);
}

/* Cuts a piece out of one input, in place of a piece of data; returns the new length. */
static size_t splice(uint8_t *data, size_t bytes, size_t capacity)
{
    const struct input *other = &inputs[next_random() % input_count];
    if (other->bytes == 0 || bytes == 0) {
        return bytes;
    }
    const size_t from = next_random() % other->bytes;
    size_t piece = next_random() % (other->bytes - from) % 200;
    const size_t at = next_random() % bytes;
    piece = piece < capacity - at ? piece : capacity - at;
    memcpy(data + at, other->data + from, piece);
    return at + piece > bytes ? at + piece : bytes;
}

static size_t mutate(uint8_t *data, size_t bytes, size_t capacity)
{
    for (uint64_t times = 1 + next_random() % 8; times > 0 && bytes > 0; times--) {
        const size_t at = next_random() % bytes;
        switch (next_random() % 6) {
        case 0:
            data[at] = (uint8_t)next_random();
            break;
        case 1:
            data[at] ^= (uint8_t)(1u << next_random() % 8);
            break;
        case 2:
            memmove(data + at, data + at + 1, bytes - at - 1);
            bytes--;
            break;
        case 3:
            if (bytes < capacity) {
                memmove(data + at + 1, data + at, bytes - at);
                bytes++;
            }
            break;
        case 4:
            bytes = next_random() % 16 == 0 ? at : bytes;
            break;
        default:
            bytes = splice(data, bytes, capacity);
            break;
        }
    }
    return bytes;
}

/* In an allocation of its own size, so that ASan sees every step over the end. */
static void run_exact(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, bytes);
    LLVMFuzzerTestOneInput(copy, bytes);
    free(copy);
}

int main(int argc, char **argv)
{
    uint64_t budget = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutate") == 0 && i + 1 < argc) {
            budget = strtoull(argv[++i], NULL, 10);
        } else {
            add_path(argv[i]);
        }
    }
    if (input_count == 0) {
        fprintf(stderr, "no input\n");
        return 1;
    }
    for (uint32_t i = 0; i < input_count; i++) {
        run_exact(inputs[i].data, inputs[i].bytes);
    }
    budget *= getenv("WEIR_TEST_FULL") != NULL ? 32 : 1;
    static uint8_t room[INPUT_BYTES_MAX + 4096];
    uint64_t done = 0;
    uint64_t runs = 0;
    while (done < budget) {
        const struct input *input = &inputs[next_random() % input_count];
        memcpy(room, input->data, input->bytes);
        const size_t bytes = mutate(room, input->bytes, sizeof(room));
        run_exact(room, bytes);
        done += bytes + 1;
        runs++;
    }
    printf("%u inputs replayed, %llu mutations of them (%llu bytes)\n", input_count,
           (unsigned long long)runs, (unsigned long long)done);
    for (uint32_t i = 0; i < input_count; i++) {
        free(inputs[i].data);
    }
    return 0;
}
