/* aws_credentials.c: see aws_credentials.h. */
#include "net/aws_credentials.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/aws_credentials_remote.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A profile file is a page or two. */
#define PROFILE_BYTES_MAX (1u << 20)
#define PATH_BYTES        1024
#define NAME_BYTES        256
/* Keys of roles are fetched anew that early; when that fails, again after a while. */
#define EARLY_US    (5 * 60 * WR_US_PER_S)
#define PATIENCE_US (10 * WR_US_PER_S)

const char *wr_aws_environment(const char *name, const char *or_name)
{
    const char *value = getenv(name);
    if ((value == NULL || value[0] == '\0') && or_name != NULL) {
        value = getenv(or_name);
    }
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void free_secret(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}

void wr_aws_credentials_deinit(struct wr_aws_credentials *credentials)
{
    free(credentials->access_key);
    free_secret(credentials->secret_key);
    free_secret(credentials->session_token);
    memset(credentials, 0, sizeof(*credentials));
}

/* --- profile files
 * -------------------------------------------------------------------------------- */

static const char *profile_name(void)
{
    const char *name = wr_aws_environment("AWS_PROFILE", "AWS_DEFAULT_PROFILE");
    return name != NULL ? name : "default";
}

/* variable: what overrides the place; file: its name under ~/.aws. False: nowhere. */
static bool profile_path(const char *variable, const char *file, char path[PATH_BYTES])
{
    const char *given = wr_aws_environment(variable, NULL);
    const char *home = getenv("HOME");
    int bytes = 0;
    if (given != NULL && strncmp(given, "~/", 2) != 0) {
        bytes = snprintf(path, PATH_BYTES, "%s", given);
    } else if (home == NULL) {
        return false;
    } else if (given != NULL) {
        bytes = snprintf(path, PATH_BYTES, "%s/%s", home, given + 2);
    } else {
        bytes = snprintf(path, PATH_BYTES, "%s/.aws/%s", home, file);
    }
    return bytes > 0 && bytes < PATH_BYTES;
}

/* False: it is not there or cannot be read (errno), or is no profile file. */
static bool read_file(const char *path, struct wr_buf *into)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    ssize_t got = -1;
    if (fd < 0) {
        return false;
    }
    while (into->bytes < PROFILE_BYTES_MAX &&
           (got = read(fd, wr_buf_reserve(into, 4096), 4096)) > 0) {
        into->bytes += (size_t)got;
    }
    close(fd);
    return got == 0;
}

static struct wr_slice trim(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t' || *from == '\r')) {
        from++;
    }
    while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r')) {
        to--;
    }
    return (struct wr_slice){from, (size_t)(to - from)};
}

/* "[name]", and in the config file "[profile name]". */
static bool is_section(struct wr_slice line, const char *name)
{
    struct wr_slice inner = trim(line.data + 1, line.data + line.bytes - 1);
    if (wr_slice_is(inner, name)) {
        return true;
    }
    return inner.bytes > 8 && memcmp(inner.data, "profile", 7) == 0 &&
           (inner.data[7] == ' ' || inner.data[7] == '\t') &&
           wr_slice_is(trim(inner.data + 8, inner.data + inner.bytes), name);
}

/* The value of `name = value` in the section, as heap text; NULL when it is not there. */
static char *profile_value(const struct wr_buf *file, const char *section, const char *name)
{
    const char *at = file->data, *end = file->data + file->bytes;
    bool inside = false;
    while (at != NULL && at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end != NULL ? line_end : end;
        const struct wr_slice line = trim(at, line_end);
        const char *equals = line.bytes > 0 ? memchr(line.data, '=', line.bytes) : NULL;
        if (line.bytes >= 2 && line.data[0] == '[' && line.data[line.bytes - 1] == ']') {
            inside = is_section(line, section);
        } else if (inside && equals != NULL && line.data[0] != '#' && line.data[0] != ';' &&
                   *at != ' ' && *at != '\t' &&
                   wr_slice_equal_nocase(trim(line.data, equals), wr_slice_of(name))) {
            const struct wr_slice value = trim(equals + 1, line.data + line.bytes);
            return value.bytes > 0 ? strndup(value.data, value.bytes) : NULL;
        }
        at = line_end < end ? line_end + 1 : end;
    }
    return NULL;
}

/* --- the search
 * ----------------------------------------------------------------------------------- */

/* Header values: a line break in a key would end the header. */
static bool is_plain(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

static wr_status check(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    const char *missing = credentials->access_key == NULL ? "an access key" : "a secret key";
    if (credentials->access_key == NULL || credentials->secret_key == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "S3 credentials from %s lack %s", credentials->source,
                      missing);
        wr_error_hint(
            err, "give both parts in the same place: options access_key and secret_key, variables "
                 "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or both lines of the profile");
    } else if (!is_plain(credentials->access_key) || !is_plain(credentials->secret_key) ||
               !is_plain(credentials->session_token)) {
        (void)wr_fail(err, WR_CLASS_USER,
                      "S3 credentials from %s hold a space, a line break or another character "
                      "that no key has",
                      credentials->source);
        wr_error_hint(err,
                      "check how the value was copied; a file's last line break is a usual cause");
    } else {
        return WR_OK;
    }
    wr_aws_credentials_deinit(credentials);
    return WR_FAIL;
}

static char *copy(const char *text)
{
    return text != NULL && text[0] != '\0' ? strdup(text) : NULL;
}

