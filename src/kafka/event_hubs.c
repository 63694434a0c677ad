/* event_hubs.c: see event_hubs.h. */
#include "kafka/event_hubs.h"

#include "base/heap.h"
#include "base/slice.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES_MAX 8192
#define HOST_BYTES_MAX 253 /* RFC 1035 */

static char *copy(struct wr_slice text)
{
    char *into = wr_malloc(text.bytes + 1);
    memcpy(into, text.data, text.bytes);
    into[text.bytes] = '\0';
    return into;
}

static bool is_host(struct wr_slice text)
{
    if (text.bytes == 0 || text.bytes > HOST_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        const char c = text.data[i];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.';
        if (!plain) {
            return false;
        }
    }
    return true;
}

static wr_status refuse(struct wr_error *err, const char *why)
{
    (void)wr_fail(err, WR_CLASS_USER, "the Event Hubs connection string %s", why);
    wr_error_hint(err, "copy it from the portal (Shared access policies) or from az eventhubs namespace authorization-rule keys list: "
                       "Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=...;SharedAccessKey=...");
    return WR_FAIL;
}

/* "sb://host[:port]/" -> host */
static struct wr_slice host_of(struct wr_slice endpoint)
{
    static const char scheme[] = "sb://";
    const size_t at = sizeof scheme - 1;
    if (endpoint.bytes <= at || strncasecmp(endpoint.data, scheme, at) != 0) {
        return (struct wr_slice){ 0 };
    }
    size_t bytes = 0;
    while (at + bytes < endpoint.bytes && endpoint.data[at + bytes] != '/' &&
           endpoint.data[at + bytes] != ':') {
        bytes++;
    }
    return (struct wr_slice){ endpoint.data + at, bytes };
}

/* Of one name=value; the pair of EntityPath is left out of the password when it is another hub's. */
static void take_pair(struct wr_event_hubs *into, struct wr_slice name, struct wr_slice value,
                      struct wr_slice *host)
{
    if (wr_slice_equal_nocase(name, wr_slice_of("Endpoint"))) {
        *host = host_of(value);
    } else if (wr_slice_equal_nocase(name, wr_slice_of("EntityPath"))) {
        free(into->entity);
        into->entity = copy(value);
    } else if (wr_slice_equal_nocase(name, wr_slice_of("SharedAccessKey")) ||
               wr_slice_equal_nocase(name, wr_slice_of("SharedAccessSignature"))) {
        free(into->key);
        into->key = copy(value);
    } else if (wr_slice_equal_nocase(name, wr_slice_of("UseDevelopmentEmulator"))) {
        into->emulator = wr_slice_equal_nocase(value, wr_slice_of("true"));
    }
}

/* Calls take for each pair; false: there is one without "=". */
static bool split(const char *text, struct wr_event_hubs *into, struct wr_slice *host)
{
    while (*text != '\0') {
        const size_t bytes = strcspn(text, ";");
        const char *equals = memchr(text, '=', bytes);
        if (bytes > 0) {
            if (equals == NULL) {
                return false;
            }
            const size_t name = (size_t)(equals - text);
            take_pair(into, (struct wr_slice){ text, name },
                      (struct wr_slice){ equals + 1, bytes - name - 1 }, host);
        }
        text += bytes + (text[bytes] == ';');
    }
    return true;
}

static char *without_entity(const char *text)
{
    char *into = wr_malloc(strlen(text) + 1);
    size_t used = 0;
    while (*text != '\0') {
        const size_t bytes = strcspn(text, ";");
        static const char name[] = "EntityPath=";
        if (bytes > 0 && strncasecmp(text, name, sizeof name - 1) != 0) {
            if (used > 0) {
                into[used++] = ';';
            }
            memcpy(into + used, text, bytes);
            used += bytes;
        }
        text += bytes + (text[bytes] == ';');
    }
    into[used] = '\0';
    return into;
}

wr_status wr_event_hubs_parse(struct wr_event_hubs *into, const char *text, const char *hub,
                              struct wr_error *err)
{
    struct wr_slice host = { 0 };
    if (strlen(text) > TEXT_BYTES_MAX) {
        return refuse(err, "is too long");
    }
    if (!split(text, into, &host)) {
        return refuse(err, "is not a list of name=value pairs, separated by semicolons");
    }
    if (!is_host(host)) {
        return refuse(err, "has no Endpoint=sb://NAMESPACE...");
    }
    if (into->key == NULL || into->key[0] == '\0') {
        return refuse(err, "has no SharedAccessKey");
    }
    into->host = copy(host);
    const bool same = hub == NULL || into->entity == NULL || strcmp(hub, into->entity) == 0;
    into->password = same ? wr_strdup(text) : without_entity(text);
    return WR_OK;
}

wr_status wr_event_hubs_of_namespace(struct wr_event_hubs *into, const char *name,
                                     struct wr_error *err)
{
    if (!is_host(wr_slice_of(name))) {
        (void)wr_fail(err, WR_CLASS_USER, "namespace = '%.100s' is not the name of a namespace", name);
        wr_error_hint(err, "write 'clicks' or 'clicks.servicebus.windows.net'");
        return WR_FAIL;
    }
    struct wr_buf host = { 0 };
    wr_buf_printf(&host, "%s%s", name, strchr(name, '.') == NULL ? ".servicebus.windows.net" : "");
    into->host = wr_strdup(wr_buf_cstr(&host));
    wr_buf_deinit(&host);
    return WR_OK;
}

static void wipe(char *secret)
{
    if (secret != NULL) {
        OPENSSL_cleanse(secret, strlen(secret));
        free(secret);
    }
}

void wr_event_hubs_deinit(struct wr_event_hubs *hubs)
{
    free(hubs->host);
    free(hubs->entity);
    wipe(hubs->key);
    wipe(hubs->password);
    *hubs = (struct wr_event_hubs){ 0 };
}
