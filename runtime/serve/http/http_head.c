/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole head is buffered before it is parsed: one pass, no state kept between reads, and every
 * slice stays valid for the request's life. What is refused although RFC 9112 would allow leniency,
 * because two parsers that disagree about it can be played against each other: bare LF, folded
 * lines, blanks before the colon, more than one Content-Length or Host, Content-Length together
 * with Transfer-Encoding, and any coding but a single "chunked".
 */

#include "runtime/serve/http/http_head.h"

struct cursor {
    const char *at, *end;
};

static bool is_token_byte(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static struct glet_slice slice_between(const char *begin, const char *end)
{
    return (struct glet_slice){begin, (size_t)(end - begin)};
}

static struct glet_slice take_token(struct cursor *in)
{
    const char *begin = in->at;
    while (in->at < in->end && is_token_byte((unsigned char)*in->at))
        in->at++;
    return slice_between(begin, in->at);
}

static bool take_text(struct cursor *in, const char *text)
{
    size_t length = strlen(text);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, text, length) != 0)
        return false;
    in->at += length;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int refuse(int status, const char *text, const char **reason)
{
    *reason = text;
    return status;
}

static enum glet_http_method method_of(struct glet_slice name)
{
    if (glet_slice_is(name, "GET"))
        return GLET_HTTP_GET;
    if (glet_slice_is(name, "POST"))
        return GLET_HTTP_POST;
    if (glet_slice_is(name, "HEAD"))
        return GLET_HTTP_HEAD;
    return GLET_HTTP_OTHER;
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
           (c && strchr(".-_:[]", c));
}

/* origin-form, and absolute-form, which every server must accept (RFC 9112, 3.2.2). */
static bool split_target(struct glet_slice target, struct glet_http_head *out)
{
    const char *at = target.data, *end = target.data + target.length;
    if (target.length > 7 && strncasecmp(at, "http://", 7) == 0) {
        at += 7;
        const char *host = at;
        while (at < end && is_host_byte(*at))
            at++;
        if (at == host)
            return false;
    }
    if (at == end || *at != '/')
        return false;
    const char *query = memchr(at, '?', (size_t)(end - at));
    out->path = slice_between(at, query ? query : end);
    out->query = query ? slice_between(query + 1, end) : slice_between(end, end);
    return true;
}

static int parse_request_line(struct cursor *in, struct glet_http_head *out, const char **reason)
{
    out->method_name = take_token(in);
    if (out->method_name.length == 0 || !take_text(in, " "))
        return refuse(400, "malformed request line", reason);
    out->method = method_of(out->method_name);
    const char *begin = in->at;
    while (in->at<in->end && * in->at> ' ' && *in->at < 0x7f && *in->at != '#')
        in->at++;
    struct glet_slice target = slice_between(begin, in->at);
    if (target.length == 0 || !take_text(in, " ") || !take_text(in, "HTTP/"))
        return refuse(400, "malformed request line", reason);
    if (in->end - in->at < 5 || !is_digit(in->at[0]) || in->at[1] != '.' || !is_digit(in->at[2]))
        return refuse(400, "malformed HTTP version", reason);
    if (in->at[0] != '1' || (in->at[2] != '0' && in->at[2] != '1'))
        return refuse(505, "HTTP/1.0 and HTTP/1.1 are spoken here", reason);
    out->minor_version = in->at[2] - '0';
    in->at += 3;
    if (!take_text(in, "\r\n"))
        return refuse(400, "malformed request line", reason);
    bool other_form =
        out->method == GLET_HTTP_OTHER && (glet_slice_is(target, "*") || target.data[0] != '/');
    if (!split_target(target, out)) {
        if (!other_form)
            return refuse(400, "the request target must be a path", reason);
        out->path = target;
        out->query = slice_between(target.data, target.data);
    }
    return 0;
}

static int parse_header(struct cursor *in, struct glet_http_header *out, const char **reason)
{
    out->name = take_token(in);
    if (out->name.length == 0 || !take_text(in, ":"))
        return refuse(400, "malformed header line", reason);
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t'))
        in->at++;
    const char *begin = in->at;
    while (in->at < in->end && ((unsigned char)*in->at >= ' ' || *in->at == '\t') &&
           *in->at != 0x7f)
        in->at++;
    const char *end = in->at;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    out->value = slice_between(begin, end);
    if (!take_text(in, "\r\n"))
        return refuse(400, "malformed header line", reason);
    return 0;
}

