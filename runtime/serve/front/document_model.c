/* SPDX-License-Identifier: Apache-2.0 */

/* What the protocol tells of server and models (serving.md, 1.2 and 1.5): the shapes are those that
   tritonclient, perf_analyzer and kserve read. */

#include "runtime/serve/front/front.h"

#include <inttypes.h>

void glet_document_server(struct glet_call *call)
{
    struct glet_text *text = &call->response.json;
    glet_text_put(text, "{\"name\":\"gpulet\",\"version\":\"" GLET_VERSION "\",\"extensions\":["
                        "\"binary_tensor_data\",\"model_configuration\",\"model_repository\","
                        "\"statistics\"");
    if (call->listener->frontend->regions)
        glet_text_put(text, ",\"system_shared_memory\"");
    glet_text_put(text, "]}");
}

static void put_dims(struct glet_text *text, const struct glet_v2_tensor *tensor, int first,
                     bool batched)
{
    glet_text_put(text, "[");
    for (int i = first; i < tensor->rank; i++) {
        int64_t dim = tensor->dims[i];
        if (i == 0 && dim == GLET_DIM_BATCH && !batched)
            dim = 1; /* another tensor has no batch dimension, so only one row is served */
        glet_text_format(text, "%s%" PRId64, i > first ? "," : "", dim);
    }
    glet_text_put(text, "]");
}

static void put_metadata(struct glet_text *text, const char *key,
                         const struct glet_v2_tensor *tensors, size_t count, bool batched)
{
    glet_text_format(text, ",\"%s\":[", key);
    for (size_t i = 0; i < count; i++) {
        glet_text_put(text, i ? ",{\"name\":" : "{\"name\":");
        glet_text_json_string(text, tensors[i].name);
        glet_text_format(text, ",\"datatype\":\"%s\",\"shape\":", tensors[i].type->name);
        put_dims(text, &tensors[i], 0, batched);
        glet_text_put(text, "}");
    }
    glet_text_put(text, "]");
}

void glet_document_model(struct glet_call *call)
{
    const struct glet_v2_model *model = &call->model->v2;
    struct glet_text *text = &call->response.json;
    glet_text_put(text, "{\"name\":");
    glet_text_json_string(text, model->name);
    glet_text_put(text, ",\"versions\":[\"1\"],\"platform\":\"gpulet_onnx\"");
    put_metadata(text, "inputs", model->inputs, model->input_count, model->batched);
    put_metadata(text, "outputs", model->outputs, model->output_count, model->batched);
    glet_text_put(text, "}");
}

static void put_config(struct glet_text *text, const char *key,
                       const struct glet_v2_tensor *tensors, size_t count, bool batched)
{
    glet_text_format(text, ",\"%s\":[", key);
    for (size_t i = 0; i < count; i++) {
        glet_text_put(text, i ? ",{\"name\":" : "{\"name\":");
        glet_text_json_string(text, tensors[i].name);
        glet_text_format(text, ",\"data_type\":\"%s\",\"dims\":", tensors[i].type->config_name);
        put_dims(text, &tensors[i], batched ? 1 : 0, batched);
        glet_text_put(text, "}");
    }
    glet_text_put(text, "]");
}

void glet_document_config(struct glet_call *call)
{
    const struct glet_v2_model *model = &call->model->v2;
    struct glet_text *text = &call->response.json;
    glet_text_put(text, "{\"name\":");
    glet_text_json_string(text, model->name);
    /* 0 tells clients that shapes hold no batch dimension */
    glet_text_format(text,
                     ",\"platform\":\"gpulet_onnx\",\"backend\":\"gpulet\""
                     ",\"max_batch_size\":%d",
                     model->batched ? model->max_rows : 0);
    put_config(text, "input", model->inputs, model->input_count, model->batched);
    put_config(text, "output", model->outputs, model->output_count, model->batched);
    glet_text_put(text, "}");
}

void glet_document_models(struct glet_call *call)
{
    const struct glet_service *service = call->listener->frontend->service;
    struct glet_text *text = &call->response.json;
    glet_text_put(text, "{\"models\":[");
    for (size_t i = 0; i < glet_service_model_count(service); i++) {
        glet_text_put(text, i ? "," : "");
        glet_text_json_string(text, glet_service_model_name(service, (int)i));
    }
    glet_text_put(text, "]}");
}

