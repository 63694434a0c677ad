/* registry.c: see registry.h. */
#include "decode/registry.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include "decode/registry_glue.h"
#include "net/http_client.h"
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

#define CALL_TIMEOUT_MS   5000u
#define ANSWER_BYTES_MAX  (16u << 20)
#define AGAIN_NS          (30 * WR_NS_PER_S) /* how long a refusal is believed */
#define FIRST_WAIT_NS     (100 * WR_NS_PER_MS)
#define LONGEST_WAIT_NS   (5 * WR_NS_PER_S)
#define REFERENCES_MAX    256u
#define REFERENCE_DEPTH   16u
/* Ids out of garbage are many: so many refusals are remembered. */
#define ENTRIES_MAX       65536u
/* An address, a status and the other side's words, each cut to its part. */
#define PROBLEM_BYTES     700u

struct entry {
    struct entry *next;
    struct wr_registry_key key;
    char *subject;
    bool wanted;
    bool found;
    bool refused;
    uint32_t attempts;
    int64_t asked_ns;
    int64_t next_try_ns;
    struct wr_registry_schema schema;
    char problem[PROBLEM_BYTES];
};

struct wr_registry {
    struct wr_registry *next; /* of all clients */
    uint32_t users;
    char *identity; /* all that tells it from another client; holds secrets, is never shown */
    char **urls;
    uint32_t url_count;
    uint32_t url_now; /* the fetch thread's */
    char *authorization;
    struct wr_glue *glue; /* AWS Glue instead of Confluent's API; NULL: no */
    struct wr_buf body;   /* of the question to it */
    int64_t timeout_ns;
    struct wr_http_client *http; /* the fetch thread's */
    struct wr_http_call call;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct entry *entries;
    uint32_t entry_count;
    bool stopping;
};

static pthread_mutex_t clients_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct wr_registry *clients; /* guarded by clients_mutex */

/* ---- asking ---- */

static void append_encoded(struct wr_buf *url, const char *text)
{
    for (; *text != '\0'; text++) {
        const bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                           (*text >= '0' && *text <= '9') || strchr("-._~", *text) != NULL;
        if (plain) {
            wr_buf_byte(url, (uint8_t)*text);
        } else {
            wr_buf_printf(url, "%%%02X", (uint8_t)*text);
        }
    }
}

static bool stopping(struct wr_registry *r)
{
    pthread_mutex_lock(&r->mutex);
    const bool stop = r->stopping;
    pthread_mutex_unlock(&r->mutex);
    return stop;
}

/* The end of the run does not wait for a registry that is silent. */
static void perform(struct wr_registry *r)
{
    wr_http_begin(r->http, &r->call);
    for (;;) {
        wr_http_turn(r->http);
        if (r->call.done) {
            (void)wr_http_wait_any(r->http);
            return;
        }
        if (stopping(r)) {
            wr_http_cancel(r->http, &r->call);
            return;
        }
        wr_clock_sleep_ms(2);
    }
}

/* What became of one question. */
enum outcome { ANSWERED, REFUSED, NO_ANSWER };

/* The registry's own words: {"error_code": 40403, "message": "Schema not found"}. */
static void explain(struct wr_http_call *call, const char *url, char problem[PROBLEM_BYTES])
{
    json_t *json = json_loadb(call->response.data != NULL ? call->response.data : "",
                              call->response.bytes, 0, NULL);
    const char *message = json_string_value(json_object_get(json, "message"));
    if (call->status == 0) {
        snprintf(problem, PROBLEM_BYTES, "%s: %s", url, call->problem);
    } else if (message != NULL) {
        snprintf(problem, PROBLEM_BYTES, "%s answered %d: %.120s", url, call->status, message);
    } else {
        snprintf(problem, PROBLEM_BYTES, "%s answered %d", url, call->status);
    }
    json_decref(json);
}

