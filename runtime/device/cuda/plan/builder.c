/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of planning: which tensor lies where (its *forms*), buffers and their lifetimes, steps.
 * A tensor has few forms, steps are appended once: everything here is a short list.
 */
#include "runtime/device/cuda/plan/builder.h"

#include "common/memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct glet_cuda_form {
    struct glet_cuda_place place;
    struct glet_cuda_form *next;
};

int glet_cuda_unsupported(const struct glet_cuda_builder *b, struct glet_error *err,
                          const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[0]);
    const struct glet_tensor *y = glet_cuda_tensor(b, b->node->output);
    return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                          "node %s: %s of %s to %s is not supported on a GPU: %s", b->node->name,
                          glet_op_name(b->node->op), glet_dtype_name(x->dtype),
                          glet_dtype_name(y->dtype), reason);
}

/* -- buffers and weights ----------------------------------------------------------------------- */

int glet_cuda_buffer_add(struct glet_cuda_builder *b, enum glet_cuda_buffer_kind kind, size_t bytes,
                         struct glet_error *err)
{
    struct glet_cuda_plan *plan = b->plan;
    if (glet_reserve(&plan->buffers, &plan->buffer_capacity, (size_t)plan->buffer_count + 1,
                     sizeof *plan->buffers, err) < 0)
        return -1;
    plan->buffers[plan->buffer_count] =
        (struct glet_cuda_buffer){.kind = kind, .bytes = bytes, .first_step = -1, .last_step = -1};
    return plan->buffer_count++;
}

int glet_cuda_weight_add(struct glet_cuda_builder *b, struct glet_cuda_weight *weight,
                         struct glet_error *err)
{
    int64_t count = weight->count;
    if (weight->packing == GLET_CUDA_PACK_PLAIN)
        count = weight->columns > count ? weight->columns : count;
    else if (weight->packing != GLET_CUDA_PACK_BESIDE)
        count = weight->rows * weight->r * weight->s * weight->columns;
    weight->bytes = (size_t)count * glet_dtype_size(weight->to);
    for (int i = 0; i < b->plan->buffer_count; i++)
        if (b->plan->buffers[i].kind == GLET_CUDA_WEIGHT &&
            glet_cuda_weight_same(&b->plan->buffers[i].weight, weight))
            return i;
    int buffer = glet_cuda_buffer_add(b, GLET_CUDA_WEIGHT, weight->bytes, err);
    if (buffer >= 0)
        b->plan->buffers[buffer].weight = *weight;
    return buffer;
}

static int plain_weight(struct glet_cuda_builder *b, const struct glet_tensor *t, int64_t padded,
                        struct glet_error *err)
{
    struct glet_cuda_weight weight = {.data = t->data,
                                      .from = t->dtype,
                                      .to = glet_cuda_held(b->plan, t->dtype),
                                      .packing = GLET_CUDA_PACK_PLAIN,
                                      .count = glet_tensor_elements(t),
                                      .columns = padded};
    return glet_cuda_weight_add(b, &weight, err);
}

int glet_cuda_want_vector(struct glet_cuda_builder *b, int tensor, int64_t padded,
                          struct glet_cuda_place *out, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    int64_t count = glet_tensor_elements(t);
    if (!t->data)
        return glet_cuda_unsupported(b, err, "%s is not a constant", t->name);
    int buffer = plain_weight(b, t, padded, err);
    if (buffer < 0)
        return -1;
    *out = glet_cuda_rows(buffer, glet_cuda_held(b->plan, t->dtype), 1, &count);
    out->channels = padded;
    return 0;
}

/* -- steps ------------------------------------------------------------------------------------- */

struct glet_cuda_step *glet_cuda_step_add(struct glet_cuda_builder *b,
                                          enum glet_cuda_step_kind kind,
                                          const struct glet_cuda_place *places, int count,
                                          struct glet_error *err)
{
    struct glet_cuda_plan *plan = b->plan;
    if (glet_reserve(&plan->steps, &plan->step_capacity, (size_t)plan->step_count + 1,
                     sizeof *plan->steps, err) < 0)
        return NULL;
    struct glet_cuda_step *step = &plan->steps[plan->step_count];
    *step = (struct glet_cuda_step){.kind = kind,
                                    .name = b->node ? b->node->name : "(output)",
                                    .node = b->node,
                                    .place_count = count};
    for (int i = 0; i < count; i++) {
        step->places[i] = places[i];
        if (places[i].buffer < 0)
            continue;
        struct glet_cuda_buffer *buffer = &plan->buffers[places[i].buffer];
        if (buffer->first_step < 0)
            buffer->first_step = plan->step_count;
        buffer->last_step = plan->step_count;
    }
    plan->step_count++;
    return step;
}

