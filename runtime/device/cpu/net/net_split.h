/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_SPLIT_H
#define GLET_CPU_SPLIT_H

/*
 * Cuts a model in two: a head that is best run row by row and a tail that is best run for the whole
 * batch. Rows are best one at a time while activations decide the time; the fully connected layers
 * at the end of a classifier have one row of activations and megabytes of weights, which are then
 * read once per batch instead of once per row (VGG16: 494 MB).
 */

#include "common/error.h"
#include "runtime/engine/graph.h"

enum { GLET_CPU_SPLIT_TENSORS = 16 };

struct glet_cpu_split {
    struct glet_graph head, tail; /* borrow from the graphs that they were cut from */
    /* tensors that the head hands to the tail: the tail's inputs, and the head's first outputs */
    int crossing[GLET_CPU_SPLIT_TENSORS], crossing_count;
    /* which of the model's outputs the outputs after those, and the tail's, are */
    int head_outputs[GLET_CPU_SPLIT_TENSORS], head_output_count;
    int tail_outputs[GLET_CPU_SPLIT_TENSORS], tail_output_count;
    int head_tensors[2 * GLET_CPU_SPLIT_TENSORS], tail_tensors[GLET_CPU_SPLIT_TENSORS];
};

/*
 * row and batch are the same model bound to 1 and to the batch. Returns whether there is a tail
 * worth the cut; *split then points into itself (do not move it) and borrows from both graphs.
 */
bool glet_cpu_split_graph(const struct glet_graph *row, const struct glet_graph *batch,
                          struct glet_cpu_split *split);

#endif
