/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a model once on the CPU: `run_model MODEL.onnx BATCH SEED IN... -- OUT...`, one file of raw
 * row-major bytes for each input and output. What compares our results with other runtimes uses it.
 */
#include "runtime/device/cpu/net/cpu_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct glet_error *err)
{
    glet_error_print(err, stderr);
    return glet_error_exit_status(err->code);
}

/* A buffer of the size of `batch` requests. */
static void *buffer_of(const struct glet_model_io *io, int batch, size_t *bytes)
{
    *bytes = io->bytes * (size_t)batch;
    return aligned_alloc(64, (*bytes + 63) / 64 * 64 + 64);
}

static int transfer(const char *path, const char *mode, void *data, size_t bytes)
{
    FILE *file = fopen(path, mode);
    size_t done = !file            ? 0
                  : mode[0] == 'r' ? fread(data, 1, bytes, file)
                                   : fwrite(data, 1, bytes, file);
    if (done != bytes)
        fprintf(stderr, "%s: %zu of %zu bytes\n", path, done, bytes);
    if (file)
        fclose(file);
    return done == bytes ? 0 : -1;
}

static int run(struct glet_model *model, int batch, char **inputs, char **outputs)
{
    struct glet_error err = {0};
    struct glet_cpu_packs *packs;
    struct glet_cpu_net *net;
    static void *inputs_data[16], *results[16]; /* kept until the process ends */
    size_t bytes;
    if (glet_cpu_packs_new(&packs, &err) < 0 ||
        glet_cpu_net_build(packs, model, batch, 1, &net, &err) < 0)
        return fail(&err);
    for (size_t i = 0; i < glet_model_input_count(model) && i < 16; i++) {
        inputs_data[i] = buffer_of(glet_model_input(model, i), batch, &bytes);
        if (!inputs_data[i] || transfer(inputs[i], "rb", inputs_data[i], bytes) < 0)
            return 4;
        glet_cpu_net_bind_input(net, i, inputs_data[i]);
    }
    for (size_t i = 0; i < glet_model_output_count(model) && i < 16; i++) {
        results[i] = buffer_of(glet_model_output(model, i), batch, &bytes);
        glet_cpu_net_bind_output(net, i, results[i]);
    }
    if (glet_cpu_net_run(net, batch, &err) < 0)
        return fail(&err);
    for (size_t i = 0; i < glet_model_output_count(model) && i < 16; i++) {
        bytes = glet_model_output(model, i)->bytes * (size_t)batch;
        if (transfer(outputs[i], "wb", results[i], bytes) < 0)
            return 4;
    }
    glet_cpu_net_free(net);
    glet_cpu_packs_free(packs);
    return 0;
}

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    struct glet_model *model;
    if (argc < 6) {
        fprintf(stderr, "usage: %s MODEL.onnx BATCH SEED IN... -- OUT...\n", argv[0]);
        return 2;
    }
    struct glet_model_options options = {.random_weights = true,
                                         .seed = strtoull(argv[3], NULL, 10)};
    if (glet_model_load(argv[1], &options, &model, &err) < 0)
        return fail(&err);
    char **inputs = argv + 4, **outputs = inputs;
    while (*outputs && strcmp(*outputs, "--") != 0)
        outputs++;
    if (!*outputs || (size_t)(outputs - inputs) != glet_model_input_count(model) ||
        (size_t)(argv + argc - outputs - 1) != glet_model_output_count(model)) {
        fprintf(stderr, "%s: %zu inputs, %zu outputs\n", argv[1], glet_model_input_count(model),
                glet_model_output_count(model));
        return 2;
    }
    int status = run(model, atoi(argv[2]), inputs, outputs + 1);
    glet_model_free(model);
    return status;
}
