/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: the zoo's interfaces, weights, and files that are wrong in every way we know. */
#include "tests/unit/check.h"
#include "tests/unit/engine/onnx_text.h"

#include "common/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct glet_model_options random_weights = {.random_weights = true, .seed = 1};

static struct glet_model *load_zoo(const char *name)
{
    struct glet_error err = {0};
    struct glet_model *model = NULL;
    char path[1024];
    snprintf(path, sizeof path, "%s/profiles/zoo/%s.onnx", GLET_SOURCE_ROOT, name);
    CHECK_OK(glet_model_load(path, &random_weights, &model, &err), &err);
    return model;
}

static void lenet_interface(void **state)
{
    (void)state;
    struct glet_model *model = load_zoo("lenet");
    assert_string_equal(glet_model_name(model), "lenet");
    assert_int_equal(glet_model_input_count(model), 1);
    const struct glet_model_io *image = glet_model_input(model, 0);
    const struct glet_model_io *logits = glet_model_output(model, 0);
    assert_string_equal(image->name, "image");
    assert_int_equal(image->rank, 4);
    assert_int_equal(image->dims[0], GLET_DIM_BATCH);
    assert_int_equal(image->bytes, 28 * 28 * 4);
    assert_string_equal(logits->name, "logits");
    assert_int_equal(logits->rank, 2);
    assert_int_equal(logits->dims[0], GLET_DIM_BATCH);
    assert_int_equal(logits->bytes, 40);
    assert_int_equal(glet_model_weight_bytes(model), 61706 * 4);
    assert_int_equal(strlen(glet_model_sha256(model)), 64);
    glet_model_free(model);
}

static void bert_interface(void **state)
{
    (void)state;
    struct glet_model *model = load_zoo("bert_base");
    assert_int_equal(glet_model_input_count(model), 3);
    assert_int_equal(glet_model_input(model, 1)->dtype, GLET_INT64);
    assert_int_equal(glet_model_input(model, 1)->bytes, 128 * 8);
    assert_int_equal(glet_model_output_count(model), 2);
    assert_int_equal(glet_model_output(model, 0)->bytes, 128 * 768 * 4);
    glet_model_free(model);
}

/* Golden listings: what executors get of each network, and that nothing of the shape arithmetic is
   left. `graph_listing MODEL.onnx 2` prints them. */
static void zoo_listings(void **state)
{
    (void)state;
    static const char *const names[] = {
        "lenet",       "resnet50",     "vgg16",
        "googlenet",   "mobilenet_v2", "mnasnet1_0",
        "densenet121", "densenet161",  "ssdlite_mobilenet_v3",
        "bert_base",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct glet_error err = {0};
        struct glet_graph *graph = NULL;
        char path[1024], *wanted, *listing = NULL;
        size_t wanted_length, length;
        struct glet_model *model = load_zoo(names[i]);
        CHECK_OK(glet_model_bind(model, 2, &graph, &err), &err);
        FILE *out = open_memstream(&listing, &length);
        glet_graph_print(graph, out);
        fclose(out);
        snprintf(path, sizeof path, "%s/tests/unit/engine/golden/%s.txt", GLET_SOURCE_ROOT,
                 names[i]);
        CHECK_OK(glet_file_read(path, 1 << 20, &wanted, &wanted_length, &err), &err);
        if (strcmp(listing, wanted) != 0)
            fail_msg("%s is not as in %s:\n%s", names[i], path, listing);
        free(listing);
        free(wanted);
        glet_graph_free(graph);
        glet_model_free(model);
    }
}

/* Other exporters and opsets write the same network differently; it must become the same graph. */
static void variants_become_the_same_graph(void **state)
{
    (void)state;
    static const struct {
        const char *variant, *network;
        int nodes;
    } variants[] = {
        {"bert_base_opset13", "bert_base", 117},
        {"bert_base_dynamo18", "bert_base", 117},
        {"bert_sdpa_dynamo18", "two layers of bert_base", 27},
        {"resnet50_unfolded", "resnet50", 56},
    };
    for (size_t i = 0; i < COUNT_OF(variants); i++) {
        struct glet_error err = {0};
        struct glet_model *model = NULL;
        struct glet_graph *graph = NULL;
        char path[1024];
        snprintf(path, sizeof path, "%s/tests/unit/engine/variants/%s.onnx", GLET_SOURCE_ROOT,
                 variants[i].variant);
        CHECK_OK(glet_model_load(path, &random_weights, &model, &err), &err);
        CHECK_OK(glet_model_bind(model, 4, &graph, &err), &err);
        assert_int_equal(graph->node_count, variants[i].nodes);
        for (int k = 0; k < graph->node_count; k++) {
            enum glet_op op = graph->nodes[k].op;
            assert_true(op != GLET_OP_TRANSPOSE && op != GLET_OP_EXPAND && op != GLET_OP_SLICE &&
                        op != GLET_OP_BATCH_NORM);
        }
        glet_graph_free(graph);
        glet_model_free(model);
    }
}

