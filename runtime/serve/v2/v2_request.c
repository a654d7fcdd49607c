/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One pass over the JSON part. A key that the protocol knows may come once per object; keys it does
 * not know are skipped, as the protocol says.
 */

#include "runtime/serve/v2/v2_request.h"

#include "runtime/serve/v2/v2_parser.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

size_t glet_v2_request_json_bytes(const struct glet_v2_model *model, size_t json_length)
{
    /* an element takes two bytes of JSON or more, and eight in memory or fewer */
    size_t most = json_length < SIZE_MAX / 8 ? json_length * 4 : SIZE_MAX / 2;
    return (most < model->max_json_bytes ? most : model->max_json_bytes) +
           model->input_count * GLET_V2_ALIGNMENT;
}

bool glet_v2_fail(struct glet_v2_parser *p, enum glet_code code, const char *format, ...)
{
    va_list arguments;
    char message[384];
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    glet_error_set(p->err, code, "%s", message);
    return glet_json_fail(&p->reader, ""); /* ends every loop; the message is in err */
}

bool glet_v2_once(struct glet_v2_parser *p, unsigned *seen, unsigned bit, const char *key)
{
    if (*seen & bit)
        return glet_v2_fail(p, GLET_ERR_INPUT, "'%s' appears twice", key);
    *seen |= bit;
    return true;
}

int glet_v2_find(const struct glet_v2_tensor *tensors, size_t count,
                 const struct glet_json_string *name)
{
    for (size_t i = 0; i < count; i++)
        if (glet_json_is(name, tensors[i].name))
            return (int)i;
    return -1;
}

int glet_v2_shown(const struct glet_json_string *string)
{
    return string->raw.length < 64 ? (int)string->raw.length : 64;
}

/* --- outputs --- */

static bool read_output_parameters(struct glet_v2_parser *p, int *binary,
                                   struct glet_v2_place *place)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    struct glet_v2_place_reader shared = {0};
    unsigned seen = 0;
    bool fine;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        if (glet_json_is(&key, "binary_data")) {
            bool value = false;
            fine =
                glet_v2_once(p, &seen, 1, "binary_data") && glet_json_boolean(&p->reader, &value);
            *binary = value;
        } else if (!glet_v2_place_member(p, &shared, &key, &fine)) {
            fine = glet_json_skip(&p->reader, NULL);
        }
        if (!fine)
            return false;
    }
    *place = shared.place;
    return !p->reader.error && glet_v2_place_check(p, &shared);
}

static bool add_output(struct glet_v2_parser *p, int index, int binary,
                       const struct glet_v2_place *place)
{
    struct glet_v2_request *out = p->out;
    for (size_t i = 0; i < out->output_count; i++)
        if (out->outputs[i].index == (size_t)index)
            return glet_v2_fail(p, GLET_ERR_INPUT, "output '%s' is asked for twice",
                                p->model->outputs[index].name);
    if (place->region.raw.data && binary == true)
        return glet_v2_fail(p, GLET_ERR_INPUT,
                            "output '%s' has both binary_data and shared_memory_region",
                            p->model->outputs[index].name);
    p->said_binary[out->output_count] = binary;
    out->outputs[out->output_count++] =
        (struct glet_v2_request_output){.index = (size_t)index, .place = *place};
    return true;
}

static bool read_output(struct glet_v2_parser *p)
{
    struct glet_json_scope object;
    struct glet_json_string key, name;
    struct glet_v2_place place = {0};
    unsigned seen = 0;
    int index = -1, binary = GLET_V2_UNSAID;
    if (!glet_json_enter(&p->reader, '{', &object))
        return false;
    while (glet_json_next_member(&p->reader, &object, &key)) {
        if (glet_json_is(&key, "name")) {
            if (!glet_v2_once(p, &seen, 1, "name") || !glet_json_text(&p->reader, &name))
                return false;
            index = glet_v2_find(p->model->outputs, p->model->output_count, &name);
            if (index < 0)
                return glet_v2_fail(p, GLET_ERR_INPUT, "model '%s' has no output '%.*s'",
                                    p->model->name, glet_v2_shown(&name), name.raw.data);
        } else if (glet_json_is(&key, "parameters")) {
            if (!glet_v2_once(p, &seen, 2, "parameters") ||
                !read_output_parameters(p, &binary, &place))
                return false;
        } else {
            glet_json_skip(&p->reader, NULL);
        }
    }
    if (p->reader.error)
        return false;
    if (index < 0)
        return glet_v2_fail(p, GLET_ERR_INPUT, "an output has no name");
    return add_output(p, index, binary, &place);
}

static bool read_outputs(struct glet_v2_parser *p)
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

/* Clients count from 1, the most urgent; 0 is the default, below all of them. */
static bool read_priority(struct glet_v2_parser *p)
{
    int64_t value = 0;
    if (!glet_json_integer(&p->reader, &value))
        return false;
    if (value < 0 || value > INT32_MAX)
        return glet_v2_fail(p, GLET_ERR_RANGE, "parameter 'priority': %" PRId64 " is out of range",
                            value);
    p->out->priority = value ? (int)(INT32_MAX - value + 1) : 0;
    return true;
}

