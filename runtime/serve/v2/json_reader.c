/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Why not a DOM: a request's `data` can be megabytes of numbers (a DOM takes 64 bytes for each),
 * and the rest is a dozen fields that are looked at once, in order. Reading it in place costs no
 * allocation and is checked as strictly as the values are used.
 */

#include "runtime/serve/v2/json_reader.h"

#include "runtime/serve/utf8.h"

void glet_json_init(struct glet_json_reader *reader, const char *text, size_t length)
{
    *reader = (struct glet_json_reader){.begin = text, .at = text, .end = text + length};
}

bool glet_json_fail(struct glet_json_reader *r, const char *error)
{
    if (!r->error)
        r->error = error;
    return false;
}

char glet_json_peek(struct glet_json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
    return r->error || r->at == r->end ? '\0' : *r->at;
}

bool glet_json_enter(struct glet_json_reader *r, char open, struct glet_json_scope *scope)
{
    if (glet_json_peek(r) != open)
        return glet_json_fail(r, open == '{' ? "an object is expected" : "an array is expected");
    if (r->depth == GLET_JSON_MAX_DEPTH)
        return glet_json_fail(r, "nested deeper than 16 levels");
    r->depth++;
    r->at++;
    *scope = (struct glet_json_scope){.close = open == '{' ? '}' : ']'};
    return true;
}

bool glet_json_next_item(struct glet_json_reader *r, struct glet_json_scope *scope)
{
    char c = glet_json_peek(r);
    if (c == scope->close) {
        r->at++;
        r->depth--;
        return false;
    }
    if (scope->started) {
        if (c != ',')
            return glet_json_fail(r, "a comma or the end of the list is expected");
        r->at++;
        c = glet_json_peek(r);
    }
    scope->started = true;
    return c != '\0' || glet_json_fail(r, "the text ends too early");
}

bool glet_json_next_member(struct glet_json_reader *r, struct glet_json_scope *scope,
                           struct glet_json_string *key)
{
    if (!glet_json_next_item(r, scope) || !glet_json_text(r, key))
        return false;
    if (glet_json_peek(r) != ':')
        return glet_json_fail(r, "a colon is expected");
    r->at++;
    return true;
}

