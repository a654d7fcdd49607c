/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers, forms and steps of a program under construction.
 *
 * Forms are kept at the root of a chain of views, whatever shape they describe: a layout's
 * descriptor says how the row-major sequence of the elements is grouped into dimensions, and that
 * sequence is the same for every view.
 */
#include "runtime/device/cpu/net/program_parts.h"

#include "runtime/device/cpu/kernels/kernels.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

int glet_cpu_buffer_add(struct glet_cpu_program *program, const struct glet_cpu_buffer *buffer,
                        struct glet_error *err)
{
    if (program->buffer_count == program->buffer_capacity) {
        int capacity = program->buffer_capacity ? 2 * program->buffer_capacity : 256;
        struct glet_cpu_buffer *grown = realloc(program->buffers, (size_t)capacity * sizeof *grown);
        if (!grown)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for %d buffers", capacity);
        program->buffers = grown;
        program->buffer_capacity = capacity;
    }
    program->buffers[program->buffer_count] = *buffer;
    return program->buffer_count++;
}

int glet_cpu_buffer_root(const struct glet_cpu_program *program, int buffer, size_t *offset_bytes)
{
    size_t offset = 0;
    while (program->buffers[buffer].parent >= 0) {
        offset += program->buffers[buffer].parent_offset_bytes;
        buffer = program->buffers[buffer].parent;
    }
    *offset_bytes = offset;
    return buffer;
}

int glet_cpu_temporary(struct glet_cpu_build *b, size_t size_bytes, struct glet_error *err)
{
    struct glet_cpu_buffer buffer = {.kind = GLET_CPU_ARENA,
                                     .size_bytes = size_bytes,
                                     .parent = -1,
                                     .first_step = -1,
                                     .last_step = -1};
    return glet_cpu_buffer_add(b->program, &buffer, err);
}

int glet_cpu_constant_buffer(struct glet_cpu_build *b, const void *data, struct glet_error *err)
{
    struct glet_cpu_buffer buffer = {
        .kind = GLET_CPU_CONSTANT, .data = data, .parent = -1, .first_step = -1, .last_step = -1};
    return glet_cpu_buffer_add(b->program, &buffer, err);
}

void *glet_cpu_alloc(struct glet_cpu_build *b, size_t size_bytes, struct glet_error *err)
{
    struct glet_cpu_chunk *chunk = calloc(1, sizeof *chunk + size_bytes);
    if (!chunk) {
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a step");
        return NULL;
    }
    chunk->next = b->program->chunks;
    b->program->chunks = chunk;
    return chunk->bytes;
}

dnnl_engine_t glet_cpu_engine(const struct glet_cpu_build *b)
{
    return b->program->engine;
}

struct glet_cpu_packs *glet_cpu_packs_of(const struct glet_cpu_build *b)
{
    return b->program->packs;
}

const struct glet_model *glet_cpu_model_of(const struct glet_cpu_build *b)
{
    return b->program->model;
}

/* ---- tensors ---- */

const struct glet_tensor *glet_cpu_tensor(const struct glet_cpu_build *b, int tensor)
{
    return &b->graph->tensors[tensor];
}

enum glet_dtype glet_cpu_held_dtype(enum glet_dtype dtype)
{
    return dtype == GLET_FLOAT16 || dtype == GLET_BFLOAT16 || dtype == GLET_FLOAT64 ? GLET_FLOAT32
                                                                                    : dtype;
}

bool glet_cpu_is_float(const struct glet_cpu_build *b, int tensor)
{
    return glet_cpu_held_dtype(b->graph->tensors[tensor].dtype) == GLET_FLOAT32;
}

static size_t held_bytes(const struct glet_tensor *tensor)
{
    return (size_t)glet_tensor_elements(tensor) *
           glet_dtype_size(glet_cpu_held_dtype(tensor->dtype));
}

