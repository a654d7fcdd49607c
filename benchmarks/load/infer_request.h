/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_INFER_REQUEST_H
#define GLET_LOAD_INFER_REQUEST_H

/*
 * KServe v2 infer requests made from a model's metadata: every input a binary tensor of random
 * values, one row, in the body or in shared memory; outputs asked for in binary, or large ones in
 * shared memory too. Whole HTTP requests, ready for the wire, made once and sent many times.
 */

#include "benchmarks/load/load_region.h"
#include "common/error.h"
#include "common/random.h"

#include <stddef.h>

enum { GLET_INFER_VARIANTS = 4 }; /* different data, so that nothing is served from a cache */

struct glet_infer_request {
    char *bytes[GLET_INFER_VARIANTS];
    size_t variants; /* of them are there: one when the request is large */
    size_t lengths[GLET_INFER_VARIANTS];
};

/*
 * metadata is the JSON of GET /v2/models/{model}; a free dimension becomes 1. A region with a name is
 * created and filled by the model's first request, for those of its other targets too; NULL or one
 * without a name: the data go in bodies. Fails with GLET_ERR_INPUT when metadata is not such JSON, or
 * is of other tensors than the region holds, GLET_ERR_UNSUPPORTED for an unknown datatype or an input
 * without bytes that were to be shared, GLET_ERR_RANGE for more than 64 MiB, GLET_ERR_NOMEM. Release with glet_infer_request_fini()
 * whatever happens.
 */
GLET_MUST_CHECK
int glet_infer_request_init(struct glet_infer_request *request, const char *host, const char *model,
                            const char *metadata, struct glet_random *random,
                            struct glet_load_region *region, struct glet_error *err);
void glet_infer_request_fini(struct glet_infer_request *request);

/* "GET path" as a whole request, the caller's to free. */
GLET_MUST_CHECK
char *glet_get_request(const char *host, const char *path, struct glet_error *err);

/* The path of a model, percent-encoded where needed; the caller's to free. */
GLET_MUST_CHECK
char *glet_model_path(const char *model, const char *suffix, struct glet_error *err);

#endif
