/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENDPOINT_H
#define GLET_ENDPOINT_H

/* What a path means. Pure. */

#include "runtime/serve/http/http_head.h"

#define GLET_ENDPOINT_NAME_BYTES 256

enum glet_endpoint_kind {
    GLET_EP_SERVER,         /* /v2 */
    GLET_EP_LIVE,           /* /v2/health/live */
    GLET_EP_READY,          /* /v2/health/ready */
    GLET_EP_MODELS,         /* /v2/models */
    GLET_EP_ALL_STATS,      /* /v2/models/stats */
    GLET_EP_MODEL,          /* /v2/models/{m}[/versions/{v}] */
    GLET_EP_MODEL_READY,    /* .../ready */
    GLET_EP_MODEL_CONFIG,   /* .../config */
    GLET_EP_MODEL_STATS,    /* .../stats */
    GLET_EP_INFER,          /* .../infer */
    GLET_EP_INDEX,          /* /v2/repository/index */
    GLET_EP_LOAD_OR_UNLOAD, /* /v2/repository/models/{m}/load, .../unload */
    /* of /v2/systemsharedmemory and /v2/cudasharedmemory, each [/region/{r}]: */
    GLET_EP_REGION_STATUS,     /* .../status */
    GLET_EP_REGION_REGISTER,   /* .../register, of a region only */
    GLET_EP_REGION_UNREGISTER, /* .../unregister */
    GLET_EP_PLAN,              /* /v2/plan, /plan */
    GLET_EP_METRICS,           /* /metrics */
    GLET_EP_DASHBOARD,         /* / */
    GLET_EP_COUNT
};

struct glet_endpoint {
    enum glet_endpoint_kind kind;
    char model[GLET_ENDPOINT_NAME_BYTES];  /* decoded; "" where the path names none */
    char region[GLET_ENDPOINT_NAME_BYTES]; /* likewise */
    bool cuda;                             /* of shared memory */
    bool known_version;                    /* no version, or the one there is: 1 */
};

/* Returns 0, or the status to refuse the path with: 400 (malformed) or 404. */
GLET_MUST_CHECK
int glet_endpoint_parse(struct glet_slice path, struct glet_endpoint *out);

/* The value of Allow for a kind: "GET, HEAD", "POST" or both. */
const char *glet_endpoint_allow(enum glet_endpoint_kind kind, bool plan_changes);
bool glet_endpoint_allows(enum glet_endpoint_kind kind, bool plan_changes,
                          enum glet_http_method method);

#endif