const void *glet_cpu_constant_data(const struct glet_cpu_build *b, int tensor)
{
    return b->graph->tensors[glet_graph_storage(b->graph, tensor)].data;
}

static int add_form(struct glet_cpu_build *b, int root, int buffer, const dnnl_memory_desc_t *md,
                    struct glet_error *err)
{
    struct glet_cpu_form *form = glet_cpu_alloc(b, sizeof *form, err);
    if (!form)
        return -1;
    form->buffer = buffer;
    form->has_md = md != NULL;
    form->plain = !md || glet_dnnl_is_plain(md);
    if (md)
        form->md = *md;
    struct glet_cpu_form **end = &b->program->forms[root];
    while (*end)
        end = &(*end)->next;
    *end = form;
    return buffer;
}

static int add_plain_form(struct glet_cpu_build *b, int root, int buffer, struct glet_error *err)
{
    const struct glet_tensor *tensor = glet_cpu_tensor(b, root);
    if (glet_cpu_held_dtype(tensor->dtype) != GLET_FLOAT32)
        return add_form(b, root, buffer, NULL, err);
    dnnl_memory_desc_t md = glet_dnnl_plain(tensor->rank, tensor->dims);
    return add_form(b, root, buffer, &md, err);
}

static void cast_constant(void *out, const void *data, const void *context)
{
    const struct glet_tensor *tensor = context;
    glet_cpu_convert(out, GLET_FLOAT32, data, tensor->dtype, glet_tensor_elements(tensor));
}

/* The first form of an input or a constant, in the type that it is held in. */
static int introduce(struct glet_cpu_build *b, int root, struct glet_error *err)
{
    const struct glet_tensor *tensor = glet_cpu_tensor(b, root);
    bool cast = glet_cpu_held_dtype(tensor->dtype) != tensor->dtype;
    if (tensor->data) {
        const void *data = tensor->data;
        struct glet_cpu_constant constant = {b->program->model, data, glet_tensor_bytes(tensor)};
        if (cast && glet_cpu_packs_make(b->program->packs, &constant, GLET_CPU_PACK_FP32, 0,
                                        held_bytes(tensor), cast_constant, tensor, &data, err) < 0)
            return -1;
        int buffer = glet_cpu_constant_buffer(b, data, err);
        return buffer < 0 ? -1 : add_plain_form(b, root, buffer, err);
    }
    for (int i = 0; i < b->graph->input_count; i++) {
        if (b->graph->inputs[i] != root)
            continue;
        struct glet_cpu_buffer input = {.kind = GLET_CPU_INPUT,
                                        .index = i,
                                        .size_bytes = glet_tensor_bytes(tensor),
                                        .parent = -1,
                                        .first_step = -1,
                                        .last_step = -1};
        int buffer = glet_cpu_buffer_add(b->program, &input, err);
        if (buffer >= 0 && cast) {
            int held = glet_cpu_temporary(b, held_bytes(tensor), err);
            if (held < 0 || glet_cpu_add_convert(b, held, GLET_FLOAT32, buffer, tensor->dtype,
                                                 glet_tensor_elements(tensor), err) < 0)
                return -1;
            buffer = held;
        }
        return buffer < 0 ? -1 : add_plain_form(b, root, buffer, err);
    }
    return glet_error_set(err, GLET_ERR_INTERNAL, "tensor %s is used before it is computed",
                          tensor->name);
}

static struct glet_cpu_form *forms_of(struct glet_cpu_build *b, int root, struct glet_error *err)
{
    if (!b->program->forms[root] && introduce(b, root, err) < 0)
        return NULL;
    return b->program->forms[root];
}

static void copy_constant(void *out, const void *data, const void *context)
{
    memcpy(out, data, *(const size_t *)context);
}

/* Weights lie in the mapped file at any address; kernels and primitives get an aligned copy. What
   is packed for a primitive is packed from the file. */