static bool parse_length(struct glet_slice text, uint64_t *out)
{
    if (text.length == 0 || text.length > 18) /* 18 digits cannot overflow 64 bits */
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.data[i]))
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return true;
}

/* Whether a comma-separated list holds the word. */
static bool list_has(struct glet_slice list, const char *word)
{
    const char *at = list.data, *end = list.data + list.length;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        const char *begin = at, *last = stop;
        while (begin < last && (*begin == ' ' || *begin == '\t'))
            begin++;
        while (last > begin && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (glet_slice_is_nocase(slice_between(begin, last), word))
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}

/* A tab is as good as a blank (RFC 9110, 5.5), but not every proxy knows: one that takes it for a
   part of the value sees the request end somewhere else. */
static bool has_tab_around(const struct glet_http_header *header)
{
    const char *at = header->name.data + header->name.length;
    for (; at < header->value.data; at++)
        if (*at == '\t')
            return true;
    for (at += header->value.length; *at != '\r'; at++)
        if (*at == '\t')
            return true;
    return false;
}

struct seen {
    int hosts, lengths, codings;
    bool close, keep;
};

static int interpret(const struct glet_http_header *header, struct glet_http_head *out,
                     struct seen *seen, const char **reason)
{
    struct glet_slice name = header->name, value = header->value;
    if (glet_slice_is_nocase(name, "host")) {
        seen->hosts++;
    } else if (glet_slice_is_nocase(name, "content-length")) {
        seen->lengths++;
        if (!parse_length(value, &out->content_length) || has_tab_around(header))
            return refuse(400, "malformed Content-Length", reason);
        out->has_length = true;
    } else if (glet_slice_is_nocase(name, "transfer-encoding")) {
        seen->codings++;
        if (has_tab_around(header))
            return refuse(400, "malformed Transfer-Encoding", reason);
        if (!glet_slice_is_nocase(value, "chunked"))
            return refuse(501, "the only transfer coding spoken here is chunked", reason);
        out->chunked = true;
    } else if (glet_slice_is_nocase(name, "connection")) {
        seen->close = seen->close || list_has(value, "close");
        seen->keep = seen->keep || list_has(value, "keep-alive");
    } else if (glet_slice_is_nocase(name, "expect")) {
        if (!glet_slice_is_nocase(value, "100-continue"))
            return refuse(417, "the only expectation understood here is 100-continue", reason);
        out->expects_continue = out->minor_version == 1;
    }
    return 0;
}

static int check_framing(const struct glet_http_head *head, const struct seen *seen,
                         const char **reason)
{
    if (seen->hosts > 1 || (seen->hosts == 0 && head->minor_version == 1))
        return refuse(400, "exactly one Host header is required", reason);
    if (seen->lengths > 1 || seen->codings > 1)
        return refuse(400, "repeated Content-Length or Transfer-Encoding", reason);
    if (seen->lengths && seen->codings)
        return refuse(400, "Content-Length and Transfer-Encoding exclude each other", reason);
    if (seen->codings && head->minor_version == 0)
        return refuse(400, "HTTP/1.0 has no Transfer-Encoding", reason);
    return 0;
}

size_t glet_http_head_length(const char *data, size_t length, size_t searched)
{
    size_t from = searched > 3 ? searched - 3 : 0;
    if (length <= from)
        return 0;
    const char *end = memmem(data + from, length - from, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

int glet_http_head_parse(const char *data, size_t length, struct glet_http_head *out,
                         const char **reason)
{
    struct cursor in = {data, data + length};
    struct seen seen = {0};
    out->header_count = 0;
    out->expects_continue = out->chunked = out->has_length = false;
    out->content_length = 0;
    int status = parse_request_line(&in, out, reason);
    if (status)
        return status;
    while (!take_text(&in, "\r\n")) {
        if (out->header_count == GLET_HTTP_MAX_HEADERS)
            return refuse(431, "too many headers", reason);
        struct glet_http_header *header = &out->headers[out->header_count];
        status = parse_header(&in, header, reason);
        if (!status)
            status = interpret(header, out, &seen, reason);
        if (status)
            return status;
        out->header_count++;
    }
    out->keep_alive = !seen.close && (out->minor_version == 1 || seen.keep);
    if (in.at != in.end)
        return refuse(400, "malformed head", reason);
    return check_framing(out, &seen, reason);
}

const struct glet_slice *glet_http_head_find(const struct glet_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++)
        if (glet_slice_is_nocase(head->headers[i].name, name))
            return &head->headers[i].value;
    return NULL;
}
