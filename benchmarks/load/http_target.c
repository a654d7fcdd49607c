/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/http_target.h"

#include "common/memory.h"

#include <http_parser.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

static int parse_url(const char *url, char **name_out, char **port_out, struct glet_error *err)
{
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    size_t length = strlen(url);
    bool is_http = length > 7 && strncmp(url, "http://", 7) == 0;
    if (!is_http || http_parser_parse_url(url, length, 0, &parts) != 0 ||
        !(parts.field_set & 1 << UF_HOST)) {
        glet_error_set(err, GLET_ERR_USAGE, "target '%s' is not an http:// URL", url);
        return glet_error_hint(err, "as in http://127.0.0.1:8000");
    }
    bool has_path = (parts.field_set & 1 << UF_PATH) && parts.field_data[UF_PATH].len > 1;
    if (has_path || (parts.field_set & (1 << UF_QUERY | 1 << UF_FRAGMENT | 1 << UF_USERINFO)))
        return glet_error_set(err, GLET_ERR_USAGE, "target '%s': only host and port are used", url);
    GLET_CLEANUP(glet_cleanup_free)
    char *name = glet_format(err, "%.*s", (int)parts.field_data[UF_HOST].len,
                             url + parts.field_data[UF_HOST].off);
    if (!name)
        return -1;
    bool has_port = parts.field_set & 1 << UF_PORT;
    *port_out = glet_format(err, "%u", has_port ? parts.port : 80U);
    if (!*port_out)
        return -1;
    *name_out = GLET_STEAL(name);
    return 0;
}

int glet_http_target_resolve(struct glet_http_target *target, const char *url,
                             struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) char *name = NULL;
    GLET_CLEANUP(glet_cleanup_free) char *port = NULL;
    if (parse_url(url, &name, &port, err) < 0)
        return -1;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, port, &hints, &found);
    if (rc != 0)
        return glet_error_set(err, GLET_ERR_IO, "%s: %s", name, gai_strerror(rc));
    target->address_count = target->current = 0;
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        if (target->address_count < GLET_HTTP_MOST_ADDRESSES) {
            struct glet_http_address *address = &target->addresses[target->address_count++];
            memcpy(&address->socket, at->ai_addr, at->ai_addrlen);
            address->length = at->ai_addrlen;
        }
    freeaddrinfo(found);
    target->host = strchr(name, ':') ? glet_format(err, "[%s]:%s", name, port)
                                     : glet_format(err, "%s:%s", name, port);
    return target->host ? 0 : -1;
}

bool glet_http_target_turn(struct glet_http_target *target)
{
    target->current = (target->current + 1) % target->address_count;
    return target->current != 0;
}
