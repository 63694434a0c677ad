/* aws_sigv4.h: AWS Signature Version 4 of our own: libcurl 7.88's signs S3's uploads and queries
 * wrong.
 *
 * The caller gives path, query and headers decoded; wr_aws_encode and wr_aws_query make from them
 * the very text that goes over the wire, and wr_aws_sign signs that text. What is signed and what
 * is sent so have one source. Ownership: everything is borrowed for the call. Threads: one per
 * signer.
 */
#ifndef WR_NET_AWS_SIGV4_H
#define WR_NET_AWS_SIGV4_H

#include "base/buf.h"
#include "base/status.h"
#include "net/aws_credentials.h"

#define WR_SHA256_HEX_BYTES     65 /* with the NUL */
#define WR_AWS_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
/* Pairs of one query, headers of one request: more than any call of ours has. */
#define WR_AWS_PAIRS_MAX 32u

struct wr_aws_pair {
    const char *name;
    const char *value;
};

struct wr_aws_request {
    const char *method;
    const char *path;                /* decoded, begins with / */
    const struct wr_aws_pair *query; /* decoded, any order */
    uint32_t query_count;
    const struct wr_aws_pair
        *headers; /* all are signed: host, x-amz-date, ...; names in any case */
    uint32_t header_count;
    const char *payload_hash; /* hex SHA-256 of the body, or WR_AWS_UNSIGNED_PAYLOAD */
};

struct wr_aws_signer;

/* service: "s3", "kinesis", "sts"... S3 encodes the path once, all others twice. */
WR_NODISCARD wr_status wr_aws_signer_create(struct wr_aws_signer **signer, const char *region,
                                            const char *service, struct wr_error *err);
void wr_aws_signer_destroy(struct wr_aws_signer *signer); /* NULL is fine */

/* Appends the value of the Authorization header. amz_date: as in the request's x-amz-date. The
 * signing key is kept for as long as secret and day stay the same. */
void wr_aws_sign(struct wr_aws_signer *signer, const struct wr_aws_credentials *credentials,
                 const struct wr_aws_request *request, const char amz_date[17],
                 struct wr_buf *authorization);

/* "20130524T000000Z" */
void wr_aws_date(int64_t wall_us, char amz_date[17]);
/* Hex SHA-256. */
void wr_aws_sha256(struct wr_aws_signer *signer, const void *data, size_t bytes,
                   char hex[WR_SHA256_HEX_BYTES]);
/* Appends text with everything but A-Z a-z 0-9 - . _ ~ as %XX, and / left alone where keep_slash
 * says so. */
void wr_aws_encode(struct wr_buf *into, const char *text, size_t bytes, bool keep_slash);
/* Appends "a=1&b=%20": encoded, then sorted. */
void wr_aws_query(struct wr_buf *into, const struct wr_aws_pair *query, uint32_t count);

#endif