static void weights_follow_the_seed(void **state)
{
    (void)state;
    static const char text[] = "input x float batch,4\nweight w 4,8\nnode MatMul x,w y\noutput y";
    struct onnx_bytes bytes = onnx_from_text(text);
    float first[3];
    for (int i = 0; i < 3; i++) {
        struct glet_error err = {0};
        struct glet_model_options options = {.random_weights = true, .seed = i == 2 ? 8 : 7};
        struct glet_model *model;
        struct glet_graph *graph;
        CHECK_OK(onnx_load(bytes.bytes, bytes.length, &options, &model, &err), &err);
        CHECK_OK(glet_model_bind(model, 1, &graph, &err), &err);
        const float *weights = graph->tensors[graph->nodes[0].inputs[1]].data;
        first[i] = weights[0];
        for (int k = 0; k < 32; k++)
            assert_true(weights[k] >= -0.8661f && weights[k] <= 0.8661f); /* sqrt(3 / 4) */
        glet_graph_free(graph);
        glet_model_free(model);
    }
    CHECK_NEAR(first[0], first[1], 0.0);
    assert_true(first[0] < first[2] || first[0] > first[2]);
    free(bytes.bytes);
}

struct bad {
    const char *model; /* as text */
    enum glet_code code;
    const char *message; /* after the path */
};

static const struct bad bad_models[] = {
    {"input x float batch,2\nnode Foo x y\noutput y", GLET_ERR_UNSUPPORTED,
     "node \"y\": operator Foo is not supported; supported: Abs Add And "},
    {"input x float batch,2\nnode Relu z y\noutput y", GLET_ERR_INPUT,
     "node \"y\": its input \"z\" comes from nowhere"},
    {"input x float batch,2\nnode Add x,b a\nnode Relu a b\noutput b", GLET_ERR_INPUT,
     "node \"a\" needs its own result: the graph has a cycle"},
    {"input x float batch,2\nnode Relu x y\nnode Exp x y\noutput y", GLET_ERR_INPUT,
     "node \"y\": its output \"y\" has another origin already"},
    {"input x float batch,2\nnode Relu x y\noutput z", GLET_ERR_INPUT,
     "output \"z\" is computed by no node"},
    {"input x float batch,2\nnode Relu x y", GLET_ERR_INPUT, "the graph has no outputs"},
    {"weight x 2 1\nnode Relu x y\noutput y", GLET_ERR_INPUT, "the graph has no inputs"},
    {"input x float batch,2\nweight w 2 1\nweight w 2 1\nnode Add x,w y\noutput y", GLET_ERR_INPUT,
     "tensor \"w\" is there twice"},
    {"input x float batch,2\nweight w 2\nnode Add x,w y\noutput y", GLET_ERR_INPUT,
     "the file holds no data of tensor \"w\""},
    {"input x float batch,2\nweight w -1,2\nnode Add x,w y\noutput y", GLET_ERR_INPUT,
     "tensor \"w\": dimension 0 is negative (-1)"},
    {"input x float batch,2\nweight w 4294967296,4294967296\nnode Add x,w y\noutput y",
     GLET_ERR_INPUT, "tensor \"w\": the dimensions overflow"},
    {"input x float batch,2\nints i 3 1,2\nnode Gather x,i y\noutput y", GLET_ERR_INPUT,
     "tensor \"i\": the file holds 16 bytes of data, type and dimensions need 24"},
    {"input x float batch,tokens\nnode Relu x y\noutput y", GLET_ERR_UNSUPPORTED,
     "input \"x\": dimension 1 (\"tokens\") is free; only the batch, dimension 0, may be"},
    {"input x float -\nnode Relu x y\noutput y", GLET_ERR_UNSUPPORTED,
     "input \"x\": 0 dimensions; 1 to 8 are supported, the first is the batch"},
    {"input x float batch,2\ninput z float 3,2\nnode Add x,z y\noutput y", GLET_ERR_UNSUPPORTED,
     "inputs \"x\" and \"z\" do not have the same batch (dimension 0)"},
    {"opset 10\ninput x float batch,2\nnode Relu x y\noutput y", GLET_ERR_UNSUPPORTED,
     "opset 10 is not supported (11 to 20 are)"},
    {"opset 21\ninput x float batch,2\nnode Relu x y\noutput y", GLET_ERR_UNSUPPORTED,
     "opset 21 is not supported (11 to 20 are)"},
    {"input x float batch,2\nnode Relu x,x y\noutput y", GLET_ERR_INPUT,
     "node \"y\" (Relu): 2 inputs, 1 outputs do not fit"},
    {"input x float batch,3\nweight w 2,4 1\nnode MatMul x,w y\noutput y", GLET_ERR_INPUT,
     "node \"y\" (MatMul): 3 columns times 2 rows"},
    {"input x float batch,6\nints s 2 1,6\nnode Reshape x,s y\noutput y", GLET_ERR_INPUT,
     "with a batch of 2: node \"y\" (Reshape): 12 elements do not fit into that shape"},
    {"input x float batch,6\nints s 2 -1,3\nnode Reshape x,s y\noutput y", GLET_ERR_UNSUPPORTED,
     "output \"y\": its first dimension is not the batch"},
    {"input x float batch,3,4,4\nweight w 2,4,1,1 1\nnode Conv x,w y\noutput y", GLET_ERR_INPUT,
     "node \"y\" (Conv): weights for 4 channels, the input has 3"},
    {"input x float batch,3,4,4\nweight w 2,3,9,9 1\nnode Conv x,w y\noutput y", GLET_ERR_INPUT,
     "node \"y\" (Conv): the window (9) is larger than the padded input (4)"},
    {"input x float batch,3\nnode Relu x y\nnode Shape x s\nnode Reshape x,y z\noutput z",
     GLET_ERR_UNSUPPORTED,
     "node \"z\" (Reshape): a shape that is computed from the input: not supported"},
    {"input x float batch,2\nnode Softmax x y axis=2\noutput y", GLET_ERR_INPUT,
     "node \"y\" (Softmax): axis 2 of a tensor with 2 dimensions"},
};

