/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tensor's data may be in raw_data, in a typed field, or in another file. Whatever the place, the
 * number of bytes must be exactly what type and dimensions say: a file that was cut between two
 * fields decodes without an error, and this is where that shows.
 */
#include "runtime/engine/onnx_tensor.h"

#include "runtime/engine/numeric.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ONNX's bytes are used as they are");

/* No machine that we run on holds more; far from where sums of such sizes overflow. */
#define LARGEST_TENSOR_BYTES ((int64_t)1 << 42)

int glet_onnx_dtype(int64_t onnx_type)
{
    /* onnx.proto3, TensorProto.DataType */
    static const int dtypes[] = {
        -1,          GLET_FLOAT32, GLET_UINT8, GLET_INT8, GLET_UINT16,   GLET_INT16,
        GLET_INT32,  GLET_INT64,   -1,         GLET_BOOL, GLET_FLOAT16,  GLET_FLOAT64,
        GLET_UINT32, GLET_UINT64,  -1,         -1,        GLET_BFLOAT16,
    };
    if (onnx_type < 0 || onnx_type >= (int64_t)(sizeof dtypes / sizeof dtypes[0]))
        return -1;
    return dtypes[onnx_type];
}

int64_t glet_shape_bytes(enum glet_dtype dtype, const int64_t *dims, int rank,
                         struct glet_error *err)
{
    int64_t bytes = (int64_t)glet_dtype_size(dtype);
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return glet_error_set(err, GLET_ERR_INPUT, "dimension %d is negative (%" PRId64 ")", i,
                                  dims[i]);
        empty = empty || dims[i] == 0;
        if (dims[i] > 0 &&
            (__builtin_mul_overflow(bytes, dims[i], &bytes) || bytes > LARGEST_TENSOR_BYTES))
            return glet_error_set(err, GLET_ERR_INPUT, "the dimensions overflow");
    }
    return empty ? 0 : bytes;
}

int64_t glet_tensor_int(const struct glet_tensor *tensor, int64_t i)
{
    return glet_number_int(tensor->dtype, tensor->data, i);
}

double glet_tensor_float(const struct glet_tensor *tensor, int64_t i)
{
    return glet_number_float(tensor->dtype, tensor->data, i);
}

static int wrong_size(struct glet_error *err, size_t held, int64_t wanted)
{
    return glet_error_set(err, GLET_ERR_INPUT,
                          "the file holds %zu bytes of data, type and dimensions need %" PRId64,
                          held, wanted);
}

static bool span_is(struct glet_span span, const char *text)
{
    return span.bytes == strlen(text) && memcmp(span.at, text, span.bytes) == 0;
}

static int parse_number(struct glet_span span, const char *what, int64_t *out,
                        struct glet_error *err)
{
    int64_t number = 0;
    bool digits = span.bytes > 0;
    for (size_t i = 0; i < span.bytes && digits; i++) {
        int digit = span.at[i] - '0';
        digits = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(number, 10, &number) &&
                 !__builtin_add_overflow(number, digit, &number);
    }
    if (!digits)
        return glet_error_set(err, GLET_ERR_INPUT, "external data: %s is not a number", what);
    *out = number;
    return 0;
}

static int take_external(const glet_onnx_Tensor *tensor, int64_t bytes, struct glet_arena *arena,
                         struct glet_external *external, struct glet_tensor *out,
                         struct glet_error *err)
{
    const glet_onnx_Entry *entries = tensor->external_data.at;
    struct glet_span location = {NULL, 0};
    int64_t offset = 0, length = bytes;
    for (uint32_t i = 0; i < tensor->external_data.count; i++) {
        if (span_is(entries[i].key, "location"))
            location = entries[i].value;
        else if (span_is(entries[i].key, "offset") &&
                 parse_number(entries[i].value, "offset", &offset, err) < 0)
            return -1;
        else if (span_is(entries[i].key, "length") &&
                 parse_number(entries[i].value, "length", &length, err) < 0)
            return -1;
    }
    if (!external || !location.at || memchr(location.at, 0, location.bytes))
        return glet_error_set(err, GLET_ERR_INPUT, "external data without a usable location");
    if (length != bytes)
        return wrong_size(err, (size_t)length, bytes);
    if (bytes == 0)
        return 0;
    char *path = glet_arena_text(arena, location.at, location.bytes);
    if (!path)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    struct glet_mapping file;
    if (glet_external_map(external, path, &file, err) < 0)
        return -1;
    if ((uint64_t)offset > file.length_bytes || (uint64_t)bytes > file.length_bytes - offset)
        return glet_error_set(err, GLET_ERR_INPUT,
                              "external data \"%s\": %" PRId64 " bytes at %" PRId64
                              " do not fit into the file of %zu bytes",
                              path, bytes, offset, file.length_bytes);
    out->data = file.bytes + offset;
    return 0;
}

