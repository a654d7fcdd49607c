/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_MODEL_H
#define GLET_ENGINE_MODEL_H

/*
 * A model as loaded from an ONNX file: its interface, its weights (pointers into the mapped file,
 * never copied) and its operators, checked. Immutable after loading: safe to share between threads.
 *
 * Loading proves that every executor can be built from it: the graph is bound once to batch 1, so
 * that an operator that is missing, a shape that cannot be inferred or a missing weight is an error
 * here and never later.
 */

#include "common/error.h"
#include "runtime/engine/graph.h"

#include <stddef.h>
#include <stdint.h>

struct glet_model;

struct glet_model_options {
    bool random_weights; /* fill weights that the file names but does not hold; else an error */
    bool no_weights;     /* leave them zeros: nobody is going to read them */
    uint64_t seed;       /* of those weights; scaled so that activations stay finite */
    const char *name;    /* NULL = the file's name without folder and ".onnx" */
    bool no_batch;       /* for tests of single operators: no dimension is a batch. The model is one
                            of batch 1, and glet_model_io.bytes is of the whole tensor */
};

struct glet_model_io {
    const char *name;
    enum glet_dtype dtype;
    int rank;                    /* batch dimension included */
    int64_t dims[GLET_MAX_RANK]; /* dims[0] = GLET_DIM_BATCH where the batch is free */
    size_t bytes;                /* of one request: all dimensions but the batch */
};

/*
 * Maps and checks the file. opset 11 to 20. External data may not leave the file's folder.
 * GLET_ERR_IO; GLET_ERR_INPUT (malformed, truncated, cyclic, overflowing, weight data missing);
 * GLET_ERR_UNSUPPORTED (operator or attribute; names node, operator and what is supported).
 */
GLET_MUST_CHECK
int glet_model_load(const char *path, const struct glet_model_options *options,
                    struct glet_model **out, struct glet_error *err);
void glet_model_free(struct glet_model *model); /* NULL is accepted */

const char *glet_model_name(const struct glet_model *model);
size_t glet_model_input_count(const struct glet_model *model);
size_t glet_model_output_count(const struct glet_model *model);
const struct glet_model_io *glet_model_input(const struct glet_model *model, size_t i);
const struct glet_model_io *glet_model_output(const struct glet_model *model, size_t i);
size_t glet_model_weight_bytes(const struct glet_model *model);
const char *glet_model_sha256(struct glet_model *model); /* of file and external data; hex. Reads
                                                            the whole file the first time, which
                                                            only one thread may do */

/*
 * The model's graph with the batch bound, all shapes known, constants folded and the fusions of
 * graph.h applied. Owned by the caller (glet_graph_free); weights and names are the model's. The
 * same constant has the same pointer in every graph of a model. Safe from several threads at once.
 * GLET_ERR_RANGE (batch < 1, or not the batch of a model whose batch is fixed), GLET_ERR_NOMEM;
 * loading has proved batches 1 and 2, so GLET_ERR_INPUT and GLET_ERR_UNSUPPORTED are left for a
 * graph that treats larger batches differently, or sizes that overflow.
 */
GLET_MUST_CHECK
int glet_model_bind(const struct glet_model *model, int batch, struct glet_graph **out,
                    struct glet_error *err);

#endif