void glet_document_index(struct glet_call *call)
{
    const struct glet_service *service = call->listener->frontend->service;
    struct glet_text *text = &call->response.json;
    glet_text_put(text, "[");
    for (size_t i = 0; i < glet_service_model_count(service); i++) {
        bool ready = glet_service_model_ready(service, (int)i);
        glet_text_put(text, i ? ",{\"name\":" : "{\"name\":");
        glet_text_json_string(text, glet_service_model_name(service, (int)i));
        glet_text_put(text, ready ? ",\"version\":\"1\",\"state\":\"READY\",\"reason\":\"\"}"
                                  : ",\"version\":\"1\",\"state\":\"UNAVAILABLE\",\"reason\":"
                                    "\"not served by the plan, or being built\"}");
    }
    glet_text_put(text, "]");
}

static void put_duration(struct glet_text *text, const char *before, const char *key,
                         uint64_t count, uint64_t ns)
{
    glet_text_format(text, "%s\"%s\":{\"count\":%" PRIu64 ",\"ns\":%" PRIu64 "}", before, key,
                     count, ns);
}

static void put_batches(struct glet_text *text, const struct glet_service *service, int model)
{
    struct glet_batch_stats batch;
    const char *before = "";
    for (int rows = 1; glet_service_batch_stats(service, model, NULL, rows, &batch); rows++) {
        if (batch.executions == 0)
            continue;
        glet_text_format(text, "%s{\"batch_size\":%d", before, rows);
        put_duration(text, ",", "compute_input", batch.executions, batch.input_ns);
        put_duration(text, ",", "compute_infer", batch.executions, batch.compute_ns);
        put_duration(text, ",", "compute_output", batch.executions, batch.output_ns);
        glet_text_put(text, "}");
        before = ",";
    }
}

/* Every counter is there, as an unsigned integer, and queue.count advances with every request, or
   perf_analyzer gives up. A request waits, is gathered into its batch, computed, and scattered. */
static void put_stats(struct glet_text *text, const struct glet_service *service, int model)
{
    struct glet_model_stats s = {0};
    (void)glet_service_stats(service, model, NULL, &s);
    uint64_t done = s.outcomes[GLET_DONE], failed = 0;
    for (int i = 0; i < GLET_OUTCOME_COUNT; i++)
        failed += i == GLET_DONE ? 0 : s.outcomes[i];
    glet_text_put(text, "{\"name\":");
    glet_text_json_string(text, glet_service_model_name(service, model));
    glet_text_format(text,
                     ",\"version\":\"1\",\"last_inference\":%" PRIu64
                     ",\"inference_count\":%" PRIu64 ",\"execution_count\":%" PRIu64
                     ",\"inference_stats\":{",
                     s.last_done_unix_ms, s.rows, s.executions);
    put_duration(text, "", "success", done, s.queue_ns + s.compute_ns + s.output_ns);
    put_duration(text, ",", "fail", failed, s.fail_ns);
    put_duration(text, ",", "queue", done, s.queue_ns > s.input_ns ? s.queue_ns - s.input_ns : 0);
    put_duration(text, ",", "compute_input", done, s.input_ns);
    put_duration(text, ",", "compute_infer", done, s.compute_ns);
    put_duration(text, ",", "compute_output", done, s.output_ns);
    put_duration(text, ",", "cache_hit", 0, 0);
    put_duration(text, ",", "cache_miss", 0, 0);
    glet_text_put(text, "},\"batch_stats\":[");
    put_batches(text, service, model);
    glet_text_put(text, "],\"memory_usage\":[]}");
}

void glet_document_stats(struct glet_call *call)
{
    const struct glet_service *service = call->listener->frontend->service;
    struct glet_text *text = &call->response.json;
    size_t count = glet_service_model_count(service), first = 0;
    if (call->model) {
        first = (size_t)call->model->index;
        count = first + 1;
    }
    glet_text_put(text, "{\"model_stats\":[");
    for (size_t i = first; i < count; i++) {
        glet_text_put(text, i > first ? "," : "");
        put_stats(text, service, (int)i);
    }
    glet_text_put(text, "]}");
}