static void bad_models_say_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_models); i++) {
        struct glet_error err = {0};
        struct glet_model *model = NULL;
        struct onnx_bytes bytes = onnx_from_text(bad_models[i].model);
        assert_int_equal(onnx_load(bytes.bytes, bytes.length, NULL, &model, &err), -1);
        const char *message = strstr(err.message, ": ");
        message = message ? message + 2 : err.message;
        if (err.code != bad_models[i].code ||
            strncmp(message, bad_models[i].message, strlen(bad_models[i].message)) != 0)
            fail_msg("%s:\n\"%s\" (%d), not \"%s\"", bad_models[i].model, message, (int)err.code,
                     bad_models[i].message);
        assert_null(model);
        free(bytes.bytes);
    }
}

/* The list of operators in the error is complete. */
static void operator_list_is_not_cut(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_model *model = NULL;
    struct onnx_bytes bytes = onnx_from_text("input x float batch,2\nnode Foo x y\noutput y");
    assert_int_equal(onnx_load(bytes.bytes, bytes.length, NULL, &model, &err), -1);
    assert_string_equal(err.message + strlen(err.message) - 9, "Where Xor");
    free(bytes.bytes);
}

static void missing_weights_hint(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_model *model = NULL;
    char path[1024];
    snprintf(path, sizeof path, "%s/profiles/zoo/vgg16.onnx", GLET_SOURCE_ROOT);
    assert_int_equal(glet_model_load(path, NULL, &model, &err), -1);
    assert_int_equal(err.code, GLET_ERR_INPUT);
    assert_string_equal(err.hint, "--random-weights fills weights that are left out");
}

/* Every prefix of a file is an error, never a crash; the file itself loads. */
static void truncated(const char *name, size_t dense, size_t step)
{
    struct glet_error err = {0};
    char path[1024], *text;
    size_t length;
    snprintf(path, sizeof path, "%s/profiles/zoo/%s.onnx", GLET_SOURCE_ROOT, name);
    CHECK_OK(glet_file_read(path, 1 << 20, &text, &length, &err), &err);
    int descriptor = memfd_create("cut", MFD_CLOEXEC);
    assert_int_equal(write(descriptor, text, length), (ssize_t)length);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    for (size_t cut = length; cut > 0;) {
        size_t stride = cut > length - dense || cut <= dense ? 1 : step;
        cut -= stride < cut ? stride : cut;
        struct glet_model *model = NULL;
        assert_int_equal(ftruncate(descriptor, (off_t)cut), 0);
        if (glet_model_load(path, &random_weights, &model, &err) == 0)
            fail_msg("%s loads when cut to %zu of %zu bytes", name, cut, length);
        assert_true(err.message[0] && err.code != GLET_ERR_INTERNAL);
    }
    close(descriptor);
    free(text);
}

static void truncated_files(void **state)
{
    (void)state;
    truncated("vgg16", 1 << 20, 1);
    truncated("lenet", 4096, 61);
}

static void not_files(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_model *model = NULL;
    CHECK_FAILS(glet_model_load("/", NULL, &model, &err), &err, GLET_ERR_INPUT,
                "/: not a regular file");
    CHECK_FAILS(glet_model_load("/dev/null", NULL, &model, &err), &err, GLET_ERR_INPUT,
                "/dev/null: not a regular file");
    CHECK_FAILS(glet_model_load("no such file.onnx", NULL, &model, &err), &err, GLET_ERR_IO,
                "no such file.onnx: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lenet_interface),
        cmocka_unit_test(bert_interface),
        cmocka_unit_test(zoo_listings),
        cmocka_unit_test(variants_become_the_same_graph),
        cmocka_unit_test(weights_follow_the_seed),
        cmocka_unit_test(bad_models_say_what_is_wrong),
        cmocka_unit_test(operator_list_is_not_cut),
        cmocka_unit_test(missing_weights_hint),
        cmocka_unit_test(truncated_files),
        cmocka_unit_test(not_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
