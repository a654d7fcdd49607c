/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf's wire format, written by hand: tags, varints, and lengths in front of everything
 * nested. Field numbers are those of onnx.proto.
 */
#include "tests/unit/engine/onnx_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void put(struct onnx_bytes *out, const void *bytes, size_t length)
{
    if (out->length + length > out->capacity) {
        out->capacity = (out->length + length) * 2;
        out->bytes = realloc(out->bytes, out->capacity);
        if (!out->bytes)
            abort();
    }
    if (length)
        memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static void put_varint(struct onnx_bytes *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put(out, &byte, 1);
        value >>= 7;
    } while (value);
}

void onnx_put_int(struct onnx_bytes *out, int field, int64_t value)
{
    put_varint(out, (uint64_t)field << 3);
    put_varint(out, (uint64_t)value);
}

void onnx_put_bytes(struct onnx_bytes *out, int field, const void *bytes, size_t length)
{
    put_varint(out, (uint64_t)field << 3 | 2);
    put_varint(out, length);
    put(out, bytes, length);
}

static void put_text(struct onnx_bytes *out, int field, const char *text)
{
    onnx_put_bytes(out, field, text, strlen(text));
}

static void put_nested(struct onnx_bytes *out, int field, struct onnx_bytes *inner)
{
    onnx_put_bytes(out, field, inner->bytes, inner->length);
    free(inner->bytes);
    *inner = (struct onnx_bytes){NULL, 0, 0};
}

static int type_of(const char *name)
{
    if (strcmp(name, "float") == 0)
        return 1;
    if (strcmp(name, "int64") == 0)
        return 7;
    if (strcmp(name, "bool") == 0)
        return 9;
    abort();
}

/* Numbers of "2,3"; "-" has none. */
static int numbers(char *list, int64_t *values)
{
    int count = 0;
    if (strcmp(list, "-") == 0)
        return 0;
    for (char *item = strtok(list, ","); item; item = strtok(NULL, ","))
        values[count++] = strtoll(item, NULL, 0);
    return count;
}

static void put_value(struct onnx_bytes *graph, int field, const char *name, const char *type,
                      char *dims)
{
    struct onnx_bytes value = {0}, wrapped = {0}, tensor = {0}, shape = {0};
    put_text(&value, 1, name);
    if (type) {
        onnx_put_int(&tensor, 1, type_of(type));
        for (char *item = strcmp(dims, "-") ? strtok(dims, ",") : NULL; item;
             item = strtok(NULL, ",")) {
            struct onnx_bytes dim = {0};
            char *end;
            int64_t number = strtoll(item, &end, 0);
            if (*end)
                put_text(&dim, 2, item);
            else
                onnx_put_int(&dim, 1, number);
            put_nested(&shape, 1, &dim);
        }
        put_nested(&tensor, 2, &shape);
        put_nested(&wrapped, 1, &tensor);
        put_nested(&value, 2, &wrapped);
    }
    put_nested(graph, field, &value);
}

static void put_weight(struct onnx_bytes *graph, const char *name, char *dims, const char *value)
{
    struct onnx_bytes tensor = {0}, data = {0};
    int64_t extents[16], elements = 1;
    int rank = numbers(dims, extents);
    for (int i = 0; i < rank; i++) {
        onnx_put_int(&tensor, 1, extents[i]);
        elements *= value ? extents[i] : 1;
    }
    onnx_put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    float number = value ? strtof(value, NULL) : 0.0f;
    for (int64_t i = 0; value && i < elements; i++)
        put(&data, &number, sizeof number);
    if (value)
        put_nested(&tensor, 9, &data);
    put_nested(graph, 5, &tensor);
}

static void put_ints(struct onnx_bytes *graph, const char *name, char *dims, char *list)
{
    struct onnx_bytes tensor = {0};
    int64_t values[256];
    int rank = numbers(dims, values);
    for (int i = 0; i < rank; i++)
        onnx_put_int(&tensor, 1, values[i]);
    onnx_put_int(&tensor, 2, 7);
    put_text(&tensor, 8, name);
    int count = numbers(list, values);
    onnx_put_bytes(&tensor, 9, values, sizeof values[0] * (size_t)count);
    put_nested(graph, 5, &tensor);
}