int glet_cuda_copy(struct glet_cuda_builder *b, const struct glet_cuda_place *from,
                   const struct glet_cuda_place *to, struct glet_error *err)
{
    struct glet_cuda_place places[2] = {*from, *to};
    struct glet_cuda_step *step = glet_cuda_step_add(b, GLET_CUDA_MAP, places, 2, err);
    if (!step)
        return -1;
    step->node = NULL;
    step->integer = !(from->dtype == GLET_FLOAT16 || from->dtype == GLET_FLOAT32 ||
                      from->dtype == GLET_FLOAT64 || from->dtype == GLET_BFLOAT16);
    return 0;
}

int glet_cuda_clear_channels(struct glet_cuda_builder *b, const struct glet_cuda_place *map,
                             struct glet_error *err)
{
    static const float zero = 0.0F;
    struct glet_cuda_place region = *map;
    if (map->channels <= map->dims[1])
        return 0;
    struct glet_cuda_weight weight = {.data = &zero,
                                      .from = GLET_FLOAT32,
                                      .to = b->plan->type,
                                      .packing = GLET_CUDA_PACK_PLAIN,
                                      .count = 1};
    int buffer = glet_cuda_weight_add(b, &weight, err);
    if (buffer < 0)
        return -1;
    region.offset += map->dims[1];
    region.dims[1] = map->channels - map->dims[1];
    region.channels = 0;
    struct glet_cuda_place none = glet_cuda_rows(buffer, b->plan->type, 0, NULL);
    struct glet_cuda_place from = glet_cuda_broadcast(&none, region.rank, region.dims);
    return glet_cuda_copy(b, &from, &region, err);
}

/* -- forms ------------------------------------------------------------------------------------- */

int glet_cuda_define_at(struct glet_cuda_builder *b, int tensor,
                        const struct glet_cuda_place *place, struct glet_error *err)
{
    struct glet_cuda_form *form = glet_alloc(1, sizeof *form, err);
    if (!form)
        return -1;
    form->place = *place;
    form->next = b->forms[tensor];
    b->forms[tensor] = form;
    return 0;
}

void glet_cuda_forget_forms(struct glet_cuda_builder *b, int tensor)
{
    while (b->forms[tensor]) {
        struct glet_cuda_form *form = b->forms[tensor];
        b->forms[tensor] = form->next;
        free(form);
    }
}

static bool is_rows(const struct glet_cuda_place *place)
{
    int64_t stride = 1;
    for (int i = place->rank - 1; i >= 0; i--) {
        if (place->dims[i] > 1 && place->strides[i] != stride)
            return false;
        stride *= place->dims[i];
    }
    return true;
}

static bool fits(const struct glet_cuda_builder *b, const struct glet_cuda_place *place,
                 enum glet_cuda_layout layout, struct glet_cuda_place *out)
{
    *out = *place;
    if (layout != GLET_CUDA_RAW && place->dtype != glet_cuda_held(b->plan, place->dtype))
        return false;
    int last = place->rank - 1;
    switch (layout) {
    case GLET_CUDA_ROWS:
        return is_rows(place);
    case GLET_CUDA_LAST:
        return last < 0 || place->dims[last] == 1 || place->strides[last] == 1;
    case GLET_CUDA_NHWC:
        return glet_cuda_is_map(b->plan, place, out);
    default:
        return true;
    }
}

static struct glet_cuda_place new_map(struct glet_cuda_builder *b, const struct glet_tensor *t,
                                      size_t *bytes)
{
    struct glet_cuda_place place = {.dtype = b->plan->type, .rank = t->rank};
    int64_t pitch = glet_cuda_padded(b->plan, t->dims[1]), stride = pitch;
    for (int i = t->rank - 1; i >= 2; i--) {
        place.strides[i] = stride;
        stride *= t->dims[i];
    }
    place.strides[0] = stride;
    place.strides[1] = 1;
    place.channels = pitch;
    memcpy(place.dims, t->dims, (size_t)t->rank * sizeof t->dims[0]);
    *bytes = (size_t)(stride * t->dims[0]) * glet_dtype_size(b->plan->type);
    return place;
}

/* New memory; not the part of a concatenation's result. */
static int new_place(struct glet_cuda_builder *b, const struct glet_tensor *t,
                     enum glet_cuda_layout layout, struct glet_cuda_place *out,
                     struct glet_error *err)
{
    struct glet_cuda_place place;
    size_t bytes;
    if (layout == GLET_CUDA_NHWC) {
        place = new_map(b, t, &bytes);
    } else {
        place = glet_cuda_rows(-1, glet_cuda_held(b->plan, t->dtype), t->rank, t->dims);
        bytes = (size_t)glet_tensor_elements(t) * glet_dtype_size(place.dtype);
    }
    place.buffer = glet_cuda_buffer_add(b, GLET_CUDA_ARENA, bytes, err);
    if (place.buffer < 0)
        return -1;
    *out = place;
    return 0;
}

