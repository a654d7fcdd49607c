/* SPDX-License-Identifier: Apache-2.0 */
/* What graphs become: models as text on one side, listings on the other. */
#include "tests/unit/check.h"
#include "tests/unit/engine/onnx_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct expected {
    const char *what, *model, *listing;
};

static const struct expected cases[] = {
    {"aliases and dropout vanish",
     "input x float batch,4\nnode Identity x a\nnode Dropout a b\nnode Relu b y\noutput y",
     "input x FP32[2,4]\n%0 FP32[2,4] = unary.relu $x\noutput y FP32[2,4] = %0\n"},
    {"an output may be the input", "input x float batch,4\nnode Identity x y\noutput y",
     "input x FP32[2,4]\noutput x FP32[2,4] = $x\n"},
    {"a reshape computed from the shape is a view",
     "input x float batch,2,6\nnode Shape x s\nints zero - 0\nnode Gather s,zero n axis=0\n"
     "ints axes 1 0\nnode Unsqueeze n,axes n1\nints rest 1 -1\nnode Concat n1,rest shape axis=0\n"
     "node Reshape x,shape r\nnode Relu r y\noutput y",
     "input x FP32[2,2,6]\n%0 FP32[2,12] = unary.relu $xFP32[2,12]\noutput y FP32[2,12] = %0\n"},
    {"batch normalisation folds into the convolution",
     "input x float batch,3,8,8\nweight w 4,3,3,3\nweight g 4\nweight b 4\nweight m 4\nweight v 4\n"
     "node Conv x,w c pads=1,1,1,1\nnode BatchNormalization c,g,b,m,v n\nnode Relu n y\noutput y",
     "input x FP32[2,3,8,8]\n%0 FP32[2,4,8,8] = conv $x #FP32[4,3,3,3] #FP32[4] kernel=3,3 "
     "pads=1,1 "
     "pads_end=1,1 +bias +relu\noutput y FP32[2,4,8,8] = %0\n"},
    {"a result that somebody else reads is not folded away",
     "input x float batch,3,8,8\nweight w 4,3,1,1\nweight g 4\nweight b 4\nweight m 4\nweight v 4\n"
     "node Conv x,w c\nnode BatchNormalization c,g,b,m,v y\noutput y\noutput c",
     "input x FP32[2,3,8,8]\n%0 FP32[2,4,8,8] = conv $x #FP32[4,3,1,1]\n%1 FP32[2,4,8,8] = "
     "batch_norm "
     "%0 #FP32[4] #FP32[4]\noutput y FP32[2,4,8,8] = %1\noutput c FP32[2,4,8,8] = %0\n"},
    {"the later of two convolutions adds the other",
     "input x float batch,3,8,8\nweight w 4,3,1,1\nweight v 4,3,1,1\nnode Conv x,w a\n"
     "node Conv x,v b\nnode Add a,b s\nnode Relu s y\noutput y",
     "input x FP32[2,3,8,8]\n%0 FP32[2,4,8,8] = conv $x #FP32[4,3,1,1]\n%1 FP32[2,4,8,8] = conv $x "
     "#FP32[4,3,1,1] %0 +residual +relu\noutput y FP32[2,4,8,8] = %1\n"},
    {"padding joins the convolution, not a maximum pool",
     "input x float batch,1,4,4\nints p 8 0,0,1,1,0,0,1,1\nweight w 1,1,3,3\nnode Pad x,p q\n"
     "node Conv q,w c\nnode Pad c,p d\nnode MaxPool d y kernel_shape=2,2 strides=2,2\noutput y",
     "input x FP32[2,1,4,4]\n%0 FP32[2,1,4,4] = conv $x #FP32[1,1,3,3] kernel=3,3 pads=1,1 "
     "pads_end=1,1\n%1 FP32[2,1,6,6] = pad %0 begin=0,0,1,1 end=0,0,1,1 mode=0 value=0\n%2 "
     "FP32[2,1,3,3] = max_pool %1 kernel=2,2 strides=2,2\noutput y FP32[2,1,3,3] = %2\n"},
    {"ceil_mode becomes padding",
     "input x float batch,1,4,4\nnode MaxPool x y kernel_shape=3,3 strides=2,2 ceil_mode=1\noutput "
     "y",
     "input x FP32[2,1,4,4]\n%0 FP32[2,1,2,2] = max_pool $x kernel=3,3 strides=2,2 pads_end=1,1\n"
     "output y FP32[2,1,2,2] = %0\n"},
    {"hard swish from its parts",
     "input x float batch,4\nweight three - 3\nweight low - 0\nweight high - 6\nweight six - 6\n"
     "node Add x,three a\nnode Clip a,low,high c\nnode Div c,six h\nnode Mul x,h y\noutput y",
     "input x FP32[2,4]\n%0 FP32[2,4] = unary.hard_swish $x\noutput y FP32[2,4] = %0\n"},
    {"erf form of GELU behind a product",
     "input x float batch,4\nweight w 4,8\nweight b 8\nweight s - 1.41421354\nweight one - 1\n"
     "weight half - 0.5\nnode MatMul x,w m\nnode Add b,m a\nnode Div a,s d\nnode Erf d e\n"
     "node Add e,one f\nnode Mul a,f g\nnode Mul g,half y\noutput y",
     "input x FP32[2,4]\n%0 FP32[2,8] = matmul $x #FP32[4,8] #FP32[8] +bias +gelu_erf\n"
     "output y FP32[2,8] = %0\n"},
    {"layer normalisation from its parts",
     "input x float batch,3,4\nweight two - 2\nweight eps - 1e-5\nweight g 4\nweight b 4\n"
     "node ReduceMean x m axes=-1\nnode Sub x,m d\nnode Pow d,two q\nnode ReduceMean q v axes=-1\n"
     "node Add v,eps e\nnode Sqrt e r\nnode Div d,r n\nnode Mul n,g s\nnode Add s,b y\noutput y",
     "input x FP32[2,3,4]\n%0 FP32[2,3,4] = layer_norm $x #FP32[4] #FP32[4] axis=2 epsilon=1e-05 "
     "+bias\n"
     "output y FP32[2,3,4] = %0\n"},
    {"Gemm with a transposed weight",
     "input x float batch,4\nweight w 8,4\nweight b 8\nnode Gemm x,w,b g transB=1\nnode Tanh g y\n"
     "output y",
     "input x FP32[2,4]\n%0 FP32[2,8] = matmul $x #FP32[8,4] #FP32[8] trans_b +bias +tanh\n"
     "output y FP32[2,8] = %0\n"},
    {"a transposed operand is read the other way",
     "input x float batch,4\nweight w 8,4\nnode Transpose w t perm=1,0\nnode MatMul x,t y\noutput "
     "y",
     "input x FP32[2,4]\n%0 FP32[2,8] = matmul $x #FP32[8,4] trans_b\noutput y FP32[2,8] = %0\n"},
    {"a split is slices, and joining all of it is nothing",
     "input x float batch,4\nnode Split x a,b axis=1\nnode Concat b,a y axis=1\noutput y",
     "input x FP32[2,4]\n%0 FP32[2,2] = slice $x\n%1 FP32[2,2] = slice $x starts=0,2\n"
     "%2 FP32[2,4] = concat %1 %0 axis=1\noutput y FP32[2,4] = %2\n"},
    {"a negative step",
     "input x float batch,5\nints s 1 -1\nints e 1 -6\nints a 1 1\nints t 1 -2\n"
     "node Slice x,s,e,a,t y\noutput y",
     "input x FP32[2,5]\n%0 FP32[2,3] = slice $x starts=0,4 steps=1,-2\noutput y FP32[2,3] = %0\n"},
    {"transposing back is nothing",
     "input x float batch,3,4\nnode Transpose x a perm=0,2,1\nnode Transpose a b perm=0,2,1\n"
     "node Relu b y\noutput y",
     "input x FP32[2,3,4]\n%0 FP32[2,3,4] = unary.relu $x\noutput y FP32[2,3,4] = %0\n"},
    {"old softmax runs over all dimensions from the axis on",
     "opset 11\ninput x float batch,3,4\nnode Softmax x y axis=1\noutput y",
     "input x FP32[2,3,4]\n%0 FP32[2,12] = softmax $xFP32[2,12] axis=1\n"
     "output y FP32[2,3,4] = %0FP32[2,3,4]\n"},
    {"nodes out of order", "input x float batch,4\nnode Relu a y\nnode Exp x a\noutput y",
     "input x FP32[2,4]\n%0 FP32[2,4] = unary.exp $x\n%1 FP32[2,4] = unary.relu %0\n"
     "output y FP32[2,4] = %1\n"},
    {"an expanded mask stays small",
     "input x float batch,4\ninput m float batch,1\nints s 2 1,4\nweight two - 2\n"
     "node Expand m,s e\nnode Mul e,two d\nnode Add x,d y\noutput y",
     "input x FP32[2,4]\ninput m FP32[2,1]\n%0 FP32[2,1] = unary.linear(2,0) $m\n%1 FP32[2,4] = "
     "binary.add $x %0\noutput y FP32[2,4] = %1\n"},
    {"a guard against fully masked rows is nothing",
     "input x float batch,3\nweight zero - 0\nnode Softmax x p axis=-1\nnode IsNaN p n\n"
     "node Where n,zero,p y\noutput y",
     "input x FP32[2,3]\n%0 FP32[2,3] = softmax $x axis=1\noutput y FP32[2,3] = %0\n"},
    {"indices that were written for a batch of two",
     "input x float batch,3\nints i 6,2 0,0,0,1,0,2,1,0,1,1,1,2\nnode GatherND x,i g\nints s 2 "
     "2,3\n"
     "node Reshape g,s r\nnode Relu r y\noutput y",
     "error: node \"g\" (GatherND): an index is out of range\n"},
};

