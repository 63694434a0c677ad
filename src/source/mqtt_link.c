/* mqtt_link.c: see mqtt_link.h. */
#include "source/mqtt_link.h"

#include "base/clock.h"
#include "base/heap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wr_mqtt_tls {
    SSL_CTX *ctx;
};

/* ---- where ---- */

static const struct {
    const char *scheme;
    bool tls;
} schemes[] = {
    { "mqtt://", false }, { "tcp://", false }, { "mqtts://", true }, { "ssl://", true }, { "tls://", true },
};

static wr_status bad_url(struct wr_error *err, const char *what)
{
    (void)wr_fail(err, WR_CLASS_USER, "option 'url': %s", what);
    wr_error_hint(err, "write mqtt://host:1883, or mqtts://host:8883 for TLS");
    return WR_FAIL;
}

static wr_status take_port(const char *text, struct wr_mqtt_endpoint *out, struct wr_error *err)
{
    char *end;
    const unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || (*end != '\0' && strcmp(end, "/") != 0) || port == 0 || port > 65535) {
        return bad_url(err, "its port is not a number between 1 and 65535");
    }
    (void)snprintf(out->port, sizeof out->port, "%lu", port);
    return WR_OK;
}

wr_status wr_mqtt_endpoint_parse(const char *url, struct wr_mqtt_endpoint *out, struct wr_error *err)
{
    const char *host = NULL;
    *out = (struct wr_mqtt_endpoint){ 0 };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && host == NULL; i++) {
        if (strncmp(url, schemes[i].scheme, strlen(schemes[i].scheme)) == 0) {
            host = url + strlen(schemes[i].scheme);
            out->tls = schemes[i].tls;
        }
    }
    if (host == NULL) {
        return bad_url(err, "it has to begin with mqtt:// or mqtts://");
    }
    if (strchr(host, '@') != NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "option 'url': a user does not belong in it, where logs would show its password");
        wr_error_hint(err, "use username = '...' and password = '${NAME}'");
        return WR_FAIL;
    }
    const bool bracketed = host[0] == '[';
    host += bracketed;
    const size_t bytes = strcspn(host, bracketed ? "]" : ":/");
    if (bytes == 0 || bytes >= sizeof out->host || (bracketed && host[bytes] != ']')) {
        return bad_url(err, "it names no host");
    }
    memcpy(out->host, host, bytes);
    const char *rest = host + bytes + bracketed;
    if (rest[0] == ':') {
        return take_port(rest + 1, out, err);
    }
    if (rest[0] != '\0' && strcmp(rest, "/") != 0) {
        return bad_url(err, "nothing may follow host and port");
    }
    (void)snprintf(out->port, sizeof out->port, "%s", out->tls ? "8883" : "1883");
    return WR_OK;
}

/* ---- TLS ---- */

/* What OpenSSL says about the last failure; it keeps a queue a thread. */
static const char *tls_reason(void)
{
    const unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text != NULL ? text : "no reason given";
}

static wr_status load_files(SSL_CTX *ctx, const char *ca, const char *cert, const char *key,
                            struct wr_error *err)
{
    if ((ca != NULL ? SSL_CTX_load_verify_locations(ctx, ca, NULL) : SSL_CTX_set_default_verify_paths(ctx)) != 1) {
        return wr_fail(err, WR_CLASS_USER, "cannot read the authorities' certificates in %s: %s",
                       ca != NULL ? ca : "the system's store", tls_reason());
    }
    if (cert != NULL && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        return wr_fail(err, WR_CLASS_USER, "cannot read the certificate in %s: %s", cert, tls_reason());
    }
    if (key != NULL && (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
                        SSL_CTX_check_private_key(ctx) != 1)) {
        return wr_fail(err, WR_CLASS_USER, "cannot use the private key in %s: %s", key, tls_reason());
    }
    return WR_OK;
}

/* Keys with a pass phrase: nobody is there to type it. */
static int no_pass_phrase(char *into, int bytes, int writing, void *ctx)
{
    return 0;
}

wr_status wr_mqtt_tls_create(struct wr_mqtt_tls **out, const char *ca, const char *cert, const char *key,
                             struct wr_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    wr_ensure(ctx != NULL, err, WR_CLASS_FATAL, "TLS cannot be set up: %s", tls_reason());
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (load_files(ctx, ca, cert, key, err) != WR_OK) {
        SSL_CTX_free(ctx);
        return WR_FAIL;
    }
    *out = wr_calloc(1, sizeof **out);
    (*out)->ctx = ctx;
    return WR_OK;
}

