/* gcp_auth.c: see gcp_auth.h. */
#include "net/gcp_auth.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "net/aws_credentials.h"
#include "net/aws_sigv4.h"
#include "net/read_secret.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ASSERTION_LIFE_S 3600 /* Google takes no more */
#define TOKEN_URI        "https://oauth2.googleapis.com/token"

struct gcp_source {
    struct wr_token_source base;
    struct wr_http_client *client;
    EVP_PKEY *key; /* NULL: another way than a service account's key */
    char *key_id;
    char *email;
    char *token_uri;
    char *scope;
    /* "authorized_user": what gcloud auth application-default login leaves. */
    char *client_id, *client_secret, *refresh_token;
};

/* --- a service account's JWT ------------------------------------------------------------------ */

/* RFC 7515: URL-safe, without padding. */
static void base64url(const void *data, size_t bytes, struct wr_buf *into)
{
    char *to = wr_buf_reserve(into, (bytes + 2) / 3 * 4 + 1);
    int count = EVP_EncodeBlock((unsigned char *)to, data, (int)bytes);
    while (count > 0 && to[count - 1] == '=') {
        count--;
    }
    for (int i = 0; i < count; i++) {
        to[i] = (char)(to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i]);
    }
    into->bytes += (size_t)count;
}

static void append_json(json_t *object, struct wr_buf *into)
{
    char *text = json_dumps(object, JSON_COMPACT);
    wr_assert(text != NULL);
    base64url(text, strlen(text), into);
    free(text);
    json_decref(object);
}

static wr_status append_assertion(const struct gcp_source *source, struct wr_buf *jwt,
                                  struct wr_error *err)
{
    const json_int_t now = (json_int_t)(wr_clock_now().wall_us / WR_US_PER_S);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char mac[1024];
    size_t mac_bytes = sizeof(mac);
    append_json(json_pack("{s:s, s:s, s:s*}", "alg", "RS256", "typ", "JWT", "kid", source->key_id),
                jwt);
    wr_buf_byte(jwt, '.');
    append_json(json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", source->email, "scope", source->scope,
                          "aud", source->token_uri, "iat", now, "exp", now + ASSERTION_LIFE_S),
                jwt);
    const bool done = ctx != NULL &&
                      EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, source->key) == 1 &&
                      EVP_DigestSign(ctx, mac, &mac_bytes, (const unsigned char *)jwt->data,
                                     jwt->bytes) == 1;
    EVP_MD_CTX_free(ctx);
    wr_ensure(done, err, WR_CLASS_USER, "the key of %s does not sign", source->email);
    wr_buf_byte(jwt, '.');
    base64url(mac, mac_bytes, jwt);
    return WR_OK;
}

/* --- fetching --------------------------------------------------------------------------------- */

static void form(struct wr_buf *into, const char *name, const char *value, size_t bytes)
{
    wr_buf_printf(into, "%s%s=", into->bytes > 0 ? "&" : "", name);
    wr_aws_encode(into, value, bytes, false);
}

static wr_status fill_form(const struct gcp_source *source, struct wr_buf *body,
                           struct wr_error *err)
{
    static const char grant[] = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    struct wr_buf jwt = {0};
    wr_status status = WR_OK;
    if (source->key != NULL) {
        form(body, "grant_type", grant, sizeof(grant) - 1);
        status = append_assertion(source, &jwt, err);
        form(body, "assertion", jwt.data, jwt.bytes);
    } else {
        form(body, "grant_type", "refresh_token", strlen("refresh_token"));
        form(body, "client_id", source->client_id, strlen(source->client_id));
        form(body, "client_secret", source->client_secret, strlen(source->client_secret));
        form(body, "refresh_token", source->refresh_token, strlen(source->refresh_token));
    }
    wr_token_wipe(&jwt);
    return status;
}

static wr_status fetch(struct wr_token_source *base, struct wr_buf *token, int64_t *expires_us,
                       struct wr_error *err)
{
    struct gcp_source *source = (struct gcp_source *)base;
    struct wr_http_call call = {0};
    struct wr_buf body = {0};
    wr_status fetched = WR_OK;
    if (source->token_uri != NULL) {
        fetched = fill_form(source, &body, err);
        call.method = "POST";
        call.body = body.data;
        call.body_bytes = body.bytes;
        wr_buf_text(&call.url, source->token_uri);
        wr_http_call_header(&call, "Content-Type", "application/x-www-form-urlencoded");
    } else {
        const char *host = wr_aws_environment("GCE_METADATA_HOST", NULL);
        call.method = "GET";
        wr_buf_printf(&call.url,
                      "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
                      host != NULL ? host : "metadata.google.internal");
        wr_http_call_header(&call, "Metadata-Flavor", "Google");
    }
    if (fetched == WR_OK) {
        fetched = wr_token_ask(source->client, &call, base->what, token, expires_us, err);
        if (fetched == WR_FAIL && (err == NULL || err->hint[0] == '\0')) {
            wr_error_hint(err, "%s",
                          source->token_uri != NULL
                              ? "check that the key still exists (gcloud iam service-accounts keys "
                                "list) and that this machine's clock is right"
                              : "set GOOGLE_APPLICATION_CREDENTIALS to a service account's key "
                                "file, or give the machine a service account");
        }
    }
    wr_token_wipe(&call.response);
    wr_http_call_deinit(&call);
    wr_token_wipe(&body);
    return fetched;
}

