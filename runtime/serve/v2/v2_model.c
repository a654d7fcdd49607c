/* SPDX-License-Identifier: Apache-2.0 */

/* Everything that can be computed once per model instead of once per request. */

#include "runtime/serve/v2/v2_model.h"

#define JSON_BYTES_PER_ELEMENT 26 /* -1.7976931348623157e+308 with comma and blank */
#define JSON_HEADER_BYTES      65536
#define MAX_REQUEST_BYTES      (SIZE_MAX / 64)

static const struct glet_v2_datatype datatypes[] = {
    [GLET_FLOAT32] = {"FP32", "TYPE_FP32", 4, GLET_V2_FLOAT},
    [GLET_FLOAT64] = {"FP64", "TYPE_FP64", 8, GLET_V2_FLOAT},
    [GLET_FLOAT16] = {"FP16", "TYPE_FP16", 2, GLET_V2_OPAQUE},
    [GLET_BFLOAT16] = {"BF16", "TYPE_BF16", 2, GLET_V2_OPAQUE},
    [GLET_INT8] = {"INT8", "TYPE_INT8", 1, GLET_V2_SIGNED},
    [GLET_INT16] = {"INT16", "TYPE_INT16", 2, GLET_V2_SIGNED},
    [GLET_INT32] = {"INT32", "TYPE_INT32", 4, GLET_V2_SIGNED},
    [GLET_INT64] = {"INT64", "TYPE_INT64", 8, GLET_V2_SIGNED},
    [GLET_UINT8] = {"UINT8", "TYPE_UINT8", 1, GLET_V2_UNSIGNED},
    [GLET_UINT16] = {"UINT16", "TYPE_UINT16", 2, GLET_V2_UNSIGNED},
    [GLET_UINT32] = {"UINT32", "TYPE_UINT32", 4, GLET_V2_UNSIGNED},
    [GLET_UINT64] = {"UINT64", "TYPE_UINT64", 8, GLET_V2_UNSIGNED},
    [GLET_BOOL] = {"BOOL", "TYPE_BOOL", 1, GLET_V2_BOOL},
};

const struct glet_v2_datatype *glet_v2_datatype(enum glet_dtype dtype)
{
    return &datatypes[dtype];
}

static bool complete_tensor(struct glet_v2_tensor *tensor)
{
    size_t elements = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (i == 0 && tensor->dims[0] == GLET_DIM_BATCH)
            continue;
        if (tensor->dims[i] < 0 ||
            __builtin_mul_overflow(elements, (size_t)tensor->dims[i], &elements))
            return false;
    }
    tensor->row_elements = elements;
    return elements < MAX_REQUEST_BYTES &&
           !__builtin_mul_overflow(elements, tensor->type->size_bytes, &tensor->row_bytes);
}

static bool has_batch(const struct glet_v2_tensor *tensor)
{
    return tensor->rank > 0 && tensor->dims[0] == GLET_DIM_BATCH;
}

int glet_v2_model_complete(struct glet_v2_model *model, struct glet_error *err)
{
    size_t bytes = 0, elements = 0;
    bool fits = true;
    model->batched = true;
    model->output_row_bytes = 0;
    for (size_t i = 0; i < model->input_count && fits; i++) {
        struct glet_v2_tensor *tensor = &model->inputs[i];
        fits = complete_tensor(tensor) &&
               !__builtin_add_overflow(bytes, tensor->row_bytes, &bytes) &&
               !__builtin_add_overflow(elements, tensor->row_elements, &elements);
        model->batched = model->batched && has_batch(tensor);
    }
    for (size_t i = 0; i < model->output_count && fits; i++) {
        struct glet_v2_tensor *tensor = &model->outputs[i];
        fits = complete_tensor(tensor) &&
               !__builtin_add_overflow(model->output_row_bytes, tensor->row_bytes,
                                       &model->output_row_bytes);
        model->batched = model->batched && has_batch(tensor);
    }
    if (!model->batched || model->max_rows < 1)
        model->max_rows = 1;
    size_t rows = (size_t)model->max_rows;
    if (!fits || elements >= MAX_REQUEST_BYTES / rows || bytes >= MAX_REQUEST_BYTES / rows ||
        model->output_row_bytes >= MAX_REQUEST_BYTES / rows)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "tensors of model '%s' are too large",
                              model->name);
    model->max_json_bytes = rows * bytes;
    size_t json = rows * elements * JSON_BYTES_PER_ELEMENT;
    size_t largest = json > rows * bytes ? json : rows * bytes;
    model->max_body_bytes = largest + JSON_HEADER_BYTES;
    return 0;
}
