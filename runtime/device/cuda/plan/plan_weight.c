/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants in the layouts of the GPU's steps, written on the host.
 */
#include "runtime/device/cuda/plan/step_plan.h"
#include "runtime/engine/numeric.h"

#include <math.h>
#include <string.h>

static const double FP16_MAX = 65504.0;

/* To nearest, ties to even; finite values stay finite. Networks have 10^8 weights: this is what a
   load of one costs, and the general way takes ten times as long. */
static uint16_t half_of(float value)
{
    uint32_t bits, magnitude;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u;
    magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x7f800000u) /* infinity, NaN */
        return (uint16_t)(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (magnitude > 0x477fe000u) /* 65504 */
        return (uint16_t)(sign | 0x7bffu);
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 leaves steps of 2^-24 */
        float shifted;
        memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5F;
        memcpy(&magnitude, &shifted, sizeof magnitude);
        return (uint16_t)(sign | (magnitude - 0x3f000000u));
    }
    magnitude += 0xc8000fffu + (magnitude >> 13 & 1u); /* the other bias; rounds */
    return (uint16_t)(sign | magnitude >> 13);
}

static void put_from(const struct glet_cuda_weight *weight, const void *data, void *out, int64_t to,
                     int64_t from)
{
    if (weight->to == GLET_FLOAT16 && weight->from == GLET_FLOAT32) {
        float value;
        memcpy(&value, (const char *)data + from * (int64_t)sizeof value, sizeof value);
        ((uint16_t *)out)[to] = half_of(value);
        return;
    }
    if (!glet_dtype_is_float(weight->to)) {
        glet_number_put_int(weight->to, out, to, glet_number_int(weight->from, data, from));
        return;
    }
    double value = glet_number_float(weight->from, data, from);
    if (weight->to == GLET_FLOAT16 && isfinite(value))
        value = fmin(fmax(value, -FP16_MAX), FP16_MAX);
    glet_number_put_float(weight->to, out, to, value);
}

static void put(const struct glet_cuda_weight *weight, void *out, int64_t to, int64_t from)
{
    put_from(weight, weight->data, out, to, from);
}

static void pack_beside(const struct glet_cuda_weight *w, void *out)
{
    int64_t to = 0;
    for (int64_t row = 0; row < w->rows; row++)
        for (int i = 0; i < GLET_CUDA_MAX_BESIDE; i++)
            for (int64_t c = 0; c < w->beside[i].columns; c++)
                put_from(w, w->beside[i].data, out, to++, row * w->beside[i].columns + c);
}

static void pack_krsc(const struct glet_cuda_weight *w, void *out)
{
    for (int64_t k = 0; k < w->k; k++)
        for (int64_t c = 0; c < w->c; c++)
            for (int64_t i = 0; i < w->r * w->s; i++)
                put(w, out, (k * w->r * w->s + i) * w->columns + c,
                    (k * w->c + c) * w->r * w->s + i);
}

static void pack_depthwise(const struct glet_cuda_weight *w, void *out)
{
    for (int64_t c = 0; c < w->c; c++)
        for (int64_t i = 0; i < w->r * w->s; i++)
            put(w, out, i * w->columns + c, c * w->r * w->s + i);
}

static void pack_transposed(const struct glet_cuda_weight *w, void *out)
{
    int64_t kernel = w->r * w->s, of_group = w->k / w->groups;
    for (int64_t k = 0; k < w->k; k++)
        for (int64_t c = 0; c < w->c; c++)
            for (int64_t i = 0; i < kernel; i++)
                put(w, out, (k * kernel + i) * w->columns + c,
                    ((k / of_group * w->c + c) * of_group + k % of_group) * kernel + i);
}

void glet_cuda_weight_pack(const struct glet_cuda_weight *weight, void *out)
{
    if (weight->packing == GLET_CUDA_PACK_PLAIN && weight->from == weight->to) {
        size_t bytes = (size_t)weight->count * glet_dtype_size(weight->to);
        memcpy(out, weight->data, bytes);
        memset((char *)out + bytes, 0, weight->bytes - bytes);
        return;
    }
    memset(out, 0, weight->bytes);
    switch (weight->packing) {
    case GLET_CUDA_PACK_PLAIN:
        for (int64_t i = 0; i < weight->count; i++)
            put(weight, out, i, i);
        break;
    case GLET_CUDA_PACK_KRSC:
        pack_krsc(weight, out);
        break;
    case GLET_CUDA_PACK_DEPTHWISE:
        pack_depthwise(weight, out);
        break;
    case GLET_CUDA_PACK_TRANSPOSED:
        pack_transposed(weight, out);
        break;
    case GLET_CUDA_PACK_BESIDE:
        pack_beside(weight, out);
        break;
    }
}

bool glet_cuda_weight_same(const struct glet_cuda_weight *a, const struct glet_cuda_weight *b)
{
    for (int i = 0; i < GLET_CUDA_MAX_BESIDE; i++)
        if (a->beside[i].data != b->beside[i].data || a->beside[i].columns != b->beside[i].columns)
            return false;
    return a->data == b->data && a->from == b->from && a->to == b->to && a->packing == b->packing &&
           a->count == b->count && a->k == b->k && a->c == b->c && a->r == b->r && a->s == b->s &&
           a->groups == b->groups && a->rows == b->rows && a->columns == b->columns &&
           a->bytes == b->bytes;
}
