/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One pass over the JSON part. Keys may come in any order, so an input is first noted down (its
 * `data` is read at once when its name has been seen, and remembered as text otherwise) and judged
 * when its object ends. A key that the protocol knows may come once per object; keys it does not
 * know are skipped, as the protocol says.
 */

#include "runtime/serve/v2/v2_request.h"

#include "runtime/serve/v2/json_reader.h"
#include "runtime/serve/v2/tensor_json.h"

#include <inttypes.h>
#include <stdarg.h>

#define ALIGNMENT 64   /* of tensors that came as JSON */
#define UNSAID    (-1) /* an output goes as the request's binary_data_output says */

struct parser {
    struct glet_json_reader reader;
    const struct glet_v2_model *model;
    struct glet_v2_request *out;
    struct glet_error *err;
    const char *tail, *tail_end; /* binary tensors not yet taken */
    char *json;                  /* room for JSON tensors not yet taken */
    bool binary_output;          /* the request's binary_data_output */
    bool has_outputs;
    int said_binary[GLET_V2_MAX_TENSORS]; /* per output of `out`: 0, 1, or UNSAID */
};

struct input {
    int index; /* of the model; -1 = name not seen */
    bool has_shape, has_data, has_binary;
    struct glet_json_string datatype;
    bool has_datatype;
    int rank;
    int64_t shape[GLET_MAX_RANK];
    int64_t binary_bytes;
    struct glet_slice late_data; /* seen before the name */
    const void *data;
    size_t count;
};

size_t glet_v2_request_json_bytes(const struct glet_v2_model *model, size_t json_length)
{
    /* an element takes two bytes of JSON or more, and eight in memory or fewer */
    size_t most = json_length < SIZE_MAX / 8 ? json_length * 4 : SIZE_MAX / 2;
    return (most < model->max_json_bytes ? most : model->max_json_bytes) +
           model->input_count * ALIGNMENT;
}

static bool fail(struct parser *p, enum glet_code code, const char *format, ...) GLET_PRINTF(3, 4);

static bool fail(struct parser *p, enum glet_code code, const char *format, ...)
{
    va_list arguments;
    char message[384];
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    glet_error_set(p->err, code, "%s", message);
    return glet_json_fail(&p->reader, ""); /* ends every loop; the message is in err */
}

/* Marks a key as seen; a second time is an error. */
static bool once(struct parser *p, unsigned *seen, unsigned bit, const char *key)
{
    if (*seen & bit)
        return fail(p, GLET_ERR_INPUT, "'%s' appears twice", key);
    *seen |= bit;
    return true;
}

static int find_tensor(const struct glet_v2_tensor *tensors, size_t count,
                       const struct glet_json_string *name)
{
    for (size_t i = 0; i < count; i++)
        if (glet_json_is(name, tensors[i].name))
            return (int)i;
    return -1;
}

static int shown(const struct glet_json_string *string)
{
    return string->raw.length < 64 ? (int)string->raw.length : 64;
}

/* --- inputs --- */

static size_t pad(const char *at)
{
    return (ALIGNMENT - (uintptr_t)at % ALIGNMENT) % ALIGNMENT;
}

static bool read_data(struct parser *p, struct glet_json_reader *reader, struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    if (tensor->type->kind == GLET_V2_OPAQUE)
        return fail(p, GLET_ERR_UNSUPPORTED, "input '%s': %s tensors are binary only", tensor->name,
                    tensor->type->name);
    if (p->out->inputs[in->index]) /* before its memory is used a second time */
        return fail(p, GLET_ERR_INPUT, "input '%s' is given twice", tensor->name);
    p->json += pad(p->json);
    in->data = p->json;
    size_t capacity = tensor->row_elements * (size_t)p->model->max_rows;
    if (!glet_tensor_json_read(reader, tensor->type, p->json, capacity, &in->count))
        return false;
    p->json += in->count * tensor->type->size_bytes;
    return true;
}

static bool read_shape(struct parser *p, struct input *in)
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
            return fail(p, GLET_ERR_RANGE, "a shape has more than %d dimensions", GLET_MAX_RANK);
        if (dim < 0)
            return fail(p, GLET_ERR_RANGE, "a shape holds %" PRId64, dim);
        in->shape[in->rank++] = dim;
    }
    return !p->reader.error;
}

static bool read_input_parameters(struct parser *p, struct input *in)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    unsigned seen = 0;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        if (glet_json_is(&key, "binary_data_size")) {
            in->has_binary = once(p, &seen, 1, "binary_data_size") &&
                             glet_json_integer(&p->reader, &in->binary_bytes);
        } else if (glet_json_is(&key, "shared_memory_region")) {
            return fail(p, GLET_ERR_UNSUPPORTED, "shared memory is not supported");
        } else {
            glet_json_skip(&p->reader, NULL);
        }
    }
    return !p->reader.error;
}

