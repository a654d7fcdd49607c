/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The codec over any bytes. The first byte picks a model, the second and third the header length
 * (0xffff = none); the rest is the body. What is accepted must be JSON for cJSON too, its tensors
 * must be readable to their last byte, or be in shared memory with all of their bytes, and its answer
 * must be JSON.
 */

#include "tests/fuzz/fuzz_common.h"

#include "runtime/serve/v2/v2_response.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#define TENSOR_BYTES 4096
#define REQUIRE(x)   ((x) ? (void)0 : abort())

static struct glet_v2_tensor tensor(const char *name, enum glet_dtype dtype, int rank, int64_t d0,
                                    int64_t d1)
{
    struct glet_v2_tensor out = {.name = name, .type = glet_v2_datatype(dtype), .rank = rank};
    out.dims[0] = d0;
    out.dims[1] = d1;
    return out;
}

static void make_model(uint8_t choice, struct glet_v2_model *out)
{
    struct glet_error err = {0};
    *out = (struct glet_v2_model){
        .name = "m \"x\"", .max_rows = 8, .input_count = 1, .output_count = 1};
    int dtype = choice % 16;
    if (dtype <= GLET_BOOL) {
        out->inputs[0] = tensor("in", (enum glet_dtype)dtype, 2, GLET_DIM_BATCH, 4);
        out->outputs[0] = tensor("out", (enum glet_dtype)dtype, 2, GLET_DIM_BATCH, 4);
    } else if (dtype == GLET_BOOL + 1) {
        out->inputs[0] = tensor("a", GLET_INT32, 2, GLET_DIM_BATCH, 3);
        out->inputs[1] = tensor("b\n", GLET_FLOAT64, 1, GLET_DIM_BATCH, 0);
        out->outputs[0] = tensor("sum", GLET_INT32, 2, GLET_DIM_BATCH, 3);
        out->outputs[1] = tensor("product", GLET_FLOAT64, 1, GLET_DIM_BATCH, 0);
        out->input_count = out->output_count = 2;
    } else {
        out->inputs[0] = tensor("in", GLET_FLOAT32, 2, 2, dtype == 15 ? 0 : 3);
        out->outputs[0] = tensor("out", GLET_FLOAT32, 2, 2, dtype == 15 ? 0 : 3);
    }
    REQUIRE(glet_v2_model_complete(out, &err) == 0);
}

static unsigned touch(const void *data, size_t bytes)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += ((const unsigned char *)data)[i];
    return sum;
}

/* The region's name, decoded, is what it is taken for. */
static void check_place(const struct glet_v2_place *place, size_t bytes)
{
    char name[256];
    REQUIRE(place->bytes == bytes && place->offset <= INT64_MAX);
    if (glet_json_decode(&place->region, name, sizeof name))
        REQUIRE(glet_json_is(&place->region, name));
    else
        REQUIRE(place->region.raw.length >= sizeof name || place->region.escaped);
}

/* An input in shared memory is filled in, as if it had been found there. */
static void find_shared(const struct glet_v2_model *model, struct glet_v2_request *request)
{
    static const char memory[TENSOR_BYTES];
    for (size_t i = 0; i < model->input_count; i++) {
        REQUIRE(!request->inputs[i] == (request->places[i].region.raw.data != NULL));
        if (request->inputs[i])
            continue;
        check_place(&request->places[i], (size_t)request->rows * model->inputs[i].row_bytes);
        request->inputs[i] = memory;
    }
    for (size_t i = 0; i < request->output_count; i++) {
        const struct glet_v2_request_output *output = &request->outputs[i];
        if (output->place.region.raw.data)
            check_place(&output->place,
                        (size_t)request->rows * model->outputs[output->index].row_bytes);
    }
}

static void answer(const struct glet_v2_model *model, const struct glet_v2_request *request)
{
    static char results[TENSOR_BYTES];
    static struct glet_v2_response response;
    struct iovec parts[1 + GLET_V2_MAX_TENSORS];
    void *outputs[2] = {results, results};
    struct glet_error err = {0};
    for (size_t i = 0; i < model->input_count; i++)
        memcpy(results, request->inputs[i], (size_t)request->rows * model->inputs[i].row_bytes);
    if (glet_v2_response_emit(model, request, outputs, &response, parts, &err) < 0) {
        REQUIRE(err.code == GLET_ERR_UNSUPPORTED);
        return;
    }
    cJSON *json = cJSON_ParseWithLength(response.json.data, response.json.length);
    REQUIRE(json);
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct glet_v2_request request;
    struct glet_v2_model model;
    struct glet_error err = {0};
    if (size < 3)
        return 0;
    make_model(data[0], &model);
    size_t header_length = (size_t)data[1] | (size_t)data[2] << 8;
    header_length = header_length == 0xffff ? SIZE_MAX : header_length;
    size_t length = size - 3, json_length = header_length < length ? header_length : length;
    char *json =
        aligned_alloc(64, (glet_v2_request_json_bytes(&model, json_length) + 63) / 64 * 64);
    char *body = malloc(length + 1);
    memcpy(body, data + 3, length);
    if (glet_v2_request_parse(&model, body, length, header_length, json, &request, &err) == 0) {
        REQUIRE(request.rows >= 1 && request.rows <= model.max_rows);
        volatile unsigned sum = 0;
        find_shared(&model, &request);
        for (size_t i = 0; i < model.input_count; i++)
            sum += touch(request.inputs[i], (size_t)request.rows * model.inputs[i].row_bytes);
        if (header_length != 0) {
            cJSON *parsed = cJSON_ParseWithLength(body, json_length);
            REQUIRE(parsed || memmem(body, json_length, "\\u0000", 6));
            cJSON_Delete(parsed);
        }
        answer(&model, &request);
    } else {
        REQUIRE(err.code != GLET_OK && err.message[0]);
    }
    free(body);
    free(json);
    return 0;
}