static int hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Bytes of the escape sequence at `at` (a backslash), its code point in *out; 0 = malformed. */
static size_t unescape(const char *at, const char *end, uint32_t *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (end - at < 2)
        return 0;
    const char *found = memchr(names, at[1], sizeof names - 1);
    if (found) {
        *out = (unsigned char)values[found - names];
        return 2;
    }
    int high = at[1] == 'u' ? hex4(at + 2, end) : -1;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    if (high < 0xd800 || high > 0xdbff) {
        *out = (uint32_t)high;
        return 6;
    }
    int low = end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *out = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

/* Past the bytes that stand for themselves: nearly all of them. */
static const char *skip_ascii(const char *at, const char *end)
{
    while (at < end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
        at++;
    return at;
}

bool glet_json_text(struct glet_json_reader *r, struct glet_json_string *out)
{
    if (glet_json_peek(r) != '"')
        return glet_json_fail(r, "a string is expected");
    const char *begin = r->at + 1;
    out->escaped = false;
    for (r->at = skip_ascii(begin, r->end); r->at < r->end && *r->at != '"';
         r->at = skip_ascii(r->at, r->end)) {
        unsigned char c = (unsigned char)*r->at;
        size_t bytes = 0;
        uint32_t point;
        if (c == '\\') {
            out->escaped = true;
            bytes = unescape(r->at, r->end, &point);
        } else if (c >= 0x20) {
            bytes = glet_utf8_length(r->at, (size_t)(r->end - r->at));
        }
        if (bytes == 0)
            return glet_json_fail(r, "a string holds a malformed character");
        r->at += bytes;
    }
    if (r->at == r->end)
        return glet_json_fail(r, "the text ends too early");
    out->raw = (struct glet_slice){begin, (size_t)(r->at - begin)};
    r->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

bool glet_json_number(struct glet_json_reader *r, struct glet_slice *out)
{
    glet_json_peek(r);
    const char *at = r->at, *end = r->end;
    if (r->error)
        return false;
    if (at < end && *at == '-')
        at++;
    if (at == end || !is_digit(*at))
        return glet_json_fail(r, "a number is expected");
    at = *at == '0' ? at + 1 : skip_digits(at, end);
    if (at < end && *at == '.') {
        const char *fraction = at + 1;
        at = skip_digits(fraction, end);
        if (at == fraction)
            return glet_json_fail(r, "a number is malformed");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        const char *exponent = at;
        at = skip_digits(exponent, end);
        if (at == exponent)
            return glet_json_fail(r, "a number is malformed");
    }
    *out = (struct glet_slice){r->at, (size_t)(at - r->at)};
    r->at = at;
    return true;
}

bool glet_json_integer(struct glet_json_reader *r, int64_t *out)
{
    struct glet_slice text;
    if (!glet_json_number(r, &text))
        return false;
    bool negative = text.data[0] == '-';
    uint64_t value = 0;
    for (size_t i = negative; i < text.length; i++) {
        if (!is_digit(text.data[i]))
            return glet_json_fail(r, "an integer is expected");
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return glet_json_fail(r, "an integer does not fit into 64 bits");
        value = value * 10 + digit;
    }
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool take_word(struct glet_json_reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

bool glet_json_boolean(struct glet_json_reader *r, bool *out)
{
    char c = glet_json_peek(r);
    *out = c == 't';
    if ((c == 't' && take_word(r, "true")) || (c == 'f' && take_word(r, "false")))
        return true;
    return glet_json_fail(r, "true or false is expected");
}

static bool skip_plain(struct glet_json_reader *r, char c)
{
    struct glet_json_string string;
    struct glet_slice number;
    bool boolean;
    if (c == '"')
        return glet_json_text(r, &string);
    if (c == 't' || c == 'f')
        return glet_json_boolean(r, &boolean);
    if (c == 'n')
        return take_word(r, "null") || glet_json_fail(r, "a value is expected");
    if (c == '-' || is_digit(c))
        return glet_json_number(r, &number);
    return glet_json_fail(r, c ? "a value is expected" : "the text ends too early");
}

bool glet_json_skip(struct glet_json_reader *r, struct glet_slice *out)
{
    struct glet_json_scope scopes[GLET_JSON_MAX_DEPTH];
    struct glet_json_string key;
    int open = 0;
    char c = glet_json_peek(r);
    const char *begin = r->at;
    for (;;) {
        if (c == '{' || c == '[') {
            if (!glet_json_enter(r, c, &scopes[open]))
                return false;
            open++;
        } else if (!skip_plain(r, c)) {
            return false;
        }
        /* up through everything that ends here, to the next value */
        while (open > 0) {
            struct glet_json_scope *scope = &scopes[open - 1];
            bool more = scope->close == '}' ? glet_json_next_member(r, scope, &key)
                                            : glet_json_next_item(r, scope);
            if (r->error)
                return false;
            if (more)
                break;
            open--;
        }
        if (open == 0)
            break;
        c = glet_json_peek(r);
    }
    if (out)
        *out = (struct glet_slice){begin, (size_t)(r->at - begin)};
    return true;
}

bool glet_json_finish(struct glet_json_reader *r)
{
    glet_json_peek(r);
    if (r->error)
        return false;
    return r->at == r->end || glet_json_fail(r, "something follows the JSON text");
}

static size_t put_utf8(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t bytes = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = bytes - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (char)(lead[bytes] | point);
    return bytes;
}

/* The next character of a string, decoded, as UTF-8. */
static size_t next_character(const char **at, const char *end, char out[4])
{
    uint32_t point;
    if (**at != '\\') {
        out[0] = *(*at)++;
        return 1;
    }
    *at += unescape(*at, end, &point);
    return put_utf8(point, out);
}

bool glet_json_is(const struct glet_json_string *string, const char *text)
{
    if (!string->escaped)
        return glet_slice_is(string->raw, text);
    const char *at = string->raw.data, *end = at + string->raw.length;
    size_t left = strlen(text);
    while (at < end) {
        char character[4];
        size_t bytes = next_character(&at, end, character);
        if (left < bytes || memcmp(text, character, bytes) != 0)
            return false;
        text += bytes;
        left -= bytes;
    }
    return left == 0;
}

bool glet_json_decode(const struct glet_json_string *string, char *out, size_t room)
{
    const char *at = string->raw.data, *end = at + string->raw.length;
    while (at < end) {
        char character[4];
        size_t bytes = next_character(&at, end, character);
        if (bytes >= room || character[0] == '\0')
            return false;
        out = mempcpy(out, character, bytes);
        room -= bytes;
    }
    *out = '\0';
    return true;
}
