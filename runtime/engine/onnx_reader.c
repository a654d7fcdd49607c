/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nanopb decodes the wire format; its one callback here records where in the mapped file a text or
 * a weight lies instead of copying it, so reading a model of hundreds of megabytes touches only the
 * pages between its weights. Linear in the file's messages; a few hundred KiB for a large network.
 *
 * Details of nanopb 0.4 that this leans on: a buffer stream keeps its position in `state` (not
 * promised by its header, so every span is checked against the mapping); skipping in a buffer
 * stream is O(1); a number that is *not packed* reaches the callback as a copy on the stack, which
 * the same check refuses where a span was wanted.
 */
#include "runtime/engine/onnx_reader.h"

#include <pb_decode.h>

#include <string.h>

/* Graph > value > type > tensor type > shape > dim is the deepest nesting that we decode. */
#define MAX_DEPTH 12

/* nanopb passes no user pointer to a callback of a field with its own data type. */
static _Thread_local struct {
    const uint8_t *begin, *end;
    struct glet_arena *arena;
    int depth;
    bool no_memory;
} reading;

static const struct {
    const pb_msgdesc_t *fields;
    size_t bytes;
} messages[] = {
    {glet_onnx_Node_fields, sizeof(glet_onnx_Node)},
    {glet_onnx_Attribute_fields, sizeof(glet_onnx_Attribute)},
    {glet_onnx_Tensor_fields, sizeof(glet_onnx_Tensor)},
    {glet_onnx_Dim_fields, sizeof(glet_onnx_Dim)},
    {glet_onnx_Value_fields, sizeof(glet_onnx_Value)},
    {glet_onnx_Opset_fields, sizeof(glet_onnx_Opset)},
    {glet_onnx_Entry_fields, sizeof(glet_onnx_Entry)},
};

static void *push(struct glet_vec *vec, size_t size)
{
    if (vec->count == vec->capacity) {
        uint32_t capacity = vec->capacity ? vec->capacity * 2 : 1;
        void *items =
            capacity > vec->capacity ? glet_arena_array(reading.arena, capacity, size) : NULL;
        if (!items) {
            reading.no_memory = true;
            return NULL;
        }
        if (vec->count)
            memcpy(items, vec->at, vec->count * size);
        vec->at = items;
        vec->capacity = capacity;
    }
    return (uint8_t *)vec->at + size * vec->count++;
}

static bool take_span(pb_istream_t *in, struct glet_span *span)
{
    const uint8_t *at = in->state;
    if (at < reading.begin || at > reading.end || in->bytes_left > (size_t)(reading.end - at))
        PB_RETURN_ERROR(in, "a value is not packed");
    span->at = at;
    span->bytes = in->bytes_left;
    return pb_read(in, NULL, in->bytes_left);
}

static bool take_message(pb_istream_t *in, struct glet_vec *vec, const pb_msgdesc_t *fields)
{
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        if (messages[i].fields == fields)
            bytes = messages[i].bytes;
    }
    void *message = bytes ? push(vec, bytes) : NULL;
    if (!message)
        PB_RETURN_ERROR(in, "out of memory");
    /* pb_decode() leaves callback fields as they are. */
    memset(message, 0, bytes);
    if (++reading.depth > MAX_DEPTH)
        PB_RETURN_ERROR(in, "nested too deep");
    bool decoded = pb_decode(in, fields, message);
    reading.depth--;
    return decoded;
}

/* Packed numbers come in one call, others one a call. */
static bool take_numbers(pb_istream_t *in, const pb_field_t *field)
{
    bool floats = PB_LTYPE(field->type) == PB_LTYPE_FIXED32;
    while (in->bytes_left) {
        void *number = push(field->pData, floats ? sizeof(float) : sizeof(int64_t));
        if (!number)
            PB_RETURN_ERROR(in, "out of memory");
        if (floats ? !pb_decode_fixed32(in, number) : !pb_decode_varint(in, number))
            return false;
    }
    return true;
}

/* Named in onnx.options; declared by the generated header. */
bool glet_onnx_field(pb_istream_t *in, pb_ostream_t *out, const pb_field_t *field)
{
    (void)out;
    if (!in)
        return false; /* nothing here encodes */
    bool repeated = PB_HTYPE(field->type) == PB_HTYPE_REPEATED;
    switch (PB_LTYPE(field->type)) {
    case PB_LTYPE_SUBMESSAGE:
        return take_message(in, field->pData, field->submsg_desc);
    case PB_LTYPE_STRING:
    case PB_LTYPE_BYTES: {
        struct glet_span *span = repeated ? push(field->pData, sizeof *span) : field->pData;
        return span && take_span(in, span);
    }
    case PB_LTYPE_VARINT:
    case PB_LTYPE_UVARINT:
    case PB_LTYPE_FIXED32:
    case PB_LTYPE_FIXED64:
        if (field->descriptor == glet_onnx_Attribute_fields ||
            (field->descriptor == glet_onnx_Tensor_fields &&
             field->tag == glet_onnx_Tensor_dims_tag))
            return take_numbers(in, field);
        if (((struct glet_span *)field->pData)->at)
            PB_RETURN_ERROR(in, "tensor data in several pieces");
        return take_span(in, field->pData);
    default:
        PB_RETURN_ERROR(in, "unknown kind of field");
    }
}

static int decode(struct glet_span bytes, struct glet_arena *arena, const pb_msgdesc_t *fields,
                  void *out, struct glet_error *err)
{
    reading.begin = bytes.at;
    reading.end = bytes.at + bytes.bytes;
    reading.arena = arena;
    reading.depth = 0;
    reading.no_memory = false;
    pb_istream_t in = pb_istream_from_buffer(bytes.at, bytes.bytes);
    if (pb_decode(&in, fields, out))
        return 0;
    if (reading.no_memory)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    const uint8_t *at = in.state;
    size_t offset = at >= bytes.at && at <= reading.end ? (size_t)(at - bytes.at) : bytes.bytes;
    return glet_error_set(err, GLET_ERR_INPUT, "not an ONNX file, or cut short: %s near byte %zu",
                          PB_GET_ERROR(&in), offset);
}

int glet_onnx_read(const uint8_t *bytes, size_t length_bytes, struct glet_arena *arena,
                   glet_onnx_Model *out, struct glet_error *err)
{
    memset(out, 0, sizeof *out);
    struct glet_span span = {bytes, length_bytes};
    return decode(span, arena, glet_onnx_Model_fields, out, err);
}

int glet_onnx_read_tensor(struct glet_span bytes, struct glet_arena *arena, glet_onnx_Tensor *out,
                          struct glet_error *err)
{
    memset(out, 0, sizeof *out);
    return decode(bytes, arena, glet_onnx_Tensor_fields, out, err);
}

int64_t glet_onnx_varints(struct glet_span packed, int64_t *values, int64_t count)
{
    pb_istream_t in = pb_istream_from_buffer(packed.at, packed.bytes);
    int64_t found = 0;
    for (; in.bytes_left; found++) {
        uint64_t value;
        if (!pb_decode_varint(&in, &value))
            return -1;
        if (found < count)
            values[found] = (int64_t)value;
    }
    return found;
}
