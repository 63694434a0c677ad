/* registry_glue.h: questions to AWS Glue's schema registry: GetSchemaVersion as a signed POST of JSON. Private to the registry's client.
 *
 * An address is `glue` (the service of the region) or `glue+https://host` (and http, for local servers). A subject is NAME or
 * REGISTRY/NAME.
 *
 * Ownership: a glue owns its texts, keys and signer. Threads: one, which may wait.
 */
#ifndef WR_DECODE_REGISTRY_GLUE_H
#define WR_DECODE_REGISTRY_GLUE_H

#include "decode/registry.h"
#include "net/http_client.h"

struct wr_glue;

bool wr_glue_is_address(const char *address);
/* region: NULL: as AWS's own tools find it. Keys are found as they do. Asks nothing yet. */
WR_NODISCARD wr_status wr_glue_open(struct wr_glue **glue, const char *address, const char *region,
                                    struct wr_error *err);
void wr_glue_close(struct wr_glue *glue); /* NULL is fine */

/* Makes call a signed question for the key's schema (of the kinds GUID and SUBJECT); body is the caller's until it is done. */
WR_NODISCARD wr_status wr_glue_ask(struct wr_glue *glue, const struct wr_registry_key *key,
                                   struct wr_http_call *call, struct wr_buf *body,
                                   struct wr_error *err);
/* "https://glue.eu-central-1.amazonaws.com: GetSchemaVersion 0123-…": for messages. */
void wr_glue_question(const struct wr_glue *glue, const struct wr_registry_key *key, char *into,
                      size_t bytes);
/* Whether a refusal is for good: there is no such schema. kind: the answer's __type. */
bool wr_glue_is_refusal(const char *kind);

#endif
