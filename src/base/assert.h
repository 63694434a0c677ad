/* assert.h: corrupt code is a crash. wr_assert stays in release builds (batch granularity);
 * wr_dassert exists in debug builds only (row granularity). Bytes from outside use wr_ensure. */
#ifndef WR_BASE_ASSERT_H
#define WR_BASE_ASSERT_H

_Noreturn void wr_assert_failed(const char *what, const char *file, int line);

#define wr_assert(cond)                                                                            \
    (__builtin_expect(!!(cond), 1) ? (void)0 : wr_assert_failed(#cond, __FILE__, __LINE__))

#ifdef WR_DEBUG
#define wr_dassert(cond) wr_assert(cond)
#else
#define wr_dassert(cond) ((void)sizeof(cond))
#endif

#endif
