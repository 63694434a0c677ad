/* bind_window.c: Arroyo's spelling of windows: tumble(interval …), hop(slide, size), session(gap)
 * as a value in SELECT and GROUP BY. A leading column (Flink's older group windows) names the time.
 */
#include "sql/bind.h"

bool wr_bind_is_window_call(const struct wr_ast_expr *ast)
{
    static const char *const names[] = {"tumble", "hop", "session"};
    if (ast->kind != WR_AST_CALL || ast->parts[0].quoted) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (wr_slice_equal_nocase(ast->parts[0].text, wr_slice_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static int32_t find_role(const struct wr_scope *scope, enum wr_time_role role)
{
    for (uint32_t i = 0; i < scope->count; i++) {
        if (scope->columns[i].role == role && scope->columns[i].expr->kind == WR_EXPR_COLUMN) {
            return (int32_t)i;
        }
    }
    return -1;
}

/* The time that is meant when none is named: the event time, or the results' own time. */
static int32_t default_time(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    const int32_t event = find_role(bind->scope, WR_ROLE_EVENT_TIME);
    const int32_t result = find_role(bind->scope, WR_ROLE_WINDOW_TIME);
    if (event >= 0) {
        return event;
    }
    if (result >= 0) {
        return result;
    }
    wr_bind_fail(bind->binder, ast->at, "this window has no event time to go by");
    if (wr_bind_is_windowed(bind->scope->node)) {
        wr_bind_hint(bind->binder, "select window_time in the inner query, or write "
                                   "FROM TUMBLE(inner, window_end, INTERVAL '1 minute')");
    } else {
        wr_bind_hint(bind->binder, "add WATERMARK FOR column to the source, or event_time_field = "
                                   "'column' to its options");
    }
    return -1;
}

static int32_t named_time(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    uint32_t used = 0;
    const int32_t found = wr_bind_find_column(bind->scope, ast->parts, ast->part_count, &used);
    if (found < 0 || used != ast->part_count) {
        wr_bind_unknown_column(bind->binder, bind->scope, ast);
        return -1;
    }
    if (bind->scope->columns[found].role == WR_ROLE_NONE) {
        wr_bind_fail(bind->binder, ast->at, "column \"%s\" is not an event time",
                     bind->scope->columns[found].name);
        wr_bind_hint(bind->binder, "add WATERMARK FOR %s to its source",
                     bind->scope->columns[found].name);
        return -1;
    }
    return found;
}

static bool set_sizes(struct wr_binder *binder, const struct wr_ast_expr *ast, uint32_t first,
                      struct wr_scope_window *window)
{
    const bool hop = window->kind == WR_WINDOW_HOP;
    if (ast->arg_count != first + (hop ? 2 : 1)) {
        wr_bind_fail(binder, ast->at, "%.*s takes %s", WR_SLICE_ARG(ast->parts[0].text),
                     hop ? "a slide and a size" : "one interval");
        wr_bind_hint(binder,
                     hop ? "write hop(interval '1 second', interval '10 seconds')"
                         : "write tumble(interval '10 seconds') or session(interval '5 minutes')");
        return false;
    }
    const struct wr_ast_expr *size = ast->args[first + hop];
    if (!wr_bind_interval_us(binder, size, "the window's size", false, &window->size_us)) {
        return false;
    }
    window->slide_us = window->size_us;
    if (!hop) {
        return true;
    }
    if (!wr_bind_interval_us(binder, ast->args[first], "the slide", false, &window->slide_us)) {
        return false;
    }
    if (window->slide_us > window->size_us) {
        wr_bind_fail(binder, ast->args[first]->at, "the slide is longer than the window");
        wr_bind_hint(binder, "the order is hop(slide, size)");
        return false;
    }
    return true;
}

bool wr_bind_window_call(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    struct wr_scope_window *window = WR_ARENA_NEW(binder->arena, struct wr_scope_window);
    const struct wr_slice name = ast->parts[0].text;
    const uint32_t first = ast->arg_count > 0 && ast->args[0]->kind == WR_AST_NAME;
    if (!bind->window_calls) {
        wr_bind_fail(binder, ast->at, "a window cannot stand here");
        wr_bind_hint(binder,
                     "write it in SELECT and GROUP BY, or TUMBLE(source, time, size) in FROM");
        return false;
    }
    window->kind = wr_slice_equal_nocase(name, wr_slice_of("tumble")) ? WR_WINDOW_TUMBLE
                   : wr_slice_equal_nocase(name, wr_slice_of("hop"))  ? WR_WINDOW_HOP
                                                                      : WR_WINDOW_SESSION;
    window->at = ast->at;
    const int32_t time = first ? named_time(bind, ast->args[0]) : default_time(bind, ast);
    if (time < 0 || !set_sizes(binder, ast, first, window)) {
        return false;
    }
    const struct wr_scope_column *column = &bind->scope->columns[time];
    window->time = column->expr->column;
    window->time_role = column->role;
    window->time_reach_us = column->reach_us;
    window->time_type = column->expr->type;
    if (bind->window != NULL && !wr_bind_same_window(bind->window, window)) {
        wr_bind_fail(binder, ast->at, "a SELECT has one window");
        wr_bind_hint(binder, "put the other one into a sub-query");
        return false;
    }
    if (bind->window == NULL) {
        bind->window = window;
    }
    return true;
}
