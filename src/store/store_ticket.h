/* store_ticket.h: tickets of prepared uploads as text (internal to store/): one JSON object with
 * "key", "bytes" and what the store needs. They come back from a manifest, so from outside.
 */
#ifndef WR_STORE_STORE_TICKET_H
#define WR_STORE_STORE_TICKET_H

#include "base/buf.h"
#include "base/status.h"
#include <jansson.h>

/* Appends the object and gives it back. */
void wr_ticket_write(json_t *ticket, struct wr_buf *into);
/* WR_OK: *ticket is an object with a text "key" (the caller's to json_decref). */
WR_NODISCARD wr_status wr_ticket_read(const char *text, size_t bytes, json_t **ticket,
                                      struct wr_error *err);
/* The text under name; NULL when there is none. Lives as long as the ticket. */
const char *wr_ticket_text(const json_t *ticket, const char *name);

#endif
