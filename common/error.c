/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    int exit_status, http_status;
} statuses[GLET_ERR_COUNT] = {
    [GLET_OK] = {0, 200},
    [GLET_ERR_NO] = {1, 500},
    [GLET_ERR_USAGE] = {2, 500},
    [GLET_ERR_INPUT] = {2, 400},
    [GLET_ERR_RANGE] = {2, 400},
    [GLET_ERR_UNSUPPORTED] = {2, 400},
    [GLET_ERR_UNDECIDED] = {3, 500},
    [GLET_ERR_IO] = {4, 500},
    [GLET_ERR_DEVICE] = {4, 503},
    [GLET_ERR_NOMEM] = {4, 500},
    [GLET_ERR_INTERNAL] = {70, 500},
};

int glet_error_exit_status(enum glet_code code)
{
    return code < GLET_ERR_COUNT ? statuses[code].exit_status : 70;
}

int glet_error_http_status(enum glet_code code)
{
    return code < GLET_ERR_COUNT ? statuses[code].http_status : 500;
}

/* Messages quote input; a line break or an escape sequence in it must not reach the terminal. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static void fill(struct glet_error *err, enum glet_code code, const char *file,
                 struct glet_mark mark)
{
    err->code = code;
    err->line = mark.line;
    err->column = mark.column;
    err->hint[0] = '\0';
    snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    make_one_line(err->file);
}

int glet_error_set(struct glet_error *err, enum glet_code code, const char *format, ...)
{
    va_list args;
    fill(err, code, NULL, (struct glet_mark){0, 0});
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    make_one_line(err->message);
    return -1;
}

int glet_error_at(struct glet_error *err, enum glet_code code, const char *file,
                  struct glet_mark mark, const char *format, ...)
{
    va_list args;
    fill(err, code, file, mark);
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    make_one_line(err->message);
    return -1;
}

int glet_error_errno(struct glet_error *err, int errno_value, const char *format, ...)
{
    va_list args;
    fill(err, GLET_ERR_IO, NULL, (struct glet_mark){0, 0});
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    make_one_line(err->message);
    size_t length = strlen(err->message);
    char text[128];
    snprintf(err->message + length, sizeof err->message - length, ": %s",
             strerror_r(errno_value, text, sizeof text));
    return -1;
}

int glet_error_context(struct glet_error *err, const char *format, ...)
{
    char old[sizeof err->message];
    va_list args;
    memcpy(old, err->message, sizeof old);
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    make_one_line(err->message);
    size_t length = strlen(err->message);
    snprintf(err->message + length, sizeof err->message - length, ": %.*s",
             (int)(sizeof err->message - length), old);
    return -1;
}

int glet_error_hint(struct glet_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->hint, sizeof err->hint, format, args);
    va_end(args);
    make_one_line(err->hint);
    return -1;
}

void glet_error_print(const struct glet_error *err, FILE *out)
{
    if (err->file[0] && err->line > 0)
        fprintf(out, "%s:%d:%d: %s\n", err->file, err->line, err->column, err->message);
    else if (err->file[0])
        fprintf(out, "%s: %s\n", err->file, err->message);
    else
        fprintf(out, "%s\n", err->message);
    if (err->hint[0])
        fprintf(out, "hint: %s\n", err->hint);
}
