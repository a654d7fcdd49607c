/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model is cut, what crosses the cut, and that packed weights are shared and forgotten. */
#include "runtime/device/cpu/kernels/team.h"
#include "runtime/device/cpu/net/net_split.h"
#include "tests/unit/check.h"
#include "tests/unit/cpu/hand_graph.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* conv -> relu'd features -> (view) -> 2 layers -> softmax; `extra` makes the features an output */
static void classifier(struct hand *h, int batch, int64_t classes, bool extra)
{
    hand_init(h, 5);
    h->graph.batch = batch;
    int x = hand_input(h, (int64_t[]){batch, 3, 4, 4, 0});
    int w = hand_constant(h, (int64_t[]){16, 3, 1, 1, 0});
    int y = hand_node(h, GLET_OP_CONV, (int[]){x, w}, 2, (int64_t[]){batch, 16, 4, 4, 0});
    hand_last(h)->kernel[0] = hand_last(h)->kernel[1] = 1;
    hand_last(h)->strides[0] = hand_last(h)->strides[1] = 1;
    int flat = hand_view(h, y, (int64_t[]){batch, 256, 0});
    int w1 = hand_constant(h, (int64_t[]){256, classes, 0});
    int a = hand_node(h, GLET_OP_MATMUL, (int[]){flat, w1}, 2, (int64_t[]){batch, classes, 0});
    int w2 = hand_constant(h, (int64_t[]){classes, 8, 0});
    int b = hand_node(h, GLET_OP_MATMUL, (int[]){a, w2}, 2, (int64_t[]){batch, 8, 0});
    int c = hand_node(h, GLET_OP_SOFTMAX, &b, 1, (int64_t[]){batch, 8, 0});
    hand_last(h)->axis = 1;
    hand_output(h, c);
    if (extra)
        hand_output(h, y);
}

static void cuts_before_the_layers(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        struct hand row, batch;
        struct glet_cpu_split split;
        classifier(&row, 1, 1024, extra);
        classifier(&batch, 6, 1024, extra);
        assert_true(glet_cpu_split_graph(&row.graph, &batch.graph, &split));
        assert_int_equal(split.head.node_count, 1);
        assert_int_equal(split.tail.node_count, 3);
        assert_int_equal(split.crossing_count, 1);
        assert_int_equal(split.crossing[0], row.nodes[0].output);
        assert_int_equal(split.tail_output_count, 1);
        assert_int_equal(split.head_output_count, extra);
        assert_int_equal(split.head.output_count, 1 + extra);
        hand_free(&row);
        hand_free(&batch);
    }
}

static void small_layers_stay(void **state)
{
    (void)state;
    struct hand row, batch;
    struct glet_cpu_split split;
    classifier(&row, 1, 32, false);
    classifier(&batch, 6, 32, false);
    assert_false(glet_cpu_split_graph(&row.graph, &batch.graph, &split));
    hand_free(&row);
    hand_free(&batch);
}

static void different_graphs_are_not_cut(void **state)
{
    (void)state;
    struct hand row, batch;
    struct glet_cpu_split split;
    classifier(&row, 1, 1024, false);
    classifier(&batch, 6, 1024, false);
    row.nodes[0].op = GLET_OP_MAX_POOL;
    assert_false(glet_cpu_split_graph(&row.graph, &batch.graph, &split));
    hand_free(&row);
    hand_free(&batch);
}