/* GET of a path, which the caller has encoded. @thread fetch */
static enum outcome ask(struct wr_registry *r, const char *path, json_t **answer,
                        char problem[PROBLEM_BYTES])
{
    struct wr_http_call *call = &r->call;
    wr_http_call_clear(call);
    call->method = "GET";
    wr_buf_printf(&call->url, "%s%s", r->urls[r->url_now % r->url_count], path);
    call->timeout_ms = CALL_TIMEOUT_MS;
    call->response_bytes_max = ANSWER_BYTES_MAX;
    wr_http_call_header(call, "Accept", "application/vnd.schemaregistry.v1+json, application/json");
    if (r->authorization != NULL) {
        wr_http_call_header(call, "Authorization", r->authorization);
    }
    char url[300];
    snprintf(url, sizeof url, "GET %s", wr_buf_cstr(&call->url));
    perform(r);
    *answer = NULL;
    if (call->status == 200) {
        *answer = json_loadb(call->response.data != NULL ? call->response.data : "",
                             call->response.bytes, 0, NULL);
        if (json_is_string(json_object_get(*answer, "schema"))) {
            return ANSWERED;
        }
        json_decref(*answer);
        snprintf(problem, PROBLEM_BYTES, "%s answered without a schema", url);
        return NO_ANSWER;
    }
    explain(call, url, problem);
    if (call->status == 404 || call->status == 400 || call->status == 422) {
        return REFUSED;
    }
    r->url_now++;
    return NO_ANSWER;
}

/* Texts gathered so far, in the order in which they build on each other. */
struct gathering {
    struct wr_slice texts[REFERENCES_MAX];
    char *seen[REFERENCES_MAX]; /* path of each */
    uint32_t count;
};

static void gathering_deinit(struct gathering *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        free((char *)g->texts[i].data);
        free(g->seen[i]);
    }
}