/* An integer attribute is written as one number and as a list: its reader takes what it wants. */
static void put_attribute(struct onnx_bytes *node, char *text)
{
    struct onnx_bytes attribute = {0};
    char *mark = text + strcspn(text, "=:'");
    char kind = *mark;
    *mark++ = '\0';
    put_text(&attribute, 1, text);
    if (kind == ':') {
        float number = strtof(mark, NULL);
        put_varint(&attribute, 2 << 3 | 5);
        put(&attribute, &number, sizeof number);
    } else if (kind == '\'') {
        put_text(&attribute, 4, mark);
    } else {
        int64_t values[64];
        int count = numbers(mark, values);
        if (count)
            onnx_put_int(&attribute, 3, values[0]);
        for (int i = 0; i < count; i++)
            onnx_put_int(&attribute, 8, values[i]);
    }
    put_nested(node, 5, &attribute);
}

static void put_names(struct onnx_bytes *node, int field, char *list)
{
    char *save;
    for (char *item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save))
        put_text(node, field, strcmp(item, "_") ? item : "");
}

static void put_node(struct onnx_bytes *graph, char **words, int count)
{
    struct onnx_bytes node = {0};
    if (strcmp(words[2], "-") != 0)
        put_names(&node, 1, words[2]);
    put_names(&node, 2, words[3]);
    put_text(&node, 4, words[1]);
    for (int i = 4; i < count; i++)
        put_attribute(&node, words[i]);
    put_nested(graph, 1, &node);
}

static void put_line(struct onnx_bytes *graph, int64_t *opset, char *line)
{
    char *words[32], *save;
    int count = 0;
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
        words[count++] = word;
    if (count == 0 || words[0][0] == '#')
        return;
    if (strcmp(words[0], "opset") == 0)
        *opset = strtoll(words[1], NULL, 10);
    else if (strcmp(words[0], "input") == 0)
        put_value(graph, 11, words[1], words[2], words[3]);
    else if (strcmp(words[0], "output") == 0)
        put_value(graph, 12, words[1], NULL, NULL);
    else if (strcmp(words[0], "weight") == 0)
        put_weight(graph, words[1], words[2], count > 3 ? words[3] : NULL);
    else if (strcmp(words[0], "ints") == 0)
        put_ints(graph, words[1], words[2], words[3]);
    else if (strcmp(words[0], "node") == 0)
        put_node(graph, words, count);
    else
        abort();
}

struct onnx_bytes onnx_from_text(const char *text)
{
    struct onnx_bytes model = {0}, graph = {0}, opset = {0};
    int64_t version = 17;
    char *copy = strdup(text), *save;
    if (!copy)
        abort();
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        put_line(&graph, &version, line);
    free(copy);
    onnx_put_int(&model, 1, 8);
    put_nested(&model, 7, &graph);
    onnx_put_int(&opset, 2, version);
    put_nested(&model, 8, &opset);
    return model;
}

int onnx_load(const void *bytes, size_t length, const struct glet_model_options *options,
              struct glet_model **out, struct glet_error *err)
{
    char path[64];
    int descriptor = memfd_create("model.onnx", MFD_CLOEXEC);
    if (descriptor < 0 || write(descriptor, bytes, length) != (ssize_t)length)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int result = glet_model_load(path, options, out, err);
    close(descriptor);
    return result;
}

char *onnx_listing(const char *text, int batch)
{
    struct glet_model_options options = {.random_weights = true, .seed = 1, .name = "text"};
    struct glet_error err = {0};
    struct glet_model *model = NULL;
    struct glet_graph *graph = NULL;
    struct onnx_bytes bytes = onnx_from_text(text);
    char *listing = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&listing, &length);
    if (!out)
        abort();
    if (onnx_load(bytes.bytes, bytes.length, &options, &model, &err) < 0) {
        const char *message = strstr(err.message, ": ");
        fprintf(out, "error: %s\n", message ? message + 2 : err.message);
    } else if (glet_model_bind(model, batch, &graph, &err) < 0) {
        fprintf(out, "error: %s\n", err.message);
    } else {
        glet_graph_print(graph, out);
    }
    fclose(out);
    glet_graph_free(graph);
    glet_model_free(model);
    free(bytes.bytes);
    return listing;
}