static bool read_timeout(struct glet_v2_parser *p)
{
    if (!glet_json_integer(&p->reader, &p->out->timeout_us))
        return false;
    return p->out->timeout_us >= 0 ||
           glet_v2_fail(p, GLET_ERR_RANGE, "parameter 'timeout': %" PRId64 " us is below 0",
                        p->out->timeout_us);
}

static bool read_parameters(struct glet_v2_parser *p)
{
    struct glet_json_scope scope;
    struct glet_json_string key;
    unsigned seen = 0;
    if (!glet_json_enter(&p->reader, '{', &scope))
        return false;
    while (glet_json_next_member(&p->reader, &scope, &key)) {
        bool fine;
        if (glet_json_is(&key, "timeout"))
            fine = glet_v2_once(p, &seen, 1, "timeout") && read_timeout(p);
        else if (glet_json_is(&key, "priority"))
            fine = glet_v2_once(p, &seen, 2, "priority") && read_priority(p);
        else if (glet_json_is(&key, "binary_data_output"))
            fine = glet_v2_once(p, &seen, 4, "binary_data_output") &&
                   glet_json_boolean(&p->reader, &p->binary_output);
        else
            fine = glet_json_skip(&p->reader, NULL);
        if (!fine)
            return false;
    }
    return !p->reader.error;
}

static bool read_request(struct glet_v2_parser *p)
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
            fine = glet_v2_once(p, &seen, 1, "id") && glet_json_text(&p->reader, &id);
            p->out->id = id.raw;
        } else if (glet_json_is(&key, "parameters")) {
            fine = glet_v2_once(p, &seen, 2, "parameters") && read_parameters(p);
        } else if (glet_json_is(&key, "inputs")) {
            fine = glet_v2_once(p, &seen, 4, "inputs") && glet_v2_read_inputs(p);
        } else if (glet_json_is(&key, "outputs")) {
            fine = glet_v2_once(p, &seen, 8, "outputs") && read_outputs(p);
        } else {
            fine = glet_json_skip(&p->reader, NULL);
        }
        if (!fine)
            return false;
    }
    return !p->reader.error && glet_json_finish(&p->reader);
}

static bool settle_outputs(struct glet_v2_parser *p)
{
    struct glet_v2_request *out = p->out;
    if (!p->has_outputs)
        for (size_t i = 0; i < p->model->output_count; i++)
            if (!add_output(p, (int)i, GLET_V2_UNSAID, &(struct glet_v2_place){0}))
                return false;
    for (size_t i = 0; i < out->output_count; i++) {
        struct glet_v2_request_output *output = &out->outputs[i];
        output->binary = p->said_binary[i] == GLET_V2_UNSAID ? p->binary_output : p->said_binary[i];
        const struct glet_v2_tensor *tensor = &p->model->outputs[output->index];
        size_t bytes = tensor->row_bytes * (size_t)out->rows;
        if (output->place.region.raw.data) {
            if (output->place.bytes < bytes)
                return glet_v2_fail(p, GLET_ERR_INPUT,
                                    "output '%s' gives %zu bytes, shared_memory_byte_size is "
                                    "%" PRIu64,
                                    tensor->name, bytes, output->place.bytes);
            output->place.bytes = bytes;
            continue;
        }
        if (!output->binary && tensor->type->kind == GLET_V2_OPAQUE)
            return glet_v2_fail(p, GLET_ERR_UNSUPPORTED,
                                "output '%s': %s tensors are binary only: ask for binary_data",
                                tensor->name, tensor->type->name);
    }
    return true;
}

static bool check_complete(struct glet_v2_parser *p)
{
    for (size_t i = 0; i < p->model->input_count; i++)
        if (!p->out->inputs[i] && !p->out->places[i].region.raw.data)
            return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' is missing",
                                p->model->inputs[i].name);
    if (p->out->rows == 0) /* a model without inputs */
        p->out->rows = 1;
    if (p->tail != p->tail_end)
        return glet_v2_fail(p, GLET_ERR_INPUT, "%zu bytes follow the last binary tensor",
                            (size_t)(p->tail_end - p->tail));
    return true;
}

static bool take_raw(struct glet_v2_parser *p, const char *body, size_t length)
{
    const struct glet_v2_model *model = p->model;
    if (model->input_count != 1)
        return glet_v2_fail(p, GLET_ERR_INPUT,
                            "a raw request is for a model with one input, '%s' has %zu",
                            model->name, model->input_count);
    if (length != model->inputs[0].row_bytes)
        return glet_v2_fail(p, GLET_ERR_INPUT, "input '%s' takes %zu bytes, the body has %zu",
                            model->inputs[0].name, model->inputs[0].row_bytes, length);
    p->out->rows = 1;
    p->out->inputs[0] = body;
    p->binary_output = true;
    return glet_v2_check_booleans(p, &model->inputs[0], body, length) && settle_outputs(p);
}

int glet_v2_request_parse(const struct glet_v2_model *model, const char *body, size_t length,
                          size_t header_length, void *json, struct glet_v2_request *out,
                          struct glet_error *err)
{
    struct glet_v2_parser p = {.model = model, .out = out, .err = err, .json = json};
    out->rows = 0;
    out->id = (struct glet_slice){NULL, 0};
    out->timeout_us = 0;
    out->priority = 0;
    out->output_count = 0;
    memset(out->inputs, 0, model->input_count * sizeof *out->inputs);
    memset(out->places, 0, model->input_count * sizeof *out->places);
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