static bool read_input_member(struct parser *p, struct input *in, unsigned *seen,
                              const struct glet_json_string *key)
{
    struct glet_json_reader *r = &p->reader;
    if (glet_json_is(key, "name")) {
        struct glet_json_string name;
        if (!once(p, seen, 1, "name") || !glet_json_text(r, &name))
            return false;
        in->index = find_tensor(p->model->inputs, p->model->input_count, &name);
        return in->index >= 0 || fail(p, GLET_ERR_INPUT, "model '%s' has no input '%.*s'",
                                      p->model->name, shown(&name), name.raw.data);
    }
    if (glet_json_is(key, "shape"))
        return once(p, seen, 2, "shape") && read_shape(p, in);
    if (glet_json_is(key, "datatype")) {
        in->has_datatype = true;
        return once(p, seen, 4, "datatype") && glet_json_text(r, &in->datatype);
    }
    if (glet_json_is(key, "parameters"))
        return once(p, seen, 8, "parameters") && read_input_parameters(p, in);
    if (glet_json_is(key, "data")) {
        if (!once(p, seen, 16, "data"))
            return false;
        in->has_data = true;
        return in->index < 0 ? glet_json_skip(r, &in->late_data) : read_data(p, r, in);
    }
    return glet_json_skip(r, NULL);
}

static bool check_shape(struct parser *p, const struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    if (in->rank != tensor->rank)
        return fail(p, GLET_ERR_INPUT, "input '%s' has %d dimensions, its shape gives %d",
                    tensor->name, tensor->rank, in->rank);
    int64_t rows = 1;
    for (int i = 0; i < in->rank; i++) {
        if (i == 0 && tensor->dims[0] == GLET_DIM_BATCH)
            rows = in->shape[0];
        else if (in->shape[i] != tensor->dims[i])
            return fail(p, GLET_ERR_INPUT,
                        "dimension %d of input '%s' is %" PRId64 ", its shape gives %" PRId64, i,
                        tensor->name, tensor->dims[i], in->shape[i]);
    }
    if (rows < 1 || rows > p->model->max_rows)
        return fail(p, GLET_ERR_RANGE, "input '%s': a batch of %" PRId64 ", 1 to %d are served",
                    tensor->name, rows, p->model->max_rows);
    if (p->out->rows == 0)
        p->out->rows = (int)rows;
    if (p->out->rows != rows)
        return fail(p, GLET_ERR_INPUT, "inputs have different batch sizes: %d and %" PRId64,
                    p->out->rows, rows);
    return true;
}

static bool check_booleans(struct parser *p, const struct glet_v2_tensor *tensor,
                           const unsigned char *data, size_t bytes)
{
    if (tensor->type->kind == GLET_V2_BOOL)
        for (size_t i = 0; i < bytes; i++)
            if (data[i] > 1)
                return fail(p, GLET_ERR_INPUT, "input '%s': a BOOL is neither 0 nor 1",
                            tensor->name);
    return true;
}

static bool take_binary(struct parser *p, const struct input *in)
{
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    size_t bytes = tensor->row_bytes * (size_t)p->out->rows;
    if (in->binary_bytes < 0 || (uint64_t)in->binary_bytes != bytes)
        return fail(p, GLET_ERR_INPUT,
                    "input '%s' takes %zu bytes at this shape, binary_data_size is %" PRId64,
                    tensor->name, bytes, in->binary_bytes);
    if (bytes > (size_t)(p->tail_end - p->tail))
        return fail(p, GLET_ERR_INPUT, "the body ends before the binary data of input '%s'",
                    tensor->name);
    p->out->inputs[in->index] = p->tail;
    p->tail += bytes;
    return check_booleans(p, tensor, p->out->inputs[in->index], bytes);
}

static bool take_json(struct parser *p, struct input *in)
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
        return fail(p, GLET_ERR_INPUT, "input '%s' takes %zu elements at this shape, data has %zu",
                    tensor->name, elements, in->count);
    p->out->inputs[in->index] = in->data;
    return true;
}