void wr_mqtt_tls_destroy(struct wr_mqtt_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        free(tls);
    }
}

/* ---- opening ---- */

void wr_mqtt_link_init(struct wr_mqtt_link *link)
{
    *link = (struct wr_mqtt_link){ .fd = -1 };
}

void wr_mqtt_link_close(struct wr_mqtt_link *link)
{
    SSL_free(link->ssl);
    if (link->fd >= 0) {
        close(link->fd);
    }
    wr_mqtt_link_init(link);
}

/* Until fd has one of the events. WR_END: time is up. */
static wr_status wait_for(int fd, short events, int wake_fd, int64_t deadline_ns)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = fd, .events = events }, { .fd = wake_fd, .events = POLLIN } };
        const int64_t left_ns = deadline_ns - wr_clock_now().mono_ns;
        if (left_ns <= 0) {
            return WR_END;
        }
        const int ready = poll(fds, 2, (int)(left_ns / WR_NS_PER_MS) + 1);
        if (ready > 0 && fds[1].revents != 0) {
            return WR_AGAIN;
        }
        if (ready > 0) {
            return WR_OK;
        }
    }
}

static wr_status connect_one(const struct addrinfo *at, int wake_fd, int64_t deadline_ns, int *out,
                             const char **why)
{
    const int one = 1;
    int error = 0;
    socklen_t bytes = sizeof error;
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *why = strerrordesc_np(errno);
        return WR_FAIL;
    }
    wr_status status = WR_OK;
    if (connect(fd, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS) {
        error = errno;
    } else {
        status = wait_for(fd, POLLOUT, wake_fd, deadline_ns);
    }
    if (status == WR_OK && error == 0) {
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    }
    if (status == WR_OK && error == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        *out = fd;
        return WR_OK;
    }
    close(fd);
    *why = status == WR_END ? "it does not answer" : strerrordesc_np(error);
    return status == WR_AGAIN ? WR_AGAIN : WR_FAIL;
}

static wr_status connect_any(struct wr_mqtt_link *link, const struct wr_mqtt_endpoint *to, int wake_fd,
                             int64_t deadline_ns, struct wr_error *err)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    const char *why = "no address";
    const int code = getaddrinfo(to->host, to->port, &hints, &found);
    wr_ensure(code == 0, err, WR_CLASS_RETRY, "cannot find the broker %s: %s", to->host, gai_strerror(code));
    wr_status status = WR_FAIL;
    for (const struct addrinfo *at = found; at != NULL && status == WR_FAIL; at = at->ai_next) {
        status = connect_one(at, wake_fd, deadline_ns, &link->fd, &why);
    }
    freeaddrinfo(found);
    if (status == WR_FAIL) {
        (void)wr_fail(err, WR_CLASS_RETRY, "cannot connect to the broker %s:%s: %s", to->host, to->port,
                      why != NULL ? why : "unknown error");
    }
    return status;
}

static wr_status handshake_failed(const struct wr_mqtt_link *link, const struct wr_mqtt_endpoint *to,
                                  struct wr_error *err)
{
    const long verified = SSL_get_verify_result(link->ssl);
    if (verified == X509_V_OK) {
        (void)wr_fail(err, WR_CLASS_RETRY, "no TLS connection to the broker %s:%s: %s", to->host, to->port,
                      tls_reason());
        wr_error_hint(err, "is this the broker's port for TLS, and does it ask for a certificate (tls.cert, tls.key)?");
        return WR_FAIL;
    }
    ERR_clear_error();
    (void)wr_fail(err, WR_CLASS_RETRY, "the certificate of the broker %s:%s is not trusted: %s", to->host,
                  to->port, X509_verify_cert_error_string(verified));
    wr_error_hint(err, "name the file of its authority (tls.ca = '...') and the host as the certificate does");
    return WR_FAIL;
}