static bool gathered(const struct gathering *g, const char *path)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (strcmp(g->seen[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static enum outcome gather(struct wr_registry *r, struct gathering *g, const char *path,
                           uint32_t depth, char **type, char problem[PROBLEM_BYTES])
{
    json_t *answer;
    enum outcome outcome = ask(r, path, &answer, problem);
    if (outcome != ANSWERED) {
        return outcome;
    }
    const json_t *references = json_object_get(answer, "references");
    for (size_t i = 0; i < json_array_size(references) && outcome == ANSWERED; i++) {
        const json_t *reference = json_array_get(references, i);
        const char *subject = json_string_value(json_object_get(reference, "subject"));
        const json_int_t version = json_integer_value(json_object_get(reference, "version"));
        struct wr_buf below = { 0 };
        wr_buf_text(&below, "/subjects/");
        append_encoded(&below, subject != NULL ? subject : "");
        wr_buf_printf(&below, "/versions/%lld", (long long)version);
        if (depth == REFERENCE_DEPTH || g->count + 1 >= REFERENCES_MAX) {
            snprintf(problem, PROBLEM_BYTES, "the schema refers to too many others");
            outcome = REFUSED;
        } else if (!gathered(g, wr_buf_cstr(&below))) {
            outcome = gather(r, g, wr_buf_cstr(&below), depth + 1, NULL, problem);
        }
        wr_buf_deinit(&below);
    }
    if (outcome == ANSWERED && !gathered(g, path)) {
        const json_t *schema = json_object_get(answer, "schema");
        g->texts[g->count] = (struct wr_slice){ wr_strdup(json_string_value(schema)),
                                                json_string_length(schema) };
        g->seen[g->count++] = wr_strdup(path);
    }
    if (outcome == ANSWERED && type != NULL) {
        const char *given = json_string_value(json_object_get(answer, "schemaType"));
        *type = wr_strdup(given != NULL ? given : "AVRO");
    }
    json_decref(answer);
    return outcome;
}

/* AWS Glue's answer to one question; schemas of its have no references. */
static enum outcome read_glue(struct wr_registry *r, const char *question, struct gathering *g,
                              char **type, char problem[PROBLEM_BYTES])
{
    const struct wr_http_call *call = &r->call;
    json_t *json = json_loadb(call->response.data != NULL ? call->response.data : "",
                              call->response.bytes, 0, NULL);
    const json_t *schema = json_object_get(json, "SchemaDefinition");
    const char *format = json_string_value(json_object_get(json, "DataFormat"));
    const char *kind = json_string_value(json_object_get(json, "__type"));
    const char *message = json_string_value(json_object_get(json, "Message"));
    message = message != NULL ? message : json_string_value(json_object_get(json, "message"));
    enum outcome outcome = NO_ANSWER;
    if (call->status == 200 && json_is_string(schema)) {
        g->texts[0] = (struct wr_slice){ wr_strdup(json_string_value(schema)),
                                         json_string_length(schema) };
        g->seen[0] = wr_strdup("");
        g->count = 1;
        *type = wr_strdup(format != NULL ? format : "AVRO");
        outcome = ANSWERED;
    } else if (call->status == 0) {
        snprintf(problem, PROBLEM_BYTES, "%s: %s", question, call->problem);
    } else {
        snprintf(problem, PROBLEM_BYTES, "%s answered %d: %.60s%s%.120s", question, call->status,
                 kind != NULL ? kind : "", message != NULL ? ": " : "", message != NULL ? message : "");
        outcome = kind != NULL && wr_glue_is_refusal(kind) ? REFUSED : NO_ANSWER;
    }
    json_decref(json);
    return outcome;
}

/* @thread fetch */
static enum outcome ask_glue(struct wr_registry *r, const struct entry *entry, struct gathering *g,
                             char **type, char problem[PROBLEM_BYTES])
{
    struct wr_registry_key key = entry->key;
    struct wr_error err;
    char question[220];
    key.subject = entry->subject;
    wr_glue_question(r->glue, &key, question, sizeof question);
    if (wr_glue_ask(r->glue, &key, &r->call, &r->body, &err) != WR_OK) {
        snprintf(problem, PROBLEM_BYTES, "%s: %.300s", question, err.message);
        return key.kind == WR_REGISTRY_ID ? REFUSED : NO_ANSWER;
    }
    r->call.timeout_ms = CALL_TIMEOUT_MS;
    r->call.response_bytes_max = ANSWER_BYTES_MAX;
    perform(r);
    return read_glue(r, question, g, type, problem);
}

static void path_of(const struct entry *entry, struct wr_buf *path)
{
    const uint8_t *g = entry->key.guid;
    switch (entry->key.kind) {
    case WR_REGISTRY_ID:
        wr_buf_printf(path, "/schemas/ids/%u", entry->key.id);
        break;
    case WR_REGISTRY_GUID:
        wr_buf_printf(path,
                      "/schemas/guids/%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x"
                      "%02x%02x",
                      g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10], g[11],
                      g[12], g[13], g[14], g[15]);
        break;
    case WR_REGISTRY_SUBJECT:
        wr_buf_text(path, "/subjects/");
        append_encoded(path, entry->subject);
        wr_buf_text(path, "/versions/latest");
        break;
    }
}

/* ---- the fetch thread ---- */

static void settle(struct wr_registry *r, struct entry *entry, enum outcome outcome,
                   struct gathering *g, char *type, const char *problem)
{
    const int64_t now = wr_clock_now().mono_ns;
    pthread_mutex_lock(&r->mutex);
    if (outcome == ANSWERED) {
        entry->schema.type = type;
        entry->schema.texts = wr_calloc(g->count, sizeof(struct wr_slice));
        entry->schema.text_count = g->count;
        for (uint32_t i = 0; i < g->count; i++) {
            entry->schema.texts[i] = g->texts[i];
            g->texts[i].data = NULL; /* moved */
        }
        entry->found = true;
        entry->wanted = false;
    } else {
        snprintf(entry->problem, sizeof entry->problem, "%s", problem);
        entry->refused = outcome == REFUSED;
        entry->wanted = outcome == NO_ANSWER;
        int64_t wait = FIRST_WAIT_NS << (entry->attempts < 10 ? entry->attempts : 10);
        wait = wait < LONGEST_WAIT_NS ? wait : LONGEST_WAIT_NS;
        entry->next_try_ns = now + (outcome == REFUSED ? AGAIN_NS : wait);
        entry->attempts += entry->attempts < 1000;
        free(type);
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mutex);
}

static void fetch(struct wr_registry *r, struct entry *entry)
{
    struct gathering *g = wr_calloc(1, sizeof *g);
    struct wr_buf path = { 0 };
    char problem[PROBLEM_BYTES] = "";
    char *type = NULL;
    path_of(entry, &path);
    const enum outcome outcome = r->glue != NULL
                                     ? ask_glue(r, entry, g, &type, problem)
                                     : gather(r, g, wr_buf_cstr(&path), 0, &type, problem);
    if (outcome == NO_ANSWER && entry->attempts == 0) {
        wr_log_warn("registry", "%s; asking again", problem);
    }
    settle(r, entry, outcome, g, type, problem);
    gathering_deinit(g);
    free(g);
    wr_buf_deinit(&path);
}

/* The wanted entry whose turn it is; else NULL, with the moment at which one's comes. */
static struct entry *next_due(struct wr_registry *r, int64_t *due_ns)
{
    struct entry *best = NULL;
    for (struct entry *e = r->entries; e != NULL; e = e->next) {
        if (e->wanted && (best == NULL || e->next_try_ns < best->next_try_ns)) {
            best = e;
        }
    }
    *due_ns = best != NULL ? best->next_try_ns : INT64_MAX;
    return best != NULL && best->next_try_ns <= wr_clock_now().mono_ns ? best : NULL;
}

/* mutex is held. */
static void wait_until(struct wr_registry *r, int64_t due_ns)
{
    if (due_ns == INT64_MAX) {
        pthread_cond_wait(&r->changed, &r->mutex);
        return;
    }
    const struct timespec until = { due_ns / WR_NS_PER_S, due_ns % WR_NS_PER_S };
    (void)pthread_cond_timedwait(&r->changed, &r->mutex, &until);
}

static void *fetch_thread(void *ctx)
{
    struct wr_registry *r = ctx;
    pthread_mutex_lock(&r->mutex);
    while (!r->stopping) {
        int64_t due_ns;
        struct entry *entry = next_due(r, &due_ns);
        if (entry == NULL) {
            wait_until(r, due_ns);
            continue;
        }
        pthread_mutex_unlock(&r->mutex);
        fetch(r, entry);
        pthread_mutex_lock(&r->mutex);
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

/* ---- opening ---- */

bool wr_registry_is_glue(const struct wr_options *options)
{
    uint32_t count = 0;
    const char *const *urls = wr_options_has(options, "registry") ? wr_options_list(options, "registry", &count) : NULL;
    return count > 0 && wr_glue_is_address(urls[0]);
}

static void destroy(struct wr_registry *r)
{
    for (struct entry *e = r->entries; e != NULL;) {
        struct entry *next = e->next;
        for (uint32_t i = 0; i < e->schema.text_count; i++) {
            free((char *)e->schema.texts[i].data);
        }
        free(e->schema.texts);
        free((char *)e->schema.type);
        free(e->subject);
        free(e);
        e = next;
    }
    wr_http_call_deinit(&r->call);
    wr_http_client_destroy(r->http);
    wr_glue_close(r->glue);
    wr_buf_deinit(&r->body);
    for (uint32_t i = 0; i < r->url_count; i++) {
        free(r->urls[i]);
    }
    free(r->urls);
    free(r->identity);
    free(r->authorization);
    free(r);
}

static const char *text_or_empty(const struct wr_options *options, const char *name)
{
    const char *text = wr_options_text(options, name);
    return text != NULL ? text : "";
}

static wr_status check_url(const char *url, struct wr_error *err)
{
    const bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (strchr(url, '@') != NULL) {
        wr_fail(err, WR_CLASS_USER, "the registry's address holds a login");
        wr_error_hint(err, "say registry_user = '…', registry_password = '${NAME}' instead");
        return WR_FAIL;
    }
    if (!http || strpbrk(url, " \r\n\t?#") != NULL) {
        wr_fail(err, WR_CLASS_USER, "registry = '%.200s' is not the address of a registry", url);
        wr_error_hint(err, "write it as http://host:port, https://host/path, or glue for AWS Glue's");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status read_options(struct wr_registry *r, const struct wr_options *options,
                              struct wr_error *err)
{
    uint32_t count;
    const char *const *urls = wr_options_list(options, "registry", &count);
    const char *user = text_or_empty(options, "registry_user");
    const char *password = text_or_empty(options, "registry_password");
    const char *token = text_or_empty(options, "registry_token");
    struct wr_buf text = { 0 };
    r->timeout_ns = wr_options_int(options, "registry_timeout") * 1000;
    r->urls = wr_calloc(count + 1, sizeof(char *));
    if (count > 0 && wr_glue_is_address(urls[0])) {
        const char *login = *user != '\0' ? "registry_user" : *token != '\0' ? "registry_token" : NULL;
        wr_ensure(count == 1, err, WR_CLASS_USER, "registry = 'glue' stands alone");
        wr_ensure(login == NULL, err, WR_CLASS_USER,
                  "%s does not go with AWS Glue, whose keys are found as AWS's own tools do", login);
        WR_TRY(wr_glue_open(&r->glue, urls[0], wr_options_text(options, "registry_region"), err));
        wr_buf_printf(&text, "%s\n%s\n", urls[0], text_or_empty(options, "registry_region"));
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        WR_TRY(check_url(urls[i], err));
        char *url = r->urls[r->url_count++] = wr_strdup(urls[i]);
        for (size_t end = strlen(url); end > 0 && url[end - 1] == '/'; end--) {
            url[end - 1] = '\0';
        }
        wr_buf_printf(&text, "%s\n", url);
    }
    wr_buf_printf(&text, "%s\n%s\n%s\n%s\n%lld", user, password, token,
                  text_or_empty(options, "registry_ca"), (long long)r->timeout_ns);
    r->identity = wr_strdup(wr_buf_cstr(&text));
    text.bytes = 0;
    if (*token != '\0') {
        wr_buf_printf(&text, "Bearer %s", token);
    } else if (*user != '\0') {
        struct wr_buf login = { 0 };
        wr_buf_printf(&login, "%s:%s", user, password);
        wr_buf_text(&text, "Basic ");
        wr_text_base64(&text, login.data, login.bytes);
        wr_buf_deinit(&login);
    }
    r->authorization = text.bytes > 0 ? wr_strdup(wr_buf_cstr(&text)) : NULL;
    const bool broken = r->authorization != NULL && strpbrk(r->authorization, "\r\n") != NULL;
    wr_buf_deinit(&text);
    wr_ensure(!broken, err, WR_CLASS_USER, "registry_token holds a line break");
    return WR_OK;
}

static wr_status start(struct wr_registry *r, const struct wr_options *options,
                       struct wr_error *err)
{
    const struct wr_http_settings settings = { .connect_timeout_ms = 3000,
                                               .timeout_ms = CALL_TIMEOUT_MS,
                                               .ca_file = wr_options_text(options, "registry_ca") };
    WR_TRY(wr_http_client_create(&r->http, &settings, err));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->mutex, NULL);
    if (pthread_create(&r->thread, NULL, fetch_thread, r) != 0) {
        return wr_fail(err, WR_CLASS_FATAL, "no thread for the registry's client can be made");
    }
    return WR_OK;
}

static struct wr_registry *find_client(const char *identity)
{
    for (struct wr_registry *r = clients; r != NULL; r = r->next) {
        if (strcmp(r->identity, identity) == 0) {
            return r;
        }
    }
    return NULL;
}

wr_status wr_registry_open(struct wr_registry **registry, const struct wr_options *options,
                           struct wr_error *err)
{
    struct wr_registry *r = wr_calloc(1, sizeof *r);
    wr_status status = read_options(r, options, err);
    pthread_mutex_lock(&clients_mutex);
    struct wr_registry *same = status == WR_OK ? find_client(r->identity) : NULL;
    if (same == NULL && status == WR_OK) {
        status = start(r, options, err);
    }
    if (same == NULL && status == WR_OK) {
        r->next = clients;
        clients = same = r;
        r = NULL;
    }
    if (same != NULL) {
        same->users++;
    }
    pthread_mutex_unlock(&clients_mutex);
    if (r != NULL) {
        destroy(r);
    }
    *registry = same;
    return status;
}

void wr_registry_close(struct wr_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    pthread_mutex_lock(&clients_mutex);
    const bool last = --registry->users == 0;
    for (struct wr_registry **at = &clients; last && *at != NULL; at = &(*at)->next) {
        if (*at == registry) {
            *at = registry->next;
            break;
        }
    }
    pthread_mutex_unlock(&clients_mutex);
    if (!last) {
        return;
    }
    pthread_mutex_lock(&registry->mutex);
    registry->stopping = true;
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->mutex);
    pthread_join(registry->thread, NULL);
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->mutex);
    destroy(registry);
}

/* ---- finding ---- */

static bool same_key(const struct entry *e, const struct wr_registry_key *key)
{
    if (e->key.kind != key->kind) {
        return false;
    }
    switch (key->kind) {
    case WR_REGISTRY_ID:
        return e->key.id == key->id;
    case WR_REGISTRY_GUID:
        return memcmp(e->key.guid, key->guid, 16) == 0;
    default:
        return strcmp(e->subject, key->subject) == 0;
    }
}

static struct entry *find_entry(struct wr_registry *r, const struct wr_registry_key *key)
{
    for (struct entry *e = r->entries; e != NULL; e = e->next) {
        if (same_key(e, key)) {
            return e;
        }
    }
    if (r->entry_count == ENTRIES_MAX) {
        return NULL;
    }
    struct entry *e = wr_calloc(1, sizeof *e);
    e->key = *key;
    e->key.subject = NULL;
    e->subject = key->subject != NULL ? wr_strdup(key->subject) : NULL;
    e->wanted = true;
    e->asked_ns = e->next_try_ns = wr_clock_now().mono_ns;
    e->next = r->entries;
    r->entries = e;
    r->entry_count++;
    pthread_cond_broadcast(&r->changed);
    return e;
}

/* What is said of a key that cannot be had. */
static wr_status unavailable(const struct wr_registry_key *key, const char *problem,
                             struct wr_error *err)
{
    switch (key->kind) {
    case WR_REGISTRY_ID:
        return wr_fail(err, WR_CLASS_DATA, "schema id %u: %s", key->id, problem);
    case WR_REGISTRY_GUID:
        return wr_fail(err, WR_CLASS_DATA, "schema GUID: %s", problem);
    default:
        return wr_fail(err, WR_CLASS_DATA, "subject \"%.100s\": %s", key->subject, problem);
    }
}

/* mutex is held. */
static wr_status look(struct wr_registry *r, const struct wr_registry_key *key,
                      const struct wr_registry_schema **schema, struct wr_error *err)
{
    struct entry *e = find_entry(r, key);
    if (e == NULL) {
        return unavailable(key, "too many schemas have been asked for", err);
    }
    if (e->found) {
        *schema = &e->schema;
        return WR_OK;
    }
    const int64_t now = wr_clock_now().mono_ns;
    if (e->refused) {
        if (now >= e->next_try_ns && !e->wanted) {
            e->wanted = true;
            pthread_cond_broadcast(&r->changed);
        }
        return unavailable(key, e->problem, err);
    }
    if (now - e->asked_ns < r->timeout_ns) {
        return WR_AGAIN;
    }
    return unavailable(key, e->problem[0] != '\0' ? e->problem : "the registry does not answer",
                       err);
}

wr_status wr_registry_find(struct wr_registry *registry, const struct wr_registry_key *key,
                           const struct wr_registry_schema **schema, struct wr_error *err)
{
    pthread_mutex_lock(&registry->mutex);
    const wr_status status = look(registry, key, schema, err);
    pthread_mutex_unlock(&registry->mutex);
    return status;
}

wr_status wr_registry_wait(struct wr_registry *registry, const struct wr_registry_key *key,
                           const struct wr_registry_schema **schema, struct wr_error *err)
{
    pthread_mutex_lock(&registry->mutex);
    wr_status status = look(registry, key, schema, err);
    while (status == WR_AGAIN) {
        wait_until(registry, wr_clock_now().mono_ns + 50 * WR_NS_PER_MS);
        status = look(registry, key, schema, err);
    }
    pthread_mutex_unlock(&registry->mutex);
    return status;
}
