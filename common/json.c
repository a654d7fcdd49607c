/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include "common/number.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

/* Length of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7), or 0. */
static int sequence_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    int length = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                 : s[0] >= 0xe0 && s[0] <= 0xef ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    for (int i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f, beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : length;
}

void glet_json_quote(FILE *stream, const char *text)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    putc('"', stream);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int length = sequence_length(s);
        const char *escape = NULL;
        for (const char *n = named; *n && !escape; n += 2)
            escape = *n == *s ? n + 1 : NULL;
        if (escape)
            fprintf(stream, "\\%c", *escape);
        else if (length == 0)
            fputs("\xef\xbf\xbd", stream);
        else if (*s < 0x20 || *s == 0x7f)
            fprintf(stream, "\\u%04x", *s);
        else
            fwrite(s, 1, (size_t)length, stream);
        s += length ? length : 1;
    }
    putc('"', stream);
}

static uint64_t level(const struct glet_json *json)
{
    return UINT64_C(1) << json->depth;
}

static void new_line(struct glet_json *json)
{
    if (json->style == GLET_JSON_INDENTED)
        fprintf(json->stream, "\n%*s", 2 * json->depth, "");
}

/* Whatever precedes a value: comma, line break, key. */
static void lead(struct glet_json *json, const char *key)
{
    assert((key != NULL) == (json->depth > 0 && !(json->is_array & level(json))));
    if (json->has_items & level(json))
        putc(',', json->stream);
    json->has_items |= level(json);
    if (json->depth > 0)
        new_line(json);
    if (!key)
        return;
    glet_json_quote(json->stream, key);
    fputs(json->style == GLET_JSON_INDENTED ? ": " : ":", json->stream);
}

struct glet_json glet_json_begin(FILE *stream, enum glet_json_style style)
{
    return (struct glet_json){stream, style, 0, 0, 0};
}

static void open_level(struct glet_json *json, const char *key, bool is_array)
{
    lead(json, key);
    assert(json->depth < 62);
    putc(is_array ? '[' : '{', json->stream);
    json->depth++;
    json->has_items &= ~level(json);
    json->is_array = is_array ? json->is_array | level(json) : json->is_array & ~level(json);
}

void glet_json_object(struct glet_json *json, const char *key)
{
    open_level(json, key, false);
}

void glet_json_array(struct glet_json *json, const char *key)
{
    open_level(json, key, true);
}

void glet_json_end(struct glet_json *json)
{
    assert(json->depth > 0);
    bool is_array = json->is_array & level(json), had_items = json->has_items & level(json);
    json->depth--;
    if (had_items)
        new_line(json);
    putc(is_array ? ']' : '}', json->stream);
    if (json->depth == 0 && json->style == GLET_JSON_INDENTED)
        putc('\n', json->stream);
}

void glet_json_string(struct glet_json *json, const char *key, const char *text)
{
    if (!text) {
        glet_json_null(json, key);
        return;
    }
    lead(json, key);
    glet_json_quote(json->stream, text);
}

void glet_json_int(struct glet_json *json, const char *key, int64_t value)
{
    lead(json, key);
    fprintf(json->stream, "%" PRId64, value);
}

void glet_json_uint(struct glet_json *json, const char *key, uint64_t value)
{
    lead(json, key);
    fprintf(json->stream, "%" PRIu64, value);
}

void glet_json_double(struct glet_json *json, const char *key, double value)
{
    char text[GLET_DOUBLE_CHARS];
    lead(json, key);
    fputs(isfinite(value) ? glet_format_double(text, value) : "null", json->stream);
}

void glet_json_bool(struct glet_json *json, const char *key, bool value)
{
    lead(json, key);
    fputs(value ? "true" : "false", json->stream);
}

void glet_json_null(struct glet_json *json, const char *key)
{
    lead(json, key);
    fputs("null", json->stream);
}