static int align_constant(struct glet_cpu_build *b, int root, struct glet_cpu_form *form,
                          struct glet_error *err)
{
    struct glet_cpu_buffer *buffer = &b->program->buffers[form->buffer];
    enum { ALIGNMENT_BYTES = 16 };
    if (buffer->kind != GLET_CPU_CONSTANT || (uintptr_t)buffer->data % ALIGNMENT_BYTES == 0)
        return form->buffer;
    size_t size_bytes = held_bytes(glet_cpu_tensor(b, root));
    struct glet_cpu_constant constant = {b->program->model, buffer->data, size_bytes};
    const void *copy;
    if (glet_cpu_packs_make(b->program->packs, &constant, GLET_CPU_PACK_COPY, 0, size_bytes,
                            copy_constant, &size_bytes, &copy, err) < 0)
        return -1;
    int aligned = glet_cpu_constant_buffer(b, copy, err);
    if (aligned >= 0)
        form->buffer = aligned;
    return aligned;
}

int glet_cpu_want_plain(struct glet_cpu_build *b, int tensor, struct glet_error *err)
{
    int root = glet_graph_storage(b->graph, tensor);
    struct glet_cpu_form *forms = forms_of(b, root, err);
    if (!forms)
        return -1;
    for (struct glet_cpu_form *form = forms; form; form = form->next)
        if (form->plain)
            return align_constant(b, root, form, err);
    dnnl_memory_desc_t md = glet_dnnl_plain(forms->md.ndims, forms->md.dims);
    int buffer = glet_cpu_temporary(b, held_bytes(glet_cpu_tensor(b, root)), err);
    if (buffer < 0 || glet_cpu_add_reorder(b, forms->buffer, &forms->md, buffer, &md, err) < 0)
        return -1;
    return add_plain_form(b, root, buffer, err);
}

int glet_cpu_keep_plain(struct glet_cpu_build *b, int tensor, struct glet_error *err)
{
    int root = glet_graph_storage(b->graph, tensor);
    int buffer = glet_cpu_want_plain(b, tensor, err);
    if (buffer < 0)
        return -1;
    b->program->forms[root] = NULL;
    return add_plain_form(b, root, buffer, err);
}

static bool same_dims(const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b)
{
    return a->ndims == b->ndims &&
           memcmp(a->dims, b->dims, (size_t)a->ndims * sizeof a->dims[0]) == 0;
}

int glet_cpu_want(struct glet_cpu_build *b, int tensor, const dnnl_memory_desc_t *md,
                  struct glet_error *err)
{
    if (glet_dnnl_is_plain(md))
        return glet_cpu_want_plain(b, tensor, err);
    int root = glet_graph_storage(b->graph, tensor);
    struct glet_cpu_form *forms = forms_of(b, root, err), *from = NULL;
    if (!forms)
        return -1;
    for (struct glet_cpu_form *form = forms; form; form = form->next) {
        if (form->has_md && dnnl_memory_desc_equal(&form->md, md))
            return form->buffer;
        if (!from && form->has_md && same_dims(&form->md, md))
            from = form;
    }
    const struct glet_tensor *constant = glet_cpu_tensor(b, root);
    if (constant->data) {
        /* pack what the program holds, which may be an fp32 copy */
        struct glet_cpu_constant held = {b->program->model, b->program->buffers[forms->buffer].data,
                                         held_bytes(constant)};
        dnnl_memory_desc_t plain = glet_dnnl_plain(md->ndims, md->dims);
        const void *packed;
        if (glet_cpu_packs_get(b->program->packs, &held, &plain, md, &packed, err) < 0)
            return -1;
        int buffer = glet_cpu_constant_buffer(b, packed, err);
        return buffer < 0 ? -1 : add_form(b, root, buffer, md, err);
    }
    dnnl_memory_desc_t from_md = from ? from->md : glet_dnnl_plain(md->ndims, md->dims);
    int from_buffer = from ? from->buffer : glet_cpu_want_plain(b, tensor, err);
    if (from_buffer < 0)
        return -1;
    int buffer = glet_cpu_temporary(b, dnnl_memory_desc_get_size(md), err);
    if (buffer < 0 || glet_cpu_add_reorder(b, from_buffer, &from_md, buffer, md, err) < 0)
        return -1;
    return add_form(b, root, buffer, md, err);
}

