/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's events become a tree of nodes linked to parent and next sibling. Nodes and texts live
 * in blocks that grow by doubling and never move, so pointers stay valid while the tree grows, and
 * freeing is one walk over the blocks. Nothing recurses: the depth is the input's choice.
 *
 * Repeated keys are found by comparing with the keys before, up to a size where that would be
 * quadratic work for the input's author to buy cheaply; mappings are limited to that size.
 */
#include "common/yaml_read.h"

#include "common/file.h"
#include "common/memory.h"
#include "common/sha256.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum {
    LIMIT_BYTES = 16 << 20,
    LIMIT_DEPTH = 64,
    LIMIT_NODES = 1000000,
    LIMIT_KEYS = 256, /* the largest schema has ten */
    FIRST_BLOCK_BYTES = 16384,
};

struct glet_yaml_block {
    struct glet_yaml_block *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

static void *take(struct glet_yaml *yaml, size_t size, struct glet_error *err)
{
    struct glet_yaml_block *block = yaml->blocks;
    size = (size + 15) & ~(size_t)15;
    if (!block || block->size - block->used < size) {
        size_t wanted = block ? 2 * block->size : FIRST_BLOCK_BYTES;
        if (wanted < size)
            wanted = size;
        block = glet_alloc(1, sizeof *block + wanted, err);
        if (!block)
            return NULL;
        block->size = wanted;
        block->next = yaml->blocks;
        yaml->blocks = block;
    }
    void *memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

/* The tree under construction. */
struct builder {
    struct glet_yaml *yaml;
    struct glet_yaml_node *open; /* innermost list or mapping; NULL at the top */
    const char *key;             /* read, its value not yet */
    struct glet_mark key_mark;
    int depth, nodes;
};

static struct glet_mark mark_of(const yaml_mark_t *mark)
{
    return (struct glet_mark){(int)mark->line + 1, (int)mark->column + 1};
}

static int fail(const struct builder *builder, struct glet_mark mark, const char *what,
                struct glet_error *err)
{
    return glet_error_at(err, GLET_ERR_INPUT, builder->yaml->name, mark, "%s", what);
}

static const char *copy_text(struct builder *builder, const yaml_event_t *event,
                             struct glet_error *err)
{
    size_t length = event->data.scalar.length;
    if (memchr(event->data.scalar.value, '\0', length)) {
        fail(builder, mark_of(&event->start_mark), "a NUL character in text", err);
        return NULL;
    }
    char *text = take(builder->yaml, length + 1, err);
    if (text)
        memcpy(text, event->data.scalar.value, length);
    return text;
}

/* A scalar that is a key of the open mapping. */
static int take_key(struct builder *builder, const yaml_event_t *event, struct glet_error *err)
{
    struct glet_mark mark = mark_of(&event->start_mark);
    if (builder->open->count == LIMIT_KEYS)
        return fail(builder, mark, "more than 256 keys in one mapping", err);
    builder->key = copy_text(builder, event, err);
    builder->key_mark = mark;
    if (!builder->key)
        return -1;
    const struct glet_yaml_node *first = glet_yaml_get(builder->open, builder->key);
    if (!first)
        return 0;
    glet_error_at(err, GLET_ERR_INPUT, builder->yaml->name, mark, "%.100s: given twice",
                  builder->key);
    return glet_error_hint(err, "the first is in line %d", first->key_mark.line);
}

static int add_node(struct builder *builder, const yaml_event_t *event, enum glet_yaml_kind kind,
                    struct glet_error *err)
{
    struct glet_mark mark = mark_of(&event->start_mark);
    struct glet_yaml_node *parent = builder->open;
    if (++builder->nodes > LIMIT_NODES)
        return fail(builder, mark, "more than 1000000 values", err);
    struct glet_yaml_node *node = take(builder->yaml, sizeof *node, err);
    if (!node)
        return -1;
    *node = (struct glet_yaml_node){.kind = kind, .mark = mark, .parent = parent};
    if (kind == GLET_YAML_SCALAR) {
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        node->text = copy_text(builder, event, err);
        if (!node->text)
            return -1;
    }
    node->key = GLET_STEAL(builder->key);
    node->key_mark = builder->key_mark;
    if (!parent) {
        builder->yaml->root = node;
    } else {
        node->index = parent->count++;
        if (parent->last)
            parent->last->next = node;
        else
            parent->first = node;
        parent->last = node;
    }
    if (kind == GLET_YAML_SCALAR)
        return 0;
    if (++builder->depth > LIMIT_DEPTH)
        return fail(builder, mark, "more than 64 levels", err);
    builder->open = node;
    return 0;
}

static int refuse_extras(struct builder *builder, const yaml_event_t *event,
                         const yaml_char_t *anchor, const yaml_char_t *tag, struct glet_error *err)
{
    if (anchor)
        return fail(builder, mark_of(&event->start_mark), "anchors and aliases are not supported",
                    err);
    if (tag)
        return fail(builder, mark_of(&event->start_mark), "tags are not supported", err);
    return 0;
}

static int take_collection(struct builder *builder, const yaml_event_t *event,
                           enum glet_yaml_kind kind, const yaml_char_t *anchor,
                           const yaml_char_t *tag, struct glet_error *err)
{
    if (refuse_extras(builder, event, anchor, tag, err) < 0)
        return -1;
    if (builder->open && builder->open->kind == GLET_YAML_MAPPING && !builder->key)
        return fail(builder, mark_of(&event->start_mark), "a key must be a plain word", err);
    return add_node(builder, event, kind, err);
}

static int take_scalar(struct builder *builder, const yaml_event_t *event, struct glet_error *err)
{
    if (refuse_extras(builder, event, event->data.scalar.anchor, event->data.scalar.tag, err) < 0)
        return -1;
    if (builder->open && builder->open->kind == GLET_YAML_MAPPING && !builder->key)
        return take_key(builder, event, err);
    return add_node(builder, event, GLET_YAML_SCALAR, err);
}

static int take_event(struct builder *builder, const yaml_event_t *event, struct glet_error *err)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return refuse_extras(builder, event, event->data.alias.anchor, NULL, err);
    case YAML_SCALAR_EVENT:
        return take_scalar(builder, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return take_collection(builder, event, GLET_YAML_LIST, event->data.sequence_start.anchor,
                               event->data.sequence_start.tag, err);
    case YAML_MAPPING_START_EVENT:
        return take_collection(builder, event, GLET_YAML_MAPPING, event->data.mapping_start.anchor,
                               event->data.mapping_start.tag, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder->open = builder->open->parent;
        builder->depth--;
        return 0;
    case YAML_DOCUMENT_START_EVENT:
        if (builder->yaml->root)
            return fail(builder, mark_of(&event->start_mark), "a second document", err);
        return 0;
    default:
        return 0;
    }
}

/* Encoding errors come with an offset only. */
static struct glet_mark mark_at(const char *text, size_t offset)
{
    struct glet_mark mark = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        mark.column++;
        if (text[i] == '\n')
            mark = (struct glet_mark){mark.line + 1, 1};
    }
    return mark;
}

static int syntax_error(const struct builder *builder, const yaml_parser_t *parser,
                        const char *text, struct glet_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    struct glet_mark mark = mark_of(&parser->problem_mark);
    if (parser->error == YAML_READER_ERROR)
        mark = mark_at(text, parser->problem_offset);
    return glet_error_at(err, GLET_ERR_INPUT, builder->yaml->name, mark, "not YAML: %s",
                         parser->problem ? parser->problem : "malformed");
}

static int build(struct builder *builder, const char *text, size_t length, struct glet_error *err)
{
    yaml_parser_t parser;
    yaml_event_t event;
    bool ended = false;
    int status = 0;
    if (!yaml_parser_initialize(&parser))
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    /* Told the encoding, libyaml takes a byte order mark for text. */
    size_t skip = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    text += skip;
    length -= skip;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    while (status == 0 && !ended) {
        if (!yaml_parser_parse(&parser, &event)) {
            status = syntax_error(builder, &parser, text, err);
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        status = take_event(builder, &event, err);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (status == 0 && !builder->yaml->root)
        status = fail(builder, (struct glet_mark){1, 1}, "the file is empty", err);
    return status;
}

int glet_yaml_parse(const char *text, size_t length, const char *name, struct glet_yaml **out,
                    struct glet_error *err)
{
    GLET_CLEANUP(glet_yaml_cleanup) struct glet_yaml *yaml = glet_alloc(1, sizeof *yaml, err);
    if (!yaml || !(yaml->name = glet_strdup(name, err)))
        return -1;
    struct builder builder = {.yaml = yaml};
    if (build(&builder, text, length, err) < 0)
        return -1;
    glet_sha256_hex(text, length, yaml->sha256);
    *out = GLET_STEAL(yaml);
    return 0;
}

int glet_yaml_load(const char *path, struct glet_yaml **out, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) char *text = NULL;
    size_t length;
    if (glet_file_read(path, LIMIT_BYTES, &text, &length, err) < 0)
        return -1;
    return glet_yaml_parse(text, length, strcmp(path, "-") == 0 ? "<stdin>" : path, out, err);
}

void glet_yaml_free(struct glet_yaml *yaml)
{
    if (!yaml)
        return;
    while (yaml->blocks) {
        struct glet_yaml_block *block = yaml->blocks;
        yaml->blocks = block->next;
        free(block);
    }
    free(yaml->name);
    free(yaml);
}

void glet_yaml_cleanup(struct glet_yaml **yaml)
{
    glet_yaml_free(*yaml);
}

const struct glet_yaml_node *glet_yaml_get(const struct glet_yaml_node *mapping, const char *key)
{
    if (mapping->kind != GLET_YAML_MAPPING)
        return NULL;
    for (const struct glet_yaml_node *node = mapping->first; node; node = node->next)
        if (strcmp(node->key, key) == 0)
            return node;
    return NULL;
}
