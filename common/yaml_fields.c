/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of yaml_read.h: from nodes to typed values, or to what is wrong with them. */
#include "common/yaml_read.h"

#include "common/memory.h"
#include "common/nearest.h"
#include "common/number.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* "models[2].rate_rps" of node, cut at the front when it is too long. */
static void path_of(const struct glet_yaml_node *node, char *out, size_t size)
{
    size_t at = size - 1;
    out[at] = '\0';
    for (; node->parent && at > 0; node = node->parent) {
        char step[80];
        if (node->key)
            snprintf(step, sizeof step, "%s%.70s", node->parent->parent ? "." : "", node->key);
        else
            snprintf(step, sizeof step, "[%zu]", node->index);
        size_t length = strlen(step);
        if (length > at)
            break;
        at -= length;
        memcpy(out + at, step, length);
    }
    memmove(out, out + at, size - at);
}

int glet_yaml_error(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                    enum glet_code code, struct glet_error *err, const char *format, ...)
{
    char path[256], text[480];
    va_list args;
    path_of(node, path, sizeof path);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return glet_error_at(err, code, yaml->name, node->mark, "%s%s%s", path, *path ? ": " : "",
                         text);
}

/* "models[0].slo_ms: message" although there is no such node, at the mapping's place. */
static int member_error(const struct glet_yaml *yaml, const struct glet_yaml_node *mapping,
                        const char *key, struct glet_mark mark, const char *message,
                        struct glet_error *err)
{
    char path[256];
    path_of(mapping, path, sizeof path);
    return glet_error_at(err, GLET_ERR_INPUT, yaml->name, mark, "%s%s%.100s: %s", path,
                         *path ? "." : "", key, message);
}

static int wrong_type(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                      const char *wanted, struct glet_error *err)
{
    if (node->kind == GLET_YAML_LIST)
        return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "is a list, not %s", wanted);
    if (node->kind == GLET_YAML_MAPPING)
        return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "is a mapping, not %s", wanted);
    if (node->quoted && wanted[0] == 'a' && strstr(wanted, "number"))
        return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "'%.60s' is text in quotes, not %s",
                               node->text, wanted);
    if (!*node->text)
        return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "is empty, not %s", wanted);
    return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "'%.60s' is not %s", node->text,
                           wanted);
}

int glet_yaml_list(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                   struct glet_error *err)
{
    return node->kind == GLET_YAML_LIST ? 0 : wrong_type(yaml, node, "a list", err);
}

int glet_yaml_limit(const struct glet_yaml *yaml, const struct glet_yaml_node *list, size_t most,
                    struct glet_error *err)
{
    if (list->count <= most)
        return 0;
    return glet_yaml_error(yaml, list, GLET_ERR_INPUT, err, "more than %zu entries", most);
}

int glet_yaml_twice(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                    const char *what, const char *name, struct glet_mark first,
                    struct glet_error *err)
{
    glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "%s %.100s is given twice", what, name);
    return glet_error_hint(err, "the first is in line %d", first.line);
}

static int check_range(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                       const struct glet_yaml_field *field, double value, struct glet_error *err)
{
    if (field->rules & GLET_YAML_ABOVE && value <= field->low)
        return glet_yaml_error(yaml, node, GLET_ERR_RANGE, err, "%.60s is not above %g", node->text,
                               field->low);
    if (value < field->low)
        return glet_yaml_error(yaml, node, GLET_ERR_RANGE, err, "%.60s is below %g", node->text,
                               field->low);
    if (field->rules & GLET_YAML_BELOW && value >= field->high)
        return glet_yaml_error(yaml, node, GLET_ERR_RANGE, err, "%.60s is not below %g", node->text,
                               field->high);
    if (value > field->high)
        return glet_yaml_error(yaml, node, GLET_ERR_RANGE, err, "%.60s is above %g", node->text,
                               field->high);
    return 0;
}

static int read_double(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                       const struct glet_yaml_field *field, double *out, struct glet_error *err)
{
    double value;
    if (node->kind != GLET_YAML_SCALAR || node->quoted || !glet_parse_double(node->text, &value))
        return wrong_type(yaml, node, "a number", err);
    if (check_range(yaml, node, field, value, err) < 0)
        return -1;
    *out = value;
    return 0;
}

static int read_int(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                    const struct glet_yaml_field *field, int *out, struct glet_error *err)
{
    int64_t value;
    if (node->kind != GLET_YAML_SCALAR || node->quoted || !glet_parse_int(node->text, &value))
        return wrong_type(yaml, node, "a whole number", err);
    if (check_range(yaml, node, field, (double)value, err) < 0)
        return -1;
    if (value < INT_MIN || value > INT_MAX)
        return glet_yaml_error(yaml, node, GLET_ERR_RANGE, err, "%.60s is too large", node->text);
    *out = (int)value;
    return 0;
}

