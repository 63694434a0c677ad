/* pg_oracle.c: what PostgreSQL's own parser (libpg_query) makes of statements. Reads them from
 * standard input, each ended by a NUL byte, and prints a line for each: "accept", a tab and the
 * parse tree as JSON; or "reject", a tab and the message. Links nothing of Weir: libpg_query brings
 * an allocator and hash tables of its own. */
#include <pg_query.h>

#include <stdio.h>
#include <stdlib.h>

static void print_line(const char *verdict, const char *text)
{
    printf("%s\t", verdict);
    for (; *text != '\0'; text++) {
        putchar(*text == '\n' ? ' ' : *text);
    }
    putchar('\n');
}

int main(void)
{
    char *statement = NULL;
    size_t room = 0;
    while (getdelim(&statement, &room, '\0', stdin) >= 0) {
        PgQueryParseResult result = pg_query_parse(statement);
        if (result.error != NULL) {
            print_line("reject", result.error->message);
        } else {
            print_line("accept", result.parse_tree);
        }
        pg_query_free_parse_result(result);
    }
    free(statement);
    return 0;
}
