/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX's own operator tests (Debian package libonnx-testdata) through our loader and an engine.
 * What the loader or the engine refuses counts as unsupported, what runs must give the right
 * result. The number that passes may not fall. Skipped where the package is not installed.
 *
 *     test_onnx_testdata [--list] [CASE]     --list prints the reason of every refusal
 */
#include "tests/unit/check.h"
#include "tests/unit/cpu/case_engine.h"
#include "tests/unit/cpu/tensor_file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ROOT[] = "/usr/share/libonnx-testdata/data";
enum { MAX_TENSORS = 16, MAX_CASES = 4096 };

enum outcome { PASSED, REFUSED, FAILED };

struct test_case {
    const struct glet_model *model;
    struct case_engine *engine;
    struct tensor_file inputs[MAX_TENSORS], wanted[MAX_TENSORS];
    void *got[MAX_TENSORS];
    int input_count, output_count;
    char folder[1024], reason[1024];
};

static double element(const void *data, enum glet_dtype dtype, size_t i)
{
    double value = 0.0;
    switch (dtype) {
    case GLET_FLOAT32: {
        float v;
        memcpy(&v, (const char *)data + i * 4, 4);
        return (double)v;
    }
    case GLET_FLOAT64:
        memcpy(&value, (const char *)data + i * 8, 8);
        return value;
    case GLET_FLOAT16: {
        uint16_t v;
        memcpy(&v, (const char *)data + i * 2, 2);
        int exponent = v >> 10 & 31, fraction = v & 1023;
        value = exponent == 0    ? ldexp(fraction, -24)
                : exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                                 : ldexp(fraction | 1024, exponent - 25);
        return v & 0x8000 ? -value : value;
    }
    default: {
        size_t size = glet_dtype_size(dtype);
        uint64_t bits = 0;
        memcpy(&bits, (const char *)data + i * size, size);
        bool is_signed = dtype >= GLET_INT8 && dtype <= GLET_INT64;
        int unused = 64 - 8 * (int)size;
        return is_signed ? (double)((int64_t)(bits << unused) >> unused) : (double)bits;
    }
    }
}

static bool close_enough(const struct tensor_file *wanted, const void *got)
{
    size_t count = wanted->size_bytes / glet_dtype_size(wanted->dtype);
    double relative = wanted->dtype == GLET_FLOAT16 ? 2e-3 : 1e-4;
    for (size_t i = 0; i < count; i++) {
        double w = element(wanted->data, wanted->dtype, i), g = element(got, wanted->dtype, i);
        if ((isnan(w) && isnan(g)) || w == g)
            continue;
        if (!(fabs(w - g) <= 1e-6 + relative * fabs(w)))
            return false;
    }
    return true;
}

static enum outcome refuse(struct test_case *t, const char *reason)
{
    snprintf(t->reason, sizeof t->reason, "%s", reason);
    return REFUSED;
}

static bool read_data(struct test_case *t, const char *prefix, struct tensor_file *files,
                      int *count)
{
    for (*count = 0; *count < MAX_TENSORS; ++*count) {
        char path[1200];
        snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", t->folder, prefix, *count);
        FILE *there = fopen(path, "rb");
        if (!there)
            break;
        fclose(there);
        if (!tensor_file_read(path, &files[*count]))
            return false;
    }
    return *count > 0;
}

static bool matches(const struct glet_model_io *io, const struct tensor_file *file)
{
    return io->dtype == file->dtype && io->bytes == file->size_bytes;
}

static enum outcome run_engine(struct test_case *t)
{
    struct glet_error err = {0};
    void *inputs[MAX_TENSORS] = {0};
    for (int i = 0; i < t->input_count; i++)
        inputs[i] = t->inputs[i].data;
    for (int i = 0; i < t->output_count; i++) {
        const struct glet_model_io *io = glet_model_output(t->model, (size_t)i);
        if (!matches(io, &t->wanted[i])) {
            snprintf(t->reason, sizeof t->reason, "output %s has another shape", io->name);
            return FAILED;
        }
        t->got[i] = calloc(1, t->wanted[i].size_bytes + 1);
    }
    if (case_engine_run(t->engine, inputs, t->got, &err) < 0) {
        snprintf(t->reason, sizeof t->reason, "%s", err.message);
        return FAILED;
    }
    for (int i = 0; i < t->output_count; i++)
        if (!close_enough(&t->wanted[i], t->got[i])) {
            snprintf(t->reason, sizeof t->reason, "output %d differs", i);
            return FAILED;
        }
    return PASSED;
}

