/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: floats uniform in [-1, 1), so that activations stay ordinary; integers 0 or 1, which is
 * valid for token ids, masks and indices alike; strings of eight letters.
 */
#include "benchmarks/load/infer_request.h"

#include "common/json.h"
#include "common/memory.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DIMENSIONS_MAX = 16, STRING_LETTERS = 8 };
enum { ALIGNMENT = 64 };                                    /* of each input in shared memory */
static const size_t request_limit_bytes = (size_t)64 << 20; /* what servers commonly accept */

static const size_t several_limit_bytes = (size_t)4 << 20; /* above, memory matters more */

enum value_kind { VALUE_FLOAT, VALUE_HALF, VALUE_BRAIN, VALUE_INTEGER, VALUE_STRING };

static const struct datatype {
    const char *name;
    size_t size_bytes;
    enum value_kind kind;
} datatypes[] = {
    {"FP32", 4, VALUE_FLOAT},     {"FP64", 8, VALUE_FLOAT},
    {"FP16", 2, VALUE_HALF},      {"BF16", 2, VALUE_BRAIN},
    {"BOOL", 1, VALUE_INTEGER},   {"INT8", 1, VALUE_INTEGER},
    {"INT16", 2, VALUE_INTEGER},  {"INT32", 4, VALUE_INTEGER},
    {"INT64", 8, VALUE_INTEGER},  {"UINT8", 1, VALUE_INTEGER},
    {"UINT16", 2, VALUE_INTEGER}, {"UINT32", 4, VALUE_INTEGER},
    {"UINT64", 8, VALUE_INTEGER}, {"BYTES", 4 + STRING_LETTERS, VALUE_STRING},
};

struct tensor {
    const char *name;
    const struct datatype *type;
    int64_t dims[DIMENSIONS_MAX];
    int rank;
    size_t elements, bytes;
};

/* ---- values ---- */

static void put_value(const struct datatype *type, struct glet_random *random, char *at)
{
    double value = 2 * glet_random_uniform(random) - 1;
    uint16_t half;
    switch (type->kind) {
    case VALUE_FLOAT:
        if (type->size_bytes == sizeof(double)) {
            memcpy(at, &value, sizeof value);
        } else {
            float narrow = (float)value;
            memcpy(at, &narrow, sizeof narrow);
        }
        break;
    case VALUE_HALF: /* a random sign and mantissa, exponent of [0.5, 1) */
        half = (uint16_t)(0x3800 | (glet_random_bits(random) & 0x83ff));
        memcpy(at, &half, sizeof half);
        break;
    case VALUE_BRAIN:
        half = (uint16_t)(0x3f00 | (glet_random_bits(random) & 0x807f));
        memcpy(at, &half, sizeof half);
        break;
    case VALUE_INTEGER: /* little-endian */
        at[0] = value > 0;
        memset(at + 1, 0, type->size_bytes - 1);
        break;
    case VALUE_STRING:
        memcpy(at, &(uint32_t){STRING_LETTERS}, 4);
        for (int i = 0; i < STRING_LETTERS; i++)
            at[4 + i] = (char)('a' + glet_random_below(random, 26));
        break;
    }
}

/* ---- metadata ---- */

static int parse_tensor(const cJSON *item, const char *kind, struct tensor *tensor,
                        const char *model, struct glet_error *err)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
    const cJSON *datatype = cJSON_GetObjectItemCaseSensitive(item, "datatype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    if (!cJSON_IsString(name) || !cJSON_IsString(datatype) || !cJSON_IsArray(shape) ||
        cJSON_GetArraySize(shape) > DIMENSIONS_MAX)
        return glet_error_set(err, GLET_ERR_INPUT, "metadata of %s: malformed %s", model, kind);
    tensor->name = name->valuestring;
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes && !tensor->type; i++)
        if (strcmp(datatypes[i].name, datatype->valuestring) == 0)
            tensor->type = &datatypes[i];
    if (!tensor->type)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "metadata of %s: datatype '%s' of %s %s",
                              model, datatype->valuestring, kind, tensor->name);
    tensor->elements = 1;
    const cJSON *dim;
    cJSON_ArrayForEach(dim, shape)
    {
        double value = cJSON_IsNumber(dim) ? dim->valuedouble : -2;
        if (value < -1 || value > 1e15 || value != (double)(int64_t)value)
            return glet_error_set(err, GLET_ERR_INPUT, "metadata of %s: bad shape of %s %s", model,
                                  kind, tensor->name);
        int64_t size = value < 0 ? 1 : (int64_t)value;
        tensor->dims[tensor->rank++] = size;
        if (__builtin_mul_overflow(tensor->elements, (size_t)size, &tensor->elements) ||
            tensor->elements > request_limit_bytes)
            return glet_error_set(err, GLET_ERR_RANGE, "metadata of %s: %s %s is too large", model,
                                  kind, tensor->name);
    }
    tensor->bytes = tensor->elements * tensor->type->size_bytes;
    return 0;
}

struct tensors {
    struct tensor *list;
    size_t count;
    size_t bytes, shared_bytes; /* of all, one after the other; likewise, in shared memory */
};

