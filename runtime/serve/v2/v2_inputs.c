/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The inputs of a request. Keys may come in any order, so an input is first noted down (its `data`
 * is read at once when its name has been seen, and remembered as text otherwise) and judged when
 * its object ends.
 */

#include "runtime/serve/v2/tensor_json.h"
#include "runtime/serve/v2/v2_parser.h"

#include <inttypes.h>

struct input {
    int index; /* of the model; -1 = name not seen */
    bool has_shape, has_data, has_binary;
    struct glet_json_string datatype;
    bool has_datatype;
    int rank;
    int64_t shape[GLET_MAX_RANK];
    int64_t binary_bytes;
    struct glet_v2_place place;  /* of one in shared memory */
    struct glet_slice late_data; /* seen before the name */
    const void *data;
    size_t count;
};

static size_t pad(const char *at)
{
    return (GLET_V2_ALIGNMENT - (uintptr_t)at % GLET_V2_ALIGNMENT) % GLET_V2_ALIGNMENT;
}

static bool is_given(const struct glet_v2_parser *p, int index)
{
    return p->out->inputs[index] || p->out->places[index].region.raw.data;
}

static bool read_data(struct glet_v2_parser *p, struct glet_json_reader *reader, struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    if (tensor->type->kind == GLET_V2_OPAQUE)
        return glet_v2_fail(p, GLET_ERR_UNSUPPORTED, "input '%s': %s tensors are binary only",
                            tensor->name, tensor->type->name);
    if (is_given(p, in->index)) /* before its memory is used a second time */
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' is given twice", tensor->name);
    p->json += pad(p->json);
    in->data = p->json;
    size_t capacity = tensor->row_elements * (size_t)p->model->max_rows;
    if (!glet_tensor_json_read(reader, tensor->type, p->json, capacity, &in->count))
        return false;
    p->json += in->count * tensor->type->size_bytes;
    return true;
}

static bool read_shape(struct glet_v2_parser *p, struct input *in)
{
    struct glet_json_scope scope;
    in->has_shape = true;
    if (!glet_json_enter(&p->reader, '[', &scope))
        return false;
    while (glet_json_next_item(&p->reader, &scope)) {
        int64_t dim;
        if (!glet_json_integer(&p->reader, &dim))
            return false;
        if (in->rank == GLET_MAX_RANK)
            return glet_v2_fail(p, GLET_ERR_RANGE, "a shape has more than %d dimensions",
                                GLET_MAX_RANK);
        if (dim < 0)
            return glet_v2_fail(p, GLET_ERR_RANGE, "a shape holds %" PRId64, dim);
        in->shape[in->rank++] = dim;
    }
    return !p->reader.error;
}

static bool read_input_parameters(struct glet_v2_parser *p, struct input *in)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    struct glet_v2_place_reader place = {0};
    unsigned seen = 0;
    bool fine;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        if (glet_json_is(&key, "binary_data_size"))
            in->has_binary = fine = glet_v2_once(p, &seen, 1, "binary_data_size") &&
                                    glet_json_integer(&p->reader, &in->binary_bytes);
        else if (!glet_v2_place_member(p, &place, &key, &fine))
            fine = glet_json_skip(&p->reader, NULL);
        if (!fine)
            return false;
    }
    in->place = place.place;
    return !p->reader.error && glet_v2_place_check(p, &place);
}

static bool read_input_member(struct glet_v2_parser *p, struct input *in, unsigned *seen,
                              const struct glet_json_string *key)
{
    struct glet_json_reader *r = &p->reader;
    if (glet_json_is(key, "name")) {
        struct glet_json_string name;
        if (!glet_v2_once(p, seen, 1, "name") || !glet_json_text(r, &name))
            return false;
        in->index = glet_v2_find(p->model->inputs, p->model->input_count, &name);
        return in->index >= 0 || glet_v2_fail(p, GLET_ERR_INPUT, "model '%s' has no input '%.*s'",
                                              p->model->name, glet_v2_shown(&name), name.raw.data);
    }
    if (glet_json_is(key, "shape"))
        return glet_v2_once(p, seen, 2, "shape") && read_shape(p, in);
    if (glet_json_is(key, "datatype")) {
        in->has_datatype = true;
        return glet_v2_once(p, seen, 4, "datatype") && glet_json_text(r, &in->datatype);
    }
    if (glet_json_is(key, "parameters"))
        return glet_v2_once(p, seen, 8, "parameters") && read_input_parameters(p, in);
    if (glet_json_is(key, "data")) {
        if (!glet_v2_once(p, seen, 16, "data"))
            return false;
        in->has_data = true;
        return in->index < 0 ? glet_json_skip(r, &in->late_data) : read_data(p, r, in);
    }
    return glet_json_skip(r, NULL);
}

