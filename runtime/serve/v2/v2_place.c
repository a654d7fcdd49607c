/* SPDX-License-Identifier: Apache-2.0 */

/* Triton's shared memory extension, as far as a request shows it. */

#include "runtime/serve/v2/v2_parser.h"

#include <inttypes.h>

enum { REGION = 1, OFFSET = 2, BYTE_SIZE = 4 };

static bool read_size(struct glet_v2_parser *p, const char *key, uint64_t *out)
{
    int64_t value = 0;
    if (!glet_json_integer(&p->reader, &value))
        return false;
    if (value < 0)
        return glet_v2_fail(p, GLET_ERR_RANGE, "parameter '%s': %" PRId64 " is below 0", key,
                            value);
    *out = (uint64_t)value;
    return true;
}

bool glet_v2_place_member(struct glet_v2_parser *p, struct glet_v2_place_reader *reader,
                          const struct glet_json_string *key, bool *fine)
{
    static const char region[] = "shared_memory_region", offset[] = "shared_memory_offset",
                      bytes[] = "shared_memory_byte_size";
    if (glet_json_is(key, region))
        *fine = glet_v2_once(p, &reader->seen, REGION, region) &&
                glet_json_text(&p->reader, &reader->place.region);
    else if (glet_json_is(key, offset))
        *fine = glet_v2_once(p, &reader->seen, OFFSET, offset) &&
                read_size(p, offset, &reader->place.offset);
    else if (glet_json_is(key, bytes))
        *fine = glet_v2_once(p, &reader->seen, BYTE_SIZE, bytes) &&
                read_size(p, bytes, &reader->place.bytes);
    else
        return false;
    return true;
}

bool glet_v2_place_check(struct glet_v2_parser *p, const struct glet_v2_place_reader *reader)
{
    if (reader->seen == 0 || (reader->seen & (REGION | BYTE_SIZE)) == (REGION | BYTE_SIZE))
        return true;
    return glet_v2_fail(p, GLET_ERR_INPUT, "%s is given, and no %s",
                        reader->seen & REGION      ? "shared_memory_region"
                        : reader->seen & BYTE_SIZE ? "shared_memory_byte_size"
                                                   : "shared_memory_offset",
                        reader->seen & REGION ? "shared_memory_byte_size" : "shared_memory_region");
}