struct interface {                  /* of a model */
    struct tensors inputs, outputs; /* outputs: none unless they are to be shared */
    size_t outputs_at;              /* in the region */
};

/* Where the data of a request are: region NULL = in its body. */
struct place {
    const char *region;
    size_t offset;
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_input(struct glet_json *json, const struct tensor *input, struct place *place)
{
    glet_json_object(json, NULL);
    glet_json_string(json, "name", input->name);
    glet_json_array(json, "shape");
    for (int d = 0; d < input->rank; d++)
        glet_json_int(json, NULL, input->dims[d]);
    glet_json_end(json);
    glet_json_string(json, "datatype", input->type->name);
    glet_json_object(json, "parameters");
    if (place->region) {
        glet_json_string(json, "shared_memory_region", place->region);
        glet_json_uint(json, "shared_memory_offset", place->offset);
        glet_json_uint(json, "shared_memory_byte_size", input->bytes);
        place->offset += aligned(input->bytes);
    } else {
        glet_json_uint(json, "binary_data_size", input->bytes);
    }
    glet_json_end(json);
    glet_json_end(json);
}

/* Below it an answer is one packet more or less, whatever it holds. */
enum { LEAST_SHARED_OUTPUT_BYTES = 64 << 10 };

static bool is_shared_output(const struct tensor *output)
{
    return output->type->kind != VALUE_STRING && output->bytes >= LEAST_SHARED_OUTPUT_BYTES;
}

/* All requests have their outputs written to the same place: nobody reads them. */
static void put_outputs(struct glet_json *json, const struct tensors *outputs, struct place place)
{
    glet_json_array(json, "outputs");
    for (size_t i = 0; i < outputs->count; i++) {
        const struct tensor *output = &outputs->list[i];
        glet_json_object(json, NULL);
        glet_json_string(json, "name", output->name);
        if (is_shared_output(output)) {
            glet_json_object(json, "parameters");
            glet_json_string(json, "shared_memory_region", place.region);
            glet_json_uint(json, "shared_memory_offset", place.offset);
            glet_json_uint(json, "shared_memory_byte_size", output->bytes);
            glet_json_end(json);
            place.offset += aligned(output->bytes);
        }
        glet_json_end(json);
    }
    glet_json_end(json);
}

static char *json_header(const struct interface *model, struct place place, size_t *length,
                         struct glet_error *err)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);
    if (!stream) {
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return NULL;
    }
    struct glet_json json = glet_json_begin(stream, GLET_JSON_COMPACT);
    glet_json_object(&json, NULL);
    glet_json_array(&json, "inputs");
    for (size_t i = 0; i < model->inputs.count; i++)
        put_input(&json, &model->inputs.list[i], &place);
    glet_json_end(&json);
    if (model->outputs.shared_bytes > 0)
        put_outputs(&json, &model->outputs, (struct place){place.region, model->outputs_at});
    glet_json_object(&json, "parameters");
    glet_json_bool(&json, "binary_data_output", true);
    glet_json_end(&json);
    glet_json_end(&json);
    if (fclose(stream) != 0) {
        free(text);
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return NULL;
    }
    return text;
}

/* ---- requests ---- */

char *glet_model_path(const char *model, const char *suffix, struct glet_error *err)
{
    char *path = glet_alloc(strlen(model) * 3 + strlen(suffix) + sizeof "/v2/models/", 1, err);
    if (!path)
        return NULL;
    char *at = stpcpy(path, "/v2/models/");
    for (const char *c = model; *c; c++) {
        bool plain = isalnum((unsigned char)*c) || strchr("-._~", *c);
        at += plain ? sprintf(at, "%c", *c) : sprintf(at, "%%%02X", (unsigned char)*c);
    }
    strcpy(at, suffix);
    return path;
}

char *glet_get_request(const char *host, const char *path, struct glet_error *err)
{
    return glet_format(err, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gpulet-load\r\n\r\n", path,
                       host);
}

static int parse_tensors(const cJSON *list, const char *kind, struct tensors *out,
                         const char *model, struct glet_error *err)
{
    const cJSON *item;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
        return glet_error_set(err, GLET_ERR_INPUT, "metadata of %s: no %ss", model, kind);
    out->list = glet_alloc((size_t)cJSON_GetArraySize(list), sizeof *out->list, err);
    if (!out->list)
        return -1;
    cJSON_ArrayForEach(item, list)
    {
        struct tensor *tensor = &out->list[out->count++];
        if (parse_tensor(item, kind, tensor, model, err) < 0)
            return -1;
        out->bytes += tensor->bytes;
        out->shared_bytes += aligned(tensor->bytes);
        if (out->bytes > request_limit_bytes)
            return glet_error_set(err, GLET_ERR_RANGE,
                                  "metadata of %s: a request would exceed %zu MiB", model,
                                  request_limit_bytes >> 20);
    }
    return 0;
}