static void listings(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *listing = onnx_listing(cases[i].model, 2);
        if (strcmp(listing, cases[i].listing) != 0)
            fail_msg("%s:\n%s\nnot\n%s", cases[i].what, listing, cases[i].listing);
        free(listing);
    }
}

static const char attention[] =
    "input x float batch,6,8\nweight wq 8,8\nweight wk 8,8\nweight wv 8,8\nweight bq 8\n"
    "weight eight - 0.5\ninput mask float batch,1,1,6\nints heads 4 0,0,2,4\nints flat 3 0,0,8\n"
    "node MatMul x,wq q0\nnode Add q0,bq q1\nnode Reshape q1,heads q2\n"
    "node Transpose q2 q perm=0,2,1,3\n"
    "node MatMul x,wk k0\nnode Reshape k0,heads k2\nnode Transpose k2 k perm=0,2,3,1\n"
    "node MatMul x,wv v0\nnode Reshape v0,heads v2\nnode Transpose v2 v perm=0,2,1,3\n"
    "node MatMul q,k s0\nnode Mul s0,eight s1\nnode Add s1,mask s2\nnode Softmax s2 p axis=-1\n"
    "node MatMul p,v o0\nnode Transpose o0 o1 perm=0,2,1,3\nnode Reshape o1,flat y\noutput y";

