/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_V2_REQUEST_H
#define GLET_V2_REQUEST_H

/*
 * An inference request of KServe's v2 protocol with Triton's binary tensors, read from a whole body
 * against the model it is for. Pure: no I/O, no allocation; binary tensors stay where they are.
 */

#include "common/error.h"
#include "runtime/serve/slice.h"
#include "runtime/serve/v2/json_reader.h"
#include "runtime/serve/v2/v2_model.h"

/* Where in a client's shared memory a tensor is, or is to be put. */
struct glet_v2_place {
    struct glet_json_string region; /* its registered name; raw.data NULL = not in shared memory */
    uint64_t offset, bytes;
};

struct glet_v2_request_output {
    size_t index; /* of the model's outputs */
    bool binary;
    struct glet_v2_place place; /* bytes are those of its rows */
};

struct glet_v2_request {
    int rows;
    const void *inputs[GLET_V2_MAX_TENSORS]; /* in the body (any alignment), or in `json`; NULL: in
                                                its place */
    struct glet_v2_place places[GLET_V2_MAX_TENSORS]; /* of inputs; bytes are those of its rows */
    struct glet_slice id; /* as JSON text between the quotes; data NULL = none given */
    int64_t timeout_us;   /* 0 = none given */
    int priority;         /* 0 = none given; larger is more urgent */
    size_t output_count;  /* in the order in which they are to be answered */
    struct glet_v2_request_output outputs[GLET_V2_MAX_TENSORS];
};

/* Memory that `json` of glet_v2_request_parse() must have for a JSON part of this many bytes. */
size_t glet_v2_request_json_bytes(const struct glet_v2_model *model, size_t json_length);

/*
 * body      length bytes; kept in use by out
 * header_length   the value of Inference-Header-Content-Length; SIZE_MAX = none: all is JSON;
 *                 0 = raw: the body is the only input of a model with one, batch 1
 * json      where tensors that come as JSON are put, of glet_v2_request_json_bytes(); kept in use
 *
 * Returns 0, or -1 with GLET_ERR_INPUT, GLET_ERR_RANGE or GLET_ERR_UNSUPPORTED: all are status 400.
 */
GLET_MUST_CHECK
int glet_v2_request_parse(const struct glet_v2_model *model, const char *body, size_t length,
                          size_t header_length, void *json, struct glet_v2_request *out,
                          struct glet_error *err);

#endif
