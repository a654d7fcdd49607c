/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_onnx MODEL.onnx BATCH THREADS FOLDER: runs a batch with inputs FOLDER/input_<i>.bin (raw,
 * row-major) and writes FOLDER/output_<i>.bin. For comparing with other engines; see tests/e2e/.
 */
#include "common/error.h"
#include "runtime/device/cpu_net.h"
#include "runtime/engine/model.h"

#include <stdio.h>
#include <stdlib.h>

static int read_all(const char *folder, size_t i, void *data, size_t size_bytes,
                    struct glet_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/input_%zu.bin", folder, i);
    FILE *in = fopen(path, "rb");
    size_t got = in ? fread(data, 1, size_bytes, in) : 0;
    if (in)
        fclose(in);
    return got == size_bytes
               ? 0
               : glet_error_set(err, GLET_ERR_IO, "%s: %zu of %zu bytes", path, got, size_bytes);
}

static int write_all(const char *folder, size_t i, const void *data, size_t size_bytes,
                     struct glet_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/output_%zu.bin", folder, i);
    FILE *out = fopen(path, "wb");
    size_t put = out ? fwrite(data, 1, size_bytes, out) : 0;
    if (out && fclose(out) != 0)
        put = 0;
    return put == size_bytes ? 0 : glet_error_set(err, GLET_ERR_IO, "%s: cannot write", path);
}

static int run(const struct glet_model *model, struct glet_cpu_net *net, int batch,
               const char *folder, struct glet_error *err)
{
    size_t inputs = glet_model_input_count(model), outputs = glet_model_output_count(model);
    void *memory[64] = {0};
    int rc = inputs + outputs <= 64 ? 0 : glet_error_set(err, GLET_ERR_RANGE, "too many tensors");
    for (size_t i = 0; rc == 0 && i < inputs + outputs; i++) {
        const struct glet_model_io *io =
            i < inputs ? glet_model_input(model, i) : glet_model_output(model, i - inputs);
        size_t size_bytes = io->bytes * (size_t)batch;
        memory[i] = calloc(1, size_bytes + 1);
        if (!memory[i])
            rc = glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        else if (i < inputs) {
            rc = read_all(folder, i, memory[i], size_bytes, err);
            glet_cpu_net_bind_input(net, i, memory[i]);
        } else {
            glet_cpu_net_bind_output(net, i - inputs, memory[i]);
        }
    }
    if (rc == 0)
        rc = glet_cpu_net_run(net, batch, err);
    for (size_t i = 0; rc == 0 && i < outputs; i++)
        rc = write_all(folder, i, memory[inputs + i],
                       glet_model_output(model, i)->bytes * (size_t)batch, err);
    for (size_t i = 0; i < inputs + outputs && i < 64; i++)
        free(memory[i]);
    return rc;
}

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: run_onnx MODEL.onnx BATCH THREADS FOLDER\n");
        return 2;
    }
    struct glet_model_options options = {0};
    struct glet_model *model = NULL;
    struct glet_cpu_packs *packs = NULL;
    struct glet_cpu_net *net = NULL;
    int batch = atoi(argv[2]);
    int rc = glet_model_load(argv[1], &options, &model, &err);
    if (rc == 0)
        rc = glet_cpu_packs_new(&packs, &err);
    if (rc == 0)
        rc = glet_cpu_net_build(packs, model, batch, atoi(argv[3]), &net, &err);
    if (rc == 0)
        rc = run(model, net, batch, argv[4], &err);
    if (rc < 0)
        glet_error_print(&err, stderr);
    glet_cpu_net_free(net);
    glet_cpu_packs_free(packs);
    glet_model_free(model);
    return rc < 0 ? glet_error_exit_status(err.code) : 0;
}