static int read_bool(const struct glet_yaml *yaml, const struct glet_yaml_node *node, bool *out,
                     struct glet_error *err)
{
    bool plain = node->kind == GLET_YAML_SCALAR && !node->quoted;
    if (!plain || (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
        return wrong_type(yaml, node, "true or false", err);
    *out = node->text[0] == 't';
    return 0;
}

static bool is_null(const struct glet_yaml_node *node)
{
    return !node->quoted &&
           (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

bool glet_yaml_is_name(const char *text)
{
    if (!*text || strlen(text) > 255 || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return false;
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f || *text == '/')
            return false;
    return true;
}

static int read_text(const struct glet_yaml *yaml, const struct glet_yaml_node *node, bool name,
                     char **out, struct glet_error *err)
{
    if (node->kind != GLET_YAML_SCALAR || !*node->text || is_null(node))
        return wrong_type(yaml, node, name ? "a name" : "text", err);
    if (name && !glet_yaml_is_name(node->text)) {
        wrong_type(yaml, node, "a name", err);
        return glet_error_hint(err, "a name has at most 255 bytes, no '/', no blanks");
    }
    free(*out);
    *out = glet_strdup(node->text, err);
    return *out ? 0 : -1;
}

static int read_choice(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                       const char *const *choices, int *out, struct glet_error *err)
{
    char wanted[256] = "one of ";
    size_t count = 0;
    for (; choices[count]; count++) {
        if (node->kind == GLET_YAML_SCALAR && strcmp(node->text, choices[count]) == 0) {
            *out = (int)count;
            return 0;
        }
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s", count ? ", " : "", choices[count]);
    }
    wrong_type(yaml, node, wanted, err);
    const char *meant =
        node->kind == GLET_YAML_SCALAR ? glet_nearest(node->text, choices, count) : NULL;
    return meant ? glet_error_hint(err, "did you mean %s?", meant) : -1;
}

int glet_yaml_scalar(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                     const struct glet_yaml_field *field, void *out, struct glet_error *err)
{
    switch (field->type) {
    case GLET_YAML_DOUBLE:
        return read_double(yaml, node, field, out, err);
    case GLET_YAML_INT:
        return read_int(yaml, node, field, out, err);
    case GLET_YAML_BOOL:
        return read_bool(yaml, node, out, err);
    case GLET_YAML_TEXT:
        return read_text(yaml, node, false, out, err);
    case GLET_YAML_NAME:
        return read_text(yaml, node, true, out, err);
    case GLET_YAML_CHOICE:
        return read_choice(yaml, node, field->choices, out, err);
    case GLET_YAML_NODE:
        return 0;
    case GLET_YAML_NODES:
        return glet_yaml_list(yaml, node, err);
    }
    return glet_error_set(err, GLET_ERR_INTERNAL, "unknown type of field");
}

int glet_yaml_check_schema(const struct glet_yaml *yaml, const char *const *schemas,
                           struct glet_error *err)
{
    const struct glet_yaml_node *root = yaml->root;
    const struct glet_yaml_node *schema =
        root->kind == GLET_YAML_MAPPING ? glet_yaml_get(root, "schema") : NULL;
    int which;
    return schema ? read_choice(yaml, schema, schemas, &which, err) : 0;
}

static int check_keys(const struct glet_yaml *yaml, const struct glet_yaml_node *mapping,
                      const struct glet_yaml_field *fields, size_t count, struct glet_error *err)
{
    const char *keys[64] = {NULL};
    for (size_t i = 0; i < count && i < 64; i++)
        keys[i] = fields[i].key;
    for (const struct glet_yaml_node *node = mapping->first; node; node = node->next) {
        size_t i = 0;
        while (i < count && strcmp(fields[i].key, node->key) != 0)
            i++;
        if (i < count)
            continue;
        member_error(yaml, mapping, node->key, node->key_mark, "unknown key", err);
        const char *meant = glet_nearest(node->key, keys, count < 64 ? count : 64);
        return meant ? glet_error_hint(err, "did you mean %s?", meant) : -1;
    }
    return 0;
}

int glet_yaml_fields(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                     const struct glet_yaml_field *fields, size_t count, void *out,
                     struct glet_error *err)
{
    if (node->kind != GLET_YAML_MAPPING)
        return wrong_type(yaml, node, "a mapping", err);
    if (check_keys(yaml, node, fields, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct glet_yaml_node *member = glet_yaml_get(node, fields[i].key);
        if (!member && fields[i].rules & GLET_YAML_REQUIRED)
            return member_error(yaml, node, fields[i].key, node->mark, "missing", err);
        if (member &&
            glet_yaml_scalar(yaml, member, &fields[i], (char *)out + fields[i].offset, err) < 0)
            return -1;
    }
    return 0;
}
