/* aws_sigv4.c: see aws_sigv4.h. The steps carry the names of AWS's own description: canonical
 * request, string to sign, signing key, signature. */
#include "net/aws_sigv4.h"

#include "base/assert.h"
#include "base/clock.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHA256_BYTES 32
#define DAY_BYTES    8 /* of "20130524" */

struct wr_aws_signer {
    char *region;
    char *service;
    bool encode_twice;
    /* Fetched once: OpenSSL 3.0 looks an algorithm up under a lock each time it is named. */
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    EVP_MAC *hmac;
    EVP_MAC_CTX *mac;
    /* The signing key, good for this secret and day. */
    char *key_secret;
    char key_day[DAY_BYTES + 1];
    unsigned char key[SHA256_BYTES];
    /* Kept for their memory. */
    struct wr_buf canonical;
    struct wr_buf scratch;
    struct wr_buf names;
};

wr_status wr_aws_signer_create(struct wr_aws_signer **into, const char *region, const char *service,
                               struct wr_error *err)
{
    struct wr_aws_signer *signer = calloc(1, sizeof(*signer));
    *into = NULL;
    wr_ensure(signer != NULL, err, WR_CLASS_FATAL, "out of memory for AWS signatures");
    signer->region = strdup(region);
    signer->service = strdup(service);
    signer->encode_twice = strcmp(service, "s3") != 0;
    signer->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    signer->digest = EVP_MD_CTX_new();
    signer->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    signer->mac = signer->hmac != NULL ? EVP_MAC_CTX_new(signer->hmac) : NULL;
    if (signer->region == NULL || signer->service == NULL || signer->sha256 == NULL ||
        signer->digest == NULL || signer->mac == NULL) {
        wr_aws_signer_destroy(signer);
        return wr_fail(err, WR_CLASS_FATAL, "OpenSSL gives no SHA-256 and HMAC");
    }
    *into = signer;
    return WR_OK;
}

static void forget_secret(struct wr_aws_signer *signer)
{
    if (signer->key_secret != NULL) {
        OPENSSL_cleanse(signer->key_secret, strlen(signer->key_secret));
        free(signer->key_secret);
        signer->key_secret = NULL;
    }
    OPENSSL_cleanse(signer->key, sizeof(signer->key));
}

void wr_aws_signer_destroy(struct wr_aws_signer *signer)
{
    if (signer == NULL) {
        return;
    }
    forget_secret(signer);
    EVP_MAC_CTX_free(signer->mac);
    EVP_MAC_free(signer->hmac);
    EVP_MD_CTX_free(signer->digest);
    EVP_MD_free(signer->sha256);
    wr_buf_deinit(&signer->canonical);
    wr_buf_deinit(&signer->scratch);
    wr_buf_deinit(&signer->names);
    free(signer->region);
    free(signer->service);
    free(signer);
}

/* --- hashes
 * --------------------------------------------------------------------------------------- */

static void to_hex(const unsigned char digest[SHA256_BYTES], char hex[WR_SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[WR_SHA256_HEX_BYTES - 1] = '\0';
}

void wr_aws_sha256(struct wr_aws_signer *signer, const void *data, size_t bytes,
                   char hex[WR_SHA256_HEX_BYTES])
{
    unsigned char digest[SHA256_BYTES];
    unsigned length = 0;
    wr_assert(EVP_DigestInit_ex2(signer->digest, signer->sha256, NULL) == 1 &&
              EVP_DigestUpdate(signer->digest, data, bytes) == 1 &&
              EVP_DigestFinal_ex(signer->digest, digest, &length) == 1 && length == SHA256_BYTES);
    to_hex(digest, hex);
}

static void hmac(struct wr_aws_signer *signer, const void *key, size_t key_bytes, const void *data,
                 size_t bytes, unsigned char out[SHA256_BYTES])
{
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                 OSSL_PARAM_construct_end()};
    size_t length = 0;
    wr_assert(EVP_MAC_init(signer->mac, key, key_bytes, params) == 1 &&
              EVP_MAC_update(signer->mac, data, bytes) == 1 &&
              EVP_MAC_final(signer->mac, out, &length, SHA256_BYTES) == 1 &&
              length == SHA256_BYTES);
}

/* --- texts
 * ---------------------------------------------------------------------------------------- */

void wr_aws_date(int64_t wall_us, char amz_date[17])
{
    const time_t seconds = (time_t)(wall_us / WR_US_PER_S);
    struct tm utc;
    wr_assert(gmtime_r(&seconds, &utc) != NULL &&
              strftime(amz_date, 17, "%Y%m%dT%H%M%SZ", &utc) == 16);
}

