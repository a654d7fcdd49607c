/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format by hand: the test data must not be read with the reader that is being tested. */
#include "tests/unit/cpu/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    const unsigned char *at, *end;
    bool bad;
};

static uint64_t varint(struct cursor *c)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        value |= (uint64_t)(*c->at & 0x7f) << shift;
        if (!(*c->at++ & 0x80))
            return value;
    }
    c->bad = true;
    return 0;
}

static struct cursor span(struct cursor *c)
{
    uint64_t size = varint(c);
    struct cursor inner = {c->at, c->at, false};
    if (c->bad || size > (uint64_t)(c->end - c->at)) {
        c->bad = true;
        return inner;
    }
    c->at += size;
    inner.end = c->at;
    return inner;
}

static bool dtype_of(uint64_t onnx, enum glet_dtype *out)
{
    static const int map[] = {
        [1] = GLET_FLOAT32,  [2] = GLET_UINT8,    [3] = GLET_INT8,    [4] = GLET_UINT16,
        [5] = GLET_INT16,    [6] = GLET_INT32,    [7] = GLET_INT64,   [9] = GLET_BOOL,
        [10] = GLET_FLOAT16, [11] = GLET_FLOAT64, [12] = GLET_UINT32, [13] = GLET_UINT64,
        [16] = GLET_BFLOAT16};
    if (onnx == 0 || onnx >= sizeof map / sizeof map[0] || onnx == 8 || onnx == 14 || onnx == 15)
        return false;
    *out = (enum glet_dtype)map[onnx];
    return true;
}

/* The fields that hold elements: raw bytes, or varints of a type at least as wide. */
static void take_elements(struct tensor_file *t, struct cursor values, bool raw)
{
    size_t size = glet_dtype_size(t->dtype), capacity = (size_t)(values.end - values.at) * 8 + 8;
    t->data = malloc(capacity);
    if (!t->data)
        return;
    if (raw) {
        t->size_bytes = (size_t)(values.end - values.at);
        memcpy(t->data, values.at, t->size_bytes);
        return;
    }
    while (values.at < values.end && !values.bad) {
        uint64_t value = varint(&values); /* little-endian: the low bytes come first */
        memcpy((char *)t->data + t->size_bytes, &value, size);
        t->size_bytes += size;
    }
}

static bool parse(struct cursor c, struct tensor_file *t)
{
    struct cursor elements = {0};
    bool typed = false, raw = true;
    while (c.at < c.end && !c.bad) {
        uint64_t key = varint(&c);
        if (key == (1 << 3 | 0)) {
            if (t->rank < GLET_MAX_RANK)
                t->dims[t->rank++] = (int64_t)varint(&c);
        } else if (key == (1 << 3 | 2)) {
            struct cursor dims = span(&c);
            while (dims.at < dims.end && t->rank < GLET_MAX_RANK)
                t->dims[t->rank++] = (int64_t)varint(&dims);
        } else if (key == (2 << 3 | 0)) {
            typed = dtype_of(varint(&c), &t->dtype);
        } else if ((key & 7) == 2) {
            struct cursor field = span(&c);
            uint64_t number = key >> 3;
            if (number == 4 || number == 5 || number == 7 || number == 9 || number == 10 ||
                number == 11) {
                elements = field;
                raw = number == 4 || number == 9 || number == 10;
            }
        } else if ((key & 7) == 0) {
            varint(&c);
        } else {
            return false;
        }
    }
    if (c.bad || !typed)
        return false;
    take_elements(t, elements, raw);
    size_t wanted = glet_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++)
        wanted *= (size_t)t->dims[i];
    return t->data && wanted == t->size_bytes;
}

bool tensor_file_read(const char *path, struct tensor_file *out)
{
    memset(out, 0, sizeof *out);
    FILE *in = fopen(path, "rb");
    if (!in)
        return false;
    static unsigned char bytes[1 << 24];
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    if (parse((struct cursor){bytes, bytes + size, false}, out))
        return true;
    free(out->data);
    out->data = NULL;
    return false;
}
