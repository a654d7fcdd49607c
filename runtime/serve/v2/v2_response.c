/* SPDX-License-Identifier: Apache-2.0 */

/* Binary tensors are not copied: they leave from where the executor's results were put. */

#include "runtime/serve/v2/v2_response.h"

#include "runtime/serve/v2/tensor_json.h"

#include <inttypes.h>

static void put_shape(struct glet_text *text, const struct glet_v2_tensor *tensor, int rows)
{
    glet_text_put(text, "[");
    for (int i = 0; i < tensor->rank; i++) {
        bool batch = i == 0 && tensor->dims[0] == GLET_DIM_BATCH;
        if (i)
            glet_text_put(text, ",");
        glet_text_u64(text, batch ? (uint64_t)rows : (uint64_t)tensor->dims[i]);
    }
    glet_text_put(text, "]");
}

static void put_head(struct glet_text *text, const struct glet_v2_model *model,
                     const struct glet_v2_request *request)
{
    glet_text_put(text, "{\"model_name\":");
    glet_text_json_string(text, model->name);
    glet_text_put(text, ",\"model_version\":\"1\"");
    if (request->id.data) {
        glet_text_put(text, ",\"id\":\"");
        glet_text_add(text, request->id.data, request->id.length);
        glet_text_put(text, "\"");
    }
    glet_text_put(text, ",\"outputs\":[");
}

int glet_v2_response_emit(const struct glet_v2_model *model, const struct glet_v2_request *request,
                          void *const *outputs, struct glet_v2_response *response,
                          struct iovec *parts, struct glet_error *err)
{
    struct glet_text *text = &response->json;
    glet_text_clear(text);
    response->part_count = 1;
    response->binary = false;
    put_head(text, model, request);
    for (size_t i = 0; i < request->output_count; i++) {
        const struct glet_v2_tensor *tensor = &model->outputs[request->outputs[i].index];
        void *data = outputs[request->outputs[i].index];
        size_t rows = (size_t)request->rows, bytes = rows * tensor->row_bytes;
        glet_text_put(text, i ? ",{\"name\":" : "{\"name\":");
        glet_text_json_string(text, tensor->name);
        glet_text_put(text, ",\"datatype\":\"");
        glet_text_put(text, tensor->type->name);
        glet_text_put(text, "\",\"shape\":");
        put_shape(text, tensor, request->rows);
        if (request->outputs[i].place.region.raw.data) { /* the data are there */
            glet_text_put(text, "}");
            continue;
        }
        if (request->outputs[i].binary) {
            response->binary = true;
            glet_text_put(text, ",\"parameters\":{\"binary_data_size\":");
            glet_text_u64(text, bytes);
            glet_text_put(text, "}}");
            parts[response->part_count++] = (struct iovec){data, bytes};
            continue;
        }
        glet_text_put(text, ",\"data\":");
        if (!glet_tensor_json_write(text, tensor->type, data, rows * tensor->row_elements)) {
            glet_error_set(err, GLET_ERR_UNSUPPORTED,
                           "output '%s' holds an infinity or NaN, which JSON cannot express",
                           tensor->name);
            return glet_error_hint(err, "ask for binary_data");
        }
        glet_text_put(text, "}");
    }
    glet_text_put(text, "]}");
    parts[0] = (struct iovec){text->data, text->length};
    if (text->failed)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    return 0;
}