static wr_status handshake(struct wr_mqtt_link *link, const struct wr_mqtt_endpoint *to,
                           struct wr_mqtt_tls *tls, int wake_fd, int64_t deadline_ns, struct wr_error *err)
{
    unsigned char address[16];
    const bool numeric = inet_pton(AF_INET, to->host, address) == 1 || inet_pton(AF_INET6, to->host, address) == 1;
    SSL *ssl = SSL_new(tls->ctx);
    link->ssl = ssl;
    wr_ensure(ssl != NULL && SSL_set_fd(ssl, link->fd) == 1, err, WR_CLASS_RETRY, "TLS: %s", tls_reason());
    const int named = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), to->host)
                              : SSL_set1_host(ssl, to->host) && SSL_set_tlsext_host_name(ssl, to->host);
    wr_ensure(named == 1, err, WR_CLASS_USER, "the name %s cannot be verified: %s", to->host, tls_reason());
    for (;;) {
        ERR_clear_error();
        const int code = SSL_connect(ssl);
        const int wanted = SSL_get_error(ssl, code);
        if (code == 1) {
            return WR_OK;
        }
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
            return handshake_failed(link, to, err);
        }
        const wr_status status = wait_for(link->fd, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, wake_fd,
                                          deadline_ns);
        if (status == WR_AGAIN) {
            return WR_AGAIN;
        }
        wr_ensure(status == WR_OK, err, WR_CLASS_RETRY, "the broker %s:%s does not answer TLS's first message",
                  to->host, to->port);
    }
}

wr_status wr_mqtt_link_open(struct wr_mqtt_link *link, const struct wr_mqtt_endpoint *to,
                            struct wr_mqtt_tls *tls, int wake_fd, int timeout_ms, struct wr_error *err)
{
    const int64_t deadline_ns = wr_clock_now().mono_ns + timeout_ms * WR_NS_PER_MS;
    wr_status status = connect_any(link, to, wake_fd, deadline_ns, err);
    if (status == WR_OK && to->tls) {
        status = handshake(link, to, tls, wake_fd, deadline_ns, err);
    }
    if (status != WR_OK) {
        wr_mqtt_link_close(link);
    }
    return status;
}

/* ---- bytes ---- */

static wr_status tls_outcome(struct wr_mqtt_link *link, int code, size_t *done, struct wr_error *err)
{
    if (code > 0) {
        *done = (size_t)code;
        return WR_OK;
    }
    switch (SSL_get_error(link->ssl, code)) {
    case SSL_ERROR_WANT_READ: return WR_AGAIN;
    case SSL_ERROR_WANT_WRITE: link->wants_write = true; return WR_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return WR_END;
    default: break;
    }
    if (ERR_peek_error() == 0) {
        return WR_END; /* closed without TLS's own farewell */
    }
    const char *reason = tls_reason();
    (void)wr_fail(err, WR_CLASS_RETRY, "the TLS connection to the broker broke: %s", reason);
    if (strstr(reason, "certificate") != NULL) { /* TLS 1.3 tells after the handshake */
        wr_error_hint(err, "the broker asks for a client's certificate that it trusts: tls.cert and tls.key");
    }
    return WR_FAIL;
}

static wr_status outcome(ssize_t code, size_t *done, struct wr_error *err)
{
    if (code > 0) {
        *done = (size_t)code;
        return WR_OK;
    }
    if (code == 0) {
        return WR_END;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return WR_AGAIN;
    }
    return wr_fail(err, WR_CLASS_RETRY, "the connection to the broker broke: %s", strerrordesc_np(errno));
}

wr_status wr_mqtt_link_read(struct wr_mqtt_link *link, void *into, size_t bytes, size_t *done,
                            struct wr_error *err)
{
    if (link->ssl == NULL) {
        return outcome(recv(link->fd, into, bytes, 0), done, err);
    }
    ERR_clear_error();
    link->wants_write = false;
    return tls_outcome(link, SSL_read(link->ssl, into, bytes < INT32_MAX ? (int)bytes : INT32_MAX), done, err);
}

wr_status wr_mqtt_link_write(struct wr_mqtt_link *link, const void *from, size_t bytes, size_t *done,
                             struct wr_error *err)
{
    if (link->ssl == NULL) {
        return outcome(send(link->fd, from, bytes, MSG_NOSIGNAL), done, err);
    }
    ERR_clear_error();
    return tls_outcome(link, SSL_write(link->ssl, from, bytes < INT32_MAX ? (int)bytes : INT32_MAX), done, err);
}