static int part_place(struct glet_cuda_builder *b, int tensor, struct glet_cuda_place *out,
                      struct glet_error *err)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    const struct glet_cuda_part *part = &b->parts[tensor];
    struct glet_cuda_place *host = &b->hosts[part->host];
    if (host->buffer < 0 &&
        new_place(b, glet_cuda_tensor(b, part->host), GLET_CUDA_NHWC, host, err) < 0)
        return -1;
    *out = *host;
    out->offset += part->channel;
    out->dims[1] = t->dims[1];
    out->channels = glet_cuda_padded(b->plan, t->dims[1]);
    return 0;
}

int glet_cuda_define(struct glet_cuda_builder *b, int tensor, enum glet_cuda_layout layout,
                     struct glet_cuda_place *out, struct glet_error *err)
{
    int rc = layout == GLET_CUDA_NHWC && b->parts[tensor].host >= 0
                 ? part_place(b, tensor, out, err)
                 : new_place(b, glet_cuda_tensor(b, tensor), layout, out, err);
    return rc < 0 ? -1 : glet_cuda_define_at(b, tensor, out, err);
}

static bool find_form(const struct glet_cuda_builder *b, int tensor, enum glet_cuda_layout layout,
                      struct glet_cuda_place *out)
{
    for (const struct glet_cuda_form *form = b->forms[tensor]; form; form = form->next)
        if (fits(b, &form->place, layout, out))
            return true;
    return false;
}

static int constant_form(struct glet_cuda_builder *b, int tensor, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    int buffer = plain_weight(b, t, 0, err);
    if (buffer < 0)
        return -1;
    struct glet_cuda_place place =
        glet_cuda_rows(buffer, glet_cuda_held(b->plan, t->dtype), t->rank, t->dims);
    return glet_cuda_define_at(b, tensor, &place, err);
}

/* What a view has of the forms of the tensor it looks at; dense rows always have a view. */
static int view_forms(struct glet_cuda_builder *b, int tensor, bool force, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    struct glet_cuda_place place, reshaped;
    const struct glet_tensor *base = glet_cuda_tensor(b, t->view_of);
    if (base->view_of >= 0 && view_forms(b, t->view_of, force, err) < 0)
        return -1;
    if (force && glet_cuda_want(b, t->view_of, GLET_CUDA_ROWS, &place, err) < 0)
        return -1;
    glet_cuda_forget_forms(b, tensor);
    for (const struct glet_cuda_form *form = b->forms[t->view_of]; form; form = form->next)
        if (glet_cuda_reshape(&form->place, t->rank, t->dims, &reshaped) &&
            glet_cuda_define_at(b, tensor, &reshaped, err) < 0)
            return -1;
    return 0;
}

static int find_or_look(struct glet_cuda_builder *b, int tensor, enum glet_cuda_layout layout,
                        struct glet_cuda_place *out, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    if (find_form(b, tensor, layout, out))
        return 1;
    if (t->data && !b->forms[tensor] && constant_form(b, tensor, err) < 0)
        return -1;
    struct glet_cuda_form *own = b->forms[tensor];
    if (t->view_of >= 0 && !own && view_forms(b, tensor, false, err) < 0)
        return -1;
    return find_form(b, tensor, layout, out);
}

int glet_cuda_want(struct glet_cuda_builder *b, int tensor, enum glet_cuda_layout layout,
                   struct glet_cuda_place *out, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    struct glet_cuda_place from, to;
    int found = find_or_look(b, tensor, layout, out, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (!find_form(b, tensor, GLET_CUDA_RAW, &from)) {
        if (t->view_of < 0)
            return glet_error_set(err, GLET_ERR_INTERNAL, "tensor %s is nowhere", t->name);
        if (view_forms(b, tensor, true, err) < 0)
            return -1;
        if (find_form(b, tensor, layout, out))
            return 0;
        if (!find_form(b, tensor, GLET_CUDA_RAW, &from))
            return glet_error_set(err, GLET_ERR_INTERNAL, "tensor %s has no view", t->name);
    }
    enum glet_cuda_layout made = layout == GLET_CUDA_NHWC ? GLET_CUDA_NHWC : GLET_CUDA_ROWS;
    if (layout == GLET_CUDA_ANY && glet_cuda_is_map(b->plan, &from, &to))
        made = GLET_CUDA_NHWC;
    if (new_place(b, t, made, &to, err) < 0 || glet_cuda_copy(b, &from, &to, err) < 0 ||
        glet_cuda_define_at(b, tensor, &to, err) < 0)
        return -1;
    *out = to;
    return 0;
}

bool glet_cuda_lies_as_map(struct glet_cuda_builder *b, int tensor)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    struct glet_cuda_place place, reshaped;
    if (find_form(b, tensor, GLET_CUDA_NHWC, &place))
        return true;
    for (; t->view_of >= 0; t = glet_cuda_tensor(b, t->view_of))
        for (const struct glet_cuda_form *form = b->forms[t->view_of]; form; form = form->next)
            if (glet_cuda_reshape(&form->place, glet_cuda_tensor(b, tensor)->rank,
                                  glet_cuda_tensor(b, tensor)->dims, &reshaped) &&
                glet_cuda_is_map(b->plan, &reshaped, &place))
                return true;
    return false;
}
