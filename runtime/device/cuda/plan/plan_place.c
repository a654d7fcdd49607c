/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on places: shapes and strides, nothing else.
 */
#include "runtime/device/cuda/plan/builder.h"

#include "runtime/engine/numeric.h"

#include <string.h>

const struct glet_tensor *glet_cuda_tensor(const struct glet_cuda_builder *b, int tensor)
{
    return &b->graph->tensors[tensor];
}

bool glet_cuda_is_float(const struct glet_cuda_builder *b, int tensor)
{
    return glet_dtype_is_float(b->graph->tensors[tensor].dtype);
}

enum glet_dtype glet_cuda_held(const struct glet_cuda_plan *plan, enum glet_dtype dtype)
{
    return glet_dtype_is_float(dtype) ? plan->type : dtype;
}

int64_t glet_cuda_vector(const struct glet_cuda_plan *plan)
{
    return GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type);
}

int64_t glet_cuda_padded(const struct glet_cuda_plan *plan, int64_t channels)
{
    int64_t vector = glet_cuda_vector(plan);
    return (channels + vector - 1) / vector * vector;
}

int64_t glet_cuda_place_count(const struct glet_cuda_place *place)
{
    int64_t count = 1;
    for (int i = 0; i < place->rank; i++)
        count *= place->dims[i];
    return count;
}

bool glet_cuda_places_equal(const struct glet_cuda_place *a, const struct glet_cuda_place *b)
{
    if (a->buffer != b->buffer || a->offset != b->offset || a->dtype != b->dtype ||
        a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i] || (a->dims[i] > 1 && a->strides[i] != b->strides[i]))
            return false;
    return true;
}

struct glet_cuda_place glet_cuda_none(void)
{
    return (struct glet_cuda_place){.buffer = -1};
}

struct glet_cuda_place glet_cuda_rows(int buffer, enum glet_dtype dtype, int rank,
                                      const int64_t *dims)
{
    struct glet_cuda_place place = {.buffer = buffer, .dtype = dtype, .rank = rank};
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        place.dims[i] = dims[i];
        place.strides[i] = stride;
        stride *= dims[i];
    }
    return place;
}

/*
 * Groups of dimensions, taken from the left, that hold the same number of elements before and
 * after: within a group the old dimensions must be one stretch of even steps.
 */
bool glet_cuda_reshape(const struct glet_cuda_place *place, int rank, const int64_t *dims,
                       struct glet_cuda_place *out)
{
    int64_t from_dims[GLET_MAX_RANK], from_strides[GLET_MAX_RANK];
    int from_rank = 0;
    for (int i = 0; i < place->rank; i++)
        if (place->dims[i] != 1) {
            from_dims[from_rank] = place->dims[i];
            from_strides[from_rank++] = place->strides[i];
        }
    struct glet_cuda_place result = *place;
    result.rank = rank;
    result.channels = 0;
    memcpy(result.dims, dims, (size_t)rank * sizeof dims[0]);
    int old = 0, new = 0;
    while (new < rank) {
        int new_end = new + 1, old_end = old;
        int64_t new_count = dims[new], old_count = 1;
        while (old_count != new_count) {
            if (old_count < new_count) {
                if (old_end == from_rank)
                    return false;
                old_count *= from_dims[old_end++];
            } else {
                if (new_end == rank)
                    return false;
                new_count *= dims[new_end++];
            }
        }
        for (int i = old; i + 1 < old_end; i++)
            if (from_strides[i] != from_strides[i + 1] * from_dims[i + 1])
                return false;
        int64_t stride = old_end > old ? from_strides[old_end - 1] : 0;
        for (int i = new_end - 1; i >= new; i--) {
            result.strides[i] = stride;
            stride *= dims[i];
        }
        old = old_end;
        new = new_end;
    }
    if (old != from_rank)
        return false;
    *out = result;
    return true;
}

struct glet_cuda_place glet_cuda_permute(const struct glet_cuda_place *place, const int *perm)
{
    struct glet_cuda_place result = *place;
    result.channels = 0;
    for (int i = 0; i < place->rank; i++) {
        result.dims[i] = place->dims[perm[i]];
        result.strides[i] = place->strides[perm[i]];
    }
    return result;
}

struct glet_cuda_place glet_cuda_broadcast(const struct glet_cuda_place *place, int rank,
                                           const int64_t *dims)
{
    struct glet_cuda_place result = *place;
    int shift = rank - place->rank;
    result.rank = rank;
    for (int i = 0; i < rank; i++) {
        bool there = i >= shift && (place->dims[i - shift] != 1 || dims[i] == 1);
        result.dims[i] = dims[i];
        result.strides[i] = there ? place->strides[i - shift] : 0;
    }
    return result;
}

struct glet_cuda_place glet_cuda_lift(const struct glet_cuda_place *place)
{
    struct glet_cuda_place result = *place;
    if (place->rank != 3)
        return result;
    result.rank = 4;
    result.dims[3] = place->dims[2];
    result.strides[3] = place->strides[2];
    result.dims[2] = 1;
    result.strides[2] = place->strides[2] * place->dims[2];
    return result;
}

bool glet_cuda_is_map(const struct glet_cuda_plan *plan, const struct glet_cuda_place *place,
                      struct glet_cuda_place *normal)
{
    int rank = place->rank;
    int64_t vector = glet_cuda_vector(plan), padded;
    if (rank < 3 || rank > 4 || place->dtype != plan->type || place->offset % vector != 0)
        return false;
    padded = glet_cuda_padded(plan, place->dims[1]);
    int64_t there = place->channels > place->dims[1] ? place->channels : place->dims[1];
    if (there < padded || (place->dims[1] > 1 && place->strides[1] != 1))
        return false;
    /* a dimension of 1 has no stride to go by: the pitch is that of the first that has one */
    int64_t pitch = padded, inner = 1;
    bool known = false;
    struct glet_cuda_place result = *place;
    for (int i = rank - 1; i >= 0; i = i == 2 ? 0 : i - 1) {
        if (place->dims[i] > 1 && !known) {
            if (place->strides[i] % inner != 0)
                return false;
            pitch = place->strides[i] / inner;
            known = true;
        }
        if (place->dims[i] > 1 && place->strides[i] != pitch * inner)
            return false;
        inner *= place->dims[i];
    }
    if (pitch < padded || pitch % vector != 0)
        return false;
    inner = pitch;
    for (int i = rank - 1; i >= 2; i--) {
        result.strides[i] = inner;
        inner *= place->dims[i];
    }
    result.strides[0] = inner;
    result.strides[1] = 1;
    result.channels = there;
    *normal = result;
    return true;
}