static void free_secret(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}

static void destroy(struct wr_token_source *base)
{
    struct gcp_source *source = (struct gcp_source *)base;
    wr_http_client_destroy(source->client);
    EVP_PKEY_free(source->key);
    free(source->key_id);
    free(source->email);
    free(source->token_uri);
    free(source->scope);
    free(source->client_id);
    free_secret(source->client_secret);
    free_secret(source->refresh_token);
    free(source);
}

/* --- key files -------------------------------------------------------------------------------- */

static char *copy(const json_t *file, const char *name)
{
    const char *text = json_string_value(json_object_get(file, name));
    return text != NULL && text[0] != '\0' ? wr_strdup(text) : NULL;
}

static EVP_PKEY *read_key(const json_t *file)
{
    const json_t *text = json_object_get(file, "private_key");
    if (!json_is_string(text) || json_string_length(text) > (64u << 10)) {
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(json_string_value(text), (int)json_string_length(text));
    /* An empty passphrase, so that OpenSSL never asks the terminal for one. */
    static char none[] = "";
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, none) : NULL;
    BIO_free(bio);
    if (key != NULL &&
        (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_size(key) > 1024)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static bool is_uri(const char *uri)
{
    bool good = wr_token_is_safe(uri);
    for (; *uri != '\0'; uri++) {
        good = good && *uri > ' ' && *uri <= '~';
    }
    return good;
}

static wr_status take_file(struct gcp_source *source, const char *path, const json_t *file,
                           struct wr_error *err)
{
    const char *type = json_string_value(json_object_get(file, "type"));
    source->token_uri = copy(file, "token_uri");
    if (source->token_uri == NULL) {
        source->token_uri = wr_strdup(TOKEN_URI);
    }
    wr_ensure(is_uri(source->token_uri), err, WR_CLASS_USER, "%s: its token_uri is no https URL",
              path);
    if (type != NULL && strcmp(type, "service_account") == 0) {
        source->email = copy(file, "client_email");
        source->key_id = copy(file, "private_key_id");
        source->key = read_key(file);
        wr_ensure(source->email != NULL && source->key != NULL, err, WR_CLASS_USER,
                  "%s is no service account's key: client_email or an RSA private_key is missing "
                  "or damaged", path);
        return WR_OK;
    }
    if (type != NULL && strcmp(type, "authorized_user") == 0) {
        source->client_id = copy(file, "client_id");
        source->client_secret = copy(file, "client_secret");
        source->refresh_token = copy(file, "refresh_token");
        wr_ensure(source->client_id != NULL && source->client_secret != NULL &&
                      source->refresh_token != NULL,
                  err, WR_CLASS_USER, "%s lacks client_id, client_secret or refresh_token", path);
        return WR_OK;
    }
    (void)wr_fail(err, WR_CLASS_USER, "%s: credentials of type '%.60s' are not known here", path,
                  type != NULL ? type : "");
    wr_error_hint(err, "give a service account's key file, or run where a metadata server is");
    return WR_FAIL;
}

static wr_status read_file(struct gcp_source *source, const char *path, struct wr_error *err)
{
    struct wr_buf text = {0};
    wr_status status = wr_read_secret(path, &text, err);
    if (status == WR_OK) {
        json_t *file = json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES, NULL);
        status = json_is_object(file)
                     ? take_file(source, path, file, err)
                     : wr_fail(err, WR_CLASS_USER, "%s is not JSON: a key file is", path);
        json_decref(file);
    }
    wr_token_wipe(&text);
    snprintf(source->base.what, sizeof(source->base.what), "%.250s", path);
    return status;
}

/* gcloud's file, where there is one. */
static bool default_file(char path[1024])
{
    const char *home = getenv("HOME");
    const char *config = wr_aws_environment("CLOUDSDK_CONFIG", NULL);
    const int bytes = config != NULL
                          ? snprintf(path, 1024, "%s/application_default_credentials.json", config)
                          : snprintf(path, 1024,
                                     "%s/.config/gcloud/application_default_credentials.json",
                                     home != NULL ? home : "");
    return bytes > 0 && bytes < 1024 && access(path, R_OK) == 0;
}

wr_status wr_gcp_token_source(struct wr_token_source **into, const char *credentials_file,
                              const char *scope, struct wr_error *err)
{
    struct gcp_source *source = wr_calloc(1, sizeof(*source));
    const struct wr_http_settings settings = {
        .connect_timeout_ms = 2000,
        .timeout_ms = 5000,
        .ca_file = wr_aws_environment("SSL_CERT_FILE", NULL)};
    char found[1024];
    wr_status made = WR_OK;
    source->base.fetch = fetch;
    source->base.destroy = destroy;
    source->scope = wr_strdup(scope);
    snprintf(source->base.what, sizeof(source->base.what), "the machine's metadata server");
    if (credentials_file == NULL) {
        credentials_file = wr_aws_environment("GOOGLE_APPLICATION_CREDENTIALS", NULL);
    }
    if (credentials_file == NULL && default_file(found)) {
        credentials_file = found;
    }
    if (credentials_file != NULL) {
        made = read_file(source, credentials_file, err);
    }
    if (made == WR_OK) {
        made = wr_http_client_create(&source->client, &settings, err);
    }
    if (made != WR_OK) {
        destroy(&source->base);
        return made;
    }
    *into = &source->base;
    return WR_OK;
}