int glet_cpu_current(struct glet_cpu_build *b, int tensor, dnnl_memory_desc_t *md, int *buffer,
                     struct glet_error *err)
{
    const struct glet_tensor *view = glet_cpu_tensor(b, tensor);
    struct glet_cpu_form *forms = forms_of(b, glet_graph_storage(b->graph, tensor), err);
    if (!forms)
        return -1;
    for (struct glet_cpu_form *form = forms; form; form = form->next)
        if (form->has_md && !form->plain && form->md.ndims == view->rank &&
            memcmp(form->md.dims, view->dims, (size_t)view->rank * sizeof view->dims[0]) == 0) {
            *md = form->md;
            *buffer = form->buffer;
            return 0;
        }
    *md = glet_dnnl_plain(view->rank, view->dims);
    *buffer = glet_cpu_want_plain(b, tensor, err);
    return *buffer < 0 ? -1 : 0;
}

int glet_cpu_define_plain(struct glet_cpu_build *b, int tensor, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cpu_tensor(b, tensor);
    if (glet_cpu_is_float(b, tensor)) {
        dnnl_memory_desc_t md = glet_dnnl_plain(t->rank, t->dims);
        return glet_cpu_define(b, tensor, &md, err);
    }
    int buffer = glet_cpu_temporary(b, held_bytes(t), err);
    return buffer < 0 ? -1 : add_form(b, tensor, buffer, NULL, err);
}

int glet_cpu_define(struct glet_cpu_build *b, int tensor, const dnnl_memory_desc_t *md,
                    struct glet_error *err)
{
    int buffer = glet_cpu_placed_buffer(b, tensor, md, err);
    if (buffer == GLET_CPU_NO_BUFFER)
        buffer = glet_cpu_temporary(b, dnnl_memory_desc_get_size(md), err);
    return buffer < 0 ? -1 : add_form(b, tensor, buffer, md, err);
}

int glet_cpu_define_in(struct glet_cpu_build *b, int tensor, const dnnl_memory_desc_t *md,
                       int buffer, struct glet_error *err)
{
    return add_form(b, tensor, buffer, md, err);
}

bool glet_cpu_may_overwrite(const struct glet_cpu_build *b, int tensor, int buffer)
{
    const struct glet_cpu_program *program = b->program;
    int root = glet_graph_storage(b->graph, tensor), uses = 0;
    for (int i = 0; i < b->node->input_count; i++)
        uses += b->node->inputs[i] >= 0 && glet_graph_storage(b->graph, b->node->inputs[i]) == root;
    return uses == 1 && program->last_use[root] == b->node_index &&
           program->buffers[buffer].kind == GLET_CPU_ARENA && program->buffers[buffer].parent < 0 &&
           program->placements[b->node->output].into < 0 && program->placements[root].into < 0 &&
           program->placements[root].memory == GLET_CPU_NO_BUFFER;
}

/* ---- steps ---- */

static struct glet_cpu_step *add_step(struct glet_cpu_build *b, const int *buffers, int count,
                                      struct glet_error *err)
{
    struct glet_cpu_program *program = b->program;
    if (program->step_count == program->step_capacity) {
        int capacity = program->step_capacity ? 2 * program->step_capacity : 256;
        struct glet_cpu_step *grown = realloc(program->steps, (size_t)capacity * sizeof *grown);
        if (!grown) {
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory for %d steps", capacity);
            return NULL;
        }
        program->steps = grown;
        program->step_capacity = capacity;
    }
    int index = program->step_count++;
    struct glet_cpu_step *step = &program->steps[index];
    *step = (struct glet_cpu_step){.name = b->node ? b->node->name : "(output)", .count = count};
    for (int i = 0; i < count; i++) {
        step->buffers[i] = buffers[i];
        if (buffers[i] < 0)
            continue;
        size_t offset;
        struct glet_cpu_buffer *buffer =
            &program->buffers[glet_cpu_buffer_root(program, buffers[i], &offset)];
        if (buffer->first_step < 0)
            buffer->first_step = index;
        buffer->last_step = index;
    }
    return step;
}