static enum outcome build_and_run(struct test_case *t)
{
    struct glet_error err = {0};
    if (!read_data(t, "input", t->inputs, &t->input_count) ||
        !read_data(t, "output", t->wanted, &t->output_count))
        return refuse(t, "data that is not numeric tensors");
    if ((size_t)t->input_count != glet_model_input_count(t->model) ||
        (size_t)t->output_count != glet_model_output_count(t->model))
        return refuse(t, "other inputs or outputs than the data has");
    for (int i = 0; i < t->input_count; i++)
        if (!matches(glet_model_input(t->model, (size_t)i), &t->inputs[i]))
            return refuse(t, "data of another shape");
    for (int i = 0; i < t->output_count; i++)
        if (glet_model_output(t->model, (size_t)i)->dtype != t->wanted[i].dtype)
            return refuse(t, "data of another type than the model says");
    if (case_engine_build(t->model, &t->engine, &err) < 0)
        return refuse(t, err.message);
    return run_engine(t);
}

static enum outcome run_case(struct test_case *t)
{
    struct glet_error err = {0};
    struct glet_model_options options = {.no_batch = true};
    struct glet_model *model;
    char path[1100];
    snprintf(path, sizeof path, "%s/model.onnx", t->folder);
    if (glet_model_load(path, &options, &model, &err) < 0)
        return refuse(t, err.message);
    t->model = model;
    enum outcome outcome = build_and_run(t);
    case_engine_free(t->engine);
    glet_model_free(model);
    for (int i = 0; i < MAX_TENSORS; i++) {
        free(t->inputs[i].data);
        free(t->wanted[i].data);
        free(t->got[i]);
    }
    return outcome;
}

static int is_case(const struct dirent *entry)
{
    return strncmp(entry->d_name, "test_", 5) == 0;
}

static void run_folder(const char *kind, const char *only, bool list, int totals[3])
{
    char folder[512];
    struct dirent **names;
    snprintf(folder, sizeof folder, "%s/%s", ROOT, kind);
    int count = scandir(folder, &names, is_case, alphasort), counts[3] = {0};
    for (int i = 0; i < count; i++) {
        struct test_case *t = calloc(1, sizeof *t);
        assert_non_null(t);
        snprintf(t->folder, sizeof t->folder, "%s/%s", folder, names[i]->d_name);
        if (!only || strcmp(only, names[i]->d_name) == 0) {
            enum outcome outcome = run_case(t);
            counts[outcome]++;
            totals[outcome]++;
            if (outcome == FAILED || (list && outcome == REFUSED))
                printf("%-8s %s/%s: %s\n", outcome == FAILED ? "FAILED" : "refused", kind,
                       names[i]->d_name, t->reason);
        }
        free(t);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    printf("%-18s %4d passed, %4d unsupported, %4d failed\n", kind, counts[PASSED], counts[REFUSED],
           counts[FAILED]);
}

int main(int argc, char **argv)
{
    bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
    const char *only = argc > 1 + list ? argv[1 + list] : NULL;
    DIR *there = opendir(ROOT);
    if (!there) {
        printf("skipped: no %s (package libonnx-testdata)\n", ROOT);
        return 77;
    }
    closedir(there);
    static const char *const kinds[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};
    int totals[3] = {0};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        run_folder(kinds[i], only, list, totals);
    if (totals[PASSED] < case_engine_least && !only)
        printf("only %d pass, %d did\n", totals[PASSED], case_engine_least);
    return totals[FAILED] > 0 || (!only && totals[PASSED] < case_engine_least);
}