/* Varints become an array of the tensor's own type. */
static int take_varints(struct glet_span packed, int64_t bytes, struct glet_arena *arena,
                        struct glet_tensor *out, struct glet_error *err)
{
    int64_t count = glet_tensor_elements(out);
    /* A varint is one byte at least: a short field must not make us allocate a long array. */
    if ((uint64_t)count > packed.bytes)
        return wrong_size(err, packed.bytes, bytes);
    int64_t *values = glet_arena_array(arena, (size_t)count, sizeof *values);
    if (!values)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    int64_t found = glet_onnx_varints(packed, values, count);
    if (found != count)
        return glet_error_set(err, GLET_ERR_INPUT,
                              "the file holds %" PRId64 " values, the dimensions need %" PRId64,
                              found, count);
    size_t size = glet_dtype_size(out->dtype);
    if (size < sizeof *values) {
        /* Little-endian: the low bytes are the narrower number, and packing them downwards in
           place never overtakes what is still to be read. */
        for (int64_t i = 0; i < count; i++)
            memmove((uint8_t *)values + (size_t)i * size, &values[i], size);
    }
    out->data = values;
    return 0;
}

static int take_fixed(struct glet_span packed, int64_t bytes, struct glet_tensor *out,
                      struct glet_error *err)
{
    if (packed.bytes != (size_t)bytes)
        return wrong_size(err, packed.bytes, bytes);
    out->data = packed.at;
    return 0;
}

static int take_data(const glet_onnx_Tensor *tensor, int64_t bytes, struct glet_arena *arena,
                     struct glet_external *external, struct glet_tensor *out,
                     struct glet_error *err)
{
    enum { EXTERNAL = 1 };
    if (tensor->has_data_location && tensor->data_location == EXTERNAL)
        return take_external(tensor, bytes, arena, external, out, err);
    if (tensor->raw_data.at && (tensor->raw_data.bytes || !bytes))
        return take_fixed(tensor->raw_data, bytes, out, err);
    switch (out->dtype) {
    case GLET_FLOAT32:
        return tensor->float_data.at ? take_fixed(tensor->float_data, bytes, out, err) : 0;
    case GLET_FLOAT64:
        return tensor->double_data.at ? take_fixed(tensor->double_data, bytes, out, err) : 0;
    case GLET_INT64:
        return tensor->int64_data.at ? take_varints(tensor->int64_data, bytes, arena, out, err) : 0;
    case GLET_UINT32:
    case GLET_UINT64:
        return tensor->uint64_data.at ? take_varints(tensor->uint64_data, bytes, arena, out, err)
                                      : 0;
    default:
        return tensor->int32_data.at ? take_varints(tensor->int32_data, bytes, arena, out, err) : 0;
    }
}

int glet_onnx_tensor(const glet_onnx_Tensor *tensor, const char *name, struct glet_arena *arena,
                     struct glet_external *external, struct glet_tensor *out, bool *missing_out,
                     struct glet_error *err)
{
    *out = (struct glet_tensor){.name = name, .view_of = -1, .producer = -1};
    *missing_out = false;
    int dtype = tensor->has_data_type ? glet_onnx_dtype(tensor->data_type) : -1;
    if (dtype < 0)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "tensor \"%s\": element type %d", name,
                              tensor->has_data_type ? (int)tensor->data_type : 0);
    out->dtype = (enum glet_dtype)dtype;
    if (tensor->dims.count > GLET_MAX_RANK)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "tensor \"%s\": %u dimensions, at most %d are supported", name,
                              tensor->dims.count, GLET_MAX_RANK);
    out->rank = (int)tensor->dims.count;
    if (out->rank)
        memcpy(out->dims, tensor->dims.at, sizeof(int64_t) * (size_t)out->rank);
    int64_t bytes = glet_shape_bytes(out->dtype, out->dims, out->rank, err);
    if (bytes < 0 || take_data(tensor, bytes, arena, external, out, err) < 0)
        return glet_error_context(err, "tensor \"%s\"", name);
    if (!out->data && bytes == 0)
        out->data = "";
    *missing_out = !out->data;
    return 0;
}
