/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_targets.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

int glet_load_targets_init(struct glet_load_targets *targets, const struct glet_list *list,
                           struct glet_error *err)
{
    *targets = (struct glet_load_targets){NULL, NULL, 0};
    targets->urls = glet_alloc(list->count, sizeof *targets->urls, err);
    targets->nodes = targets->urls ? glet_alloc(list->count, sizeof *targets->nodes, err) : NULL;
    if (!targets->nodes)
        return -1;
    for (; targets->count < list->count; targets->count++) {
        const char *text = list->items[targets->count], *scheme = strstr(text, "://");
        size_t before = scheme ? (size_t)(scheme - text) : strlen(text);
        const char *equals = memrchr(text, '=', before);
        targets->urls[targets->count] = equals ? equals + 1 : text;
        if (!equals)
            continue;
        targets->nodes[targets->count] = glet_format(err, "%.*s", (int)(equals - text), text);
        if (!targets->nodes[targets->count])
            return -1;
    }
    return 0;
}

void glet_load_targets_fini(struct glet_load_targets *targets)
{
    for (size_t t = 0; targets->nodes && t < targets->count; t++)
        free(targets->nodes[t]);
    free(targets->nodes);
    free(targets->urls);
    *targets = (struct glet_load_targets){NULL, NULL, 0};
}
