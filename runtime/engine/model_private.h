/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_MODEL_PRIVATE_H
#define GLET_ENGINE_MODEL_PRIVATE_H

/* What a loaded model consists of; for the engine's own files. */

#include "runtime/engine/arena.h"
#include "runtime/engine/constant_pool.h"
#include "runtime/engine/external_data.h"
#include "runtime/engine/model.h"
#include "runtime/engine/onnx_reader.h"

struct glet_operator; /* lower.h */

/* A name of the ONNX graph: at most one of constant, input and producer. */
struct glet_value {
    const char *name;
    struct glet_tensor *constant; /* an initialiser; data NULL until missing weights are filled */
    int input;                    /* index of the model's input, or -1 */
    int producer;                 /* index into nodes, or -1 */
    int readers;                  /* inputs of nodes, and outputs of the model */
};

struct glet_model_node {
    const glet_onnx_Node *onnx;
    const struct glet_operator *op;
    const char *name; /* never empty: falls back on the first output's */
    int *inputs;      /* value numbers; -1 = left out */
    int *outputs;
    int input_count, output_count;
};

struct glet_model {
    char *name, *path;
    struct glet_mapping file;
    struct glet_external *external;
    struct glet_arena *arena; /* everything below that is not listed as something else */
    glet_onnx_Model onnx;
    int64_t opset;
    struct glet_value *values;
    int value_count;
    struct glet_model_node *nodes; /* in execution order */
    int node_count;
    struct glet_model_io *inputs, *outputs;
    int *input_values, *output_values;
    size_t input_count, output_count;
    bool batch_free, no_batch;
    int fixed_batch;
    size_t weight_bytes;
    void *random_weights; /* anonymous memory */
    size_t random_bytes;
    struct glet_constant_pool *pool; /* what passes compute from weights */
    char sha256[65];                 /* empty until asked for */
};

/* model_names.c: fills values, nodes, inputs and outputs from model->onnx. */
GLET_MUST_CHECK int glet_model_resolve(struct glet_model *model, struct glet_error *err);

/*
 * weights_random.c: fills the data of initialisers that the file does not hold, in anonymous
 * memory. The same seed gives the same weights on every machine; none: zeros.
 */
GLET_MUST_CHECK
int glet_weights_fill(struct glet_model *model, const uint64_t *seed, struct glet_error *err);

#endif
