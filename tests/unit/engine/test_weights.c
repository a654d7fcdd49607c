/* SPDX-License-Identifier: Apache-2.0 */
/* Where weights come from: raw bytes, typed fields, other files; and what is refused. */
#include "tests/unit/check.h"
#include "tests/unit/engine/onnx_text.h"

#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Decodes a tensor that a test has put together. */
static int decode(struct onnx_bytes *bytes, struct glet_arena *arena, struct glet_tensor *out,
                  bool *missing, struct glet_error *err)
{
    glet_onnx_Tensor onnx;
    struct glet_span span = {bytes->bytes, bytes->length};
    if (glet_onnx_read_tensor(span, arena, &onnx, err) < 0)
        return -1;
    return glet_onnx_tensor(&onnx, "t", arena, NULL, out, missing, err);
}

static void typed_fields(void **state)
{
    (void)state;
    static const struct {
        int type, field;
        uint8_t data[24];
        size_t length;
        double wanted[3];
    } cases[] = {
        {1, 4, {0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 192}, 12, {1, 2, -3}},
        {7,
         7,
         {1, 200, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
         13,
         {1, 200, -1}},
        {6,
         5,
         {1, 200, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
         13,
         {1, 200, -1}},
        {9, 5, {1, 0, 1}, 3, {1, 0, 1}},
        {2, 5, {7, 255, 1, 9}, 4, {7, 255, 9}},
        {10, 5, {0x80, 0x78, 0x80, 0x80, 0x01, 0x80, 0xf8, 0x02}, 8, {1, 2, -1}},
        {12, 11, {5, 6, 7}, 3, {5, 6, 7}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct glet_error err = {0};
        struct glet_arena *arena = glet_arena_new();
        struct onnx_bytes bytes = {0};
        struct glet_tensor tensor;
        bool missing;
        onnx_put_int(&bytes, 1, 3);
        onnx_put_int(&bytes, 2, cases[i].type);
        onnx_put_bytes(&bytes, cases[i].field, cases[i].data, cases[i].length);
        CHECK_OK(decode(&bytes, arena, &tensor, &missing, &err), &err);
        assert_false(missing);
        for (int k = 0; k < 3; k++)
            CHECK_NEAR(glet_tensor_float(&tensor, k), cases[i].wanted[k], 0.0);
        glet_arena_free(arena);
        free(bytes.bytes);
    }
}

/* Numbers that are not packed would have to be copied; no writer does that. */
static void unpacked_floats_are_refused(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_arena *arena = glet_arena_new();
    struct onnx_bytes bytes = {0};
    struct glet_tensor tensor;
    bool missing;
    onnx_put_int(&bytes, 1, 1);
    onnx_put_int(&bytes, 2, 7);
    onnx_put_int(&bytes, 7, 5);
    assert_int_equal(decode(&bytes, arena, &tensor, &missing, &err), -1);
    assert_int_equal(err.code, GLET_ERR_INPUT);
    glet_arena_free(arena);
    free(bytes.bytes);
}

static void half_precision(void **state)
{
    (void)state;
    static const double exact[] = {0.0, 1.0, -2.0, 0.5, 65504.0, 0x1p-14, 0x1p-24, 0x1.8p-20};
    for (size_t i = 0; i < COUNT_OF(exact); i++) {
        uint16_t bits;
        glet_number_put_float(GLET_FLOAT16, &bits, 0, exact[i]);
        CHECK_NEAR(glet_number_float(GLET_FLOAT16, &bits, 0), exact[i], 0.0);
    }
    /* Every finite half survives the way to double and back. */
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        uint16_t half = (uint16_t)bits, again;
        if ((bits >> 10 & 0x1f) == 0x1f)
            continue;
        glet_number_put_float(GLET_FLOAT16, &again, 0, glet_number_float(GLET_FLOAT16, &half, 0));
        assert_int_equal(again, half);
    }
    uint16_t large;
    glet_number_put_float(GLET_FLOAT16, &large, 0, 1e6);
    assert_int_equal(large, 0x7c00);
    glet_number_put_float(GLET_BFLOAT16, &large, 0, 1.0);
    assert_int_equal(large, 0x3f80);
}

/* A folder with weights.bin (64 bytes of 1.0f), a link to outside, and a model beside them. */
struct folder {
    char path[64], model[96];
};

static void write_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(struct folder *folder)
{
    char path[128];
    float ones[16];
    for (size_t i = 0; i < 16; i++)
        ones[i] = 1.0f;
    snprintf(folder->path, sizeof folder->path, "engine-test-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->model, sizeof folder->model, "%s/m.onnx", folder->path);
    snprintf(path, sizeof path, "%s/weights.bin", folder->path);
    write_file(path, ones, sizeof ones);
    snprintf(path, sizeof path, "%s/link.bin", folder->path);
    assert_int_equal(symlink("weights.bin", path), 0);
    snprintf(path, sizeof path, "%s/out", folder->path);
    assert_int_equal(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/inner", folder->path);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/inner/w.bin", folder->path);
    write_file(path, ones, sizeof ones);
}

static void remove_folder(const struct folder *folder)
{
    static const char *const names[] = {"m.onnx",      "weights.bin", "link.bin", "out",
                                        "inner/w.bin", "inner",       ""};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder->path, names[i]);
        assert_int_equal(remove(path), 0);
    }
}

static void put_entry(struct onnx_bytes *tensor, const char *key, const char *value)
{
    struct onnx_bytes entry = {0};
    onnx_put_bytes(&entry, 1, key, strlen(key));
    onnx_put_bytes(&entry, 2, value, strlen(value));
    onnx_put_bytes(tensor, 13, entry.bytes, entry.length);
    free(entry.bytes);
}

/* x + w, w being 4 floats of another file. Protobuf merges two graphs into one. */
static void write_model(const char *path, const char *location, const char *offset,
                        const char *length)
{
    struct onnx_bytes model = onnx_from_text("input x float batch,4\nnode Mul x,w y\noutput y");
    struct onnx_bytes tensor = {0}, graph = {0};
    onnx_put_int(&tensor, 1, 4);
    onnx_put_int(&tensor, 2, 1);
    onnx_put_bytes(&tensor, 8, "w", 1);
    put_entry(&tensor, "location", location);
    if (offset)
        put_entry(&tensor, "offset", offset);
    if (length)
        put_entry(&tensor, "length", length);
    onnx_put_int(&tensor, 14, 1);
    onnx_put_bytes(&graph, 5, tensor.bytes, tensor.length);
    onnx_put_bytes(&model, 7, graph.bytes, graph.length);
    write_file(path, model.bytes, model.length);
    free(tensor.bytes);
    free(graph.bytes);
    free(model.bytes);
}

static void external_files(void **state)
{
    (void)state;
    static const struct {
        const char *location, *offset, *length, *message; /* NULL = loads */
    } cases[] = {
        {"weights.bin", NULL, NULL, NULL},
        {"weights.bin", "48", "16", NULL},
        {"./inner//w.bin", "1", "16", NULL}, /* unaligned */
        {"weights.bin", "49", "16", "16 bytes at 49 do not fit into the file of 64 bytes"},
        {"weights.bin", "0", "20", "the file holds 20 bytes of data, type and dimensions need 16"},
        {"weights.bin", "18446744073709551615", NULL, "external data: offset is not a number"},
        {"weights.bin", "-4", NULL, "external data: offset is not a number"},
        {"../weights.bin", NULL, NULL, "leaves the model's folder"},
        {"inner/../weights.bin", NULL, NULL, "leaves the model's folder"},
        {"/etc/passwd", NULL, NULL, "leaves the model's folder"},
        {"link.bin", NULL, NULL, "is or passes a symbolic link, which could leave the folder"},
        {"out/weights.bin", NULL, NULL, "symbolic link, which could leave the folder"},
        {"inner", NULL, NULL, "not a regular file"},
        {"absent.bin", NULL, NULL, "No such file or directory"},
        {"", NULL, NULL, "no file name"},
    };
    struct folder folder;
    make_folder(&folder);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct glet_error err = {0};
        struct glet_model *model = NULL;
        write_model(folder.model, cases[i].location, cases[i].offset, cases[i].length);
        int result = glet_model_load(folder.model, NULL, &model, &err);
        if ((result == 0) != !cases[i].message ||
            (cases[i].message && !strstr(err.message, cases[i].message)))
            fail_msg("\"%s\" at %s: %s", cases[i].location, cases[i].offset ? cases[i].offset : "0",
                     result ? err.message : "loads");
        glet_model_free(model);
    }
    remove_folder(&folder);
}

/* The hash covers the weights, wherever they are. */
static void hash_covers_external_files(void **state)
{
    (void)state;
    struct folder folder;
    struct glet_error err = {0};
    struct glet_model *first, *second;
    char path[128];
    make_folder(&folder);
    write_model(folder.model, "weights.bin", NULL, NULL);
    CHECK_OK(glet_model_load(folder.model, NULL, &first, &err), &err);
    assert_int_equal(strlen(glet_model_sha256(first)), 64);
    snprintf(path, sizeof path, "%s/weights.bin", folder.path);
    assert_int_equal(remove(path), 0);
    write_file(path, "0123456789abcdef", 16);
    CHECK_OK(glet_model_load(folder.model, NULL, &second, &err), &err);
    assert_string_not_equal(glet_model_sha256(first), glet_model_sha256(second));
    glet_model_free(first);
    glet_model_free(second);
    remove_folder(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_fields),
        cmocka_unit_test(unpacked_floats_are_refused),
        cmocka_unit_test(half_precision),
        cmocka_unit_test(external_files),
        cmocka_unit_test(hash_covers_external_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