static bool judge_input(struct parser *p, struct input *in)
{
    if (in->index < 0)
        return fail(p, GLET_ERR_INPUT, "an input has no name");
    const struct glet_v2_tensor *tensor = &p->model->inputs[in->index];
    if (p->out->inputs[in->index])
        return fail(p, GLET_ERR_INPUT, "input '%s' is given twice", tensor->name);
    if (!in->has_shape || !in->has_datatype)
        return fail(p, GLET_ERR_INPUT, "input '%s' has no %s", tensor->name,
                    in->has_shape ? "datatype" : "shape");
    if (!glet_json_is(&in->datatype, tensor->type->name))
        return fail(p, GLET_ERR_INPUT, "input '%s' is %s, the request says '%.*s'", tensor->name,
                    tensor->type->name, shown(&in->datatype), in->datatype.raw.data);
    if (in->has_data == in->has_binary)
        return fail(p, GLET_ERR_INPUT, "input '%s' has %s data and binary_data_size", tensor->name,
                    in->has_data ? "both" : "neither");
    if (!check_shape(p, in))
        return false;
    return in->has_data ? take_json(p, in) : take_binary(p, in);
}

static bool read_inputs(struct parser *p)
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

/* --- outputs --- */

static bool read_output_parameters(struct parser *p, int *binary)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    unsigned seen = 0;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        if (glet_json_is(&key, "binary_data")) {
            bool value = false;
            if (once(p, &seen, 1, "binary_data") && glet_json_boolean(&p->reader, &value))
                *binary = value;
        } else if (glet_json_is(&key, "shared_memory_region")) {
            return fail(p, GLET_ERR_UNSUPPORTED, "shared memory is not supported");
        } else {
            glet_json_skip(&p->reader, NULL);
        }
    }
    return !p->reader.error;
}

static bool add_output(struct parser *p, int index, int binary)
{
    struct glet_v2_request *out = p->out;
    for (size_t i = 0; i < out->output_count; i++)
        if (out->outputs[i].index == (size_t)index)
            return fail(p, GLET_ERR_INPUT, "output '%s' is asked for twice",
                        p->model->outputs[index].name);
    p->said_binary[out->output_count] = binary;
    out->outputs[out->output_count++].index = (size_t)index;
    return true;
}

static bool read_output(struct parser *p)
{
    struct glet_json_scope object;
    struct glet_json_string key, name;
    unsigned seen = 0;
    int index = -1, binary = UNSAID;
    if (!glet_json_enter(&p->reader, '{', &object))
        return false;
    while (glet_json_next_member(&p->reader, &object, &key)) {
        if (glet_json_is(&key, "name")) {
            if (!once(p, &seen, 1, "name") || !glet_json_text(&p->reader, &name))
                return false;
            index = find_tensor(p->model->outputs, p->model->output_count, &name);
            if (index < 0)
                return fail(p, GLET_ERR_INPUT, "model '%s' has no output '%.*s'", p->model->name,
                            shown(&name), name.raw.data);
        } else if (glet_json_is(&key, "parameters")) {
            if (!once(p, &seen, 2, "parameters") || !read_output_parameters(p, &binary))
                return false;
        } else {
            glet_json_skip(&p->reader, NULL);
        }
    }
    if (p->reader.error)
        return false;
    if (index < 0)
        return fail(p, GLET_ERR_INPUT, "an output has no name");
    return add_output(p, index, binary);
}

static bool read_outputs(struct parser *p)
{
    struct glet_json_scope scope;
    if (!glet_json_enter(&p->reader, '[', &scope))
        return false;
    while (glet_json_next_item(&p->reader, &scope)) {
        p->has_outputs = true;
        if (!read_output(p))
            return false;
    }
    return !p->reader.error;
}

/* --- the request --- */

static bool read_priority(struct parser *p)
{
    int64_t value = 0;
    if (!glet_json_integer(&p->reader, &value))
        return false;
    if (value < INT32_MIN || value > INT32_MAX)
        return fail(p, GLET_ERR_RANGE, "parameter 'priority': %" PRId64 " is out of range", value);
    p->out->priority = (int)value;
    return true;
}

static bool read_timeout(struct parser *p)
{
    if (!glet_json_integer(&p->reader, &p->out->timeout_us))
        return false;
    return p->out->timeout_us >= 0 ||
           fail(p, GLET_ERR_RANGE, "parameter 'timeout': %" PRId64 " us is below 0",
                p->out->timeout_us);
}

static bool read_parameters(struct parser *p)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    unsigned seen = 0;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        bool fine;
        if (glet_json_is(&key, "timeout"))
            fine = once(p, &seen, 1, "timeout") && read_timeout(p);
        else if (glet_json_is(&key, "priority"))
            fine = once(p, &seen, 2, "priority") && read_priority(p);
        else if (glet_json_is(&key, "binary_data_output"))
            fine = once(p, &seen, 4, "binary_data_output") &&
                   glet_json_boolean(&p->reader, &p->binary_output);
        else
            fine = glet_json_skip(&p->reader, NULL);
        if (!fine)
            return false;
    }
    return !p->reader.error;
}

