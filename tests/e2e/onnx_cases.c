/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs ONNX's own test cases (a model, its inputs and the outputs it must give) on the CPU:
 * `onnx_cases FOLDER [MINIMUM]`, FOLDER holding one case per folder, as Debian's libonnx-testdata
 * does. Cases that the loader refuses as unsupported are counted, not failed; a case that runs must
 * be right (ONNX's own tolerances: 1e-3 relative, 1e-7 absolute, here 1e-5), and at least MINIMUM
 * must run. -v names the refused ones.
 */
#include "common/file.h"
#include "common/memory.h"
#include "runtime/device/cpu/net/cpu_net.h"
#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_BYTES = 64 << 20, MOST_ENDS = 16 };

/* Cases whose expected output we do not share. */
static bool left_out(const char *name)
{
    /* The expected bfloat16 is stored as another type. */
    if (strstr(name, "FLOAT_to_BFLOAT16"))
        return true;
    /* Expects positions scaled by a fractional output size; ONNX Runtime and we use the real one.
     */
    return strcmp(name, "test_resize_downsample_scales_linear_align_corners") == 0;
}

struct tally {
    int run, refused, wrong;
    bool verbose;
};

/* Reads a serialised tensor; `text` keeps its memory, the arena what was unpacked. */
static int read_tensor(const char *path, struct glet_arena *arena, char **text,
                       struct glet_tensor *out, struct glet_error *err)
{
    size_t length;
    glet_onnx_Tensor onnx;
    bool missing;
    if (glet_file_read(path, LIMIT_BYTES, text, &length, err) < 0)
        return -1;
    struct glet_span bytes = {(const uint8_t *)*text, length};
    if (glet_onnx_read_tensor(bytes, arena, &onnx, err) < 0)
        return -1;
    return glet_onnx_tensor(&onnx, path, arena, NULL, out, &missing, err);
}

static bool close_enough(double ours, double theirs)
{
    if (isnan(ours) || isnan(theirs))
        return isnan(ours) && isnan(theirs);
    if (isinf(ours) || isinf(theirs))
        return ours >= theirs && ours <= theirs;
    return fabs(ours - theirs) <= 1e-5 + 1e-3 * fabs(theirs);
}

static bool same_values(const char *name, const struct glet_tensor *wanted,
                        const struct glet_model_io *io, const void *ours, int batch)
{
    int64_t elements = glet_tensor_elements(wanted);
    if (wanted->dtype != io->dtype || glet_tensor_bytes(wanted) != io->bytes * (size_t)batch) {
        printf("%s: output %s has another type or size\n", name, io->name);
        return false;
    }
    for (int64_t i = 0; i < elements; i++) {
        double a = glet_number_float(io->dtype, ours, i);
        double b = glet_number_float(io->dtype, wanted->data, i);
        if (!close_enough(a, b)) {
            printf("%s: output %s[%lld] is %g, not %g\n", name, io->name, (long long)i, a, b);
            return false;
        }
    }
    return true;
}

/* Everything one case allocates, freed at its end. */
struct memory {
    void *pieces[3 * MOST_ENDS];
    int count;
};

static void *keep(struct memory *memory, void *piece)
{
    return memory->pieces[memory->count++] = piece;
}

static int run_net(struct glet_cpu_net *net, const struct glet_model *model, int batch,
                   const char *folder, struct memory *memory, struct glet_arena *arena,
                   struct glet_error *err)
{
    void *results[MOST_ENDS];
    char path[4096];
    const char *name = strrchr(folder, '/') + 1;
    for (size_t i = 0; i < glet_model_input_count(model); i++) {
        struct glet_tensor tensor;
        char *text = NULL;
        snprintf(path, sizeof path, "%s/test_data_set_0/input_%zu.pb", folder, i);
        if (read_tensor(path, arena, &text, &tensor, err) < 0)
            return -1;
        keep(memory, text);
        size_t bytes = glet_tensor_bytes(&tensor);
        void *copy = keep(memory, aligned_alloc(64, (bytes + 127) / 64 * 64));
        memcpy(copy, tensor.data, bytes);
        glet_cpu_net_bind_input(net, i, copy);
    }
    for (size_t i = 0; i < glet_model_output_count(model); i++) {
        size_t bytes = glet_model_output(model, i)->bytes * (size_t)batch;
        results[i] = keep(memory, aligned_alloc(64, (bytes + 127) / 64 * 64));
        glet_cpu_net_bind_output(net, i, results[i]);
    }
    if (glet_cpu_net_run(net, batch, err) < 0)
        return -1;
    for (size_t i = 0; i < glet_model_output_count(model); i++) {
        struct glet_tensor wanted;
        char *text = NULL;
        snprintf(path, sizeof path, "%s/test_data_set_0/output_%zu.pb", folder, i);
        if (read_tensor(path, arena, &text, &wanted, err) < 0)
            return -1;
        keep(memory, text);
        if (!same_values(name, &wanted, glet_model_output(model, i), results[i], batch))
            return 1;
    }
    return 0;
}

static void run_case(const char *folder, struct glet_cpu_packs *packs, struct tally *tally)
{
    struct glet_error err = {0};
    struct glet_model *model = NULL;
    struct glet_cpu_net *net = NULL;
    struct memory memory = {.count = 0};
    char path[4096];
    const char *name = strrchr(folder, '/') + 1;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (glet_model_load(path, NULL, &model, &err) < 0) {
        tally->refused++;
        if (tally->verbose)
            printf("refused %s: %.160s\n", name,
                   strstr(err.message, ".onnx: ") ? strstr(err.message, ".onnx: ") + 7
                                                  : err.message);
        return;
    }
    struct glet_arena *arena = glet_arena_new();
    int64_t batch = glet_model_input(model, 0)->dims[0];
    int result = -1;
    if (arena && batch > 0 && glet_model_input_count(model) <= MOST_ENDS &&
        glet_model_output_count(model) <= MOST_ENDS &&
        glet_cpu_net_build(packs, model, (int)batch, 1, &net, &err) == 0)
        result = run_net(net, model, (int)batch, folder, &memory, arena, &err);
    if (result < 0 && err.code == GLET_ERR_UNSUPPORTED) {
        tally->refused++;
        if (tally->verbose)
            printf("executor refused %s: %.160s\n", name, err.message);
    } else {
        tally->run++;
        tally->wrong += result != 0;
        if (result < 0)
            printf("%s: %s\n", name, err.message);
    }
    for (int i = 0; i < memory.count; i++)
        free(memory.pieces[i]);
    glet_cpu_net_free(net);
    glet_cpu_packs_forget(packs, model);
    glet_model_free(model);
    glet_arena_free(arena);
}

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    struct glet_cpu_packs *packs;
    struct tally tally = {.verbose = argc > 3};
    struct dirent **entries;
    int count = argc > 1 ? scandir(argv[1], &entries, NULL, alphasort) : -1;
    if (count < 0) {
        printf("no test cases at %s\n", argc > 1 ? argv[1] : "?");
        return 77;
    }
    if (glet_cpu_packs_new(&packs, &err) < 0)
        return 4;
    for (int i = 0; i < count; i++) {
        char folder[2048];
        snprintf(folder, sizeof folder, "%s/%s", argv[1], entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && !left_out(entries[i]->d_name))
            run_case(folder, packs, &tally);
        free(entries[i]);
    }
    free(entries);
    glet_cpu_packs_free(packs);
    printf("%d cases run, %d wrong, %d refused\n", tally.run, tally.wrong, tally.refused);
    return tally.wrong || tally.run < (argc > 2 ? atoi(argv[2]) : 0);
}
