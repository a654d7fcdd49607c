/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A path is cut at '/' and every piece decoded on its own, so that an encoded slash cannot move a
 * border. Pieces that have ever been used to reach what was not meant (".", "..", control bytes)
 * are refused, although nothing here is looked up in a file system.
 */

#include "runtime/serve/front/endpoint.h"

#define MAX_PIECES 7

struct piece {
    char text[GLET_ENDPOINT_NAME_BYTES];
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 0, 400 or 404. */
static int decode(struct glet_slice raw, struct piece *out)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.length; i++) {
        int c = (unsigned char)raw.data[i];
        if (c == '%') {
            int high = i + 2 < raw.length ? hex_value(raw.data[i + 1]) : -1;
            int low = high >= 0 ? hex_value(raw.data[i + 2]) : -1;
            if (low < 0)
                return 400;
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || c == '/')
            return 400;
        if (n + 1 == sizeof out->text)
            return 404;
        out->text[n++] = (char)c;
    }
    out->text[n] = '\0';
    return strcmp(out->text, ".") == 0 || strcmp(out->text, "..") == 0 ? 400 : 0;
}

/* Cuts what follows the first '/'; *count pieces. */
static int cut(struct glet_slice path, struct piece *pieces, size_t *count)
{
    const char *at = path.data + 1, *end = path.data + path.length;
    *count = 0;
    while (at <= end) {
        const char *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
        const char *stop = slash ? slash : end;
        if (*count == MAX_PIECES)
            return 404;
        int status = decode((struct glet_slice){at, (size_t)(stop - at)}, &pieces[*count]);
        if (status)
            return status;
        (*count)++;
        at = stop + 1;
    }
    return 0;
}

static bool is(const struct piece *piece, const char *text)
{
    return strcmp(piece->text, text) == 0;
}

static int found(struct glet_endpoint *out, enum glet_endpoint_kind kind)
{
    out->kind = kind;
    return 0;
}

/* What follows /v2/models/{m}; the name is taken. */
static int parse_model(const struct piece *rest, size_t count, struct glet_endpoint *out)
{
    if (count >= 1 && is(&rest[0], "versions")) {
        size_t digits = count >= 2 ? strspn(rest[1].text, "0123456789") : 0;
        if (digits == 0 || rest[1].text[digits] != '\0')
            return count >= 2 ? 400 : 404;
        out->known_version = is(&rest[1], "1");
        rest += 2;
        count -= 2;
    }
    if (count == 0)
        return found(out, GLET_EP_MODEL);
    if (count != 1)
        return 404;
    if (is(rest, "infer"))
        return found(out, GLET_EP_INFER);
    if (is(rest, "ready"))
        return found(out, GLET_EP_MODEL_READY);
    if (is(rest, "config"))
        return found(out, GLET_EP_MODEL_CONFIG);
    return is(rest, "stats") ? found(out, GLET_EP_MODEL_STATS) : 404;
}

static int take_name(const struct piece *piece, char out[GLET_ENDPOINT_NAME_BYTES])
{
    memcpy(out, piece->text, GLET_ENDPOINT_NAME_BYTES);
    return out[0] ? 0 : 404;
}

static int parse_models(const struct piece *rest, size_t count, struct glet_endpoint *out)
{
    if (count == 0)
        return found(out, GLET_EP_MODELS);
    if (count == 1 && is(rest, "stats"))
        return found(out, GLET_EP_ALL_STATS);
    int status = take_name(rest, out->model);
    return status ? status : parse_model(rest + 1, count - 1, out);
}

static int parse_repository(const struct piece *rest, size_t count, struct glet_endpoint *out)
{
    if (count == 1 && is(rest, "index"))
        return found(out, GLET_EP_INDEX);
    if (count == 3 && is(rest, "models") && (is(&rest[2], "load") || is(&rest[2], "unload"))) {
        int status = take_name(&rest[1], out->model);
        return status ? status : found(out, GLET_EP_LOAD_OR_UNLOAD);
    }
    return 404;
}

/* What follows /v2/systemsharedmemory or /v2/cudasharedmemory. */
static int parse_shared(const struct piece *rest, size_t count, struct glet_endpoint *out)
{
    bool region = count == 3 && is(rest, "region");
    if (!region && count != 1)
        return 404;
    int status = region ? take_name(&rest[1], out->region) : 0;
    const struct piece *last = &rest[count - 1];
    if (status)
        return status;
    if (is(last, "status"))
        return found(out, GLET_EP_REGION_STATUS);
    if (is(last, "unregister"))
        return found(out, GLET_EP_REGION_UNREGISTER);
    return region && is(last, "register") ? found(out, GLET_EP_REGION_REGISTER) : 404;
}

static int parse_v2(const struct piece *rest, size_t count, struct glet_endpoint *out)
{
    if (count == 0 || (count == 1 && is(rest, "")))
        return found(out, GLET_EP_SERVER);
    if (is(rest, "models"))
        return parse_models(rest + 1, count - 1, out);
    if (is(rest, "repository"))
        return parse_repository(rest + 1, count - 1, out);
    out->cuda = is(rest, "cudasharedmemory");
    if (out->cuda || is(rest, "systemsharedmemory"))
        return parse_shared(rest + 1, count - 1, out);
    if (count == 2 && is(rest, "health") && is(&rest[1], "live"))
        return found(out, GLET_EP_LIVE);
    if (count == 2 && is(rest, "health") && is(&rest[1], "ready"))
        return found(out, GLET_EP_READY);
    return count == 1 && is(rest, "plan") ? found(out, GLET_EP_PLAN) : 404;
}

int glet_endpoint_parse(struct glet_slice path, struct glet_endpoint *out)
{
    struct piece pieces[MAX_PIECES] = {0};
    size_t count = 0;
    out->model[0] = out->region[0] = '\0';
    out->cuda = false;
    out->known_version = true;
    if (path.length == 0 || path.data[0] != '/')
        return 404;
    int status = cut(path, pieces, &count);
    if (status)
        return status;
    if (is(&pieces[0], "v2"))
        return parse_v2(pieces + 1, count - 1, out);
    if (count == 1 && is(pieces, "metrics"))
        return found(out, GLET_EP_METRICS);
    if (count == 1 && is(pieces, "plan"))
        return found(out, GLET_EP_PLAN);
    return count == 1 && is(pieces, "") ? found(out, GLET_EP_DASHBOARD) : 404;
}

static bool takes_post(enum glet_endpoint_kind kind, bool plan_changes)
{
    return kind == GLET_EP_INFER || kind == GLET_EP_INDEX || kind == GLET_EP_LOAD_OR_UNLOAD ||
           kind == GLET_EP_REGION_REGISTER || kind == GLET_EP_REGION_UNREGISTER ||
           (kind == GLET_EP_PLAN && plan_changes);
}

static bool takes_get(enum glet_endpoint_kind kind)
{
    return kind == GLET_EP_PLAN || !takes_post(kind, true);
}

const char *glet_endpoint_allow(enum glet_endpoint_kind kind, bool plan_changes)
{
    if (!takes_post(kind, plan_changes))
        return "GET, HEAD";
    return takes_get(kind) ? "GET, HEAD, POST" : "POST";
}

bool glet_endpoint_allows(enum glet_endpoint_kind kind, bool plan_changes,
                          enum glet_http_method method)
{
    if (method == GLET_HTTP_POST)
        return takes_post(kind, plan_changes);
    return (method == GLET_HTTP_GET || method == GLET_HTTP_HEAD) && takes_get(kind);
}