static bool read_request(struct parser *p)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    unsigned seen = 0;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        bool fine;
        if (glet_json_is(&key, "id")) {
            struct glet_json_string id = {0};
            fine = once(p, &seen, 1, "id") && glet_json_text(&p->reader, &id);
            p->out->id = id.raw;
        } else if (glet_json_is(&key, "parameters")) {
            fine = once(p, &seen, 2, "parameters") && read_parameters(p);
        } else if (glet_json_is(&key, "inputs")) {
            fine = once(p, &seen, 4, "inputs") && read_inputs(p);
        } else if (glet_json_is(&key, "outputs")) {
            fine = once(p, &seen, 8, "outputs") && read_outputs(p);
        } else {
            fine = glet_json_skip(&p->reader, NULL);
        }
        if (!fine)
            return false;
    }
    return !p->reader.error && glet_json_finish(&p->reader);
}

static bool settle_outputs(struct parser *p)
{
    struct glet_v2_request *out = p->out;
    if (!p->has_outputs)
        for (size_t i = 0; i < p->model->output_count; i++)
            if (!add_output(p, (int)i, UNSAID))
                return false;
    for (size_t i = 0; i < out->output_count; i++) {
        struct glet_v2_request_output *output = &out->outputs[i];
        output->binary = p->said_binary[i] == UNSAID ? p->binary_output : p->said_binary[i];
        const struct glet_v2_tensor *tensor = &p->model->outputs[output->index];
        if (!output->binary && tensor->type->kind == GLET_V2_OPAQUE)
            return fail(p, GLET_ERR_UNSUPPORTED,
                        "output '%s': %s tensors are binary only: ask for binary_data",
                        tensor->name, tensor->type->name);
    }
    return true;
}

static bool check_complete(struct parser *p)
{
    for (size_t i = 0; i < p->model->input_count; i++)
        if (!p->out->inputs[i])
            return fail(p, GLET_ERR_INPUT, "input '%s' is missing", p->model->inputs[i].name);
    if (p->out->rows == 0) /* a model without inputs */
        p->out->rows = 1;
    if (p->tail != p->tail_end)
        return fail(p, GLET_ERR_INPUT, "%zu bytes follow the last binary tensor",
                    (size_t)(p->tail_end - p->tail));
    return true;
}

static bool take_raw(struct parser *p, const char *body, size_t length)
{
    const struct glet_v2_model *model = p->model;
    if (model->input_count != 1)
        return fail(p, GLET_ERR_INPUT, "a raw request is for a model with one input, '%s' has %zu",
                    model->name, model->input_count);
    if (length != model->inputs[0].row_bytes)
        return fail(p, GLET_ERR_INPUT, "input '%s' takes %zu bytes, the body has %zu",
                    model->inputs[0].name, model->inputs[0].row_bytes, length);
    p->out->rows = 1;
    p->out->inputs[0] = body;
    p->binary_output = true;
    return check_booleans(p, &model->inputs[0], (const unsigned char *)body, length) &&
           settle_outputs(p);
}

int glet_v2_request_parse(const struct glet_v2_model *model, const char *body, size_t length,
                          size_t header_length, void *json, struct glet_v2_request *out,
                          struct glet_error *err)
{
    struct parser p = {.model = model, .out = out, .err = err, .json = json};
    out->rows = 0;
    out->id = (struct glet_slice){NULL, 0};
    out->timeout_us = 0;
    out->priority = 0;
    out->output_count = 0;
    memset(out->inputs, 0, model->input_count * sizeof *out->inputs);
    if (header_length == 0)
        return take_raw(&p, body, length) ? 0 : -1;
    if (header_length == SIZE_MAX)
        header_length = length;
    if (header_length > length)
        return glet_error_set(err, GLET_ERR_INPUT,
                              "Inference-Header-Content-Length is %zu, the body has %zu bytes",
                              header_length, length);
    glet_json_init(&p.reader, body, header_length);
    p.tail = body + header_length;
    p.tail_end = body + length;
    if (read_request(&p) && check_complete(&p) && settle_outputs(&p))
        return 0;
    if (p.reader.error && p.reader.error[0])
        return glet_error_set(err, GLET_ERR_INPUT, "malformed request at byte %zu: %s",
                              (size_t)(p.reader.at - p.reader.begin), p.reader.error);
    return -1;
}
