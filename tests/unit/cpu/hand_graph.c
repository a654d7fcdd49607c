/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cpu/hand_graph.h"

#include "runtime/device/cpu/kernels/team.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

void hand_init(struct hand *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->random = seed * 0x9e3779b97f4a7c15u + 1;
    h->graph.batch = 1;
    h->graph.tensors = h->tensors;
    h->graph.nodes = h->nodes;
    h->graph.inputs = h->inputs;
    h->graph.outputs = h->outputs;
}

void hand_free(struct hand *h)
{
    for (int i = 0; i < h->graph.tensor_count; i++)
        free(h->data[i]);
}

uint64_t hand_random(struct hand *h)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return h->random * 0x2545f4914f6cdd1du;
}

int hand_below(struct hand *h, int limit)
{
    return (int)(hand_random(h) >> 33) % limit;
}

float hand_uniform(struct hand *h)
{
    return (float)((double)(hand_random(h) >> 11) / 4503599627370496.0 - 1.0);
}

static int add_tensor(struct hand *h, const int64_t *dims)
{
    int number = h->graph.tensor_count++;
    struct glet_tensor *t = &h->tensors[number];
    assert_true(number < HAND_TENSORS);
    t->name = "tensor";
    t->dtype = GLET_FLOAT32;
    t->view_of = t->producer = -1;
    for (t->rank = 0; dims[t->rank] != 0; t->rank++)
        t->dims[t->rank] = dims[t->rank];
    return number;
}

static int add_filled(struct hand *h, const int64_t *dims)
{
    int number = add_tensor(h, dims);
    int64_t count = glet_tensor_elements(&h->tensors[number]);
    h->data[number] = malloc((size_t)count * sizeof(float));
    assert_non_null(h->data[number]);
    for (int64_t i = 0; i < count; i++)
        h->data[number][i] = hand_uniform(h);
    return number;
}

int hand_input(struct hand *h, const int64_t *dims)
{
    int number = add_filled(h, dims);
    h->inputs[h->graph.input_count++] = number;
    return number;
}

int hand_constant(struct hand *h, const int64_t *dims)
{
    int number = add_filled(h, dims);
    h->tensors[number].data = h->data[number];
    return number;
}

int hand_node(struct hand *h, enum glet_op op, const int *inputs, int input_count,
              const int64_t *dims)
{
    int number = add_tensor(h, dims);
    struct glet_node *node = &h->nodes[h->graph.node_count];
    h->tensors[number].producer = h->graph.node_count++;
    node->op = op;
    node->name = "node";
    node->inputs = h->node_inputs[h->tensors[number].producer];
    node->input_count = input_count;
    memcpy(node->inputs, inputs, (size_t)input_count * sizeof(int));
    node->output = number;
    node->alpha = node->beta = 1.0F;
    node->group = 1;
    return number;
}

struct glet_node *hand_last(struct hand *h)
{
    return &h->nodes[h->graph.node_count - 1];
}

int hand_view(struct hand *h, int of, const int64_t *dims)
{
    int number = add_tensor(h, dims);
    h->tensors[number].view_of = of;
    return number;
}

void hand_output(struct hand *h, int tensor)
{
    h->outputs[h->graph.output_count++] = tensor;
}

void hand_run(struct hand *h, int threads, float **out)
{
    struct glet_error err = {0};
    struct glet_cpu_packs *packs;
    struct glet_cpu_program *program;
    CHECK_OK(glet_cpu_packs_new(&packs, &err), &err);
    CHECK_OK(glet_cpu_team_use(threads, &err), &err);
    CHECK_OK(glet_cpu_program_build(&h->graph, packs, NULL, &program, &err), &err);
    for (int i = 0; i < h->graph.input_count; i++)
        glet_cpu_program_bind_input(program, (size_t)i, h->data[h->inputs[i]]);
    for (int i = 0; i < h->graph.output_count; i++) {
        out[i] = calloc(1, glet_tensor_bytes(&h->tensors[h->outputs[i]]) + 1);
        assert_non_null(out[i]);
        glet_cpu_program_bind_output(program, (size_t)i, out[i]);
    }
    /* twice: the second run must not see what the first left in the arena */
    for (int round = 0; round < 2; round++)
        for (size_t s = 0; s < glet_cpu_program_step_count(program); s++)
            CHECK_OK(glet_cpu_program_step(program, s, &err), &err);
    assert_true(glet_cpu_program_activation_bytes(program) >=
                glet_cpu_program_activation_bound_bytes(program));
    glet_cpu_program_free(program);
    glet_cpu_packs_free(packs);
}

double hand_error(const float *got, const float *wanted, int64_t count)
{
    double most = 1e-6, difference = 0.0;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)wanted[i]));
        double d = fabs((double)got[i] - (double)wanted[i]);
        if (!(d <= difference))
            difference = d;
    }
    return difference / most;
}
