/* store_ticket.c: see store_ticket.h. */
#include "store/store_ticket.h"

#include "base/assert.h"
#include <stdlib.h>

void wr_ticket_write(json_t *ticket, struct wr_buf *into)
{
    wr_assert(ticket != NULL);
    char *text = json_dumps(ticket, JSON_COMPACT | JSON_PRESERVE_ORDER);
    wr_assert(text != NULL);
    wr_buf_text(into, text);
    free(text);
    json_decref(ticket);
}

wr_status wr_ticket_read(const char *text, size_t bytes, json_t **ticket, struct wr_error *err)
{
    json_error_t why;
    *ticket = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    if (*ticket != NULL && wr_ticket_text(*ticket, "key") != NULL) {
        return WR_OK;
    }
    json_decref(*ticket);
    return wr_fail(err, WR_CLASS_FATAL, "this is not the ticket of an upload: %.*s",
                   (int)(bytes < 200 ? bytes : 200), text);
}

const char *wr_ticket_text(const json_t *ticket, const char *name)
{
    return json_string_value(json_object_get(ticket, name));
}
