/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format string is the structure: everything up to the first `key=%` is the message, and each
 * pair after it is a field. So a call reads as one sentence, costs no allocation, and the compiler
 * still checks every argument.
 *
 * A va_list cannot be handed to vsnprintf() piecewise (it is spent afterwards), so each conversion
 * is formatted by itself, with the argument fetched by its type.
 */
#include "common/log.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/terminal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, VALUE_BYTES = 2048 };

static atomic_int current_level = GLET_LOG_INFO, current_format = GLET_LOG_TEXT;

static const struct {
    const char *name, *colour;
} levels[] = {
    [GLET_LOG_ERROR] = {"error", "\033[31m"},
    [GLET_LOG_WARNING] = {"warning", "\033[33m"},
    [GLET_LOG_INFO] = {"info", "\033[32m"},
    [GLET_LOG_DEBUG] = {"debug", "\033[2m"},
};

/* The arguments still to be fetched; a struct, so that it can be passed on by pointer. */
struct arguments {
    va_list list;
};

void glet_log_setup(enum glet_log_level level, enum glet_log_format format)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&current_format, (int)format, memory_order_relaxed);
}

bool glet_log_enabled(enum glet_log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* Length of the conversion at spec ("%" first). */
static size_t spec_length(const char *spec)
{
    size_t length = 1 + strspn(spec + 1, "-+ #0123456789.*hljzt");
    return spec[length] ? length + 1 : length;
}

/* Formats one conversion; true when its value is a number in JSON as well. */
static bool convert(const char *spec, size_t length, struct arguments *arguments, char *out,
                    size_t size)
{
    char one[32];
    snprintf(one, sizeof one, "%.*s", (int)length, spec);
    bool is_long = strpbrk(one, "ljzt") != NULL;
    switch (spec[length - 1]) {
    case 's': {
        const char *text = va_arg(arguments->list, const char *);
        snprintf(out, size, one, text ? text : "(null)");
        return false;
    }
    case 'c':
        snprintf(out, size, one, va_arg(arguments->list, int));
        return false;
    case 'd':
    case 'i':
        if (is_long)
            snprintf(out, size, one, va_arg(arguments->list, long long));
        else
            snprintf(out, size, one, va_arg(arguments->list, int));
        return true;
    case 'u':
    case 'x':
        if (is_long)
            snprintf(out, size, one, va_arg(arguments->list, unsigned long long));
        else
            snprintf(out, size, one, va_arg(arguments->list, unsigned));
        return spec[length - 1] == 'u';
    case 'f':
    case 'g':
    case 'e':
        snprintf(out, size, one, va_arg(arguments->list, double));
        return !strpbrk(out, "in"); /* inf and nan are no JSON numbers */
    default:
        snprintf(out, size, "%s", spec[length - 1] == '%' ? "%" : "?");
        return false;
    }
}

/* Start of the first `key=%` of format, or its end. */
static const char *first_field(const char *format)
{
    const char *word = format;
    for (const char *c = format; *c; c++) {
        if (*c == ' ')
            word = c + 1;
        else if (c[0] == '=' && c[1] == '%' && c > word)
            return word;
    }
    return format + strlen(format);
}

/* The literal text and conversions of format up to end. */
static void expand(const char *format, const char *end, struct arguments *arguments, char *out,
                   size_t size)
{
    size_t used = 0;
    while (format < end && used + 1 < size) {
        if (*format != '%') {
            out[used++] = *format++;
            continue;
        }
        size_t length = spec_length(format);
        convert(format, length, arguments, out + used, size - used);
        used += strlen(out + used);
        format += length;
    }
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

/* Reads as one word: no blanks, nothing that quotes, nothing that a terminal obeys. */
static bool is_word(const char *text)
{
    const char *c = text;
    while ((unsigned char)*c > ' ' && *c != 0x7f && !strchr("\"=\\", *c))
        c++;
    return c > text && !*c;
}

static void write_field(FILE *line, bool json, const char *key, int key_length, const char *value,
                        bool is_number)
{
    if (json)
        fprintf(line, ",\"%.*s\":", key_length, key);
    else
        fprintf(line, " %.*s=", key_length, key);
    if (is_number || (!json && is_word(value)))
        fputs(value, line);
    else
        glet_json_quote(line, value);
}

static void write_fields(FILE *line, bool json, const char *format, struct arguments *arguments)
{
    while (*format) {
        const char *equals = strchr(format, '=');
        if (!equals || equals[1] != '%')
            return;
        char value[VALUE_BYTES];
        size_t length = spec_length(equals + 1);
        bool is_number = convert(equals + 1, length, arguments, value, sizeof value);
        write_field(line, json, format, (int)(equals - format), value, is_number);
        format = equals + 1 + length;
        format += strspn(format, " ");
    }
}

static void write_time(FILE *line)
{
    uint64_t now_ms = glet_clock_unix_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    fprintf(line, "%s.%03uZ", text, (unsigned)(now_ms % 1000));
}

static void write_head(FILE *line, bool json, enum glet_log_level level, const char *message)
{
    const char *name = levels[level].name;
    if (json)
        fputs("{\"time\":\"", line);
    write_time(line);
    if (json) {
        fprintf(line, "\",\"level\":\"%s\",\"message\":", name);
        glet_json_quote(line, message);
    } else if (glet_terminal_colours(STDERR_FILENO)) {
        fprintf(line, " %s%-7s\033[0m %s", levels[level].colour, name, message);
    } else {
        fprintf(line, " %-7s %s", name, message);
    }
}

void glet_log(enum glet_log_level level, const char *format, ...)
{
    if (!glet_log_enabled(level))
        return;
    bool json = atomic_load_explicit(&current_format, memory_order_relaxed) == GLET_LOG_JSON;
    char text[LINE_BYTES] = "", message[VALUE_BYTES];
    FILE *line = fmemopen(text, sizeof text - 2, "w");
    if (!line)
        return;
    struct arguments arguments;
    va_start(arguments.list, format);
    const char *fields = first_field(format);
    expand(format, fields, &arguments, message, sizeof message);
    write_head(line, json, level, message);
    write_fields(line, json, fields, &arguments);
    va_end(arguments.list);
    fputs(json ? "}" : "", line);
    fclose(line);
    size_t length = strnlen(text, sizeof text - 2);
    text[length++] = '\n';
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        return; /* nobody is left to tell */
}

void glet_log_failure(enum glet_log_level level, const char *what, const struct glet_error *err)
{
    if (err->file[0] && err->hint[0])
        glet_log(level, "%s error=%s file=%s line=%d column=%d hint=%s", what, err->message,
                 err->file, err->line, err->column, err->hint);
    else if (err->file[0])
        glet_log(level, "%s error=%s file=%s line=%d column=%d", what, err->message, err->file,
                 err->line, err->column);
    else if (err->hint[0])
        glet_log(level, "%s error=%s hint=%s", what, err->message, err->hint);
    else
        glet_log(level, "%s error=%s", what, err->message);
}
