/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A state machine over bytes, except for chunk data, which moves in one piece. Extensions and
 * trailers are skipped, but bounded, so that neither can be fed for ever; like the head, line ends
 * are CR LF and nothing else.
 */

#include "runtime/serve/http/http_chunked.h"

#include <string.h>

#define MAX_OVERHEAD_BYTES 4096 /* of one size line with extensions, and of all trailers */
#define MAX_SIZE_DIGITS    15   /* 60 bits: cannot overflow */

enum state {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER,
    TRAILER_LF,
    END_LF,
};

void glet_http_chunked_init(struct glet_http_chunked *decoder)
{
    *decoder = (struct glet_http_chunked){.state = SIZE};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_text(char c)
{
    return (unsigned char)c >= ' ' || c == '\t';
}

static int step_size(struct glet_http_chunked *d, char c)
{
    int hex = hex_value(c);
    if (hex >= 0) {
        if (++d->digits > MAX_SIZE_DIGITS)
            return -1;
        d->left = d->left * 16 + (uint64_t)hex;
        return SIZE;
    }
    if (d->digits == 0)
        return -1;
    if (c == '\r')
        return SIZE_LF;
    return c == ';' || c == ' ' || c == '\t' ? EXTENSION : -1;
}

/* The state after one byte that is not chunk data; -1 = malformed. */
static int step(struct glet_http_chunked *d, char c)
{
    switch ((enum state)d->state) {
    case SIZE:
        return step_size(d, c);
    case EXTENSION:
        return c == '\r' ? SIZE_LF : is_text(c) ? EXTENSION : -1;
    case SIZE_LF:
        d->digits = 0;
        d->overhead_bytes = 0;
        return c != '\n' ? -1 : d->left ? DATA : TRAILER_START;
    case DATA_CR:
        return c == '\r' ? DATA_LF : -1;
    case DATA_LF:
        return c == '\n' ? SIZE : -1;
    case TRAILER_START:
        return c == '\r' ? END_LF : is_text(c) ? TRAILER : -1;
    case TRAILER:
        return c == '\r' ? TRAILER_LF : is_text(c) ? TRAILER : -1;
    case TRAILER_LF:
        return c == '\n' ? TRAILER_START : -1;
    case DATA:
    case END_LF:
        break;
    }
    return -1;
}

enum glet_http_chunked_result glet_http_chunked_decode(struct glet_http_chunked *d, char *data,
                                                       size_t length, size_t *body_length,
                                                       size_t *consumed)
{
    size_t in = 0, out = 0;
    enum glet_http_chunked_result result = GLET_HTTP_CHUNKED_MORE;
    while (in < length) {
        if (d->state == DATA) {
            size_t piece = length - in < d->left ? length - in : (size_t)d->left;
            if (out != in)
                memmove(data + out, data + in, piece);
            in += piece;
            out += piece;
            d->left -= piece;
            if (d->left == 0)
                d->state = DATA_CR;
            continue;
        }
        char c = data[in++];
        if (d->state == END_LF) {
            result = c == '\n' ? GLET_HTTP_CHUNKED_DONE : GLET_HTTP_CHUNKED_ERROR;
            break;
        }
        d->state = step(d, c);
        if (d->state < 0 || ++d->overhead_bytes > MAX_OVERHEAD_BYTES) {
            result = GLET_HTTP_CHUNKED_ERROR;
            break;
        }
    }
    *body_length = out;
    *consumed = in;
    return result;
}