static bool check_shape(struct glet_v2_parser *p, const struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    if (in->rank != tensor->rank)
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' has %d dimensions, its shape gives %d",
                            tensor->name, tensor->rank, in->rank);
    int64_t rows = 1;
    for (int i = 0; i < in->rank; i++) {
        if (i == 0 && tensor->dims[0] == GLET_DIM_BATCH)
            rows = in->shape[0];
        else if (in->shape[i] != tensor->dims[i])
            return glet_v2_fail(p, GLET_ERR_INPUT,
                                "dimension %d of input '%s' is %" PRId64
                                ", its shape gives %" PRId64,
                                i, tensor->name, tensor->dims[i], in->shape[i]);
    }
    if (rows < 1 || rows > p->model->max_rows)
        return glet_v2_fail(p, GLET_ERR_RANGE,
                            "input '%s': a batch of %" PRId64 ", 1 to %d are served", tensor->name,
                            rows, p->model->max_rows);
    if (p->out->rows == 0)
        p->out->rows = (int)rows;
    if (p->out->rows != rows)
        return glet_v2_fail(p, GLET_ERR_INPUT, "inputs have different batch sizes: %d and %" PRId64,
                            p->out->rows, rows);
    return true;
}

bool glet_v2_check_booleans(struct glet_v2_parser *p, const struct glet_v2_tensor *tensor,
                            const void *data, size_t bytes)
{
    const unsigned char *values = data;
    if (tensor->type->kind == GLET_V2_BOOL)
        for (size_t i = 0; i < bytes; i++)
            if (values[i] > 1)
                return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s': a BOOL is neither 0 nor 1",
                                    tensor->name);
    return true;
}

static bool take_binary(struct glet_v2_parser *p, const struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    size_t bytes = tensor->row_bytes * (size_t)p->out->rows;
    if (in->binary_bytes < 0 || (uint64_t)in->binary_bytes != bytes)
        return glet_v2_fail(
            p, GLET_ERR_INPUT,
            "input '%s' takes %zu bytes at this shape, binary_data_size is %" PRId64, tensor->name,
            bytes, in->binary_bytes);
    if (bytes > (size_t)(p->tail_end - p->tail))
        return glet_v2_fail(p, GLET_ERR_INPUT, "the body ends before the binary data of input '%s'",
                            tensor->name);
    p->out->inputs[in->index] = p->tail;
    p->tail += bytes;
    return glet_v2_check_booleans(p, tensor, p->out->inputs[in->index], bytes);
}

static bool take_shared(struct glet_v2_parser *p, const struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    size_t bytes = tensor->row_bytes * (size_t)p->out->rows;
    if (in->place.bytes != bytes)
        return glet_v2_fail(
            p, GLET_ERR_INPUT,
            "input '%s' takes %zu bytes at this shape, shared_memory_byte_size is %" PRIu64,
            tensor->name, bytes, in->place.bytes);
    p->out->places[in->index] = in->place;
    return true;
}

static bool take_json(struct glet_v2_parser *p, struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    size_t elements = tensor->row_elements * (size_t)p->out->rows;
    if (in->late_data.data) {
        struct glet_json_reader late;
        glet_json_init(&late, in->late_data.data, in->late_data.length);
        if (!read_data(p, &late, in))
            return glet_json_fail(&p->reader, late.error);
    }
    if (in->count != elements)
        return glet_v2_fail(p, GLET_ERR_INPUT,
                            "input '%s' takes %zu elements at this shape, data has %zu",
                            tensor->name, elements, in->count);
    p->out->inputs[in->index] = in->data;
    return true;
}

static bool judge_input(struct glet_v2_parser *p, struct input *in)
{
    if (in->index < 0)
        return glet_v2_fail(p, GLET_ERR_INPUT, "an input has no name");
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    if (is_given(p, in->index))
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' is given twice", tensor->name);
    if (!in->has_shape || !in->has_datatype)
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' has no %s", tensor->name,
                            in->has_shape ? "datatype" : "shape");
    if (!glet_json_is(&in->datatype, tensor->type->name))
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' is %s, the request says '%.*s'",
                            tensor->name, tensor->type->name, glet_v2_shown(&in->datatype),
                            in->datatype.raw.data);
    bool is_shared = in->place.region.raw.data;
    int sources = in->has_data + in->has_binary + is_shared;
    if (sources == 0)
        return glet_v2_fail(p, GLET_ERR_INPUT,
                            "input '%s' has neither data, binary_data_size nor "
                            "shared_memory_region",
                            tensor->name);
    if (sources > 1)
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' has both %s and %s", tensor->name,
                            in->has_data ? "data" : "binary_data_size",
                            in->has_binary && in->has_data ? "binary_data_size"
                                                           : "shared_memory_region");
    if (!check_shape(p, in))
        return false;
    return in->has_data ? take_json(p, in) : is_shared ? take_shared(p, in) : take_binary(p, in);
}

bool glet_v2_read_inputs(struct glet_v2_parser *p)
{
    struct glet_json_scope scope, object;
    struct glet_json_string key;
    if (!glet_json_enter(&p->reader, '[', &scope))
        return false;
    while (glet_json_next_item(&p->reader, &scope)) {
        struct input in = {.index = -1};
        unsigned seen = 0;
        if (!glet_json_enter(&p->reader, '{', &object))
            return false;
        while (glet_json_next_member(&p->reader, &object, &key))
            if (!read_input_member(p, &in, &seen, &key))
                return false;
        if (p->reader.error || !judge_input(p, &in))
            return false;
    }
    return !p->reader.error;
}
