/* status.h: the one error idiom of Weir: a status plus a caller-owned struct wr_error.
 *
 * Ownership: struct wr_error is a plain value of the caller; functions fill it only when they do not
 * return WR_OK and err is not NULL. Nothing in it is heap-allocated.
 * Threads: none; an error belongs to the thread whose stack it lies on.
 * Invariants:
 *   (1) a function that takes err fills message whenever it returns WR_FAIL
 *   (2) message says what and where, detail what the other side said, hint what to do next
 *   (3) none of the three ever holds a secret: options marked secret are never formatted
 */
#ifndef WR_BASE_STATUS_H
#define WR_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WR_NODISCARD __attribute__((warn_unused_result))
#define WR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

typedef enum wr_status {
    WR_OK = 0,
    WR_AGAIN, /* nothing now; ask again when woken (not an error, err is not filled) */
    WR_END,   /* nothing ever again (not an error, err is not filled) */
    WR_FAIL,  /* err says why */
} wr_status;

/* What run/policy.c does with a failure. */
enum wr_error_class {
    WR_CLASS_NONE = 0,
    WR_CLASS_USER,  /* wrong SQL, option or command line: refuse to start (exit 2) */
    WR_CLASS_DATA,  /* one bad record: dead-letter it and go on */
    WR_CLASS_RETRY, /* the other side may recover: back off, say so, try again */
    WR_CLASS_FATAL, /* stop cleanly with everything committed (exit 1) */
};

struct wr_error {
    enum wr_error_class cls;
    char message[1024];
    char detail[512];
    char hint[512];
};

/* Fills err (when not NULL) and returns WR_FAIL, so that callers write `return wr_fail(...)`.
 * Clears detail and hint. Text that does not fit is cut at a UTF-8 boundary. */
wr_status wr_fail(struct wr_error *err, enum wr_error_class cls, const char *fmt, ...)
    WR_PRINTF(3, 4);

/* Add to an error that wr_fail has filled. All accept err == NULL. */
void wr_error_detail(struct wr_error *err, const char *fmt, ...) WR_PRINTF(2, 3);
void wr_error_hint(struct wr_error *err, const char *fmt, ...) WR_PRINTF(2, 3);

/* Puts "context: " in front of the message: errors gather their place on the way out. */
void wr_error_prefix(struct wr_error *err, const char *fmt, ...) WR_PRINTF(2, 3);

/* Forwards anything that is not WR_OK. */
#define WR_TRY(call)                                                                               \
    do {                                                                                           \
        const wr_status wr_try_status_ = (call);                                                   \
        if (wr_try_status_ != WR_OK) {                                                             \
            return wr_try_status_;                                                                 \
        }                                                                                          \
    } while (0)

/* Forwards, adding where: WR_TRY_IN(open(..., err), err, "source \"%s\"", name). */
#define WR_TRY_IN(call, err, ...)                                                                  \
    do {                                                                                           \
        const wr_status wr_try_status_ = (call);                                                   \
        if (wr_try_status_ != WR_OK) {                                                             \
            if (wr_try_status_ == WR_FAIL) {                                                       \
                wr_error_prefix((err), __VA_ARGS__);                                               \
            }                                                                                      \
            return wr_try_status_;                                                                 \
        }                                                                                          \
    } while (0)

/* Bytes from outside: a false condition is an error, never a crash. */
#define wr_ensure(cond, err, cls, ...)                                                             \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            return wr_fail((err), (cls), __VA_ARGS__);                                             \
        }                                                                                          \
    } while (0)

#endif
