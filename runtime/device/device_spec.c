/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/device_spec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int malformed(const char *text, struct glet_error *err)
{
    glet_error_set(err, GLET_ERR_USAGE, "'%.100s' is not a device", text);
    return glet_error_hint(err, "auto, cpu, cpu:0-3,6, cuda:0, cuda:MIG-<uuid> or replay:FOLDER");
}

/* A plain decimal below CPU_SETSIZE; *end is what follows it. -1 = none. */
static long parse_core(const char *text, const char **end)
{
    if (!isdigit((unsigned char)*text))
        return -1;
    char *after;
    long value = strtol(text, &after, 10);
    *end = after;
    return value < CPU_SETSIZE ? value : -1;
}

static int parse_cores(const char *list, struct glet_device_spec *spec)
{
    for (;;) {
        long first = parse_core(list, &list), last = first;
        if (first >= 0 && *list == '-')
            last = parse_core(list + 1, &list);
        if (first < 0 || last < first)
            return -1;
        for (long core = first; core <= last; core++) {
            if (CPU_ISSET((size_t)core, &spec->cores))
                return -1;
            CPU_SET((size_t)core, &spec->cores);
        }
        if (!*list)
            return 0;
        if (*list++ != ',')
            return -1;
    }
}

/* "cuda:0", "cuda:MIG-<uuid>", with a precision behind or not; text is after "cuda:". */
static int parse_cuda(const char *text, struct glet_device_spec *spec)
{
    static const char *const precisions[] = {GLET_DEVICE_PRECISION, "tf32", "fp32"};
    const char *end = text + strcspn(text, ":"),
               *precision = *end ? end + 1 : GLET_DEVICE_PRECISION;
    for (size_t i = 0; i < sizeof precisions / sizeof precisions[0]; i++)
        if (strcmp(precision, precisions[i]) == 0)
            strcpy(spec->precision, precision);
    if (!spec->precision[0])
        return -1;
    if (strncmp(text, "MIG-", 4) == 0) {
        size_t length = (size_t)(end - text);
        if (length >= sizeof spec->mig ||
            text + 4 + strspn(text + 4, "0123456789abcdefABCDEF-") != end)
            return -1;
        memcpy(spec->mig, text, length);
        return 0;
    }
    const char *after;
    spec->index = (int)parse_core(text, &after);
    return spec->index >= 0 && after == end ? 0 : -1;
}

/* "FOLDER" or "FOLDER:GPU"; a colon within the folder's path has a slash behind it. */
static int parse_replay(const char *text, struct glet_device_spec *spec)
{
    const char *colon = strrchr(text, ':');
    if (colon && strchr(colon, '/'))
        colon = NULL;
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    const char *gpu = colon ? colon + 1 : "";
    if (length == 0 || length >= sizeof spec->folder || (colon && !gpu[0]) ||
        strlen(gpu) >= sizeof spec->gpu)
        return -1;
    memcpy(spec->folder, text, length);
    strcpy(spec->gpu, gpu);
    return 0;
}

int glet_device_spec_parse(const char *text, struct glet_device_spec *out, struct glet_error *err)
{
    struct glet_device_spec spec = {.index = -1};
    CPU_ZERO(&spec.cores);
    if (!text || strcmp(text, "auto") == 0 || strcmp(text, "cpu") == 0) {
        spec.all_cores = true;
        spec.best = !text || strcmp(text, "auto") == 0;
    } else if (strncmp(text, "cpu:", 4) == 0) {
        if (parse_cores(text + 4, &spec) < 0)
            return malformed(text, err);
    } else if (strcmp(text, "cuda") == 0 || strncmp(text, "cuda:", 5) == 0) {
        spec.kind = GLET_DEVICE_CUDA;
        if (parse_cuda(text[4] ? text + 5 : "0", &spec) < 0)
            return malformed(text, err);
    } else if (strncmp(text, "replay:", 7) == 0) {
        spec.kind = GLET_DEVICE_REPLAY;
        if (parse_replay(text + 7, &spec) < 0)
            return malformed(text, err);
    } else {
        return malformed(text, err);
    }
    *out = spec;
    return 0;
}
