/* SPDX-License-Identifier: Apache-2.0 */

/* Grows by doubling and never shrinks: a buffer that has seen the largest answer allocates no
   more. */

#include "runtime/serve/text.h"

#include "runtime/serve/utf8.h"

#include <stdarg.h>
#include <stdlib.h>

void glet_text_free(struct glet_text *text)
{
    free(text->data);
    *text = (struct glet_text){0};
}

void glet_text_clear(struct glet_text *text)
{
    text->length = 0;
    text->failed = false;
}

char *glet_text_room(struct glet_text *text, size_t bytes)
{
    if (text->failed)
        return NULL;
    if (bytes > text->capacity - text->length) {
        size_t capacity = text->capacity ? text->capacity : 512;
        while (capacity - text->length < bytes && capacity < SIZE_MAX / 2)
            capacity *= 2;
        char *data = capacity - text->length < bytes ? NULL : realloc(text->data, capacity);
        if (!data) {
            text->failed = true;
            return NULL;
        }
        text->data = data;
        text->capacity = capacity;
    }
    return text->data + text->length;
}

void glet_text_add(struct glet_text *text, const char *data, size_t length)
{
    char *at = glet_text_room(text, length);
    if (!at || length == 0)
        return;
    memcpy(at, data, length);
    text->length += length;
}

void glet_text_put(struct glet_text *text, const char *terminated)
{
    glet_text_add(text, terminated, strlen(terminated));
}

void glet_text_format(struct glet_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    char *at = glet_text_room(text, 128);
    int n = at ? vsnprintf(at, 128, format, arguments) : -1;
    if (n >= 128) {
        at = glet_text_room(text, (size_t)n + 1);
        n = at ? vsnprintf(at, (size_t)n + 1, format, again) : -1;
    }
    if (n > 0)
        text->length += (size_t)n;
    va_end(again);
    va_end(arguments);
}

void glet_text_u64(struct glet_text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    glet_text_add(text, digits + at, sizeof digits - at);
}

static void escape(struct glet_text *text, unsigned char c)
{
    static const char shorts[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *found = memchr(shorts, c, sizeof shorts - 1);
    if (found)
        glet_text_format(text, "\\%c", names[found - shorts]);
    else
        glet_text_format(text, "\\u%04x", c);
}

void glet_text_json(struct glet_text *text, struct glet_slice value)
{
    glet_text_put(text, "\"");
    size_t plain = 0, i = 0;
    while (i < value.length) {
        unsigned char c = (unsigned char)value.data[i];
        size_t bytes = glet_utf8_length(value.data + i, value.length - i);
        if (bytes && c >= 0x20 && c != '"' && c != '\\') {
            i += bytes;
            continue;
        }
        glet_text_add(text, value.data + plain, i - plain);
        if (bytes)
            escape(text, c);
        else
            glet_text_put(text, "\xef\xbf\xbd");
        plain = ++i;
    }
    glet_text_add(text, value.data + plain, value.length - plain);
    glet_text_put(text, "\"");
}

void glet_text_json_string(struct glet_text *text, const char *terminated)
{
    glet_text_json(text, glet_slice_of(terminated));
}