static int parse_outputs(const cJSON *metadata, struct tensors *out, const char *model,
                         struct glet_error *err)
{
    if (parse_tensors(cJSON_GetObjectItemCaseSensitive(metadata, "outputs"), "output", out, model,
                      err) < 0)
        return -1;
    out->shared_bytes = 0;
    for (size_t i = 0; i < out->count; i++)
        out->shared_bytes += is_shared_output(&out->list[i]) ? aligned(out->list[i].bytes) : 0;
    return 0;
}

/* alignment: of each input. */
static void put_values(const struct tensors *inputs, size_t alignment, struct glet_random *random,
                       char *at)
{
    for (size_t i = 0; i < inputs->count; i++) {
        const struct tensor *input = &inputs->list[i];
        for (size_t e = 0; e < input->elements; e++)
            put_value(input->type, random, at + e * input->type->size_bytes);
        at += (input->bytes + alignment - 1) / alignment * alignment;
    }
}

/* The request's head and JSON, with room for the rest of its body behind them: *end_out. */
static int put_head(struct glet_infer_request *request, size_t variant, const char *host,
                    const char *path, const struct interface *model, struct place place,
                    char **end_out, struct glet_error *err)
{
    size_t json_length = 0, body_bytes = place.region ? 0 : model->inputs.bytes;
    GLET_CLEANUP(glet_cleanup_free)
    char *json = json_header(model, place, &json_length, err);
    GLET_CLEANUP(glet_cleanup_free)
    char *head = json ? glet_format(err,
                                    "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gpulet-load\r\n"
                                    "Content-Type: application/octet-stream\r\n"
                                    "Inference-Header-Content-Length: %zu\r\n"
                                    "Content-Length: %zu\r\n\r\n",
                                    path, host, json_length, json_length + body_bytes)
                      : NULL;
    if (!head)
        return -1;
    size_t head_length = strlen(head);
    request->lengths[variant] = head_length + json_length + body_bytes;
    request->bytes[variant] = glet_alloc(request->lengths[variant], 1, err);
    if (!request->bytes[variant])
        return -1;
    *end_out = mempcpy(mempcpy(request->bytes[variant], head, head_length), json, json_length);
    return 0;
}

/* Inputs first, those of each variant, then the outputs of all. */
static int create_region(struct glet_load_region *region, struct interface *interface,
                         size_t variants, const char *model, struct glet_random *random,
                         struct glet_error *err)
{
    const struct tensors *inputs = &interface->inputs;
    interface->outputs_at = variants * inputs->shared_bytes;
    size_t bytes = interface->outputs_at + interface->outputs.shared_bytes;
    for (size_t i = 0; i < inputs->count; i++)
        if (inputs->list[i].bytes == 0)
            return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                                  "input %s of %s has no bytes: it cannot be in shared memory",
                                  inputs->list[i].name, model);
    if (region->memory)
        return region->bytes == bytes
                   ? 0
                   : glet_error_set(err, GLET_ERR_INPUT, "the targets differ in the tensors of %s",
                                    model);
    if (glet_load_region_create(region, bytes, err) < 0)
        return -1;
    for (size_t v = 0; v < variants; v++)
        put_values(inputs, ALIGNMENT, random, region->memory + v * inputs->shared_bytes);
    return 0;
}

static int assemble(struct glet_infer_request *request, const char *host, const char *model,
                    struct interface *interface, struct glet_random *random,
                    struct glet_load_region *region, struct glet_error *err)
{
    const struct tensors *inputs = &interface->inputs;
    bool shared = region && region->name[0];
    GLET_CLEANUP(glet_cleanup_free) char *path = glet_model_path(model, "/infer", err);
    request->variants = inputs->bytes <= several_limit_bytes ? GLET_INFER_VARIANTS : 1;
    if (!path ||
        (shared && create_region(region, interface, request->variants, model, random, err) < 0))
        return -1;
    for (size_t v = 0; v < request->variants; v++) {
        struct place place = {shared ? region->name : NULL, v * inputs->shared_bytes};
        char *end;
        if (put_head(request, v, host, path, interface, place, &end, err) < 0)
            return -1;
        if (!shared)
            put_values(inputs, 1, random, end);
    }
    return 0;
}

int glet_infer_request_init(struct glet_infer_request *request, const char *host, const char *model,
                            const char *metadata, struct glet_random *random,
                            struct glet_load_region *region, struct glet_error *err)
{
    *request = (struct glet_infer_request){0};
    struct interface interface = {0};
    cJSON *root = cJSON_Parse(metadata);
    int rc = parse_tensors(cJSON_GetObjectItemCaseSensitive(root, "inputs"), "input",
                           &interface.inputs, model, err);
    if (rc == 0 && region && region->outputs_too)
        rc = parse_outputs(root, &interface.outputs, model, err);
    if (rc == 0)
        rc = assemble(request, host, model, &interface, random, region, err);
    cJSON_Delete(root);
    free(interface.inputs.list);
    free(interface.outputs.list);
    return rc;
}

void glet_infer_request_fini(struct glet_infer_request *request)
{
    for (int v = 0; v < GLET_INFER_VARIANTS; v++)
        free(request->bytes[v]);
    *request = (struct glet_infer_request){0};
}
