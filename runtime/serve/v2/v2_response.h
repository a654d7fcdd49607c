/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_V2_RESPONSE_H
#define GLET_V2_RESPONSE_H

/* The answer to an inference request. Pure. */

#include "runtime/serve/text.h"
#include "runtime/serve/v2/v2_request.h"

#include <sys/uio.h>

struct glet_v2_response {
    struct glet_text json;
    size_t part_count; /* of parts: json, then binary tensors */
    bool binary;       /* Content-Type application/octet-stream, and
                          Inference-Header-Content-Length is json.length */
};

/*
 * outputs[i] is the model's output i, request->rows rows; not used of one with a place in shared
 * memory, which says no more than its name, datatype and shape. parts has room for 1 +
 * GLET_V2_MAX_TENSORS; they point into response->json and outputs. response->json keeps its memory
 * from one use to the next.
 *
 * Returns 0, or -1 with GLET_ERR_UNSUPPORTED (an output to be written as JSON holds an infinity or
 * NaN: status 500) or GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_v2_response_emit(const struct glet_v2_model *model, const struct glet_v2_request *request,
                          void *const *outputs, struct glet_v2_response *response,
                          struct iovec *parts, struct glet_error *err);

#endif
