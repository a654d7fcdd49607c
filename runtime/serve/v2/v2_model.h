/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_V2_MODEL_H
#define GLET_V2_MODEL_H

/*
 * A model as the protocol sees it: names, datatypes, shapes, and the sizes that follow from them.
 * A plain value; names are borrowed from whoever described the model.
 */

#include "common/error.h"
#include "runtime/engine/graph.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLET_V2_MAX_TENSORS 64 /* inputs, and outputs, of one model */

/* What JSON says of one element. */
enum glet_v2_kind { GLET_V2_SIGNED, GLET_V2_UNSIGNED, GLET_V2_FLOAT, GLET_V2_BOOL, GLET_V2_OPAQUE };

struct glet_v2_datatype {
    const char *name;        /* "FP32" */
    const char *config_name; /* in a model configuration: "TYPE_FP32" */
    size_t size_bytes;
    enum glet_v2_kind kind; /* OPAQUE: binary only */
};
const struct glet_v2_datatype *glet_v2_datatype(enum glet_dtype dtype);

struct glet_v2_tensor {
    const char *name;
    const struct glet_v2_datatype *type;
    int rank;
    int64_t dims[GLET_MAX_RANK]; /* dims[0] = GLET_DIM_BATCH where the batch is free */
    size_t row_elements;         /* of one request */
    size_t row_bytes;
};

struct glet_v2_model {
    const char *name;
    int max_rows; /* 1 unless every tensor has a free batch dimension */
    bool batched; /* every tensor has one */
    size_t input_count, output_count;
    struct glet_v2_tensor inputs[GLET_V2_MAX_TENSORS], outputs[GLET_V2_MAX_TENSORS];
    size_t max_json_bytes; /* of tensors that a largest request brings as JSON */
    size_t max_body_bytes; /* of a largest request, JSON or binary */
    size_t output_row_bytes;
};

/*
 * Completes a model whose name, max_rows, counts, and per tensor name, type, rank and dims are
 * given. GLET_ERR_UNSUPPORTED: sizes that overflow.
 */
GLET_MUST_CHECK
int glet_v2_model_complete(struct glet_v2_model *model, struct glet_error *err);

#endif