void wr_aws_encode(struct wr_buf *into, const char *text, size_t bytes, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = wr_buf_reserve(into, 3 * bytes);
    const char *start = at;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    into->bytes += (size_t)(at - start);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each pair encoded; sorted by name, then value. '=' sorts above some characters of longer names
 * ("a-b" against "a"), so name and value are parted by \1, which no encoded text holds, until they
 * are sorted. */
void wr_aws_query(struct wr_buf *into, const struct wr_aws_pair *query, uint32_t count)
{
    struct wr_buf text = {0};
    size_t starts[WR_AWS_PAIRS_MAX];
    char *sorted[WR_AWS_PAIRS_MAX];
    wr_assert(count <= WR_AWS_PAIRS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        starts[i] = text.bytes;
        wr_aws_encode(&text, query[i].name, strlen(query[i].name), false);
        wr_buf_byte(&text, 1);
        wr_aws_encode(&text, query[i].value, strlen(query[i].value), false);
        wr_buf_byte(&text, 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = text.data + starts[i];
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_texts);
    for (uint32_t i = 0; i < count; i++) {
        *strchr(sorted[i], 1) = '=';
        wr_buf_text(into, i > 0 ? "&" : "");
        wr_buf_text(into, sorted[i]);
    }
    wr_buf_deinit(&text);
}

/* Values lose spaces at both ends; runs of spaces inside become one. */
static void append_value(struct wr_buf *into, const char *value)
{
    const size_t start = into->bytes;
    for (; *value != '\0'; value++) {
        const bool space = *value == ' ' || *value == '\t';
        if (!space) {
            wr_buf_byte(into, (uint8_t)*value);
        } else if (into->bytes > start && into->data[into->bytes - 1] != ' ') {
            wr_buf_byte(into, ' ');
        }
    }
    if (into->bytes > start && into->data[into->bytes - 1] == ' ') {
        into->bytes--;
    }
}

/* "name:value\n" for each, sorted by lower-case name; names: "a;b;c". */
static void append_headers(struct wr_buf *into, struct wr_buf *lines, struct wr_buf *names,
                           const struct wr_aws_pair *headers, uint32_t count)
{
    size_t starts[WR_AWS_PAIRS_MAX];
    char *sorted[WR_AWS_PAIRS_MAX];
    wr_assert(count <= WR_AWS_PAIRS_MAX);
    lines->bytes = names->bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        starts[i] = lines->bytes;
        for (const char *c = headers[i].name; *c != '\0'; c++) {
            wr_buf_byte(lines, (uint8_t)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c));
        }
        wr_buf_byte(lines, 1); /* as in wr_aws_query */
        append_value(lines, headers[i].value);
        wr_buf_byte(lines, 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = lines->data + starts[i];
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_texts);
    for (uint32_t i = 0; i < count; i++) {
        char *end = strchr(sorted[i], 1);
        wr_buf_text(names, i > 0 ? ";" : "");
        wr_buf_append(names, sorted[i], (size_t)(end - sorted[i]));
        *end = ':';
        wr_buf_text(into, sorted[i]);
        wr_buf_byte(into, '\n');
    }
}

static void append_path(struct wr_aws_signer *signer, const char *path)
{
    if (!signer->encode_twice) {
        wr_aws_encode(&signer->canonical, path, strlen(path), true);
        return;
    }
    signer->scratch.bytes = 0;
    wr_aws_encode(&signer->scratch, path, strlen(path), true);
    wr_aws_encode(&signer->canonical, signer->scratch.data, signer->scratch.bytes, true);
}

static void canonical_request(struct wr_aws_signer *signer, const struct wr_aws_request *request)
{
    struct wr_buf *into = &signer->canonical;
    into->bytes = 0;
    wr_buf_text(into, request->method);
    wr_buf_byte(into, '\n');
    append_path(signer, request->path);
    wr_buf_byte(into, '\n');
    wr_aws_query(into, request->query, request->query_count);
    wr_buf_byte(into, '\n');
    append_headers(into, &signer->scratch, &signer->names, request->headers, request->header_count);
    wr_buf_byte(into, '\n');
    wr_buf_append(into, signer->names.data, signer->names.bytes);
    wr_buf_byte(into, '\n');
    wr_buf_text(into, request->payload_hash);
}

/* --- the signature
 * -------------------------------------------------------------------------------- */

static void make_key(struct wr_aws_signer *signer, const char *secret, const char *day)
{
    struct wr_buf first = {0};
    if (signer->key_secret != NULL && strcmp(signer->key_secret, secret) == 0 &&
        strcmp(signer->key_day, day) == 0) {
        return;
    }
    forget_secret(signer);
    wr_buf_text(&first, "AWS4");
    wr_buf_text(&first, secret);
    hmac(signer, first.data, first.bytes, day, DAY_BYTES, signer->key);
    hmac(signer, signer->key, SHA256_BYTES, signer->region, strlen(signer->region), signer->key);
    hmac(signer, signer->key, SHA256_BYTES, signer->service, strlen(signer->service), signer->key);
    hmac(signer, signer->key, SHA256_BYTES, "aws4_request", 12, signer->key);
    OPENSSL_cleanse(first.data, first.bytes);
    wr_buf_deinit(&first);
    signer->key_secret = strdup(secret);
    memcpy(signer->key_day, day, sizeof(signer->key_day));
}

void wr_aws_sign(struct wr_aws_signer *signer, const struct wr_aws_credentials *credentials,
                 const struct wr_aws_request *request, const char amz_date[17],
                 struct wr_buf *authorization)
{
    char hash[WR_SHA256_HEX_BYTES], signature[WR_SHA256_HEX_BYTES], day[DAY_BYTES + 1];
    unsigned char digest[SHA256_BYTES];
    memcpy(day, amz_date, DAY_BYTES);
    day[DAY_BYTES] = '\0';

    canonical_request(signer, request);
    wr_aws_sha256(signer, signer->canonical.data, signer->canonical.bytes, hash);

    struct wr_buf *to_sign = &signer->scratch;
    to_sign->bytes = 0;
    wr_buf_printf(to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", amz_date, day,
                  signer->region, signer->service, hash);
    make_key(signer, credentials->secret_key, day);
    hmac(signer, signer->key, SHA256_BYTES, to_sign->data, to_sign->bytes, digest);
    to_hex(digest, signature);

    wr_buf_printf(
        authorization,
        "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
        credentials->access_key, day, signer->region, signer->service, wr_buf_cstr(&signer->names),
        signature);
}