static bool from_environment(struct wr_aws_credentials *credentials)
{
    credentials->access_key = copy(getenv("AWS_ACCESS_KEY_ID"));
    credentials->secret_key = copy(getenv("AWS_SECRET_ACCESS_KEY"));
    credentials->session_token = copy(getenv("AWS_SESSION_TOKEN"));
    snprintf(credentials->source, sizeof(credentials->source),
             "the environment (AWS_ACCESS_KEY_ID)");
    return credentials->access_key != NULL || credentials->secret_key != NULL;
}

static bool from_profile(struct wr_aws_credentials *credentials)
{
    static const char *const places[][2] = {{"AWS_SHARED_CREDENTIALS_FILE", "credentials"},
                                            {"AWS_CONFIG_FILE", "config"}};
    char path[PATH_BYTES];
    for (size_t i = 0; i < 2; i++) {
        struct wr_buf file = {0};
        if (profile_path(places[i][0], places[i][1], path) && read_file(path, &file)) {
            credentials->access_key = profile_value(&file, profile_name(), "aws_access_key_id");
            credentials->secret_key = profile_value(&file, profile_name(), "aws_secret_access_key");
            credentials->session_token = profile_value(&file, profile_name(), "aws_session_token");
            snprintf(credentials->source, sizeof(credentials->source), "profile '%.64s' of %.160s",
                     profile_name(), path);
        }
        if (file.data != NULL) {
            OPENSSL_cleanse(file.data, file.bytes);
        }
        wr_buf_deinit(&file);
        if (credentials->access_key != NULL || credentials->secret_key != NULL) {
            return true;
        }
    }
    return false;
}

static wr_status from_role(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    WR_TRY(wr_aws_credentials_remote(credentials, err));
    const int64_t life = credentials->expires_us - wr_clock_now().wall_us;
    wr_ensure(life > 0, err, WR_CLASS_RETRY, "the credentials from %s have expired already",
              credentials->source);
    credentials->refresh_us = credentials->expires_us - (life / 2 < EARLY_US ? life / 2 : EARLY_US);
    return WR_OK;
}

wr_status wr_aws_credentials_find(const struct wr_aws_given *given,
                                  struct wr_aws_credentials *credentials, struct wr_error *err)
{
    memset(credentials, 0, sizeof(*credentials));
    if (given->access_key != NULL || given->secret_key != NULL) {
        credentials->access_key = copy(given->access_key);
        credentials->secret_key = copy(given->secret_key);
        credentials->session_token = copy(given->session_token);
        snprintf(credentials->source, sizeof(credentials->source),
                 "the options access_key and secret_key");
        return check(credentials, err);
    }
    if (from_environment(credentials)) {
        return check(credentials, err);
    }
    wr_aws_credentials_deinit(credentials);
    if (from_profile(credentials)) {
        return check(credentials, err);
    }
    wr_aws_credentials_deinit(credentials);
    const wr_status remote = from_role(credentials, err);
    if (remote == WR_OK) {
        return check(credentials, err);
    }
    wr_aws_credentials_deinit(credentials);
    if (remote == WR_FAIL) {
        return WR_FAIL;
    }
    (void)wr_fail(err, WR_CLASS_USER,
                  "no S3 credentials: none in the options, the environment or profile '%.64s', and "
                  "this machine has no role",
                  profile_name());
    wr_error_hint(
        err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put them into ~/.aws/credentials "
             "(AWS_PROFILE picks the profile)");
    return WR_FAIL;
}

wr_status wr_aws_credentials_refresh(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    if (credentials->expires_us == 0) {
        return WR_OK;
    }
    const int64_t now_us = wr_clock_now().wall_us;
    if (now_us < credentials->refresh_us) {
        return WR_OK;
    }
    struct wr_aws_credentials fresh = {0};
    struct wr_error why = {0};
    wr_status found = from_role(&fresh, &why);
    if (found == WR_OK) {
        found = check(&fresh, &why);
    }
    if (found == WR_OK) {
        wr_aws_credentials_deinit(credentials);
        *credentials = fresh;
        return WR_OK;
    }
    wr_aws_credentials_deinit(&fresh);
    if (now_us < credentials->expires_us) {
        wr_log_warn("s3", "no fresh credentials from %s (%s); the present ones are good for %ld s",
                    credentials->source, found == WR_FAIL ? why.message : "it has none now",
                    (long)((credentials->expires_us - now_us) / WR_US_PER_S));
        credentials->refresh_us = now_us + PATIENCE_US;
        return WR_OK;
    }
    wr_ensure(found == WR_FAIL, err, WR_CLASS_RETRY, "no fresh credentials: %s has none now",
              credentials->source);
    if (err != NULL) {
        *err = why;
    }
    return WR_FAIL;
}

char *wr_aws_region_find(void)
{
    static const char *const places[][2] = {{"AWS_CONFIG_FILE", "config"},
                                            {"AWS_SHARED_CREDENTIALS_FILE", "credentials"}};
    const char *region = wr_aws_environment("AWS_REGION", "AWS_DEFAULT_REGION");
    char *found = region != NULL ? strdup(region) : NULL;
    char path[PATH_BYTES];
    for (size_t i = 0; i < 2 && found == NULL; i++) {
        struct wr_buf file = {0};
        if (profile_path(places[i][0], places[i][1], path) && read_file(path, &file)) {
            found = profile_value(&file, profile_name(), "region");
        }
        wr_buf_deinit(&file);
    }
    return found;
}
