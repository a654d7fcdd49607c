/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_TENSOR_FILE_H
#define GLET_TESTS_TENSOR_FILE_H

/* Reads an ONNX TensorProto from a file (input_0.pb of the ONNX test data). */

#include "runtime/engine/graph.h"

struct tensor_file {
    enum glet_dtype dtype;
    int rank;
    int64_t dims[GLET_MAX_RANK];
    void *data; /* row-major; free() */
    size_t size_bytes;
};

/* False if there is no such file, or it holds something else than a numeric tensor. */
bool tensor_file_read(const char *path, struct tensor_file *out);

#endif