static void attention_between_projections(void **state)
{
    (void)state;
    char *listing = onnx_listing(attention, 3);
    assert_string_equal(
        listing, "input x FP32[3,6,8]\ninput mask FP32[3,1,1,6]\n"
                 "%0 FP32[3,6,8] = matmul $x #FP32[8,8] #FP32[8] +bias\n"
                 "%1 FP32[3,6,8] = matmul $x #FP32[8,8]\n%2 FP32[3,6,8] = matmul $x #FP32[8,8]\n"
                 "%3 FP32[3,6,8] = attention %0 %1 %2 $mask heads=2 alpha=0.5 +mask\n"
                 "output y FP32[3,6,8] = %3\n");
    free(listing);
}

/* What executors rely on to share packed weights. */
static void constants_are_the_same_for_every_batch(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true};
    struct glet_model *model;
    struct glet_graph *one, *two;
    struct onnx_bytes bytes = onnx_from_text(cases[3].model);
    CHECK_OK(onnx_load(bytes.bytes, bytes.length, &options, &model, &err), &err);
    CHECK_OK(glet_model_bind(model, 1, &one, &err), &err);
    CHECK_OK(glet_model_bind(model, 7, &two, &err), &err);
    assert_int_equal(one->nodes[0].op, GLET_OP_CONV);
    for (int i = 1; i < 3; i++)
        assert_ptr_equal(one->tensors[one->nodes[0].inputs[i]].data,
                         two->tensors[two->nodes[0].inputs[i]].data);
    assert_int_equal(two->tensors[two->outputs[0]].dims[0], 7);
    glet_graph_free(one);
    glet_graph_free(two);
    assert_int_equal(glet_model_bind(model, 0, &one, &err), -1);
    assert_int_equal(err.code, GLET_ERR_RANGE);
    glet_model_free(model);
    free(bytes.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listings),
        cmocka_unit_test(attention_between_projections),
        cmocka_unit_test(constants_are_the_same_for_every_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