/* Head on each row, tail on the batch: the same numbers as the whole graph at once. */
static void parts_give_the_whole(void **state)
{
    (void)state;
    enum { BATCH = 6 };
    struct glet_error err = {0};
    struct hand row, batch;
    struct glet_cpu_split split;
    classifier(&row, 1, 1024, false);
    classifier(&batch, BATCH, 1024, false);
    /* same weights in both graphs */
    for (int i = 0; i < row.graph.tensor_count; i++)
        if (row.tensors[i].data)
            memcpy(row.data[i], batch.data[i], glet_tensor_bytes(&row.tensors[i]));
    float *wanted[1], crossing[BATCH * 256], got[BATCH * 8];
    hand_run(&batch, 1, wanted);
    assert_true(glet_cpu_split_graph(&row.graph, &batch.graph, &split));
    struct glet_cpu_packs *packs;
    struct glet_cpu_program *head, *tail;
    CHECK_OK(glet_cpu_packs_new(&packs, &err), &err);
    CHECK_OK(glet_cpu_program_build(&split.head, packs, NULL, &head, &err), &err);
    CHECK_OK(glet_cpu_program_build(&split.tail, packs, NULL, &tail, &err), &err);
    for (int r = 0; r < BATCH; r++) {
        glet_cpu_program_bind_input(head, 0, batch.data[batch.inputs[0]] + r * 48);
        glet_cpu_program_bind_output(head, 0, crossing + r * 256);
        for (size_t s = 0; s < glet_cpu_program_step_count(head); s++)
            CHECK_OK(glet_cpu_program_step(head, s, &err), &err);
    }
    glet_cpu_program_bind_input(tail, 0, crossing);
    glet_cpu_program_bind_output(tail, 0, got);
    for (size_t s = 0; s < glet_cpu_program_step_count(tail); s++)
        CHECK_OK(glet_cpu_program_step(tail, s, &err), &err);
    assert_true(hand_error(got, wanted[0], BATCH * 8) < 1e-5);
    free(wanted[0]);
    glet_cpu_program_free(head);
    glet_cpu_program_free(tail);
    glet_cpu_packs_free(packs);
    hand_free(&row);
    hand_free(&batch);
}

/* ---- packed weights ---- */

struct packer {
    struct glet_cpu_packs *packs;
    const float *weights;
    const void *packed;
    int failed;
};

static void *pack(void *argument)
{
    struct packer *p = argument;
    struct glet_error err = {0};
    const int64_t dims[] = {32, 16}, strides[] = {1, 32};
    dnnl_memory_desc_t from = glet_dnnl_plain(2, dims), to = glet_dnnl_strided(2, dims, strides);
    struct glet_cpu_constant constant = {NULL, p->weights, 512 * sizeof(float)};
    p->failed = glet_cpu_packs_get(p->packs, &constant, &from, &to, &p->packed, &err);
    return NULL;
}

static void packed_once_for_all_threads(void **state)
{
    (void)state;
    struct glet_error err = {0};
    static float weights[512];
    struct glet_cpu_packs *packs;
    struct packer packers[4];
    pthread_t threads[4];
    CHECK_OK(glet_cpu_packs_new(&packs, &err), &err);
    for (int i = 0; i < 512; i++)
        weights[i] = (float)i;
    for (int i = 0; i < 4; i++) {
        packers[i] = (struct packer){packs, weights, NULL, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, pack, &packers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(packers[i].failed, 0);
        assert_ptr_equal(packers[i].packed, packers[0].packed);
    }
    assert_int_equal(glet_cpu_packs_bytes(packs), sizeof weights);
    const float *packed = packers[0].packed;
    for (int r = 0; r < 32; r++)
        for (int c = 0; c < 16; c++)
            assert_true(packed[c * 32 + r] == weights[r * 16 + c]);
    weights[7] = -1.0F; /* another constant at the same address is not mistaken for the first */
    pack(&packers[1]);
    assert_true(packers[1].packed != packers[0].packed);
    glet_cpu_packs_forget(packs, NULL);
    assert_int_equal(glet_cpu_packs_bytes(packs), 0);
    glet_cpu_packs_free(packs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_before_the_layers),       cmocka_unit_test(small_layers_stay),
        cmocka_unit_test(different_graphs_are_not_cut), cmocka_unit_test(parts_give_the_whole),
        cmocka_unit_test(packed_once_for_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
