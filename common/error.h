/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_ERROR_H
#define GLET_COMMON_ERROR_H

/*
 * One error, filled where its cause is known and given context on the way up.
 *
 * A fallible function returns 0 / -1 (or a pointer / NULL) and takes `struct glet_error *err` as
 * its last argument. `err` is never NULL, is untouched on success, and is filled exactly once on
 * failure. Nothing here allocates, so an error can report that memory has run out. No function
 * here keeps a pointer that it was given. Not shared between threads.
 */

#include <stdbool.h>
#include <stdio.h>

#define GLET_MUST_CHECK   __attribute__((warn_unused_result))
#define GLET_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Runs `fn(&variable)` when the variable leaves its scope. */
#define GLET_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hands a pointer variable's value out and leaves NULL behind: `*out = GLET_STEAL(plan);` */
#define GLET_STEAL(p)                                                                              \
    __extension__({                                                                                \
        __typeof__(p) stolen_ = (p);                                                               \
        (p) = NULL;                                                                                \
        stolen_;                                                                                   \
    })

/* What went wrong; each code has one process exit status and one HTTP status (error.c's table). */
enum glet_code {
    GLET_OK = 0,
    GLET_ERR_NO,          /* answered "no": infeasible, or a check found a violation    exit 1  */
    GLET_ERR_USAGE,       /* command line                                               exit 2  */
    GLET_ERR_INPUT,       /* malformed or contradictory input                       400 exit 2  */
    GLET_ERR_RANGE,       /* a value outside its documented range                   400 exit 2  */
    GLET_ERR_UNSUPPORTED, /* well-formed, but not something we can do               400 exit 2  */
    GLET_ERR_UNDECIDED,   /* no profile, stale profile, or a limit was hit              exit 3  */
    GLET_ERR_IO,          /* a file, a disk, a socket                               500 exit 4  */
    GLET_ERR_DEVICE,      /* no device, or it failed                                503 exit 4  */
    GLET_ERR_NOMEM,       /* out of memory                                          500 exit 4  */
    GLET_ERR_INTERNAL,    /* our bug                                                500 exit 70 */
    GLET_ERR_COUNT
};

struct glet_error {
    enum glet_code code;
    int line, column;  /* 1-based; 0 = unknown */
    char file[256];    /* empty = none */
    char message[768]; /* one line, no trailing period; control bytes have become '?' */
    char hint[256];    /* empty = none */
};

/* A place in an input file, kept beside values whose errors are only found later. */
struct glet_mark {
    int line, column; /* 1-based; 0 = unknown */
};

/* Fills err and returns -1, so that `return glet_error_set(...)` reads as one statement. */
int glet_error_set(struct glet_error *err, enum glet_code code, const char *format, ...)
    GLET_PRINTF(3, 4);

/* As glet_error_set(), with the place in a file (file may be NULL). */
int glet_error_at(struct glet_error *err, enum glet_code code, const char *file,
                  struct glet_mark mark, const char *format, ...) GLET_PRINTF(5, 6);

/* As glet_error_set(GLET_ERR_IO), with ": " and the text of errno_value appended. */
int glet_error_errno(struct glet_error *err, int errno_value, const char *format, ...)
    GLET_PRINTF(3, 4);

/* Adds "context: " in front of the message; returns -1. */
int glet_error_context(struct glet_error *err, const char *format, ...) GLET_PRINTF(2, 3);

/* Sets the `hint:` line; returns -1. */
int glet_error_hint(struct glet_error *err, const char *format, ...) GLET_PRINTF(2, 3);

/* Prints `file:line:column: message` and, if there is one, `hint: ...`, to out. */
void glet_error_print(const struct glet_error *err, FILE *out);

/* 0, 1, 2, 3, 4 or 70 (the table above); the same for every verb of every program. */
int glet_error_exit_status(enum glet_code code);

/* The HTTP status of an error met while answering a request. */
int glet_error_http_status(enum glet_code code);

#endif
