/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The one hot loop over JSON: numbers go from text to their place without a value in between. The
 * nesting is followed but not compared with the shape; only the number of elements has to agree,
 * which is what makes "nested or flat" one case.
 */

#include "runtime/serve/v2/tensor_json.h"

#include "runtime/serve/v2/number_text.h"

#include <math.h>

static void store(void *out, size_t index, size_t size, uint64_t value)
{
    /* little-endian: the low bytes are the narrower integer */
    memcpy((char *)out + index * size, &value, size);
}

static bool read_integer(struct glet_json_reader *r, const struct glet_v2_datatype *type,
                         uint64_t *out)
{
    struct glet_slice text;
    if (!glet_json_number(r, &text))
        return false;
    int bits = (int)type->size_bytes * 8;
    bool is_signed = type->kind == GLET_V2_SIGNED;
    uint64_t high = is_signed ? (UINT64_C(1) << (bits - 1)) - 1 : UINT64_MAX >> (64 - bits);
    int64_t low = is_signed ? -(int64_t)high - 1 : 0;
    return glet_number_to_integer(text, low, high, out) ||
           glet_json_fail(r, "an element is not an integer that fits its datatype");
}

static bool read_float(struct glet_json_reader *r, const struct glet_v2_datatype *type, void *out,
                       size_t index)
{
    struct glet_slice text;
    if (!glet_json_number(r, &text))
        return false;
    bool fits;
    if (type->size_bytes == sizeof(float)) {
        float value;
        fits = glet_number_to_float(text, &value);
        memcpy((char *)out + index * sizeof value, &value, sizeof value);
    } else {
        double value;
        fits = glet_number_to_double(text, &value);
        memcpy((char *)out + index * sizeof value, &value, sizeof value);
    }
    return fits || glet_json_fail(r, "an element is beyond the range of its datatype");
}

static bool read_element(struct glet_json_reader *r, const struct glet_v2_datatype *type, void *out,
                         size_t index)
{
    if (type->kind == GLET_V2_FLOAT)
        return read_float(r, type, out, index);
    uint64_t value = 0;
    if (type->kind == GLET_V2_BOOL) {
        bool truth;
        if (!glet_json_boolean(r, &truth))
            return false;
        value = truth;
    } else if (!read_integer(r, type, &value)) {
        return false;
    }
    store(out, index, type->size_bytes, value);
    return true;
}

bool glet_tensor_json_read(struct glet_json_reader *r, const struct glet_v2_datatype *type,
                           void *out, size_t capacity, size_t *count)
{
    struct glet_json_scope scopes[GLET_JSON_MAX_DEPTH];
    int open = 0;
    size_t n = 0;
    if (!glet_json_enter(r, '[', &scopes[open++]))
        return false;
    while (open > 0) {
        if (!glet_json_next_item(r, &scopes[open - 1])) {
            if (r->error)
                return false;
            open--;
        } else if (glet_json_peek(r) == '[') {
            if (!glet_json_enter(r, '[', &scopes[open]))
                return false;
            open++;
        } else {
            if (n == capacity)
                return glet_json_fail(r, "data has more elements than the shape");
            if (!read_element(r, type, out, n))
                return false;
            n++;
        }
    }
    *count = n;
    return true;
}

static size_t write_element(const struct glet_v2_datatype *type, const void *data, size_t index,
                            char *out)
{
    const char *at = (const char *)data + index * type->size_bytes;
    if (type->kind == GLET_V2_FLOAT) {
        if (type->size_bytes == sizeof(float)) {
            float value;
            memcpy(&value, at, sizeof value);
            return isfinite(value) ? glet_number_from_float(value, out) : 0;
        }
        double value;
        memcpy(&value, at, sizeof value);
        return isfinite(value) ? glet_number_from_double(value, out) : 0;
    }
    uint64_t value = 0;
    memcpy(&value, at, type->size_bytes);
    if (type->kind == GLET_V2_BOOL) {
        memcpy(out, value ? "true" : "false", value ? 4 : 5);
        return value ? 4 : 5;
    }
    int unused_bits = 64 - (int)type->size_bytes * 8;
    if (type->kind == GLET_V2_SIGNED)
        return glet_number_from_signed((int64_t)(value << unused_bits) >> unused_bits, out);
    return glet_number_from_unsigned(value, out);
}

bool glet_tensor_json_write(struct glet_text *text, const struct glet_v2_datatype *type,
                            const void *data, size_t count)
{
    glet_text_put(text, "[");
    for (size_t i = 0; i < count; i++) {
        char *at = glet_text_room(text, GLET_NUMBER_MAX_BYTES + 1);
        if (!at)
            return true; /* out of memory: the text remembers */
        size_t n = 0;
        if (i)
            at[n++] = ',';
        size_t element = write_element(type, data, i, at + n);
        if (element == 0)
            return false;
        text->length += n + element;
    }
    glet_text_put(text, "]");
    return true;
}
