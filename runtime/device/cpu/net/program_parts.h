/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_PROGRAM_PARTS_H
#define GLET_CPU_PROGRAM_PARTS_H

/*
 * The insides of a program, shared by the file that builds it (build.c) and the one that
 * finishes and runs it (program.c).
 */

#include "runtime/device/cpu/net/build.h"
#include "runtime/device/cpu/net/program.h"

#include <stdbool.h>

enum glet_cpu_buffer_kind { GLET_CPU_ARENA, GLET_CPU_CONSTANT, GLET_CPU_INPUT, GLET_CPU_OUTPUT };

struct glet_cpu_buffer {
    enum glet_cpu_buffer_kind kind;
    int index; /* of the graph input or output */
    const void *data;
    size_t size_bytes;
    int parent; /* lies inside that buffer, at parent_offset_bytes; -1 = on its own */
    size_t parent_offset_bytes;
    int first_step, last_step; /* -1 = not used by any step */
    size_t offset_bytes;       /* in the arena, when planned */
};

/* Values of a tensor (of the root of its views) in one layout. */
struct glet_cpu_form {
    bool plain, has_md; /* md only for fp32 */
    dnnl_memory_desc_t md;
    int buffer;
    struct glet_cpu_form *next;
};

/* A tensor that is written straight into a part of a concatenation's result (build_concat.c). */
struct glet_cpu_placement {
    int into; /* the result that it is a part of; -1 = none */
    int64_t channel;
    /* of a result that has parts, once the first part exists */
    int memory; /* buffer; GLET_CPU_NO_BUFFER = not yet */
    int64_t block;
};

struct glet_cpu_step {
    const char *name;
    dnnl_primitive_t primitive; /* or: */
    glet_cpu_kernel kernel;
    const void *params;
    int count;
    int buffers[GLET_CPU_MAX_OPERANDS];
    void *pointers[GLET_CPU_MAX_OPERANDS];
    dnnl_exec_arg_t arguments[GLET_CPU_MAX_OPERANDS]; /* of a primitive */
};

struct glet_cpu_program {
    const struct glet_graph *graph;
    const struct glet_model *model;
    struct glet_cpu_packs *packs;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct glet_cpu_buffer *buffers;
    int buffer_count, buffer_capacity;
    struct glet_cpu_step *steps;
    int step_count, step_capacity;
    void *arena;
    size_t arena_bytes, bound_bytes;
    struct glet_cpu_chunk *chunks; /* parameters and forms, freed together */
    /* while building, one per tensor */
    struct glet_cpu_form **forms;
    struct glet_cpu_placement *placements;
    int *last_use; /* index of the last node that reads it; INT_MAX = an output */
};

struct glet_cpu_chunk {
    struct glet_cpu_chunk *next;
    max_align_t bytes[];
};

/* Where a buffer begins: its outermost parent, and its offset in it. */
int glet_cpu_buffer_root(const struct glet_cpu_program *program, int buffer, size_t *offset_bytes);
/* New buffer; -1 on failure. */
GLET_MUST_CHECK
int glet_cpu_buffer_add(struct glet_cpu_program *program, const struct glet_cpu_buffer *buffer,
                        struct glet_error *err);
/* Finds which results can be written into a concatenation; before the first node is built. */
void glet_cpu_plan_concats(struct glet_cpu_program *program);
/* The memory for `tensor` in layout md if it is planned to lie in a concatenation and md allows
   it; GLET_CPU_NO_BUFFER if not, GLET_CPU_FAILED on failure. */
enum { GLET_CPU_FAILED = -2 };
int glet_cpu_placed_buffer(struct glet_cpu_build *b, int tensor, const dnnl_memory_desc_t *md,
                           struct glet_error *err);

#endif
