/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights for models whose file names them without holding them. Latency depends on shapes, not on
 * values, as long as values stay ordinary numbers: what a tensor is for (seen from the operator
 * that reads it) decides its distribution. Products get variance 1 / fan-in (LeCun et al.,
 * "Efficient BackProp", 1998): it keeps residual networks from growing block by block, which larger
 * weights do until results depend on rounding; plain networks shrink towards what their biases add,
 * so no denormals arise.
 *
 * A tensor's numbers depend on the seed and its name only. Uniform distributions: a multiplication
 * each, so that half a gigabyte takes a fraction of a second.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/model_private.h"
#include "runtime/engine/numeric.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT 64u

/* Uniform in middle +- spread. */
struct role {
    double middle, spread;
    bool known;
};

/* What a value is a copy of, and whether its last two dimensions are swapped. */
struct origin {
    int value;
    bool swapped;
};

static const struct role small = {0.0, 0.05, true}, one = {1.0, 0.1, true};

static struct role fan_in(double inputs)
{
    /* The variance of a uniform distribution is spread^2 / 3. */
    return (struct role){0.0, sqrt(3.0 / fmax(inputs, 1.0)), true};
}

static bool is_op(const struct glet_model_node *node, const char *name)
{
    return strcmp(node->op->name, name) == 0;
}

static struct role role_of(const struct glet_model_node *node, int input, bool swapped,
                           const struct glet_tensor *tensor)
{
    double elements = (double)glet_tensor_elements(tensor);
    int last = tensor->rank - 1;
    if (is_op(node, "Conv") && input == 1)
        return fan_in(elements / (double)tensor->dims[0]);
    if (is_op(node, "ConvTranspose") && input == 1 && tensor->rank > 1)
        return fan_in(elements / (double)tensor->dims[1]);
    if ((is_op(node, "MatMul") || is_op(node, "Gemm")) && input < 2 && tensor->rank >= 2) {
        if (is_op(node, "Gemm"))
            swapped ^= glet_attr_int(node, input ? "transB" : "transA", 0) != 0;
        bool rows = (input == 1) != swapped;
        return fan_in((double)tensor->dims[rows ? last - 1 : last]);
    }
    if (is_op(node, "BatchNormalization"))
        return input == 1 || input == 4 ? one : small;
    if (is_op(node, "LayerNormalization"))
        return input == 1 ? one : small;
    if (is_op(node, "Mul") || is_op(node, "Div") || is_op(node, "Pow") || is_op(node, "Sqrt"))
        return one;
    return small;
}

static bool only_renames(const struct glet_model_node *node)
{
    static const char *const names[] = {"Identity", "Transpose", "Reshape", "Unsqueeze",
                                        "Squeeze",  "Cast",      "Flatten", "Dropout"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_op(node, names[i]))
            return true;
    }
    return false;
}

/* Decides by the first reader of each missing tensor, through what only renames it. */
static void find_roles(const struct glet_model *model, struct origin *origins, struct role *roles)
{
    for (int i = 0; i < model->value_count; i++)
        origins[i].value = i;
    for (int i = 0; i < model->node_count; i++) {
        const struct glet_model_node *node = &model->nodes[i];
        if (only_renames(node) && node->inputs[0] >= 0) {
            origins[node->outputs[0]] = origins[node->inputs[0]];
            origins[node->outputs[0]].swapped ^= is_op(node, "Transpose");
            continue;
        }
        for (int k = 0; k < node->input_count; k++) {
            if (node->inputs[k] < 0)
                continue;
            struct origin origin = origins[node->inputs[k]];
            const struct glet_tensor *tensor = model->values[origin.value].constant;
            if (tensor && !tensor->data && !roles[origin.value].known)
                roles[origin.value] = role_of(node, k, origin.swapped, tensor);
        }
    }
}

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill(const struct glet_tensor *tensor, void *data, const struct role *role,
                 uint64_t state)
{
    int64_t elements = glet_tensor_elements(tensor);
    const float low = (float)(role->middle - role->spread);
    const float step = (float)(2.0 * role->spread * 0x1p-24);
    if (tensor->dtype == GLET_FLOAT32) {
        float *values = data;
        for (int64_t i = 0; i < elements; i += 2) {
            uint64_t bits = next(&state);
            values[i] = low + step * (float)(bits >> 40);
            if (i + 1 < elements)
                values[i + 1] = low + step * (float)(bits & 0xffffff);
        }
        return;
    }
    for (int64_t i = 0; i < elements && glet_dtype_is_float(tensor->dtype); i++)
        glet_number_put_float(tensor->dtype, data, i,
                              (double)low + (double)step * (double)(next(&state) >> 40));
}

static uint64_t stream_of(uint64_t seed, const char *name)
{
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int allocate(struct glet_model *model, struct glet_error *err)
{
    size_t total = 0;
    for (int i = 0; i < model->value_count; i++) {
        const struct glet_tensor *tensor = model->values[i].constant;
        if (tensor && !tensor->data &&
            __builtin_add_overflow(total, rounded(glet_tensor_bytes(tensor)), &total))
            total = SIZE_MAX;
    }
    if (total == 0)
        return 0;
    /* Linux would promise more and end the process later. */
    double machine_bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if ((double)total > machine_bytes)
        return glet_error_set(err, GLET_ERR_NOMEM,
                              "%zu bytes of weights are more than this machine has", total);
    void *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory: %zu bytes of weights", total);
    model->random_weights = memory;
    model->random_bytes = total;
    return 0;
}

int glet_weights_fill(struct glet_model *model, const uint64_t *seed, struct glet_error *err)
{
    size_t count = (size_t)model->value_count;
    struct origin *origins = calloc(count ? count : 1, sizeof *origins);
    struct role *roles = calloc(count ? count : 1, sizeof *roles);
    int result = -1;
    if (!origins || !roles) {
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    } else if (allocate(model, err) == 0) {
        find_roles(model, origins, roles);
        char *at = model->random_weights;
        for (int i = 0; i < model->value_count; i++) {
            struct glet_tensor *tensor = model->values[i].constant;
            if (!tensor || tensor->data)
                continue;
            if (seed)
                fill(tensor, at, roles[i].known ? &roles[i] : &small,
                     stream_of(*seed, model->values[i].name));
            tensor->data = at;
            at += rounded(glet_tensor_bytes(tensor));
        }
        result = 0;
    }
    free(origins);
    free(roles);
    return result;
}
