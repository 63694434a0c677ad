/* assert.c: see assert.h. Says where, then aborts, so that a core file shows the corrupt state. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void wr_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr,
            "weir: internal error: assertion failed: %s (%s:%d)\n"
            "  hint: this is a bug in Weir; the next start goes on from the last committed epoch\n",
            what, file, line);
    abort();
}
