/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_TARGETS_H
#define GLET_LOAD_TARGETS_H

/* What --target says: the servers to load, and which node of the plan each one is. */

#include "common/error.h"
#include "common/options.h"

#include <stddef.h>

struct glet_load_targets {
    const char **urls;
    char **nodes; /* of each; NULL where none is named */
    size_t count;
};

/*
 * Splits each "URL" or "NODE=URL"; a '=' behind the URL's scheme is the URL's own. Urls are borrowed
 * from the list and not looked at. Release with glet_load_targets_fini(), also after a failure,
 * which is GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_load_targets_init(struct glet_load_targets *targets, const struct glet_list *list,
                           struct glet_error *err);
void glet_load_targets_fini(struct glet_load_targets *targets);

#endif