int glet_cpu_add_kernel(struct glet_cpu_build *b, glet_cpu_kernel kernel, const int *buffers,
                        int count, const void *params, size_t params_bytes, struct glet_error *err)
{
    void *copy = NULL;
    if (params_bytes > 0) {
        copy = glet_cpu_alloc(b, params_bytes, err);
        if (!copy)
            return -1;
        memcpy(copy, params, params_bytes);
    }
    struct glet_cpu_step *step = add_step(b, buffers, count, err);
    if (!step)
        return -1;
    step->kernel = kernel;
    step->params = copy;
    return 0;
}

static int add_primitive(struct glet_cpu_build *b, dnnl_primitive_desc_t pd,
                         const struct glet_cpu_operand *operands, int count, struct glet_error *err)
{
    struct glet_cpu_operand all[GLET_CPU_MAX_OPERANDS];
    int buffers[GLET_CPU_MAX_OPERANDS];
    memcpy(all, operands, (size_t)count * sizeof *operands);
    const dnnl_memory_desc_t *scratchpad =
        dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t scratchpad_bytes = scratchpad ? dnnl_memory_desc_get_size(scratchpad) : 0;
    if (scratchpad_bytes > 0) {
        int buffer = glet_cpu_temporary(b, scratchpad_bytes, err);
        if (buffer < 0)
            return -1;
        all[count].argument = DNNL_ARG_SCRATCHPAD;
        all[count].buffer = buffer;
        all[count++].md = *scratchpad;
    }
    for (int i = 0; i < count; i++)
        buffers[i] = all[i].buffer;
    struct glet_cpu_step *step = add_step(b, buffers, count, err);
    if (!step || glet_dnnl_check(dnnl_primitive_create(&step->primitive, pd), step->name, err) < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        step->arguments[i].arg = all[i].argument;
        if (glet_dnnl_check(dnnl_memory_create(&step->arguments[i].memory, &all[i].md,
                                               b->program->engine, DNNL_MEMORY_NONE),
                            step->name, err) < 0)
            return -1;
    }
    return 0;
}

int glet_cpu_add_primitive(struct glet_cpu_build *b, dnnl_primitive_desc_t pd,
                           const struct glet_cpu_operand *operands, int count,
                           struct glet_error *err)
{
    int rc = add_primitive(b, pd, operands, count, err);
    dnnl_primitive_desc_destroy(pd);
    return rc;
}

int glet_cpu_add_reorder(struct glet_cpu_build *b, int from, const dnnl_memory_desc_t *from_md,
                         int to, const dnnl_memory_desc_t *to_md, struct glet_error *err)
{
    dnnl_primitive_attr_t attributes = glet_cpu_attributes(false, NULL, err);
    if (!attributes)
        return -1;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(
        &pd, from_md, b->program->engine, to_md, b->program->engine, attributes);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "converting a layout", err) < 0)
        return -1;
    struct glet_cpu_operand operands[] = {{DNNL_ARG_FROM, from, *from_md},
                                          {DNNL_ARG_TO, to, *to_md}};
    return glet_cpu_add_primitive(b, pd, operands, 2, err);
}

int glet_cpu_unsupported(const struct glet_cpu_build *b, struct glet_error *err, const char *format,
                         ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "node %s: %s: %s", b->node->name,
                          glet_op_name(b->node->op), reason);
}
