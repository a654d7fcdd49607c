/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_YAML_READ_H
#define GLET_COMMON_YAML_READ_H

/*
 * YAML files as a tree whose every node knows its place, and tables that turn a mapping of that
 * tree into a struct.
 *
 * The subset is what configuration needs: one document of mappings with text keys, lists and
 * scalars. Anchors, aliases, tags, repeated keys, several documents, more than 64 levels, more than
 * 16 MiB or 1 000 000 nodes are refused; a byte order mark is skipped. What a scalar means is decided by who asks for it, with
 * the number syntax of common/number.h: 0x10, 1_000, .inf and nan are no numbers, yes is no bool.
 *
 * Messages read `file:line:column: models[2].rate_rps: -1 is below 0`; codes are GLET_ERR_INPUT,
 * GLET_ERR_RANGE, GLET_ERR_IO, GLET_ERR_NOMEM. A document is immutable once read.
 */

#include "common/error.h"

#include <stddef.h>

enum glet_yaml_kind { GLET_YAML_SCALAR, GLET_YAML_LIST, GLET_YAML_MAPPING };

struct glet_yaml_node {
    enum glet_yaml_kind kind;
    bool quoted;      /* scalar: was in quotes or a block, so it can only be text */
    const char *text; /* scalar; NUL-terminated, without NULs inside */
    const char *key;  /* in a mapping, else NULL */
    struct glet_mark mark, key_mark;
    struct glet_yaml_node *parent, *first, *last, *next; /* NULL = none */
    size_t count;                                        /* children */
    size_t index;                                        /* among the parent's children */
};

struct glet_yaml {
    char *name; /* of the file, for messages */
    char sha256[65];
    struct glet_yaml_node *root;
    struct glet_yaml_block *blocks; /* memory of the tree; private */
};

/* Reads path ("-" = standard input). *out is the caller's (glet_yaml_free). */
GLET_MUST_CHECK
int glet_yaml_load(const char *path, struct glet_yaml **out, struct glet_error *err);

GLET_MUST_CHECK
int glet_yaml_parse(const char *text, size_t length, const char *name, struct glet_yaml **out,
                    struct glet_error *err);

void glet_yaml_free(struct glet_yaml *yaml);     /* NULL is accepted */
void glet_yaml_cleanup(struct glet_yaml **yaml); /* for GLET_CLEANUP */

/* The value of key in a mapping, or NULL. */
const struct glet_yaml_node *glet_yaml_get(const struct glet_yaml_node *mapping, const char *key);

/* Fills err with "file:line:column: path.of.node: message"; returns -1. */
int glet_yaml_error(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                    enum glet_code code, struct glet_error *err, const char *format, ...)
    GLET_PRINTF(5, 6);

enum glet_yaml_type {
    GLET_YAML_DOUBLE, /* double */
    GLET_YAML_INT,    /* int */
    GLET_YAML_BOOL,   /* bool; true or false */
    GLET_YAML_TEXT,   /* char *, the caller's to free; not empty, not null */
    GLET_YAML_NAME,   /* as TEXT; at most 255 bytes, fit for a path of a URL: no '/', blanks or
                         control bytes, not . or .. */
    GLET_YAML_CHOICE, /* int: index into choices */
    GLET_YAML_NODE,   /* nothing is stored: the caller looks at the node */
    GLET_YAML_NODES,  /* nothing is stored: a list */
};

enum glet_yaml_rule {
    GLET_YAML_REQUIRED = 1,
    GLET_YAML_ABOVE = 2, /* low itself is not allowed */
    GLET_YAML_BELOW = 4, /* high itself is not allowed */
};

struct glet_yaml_field {
    const char *key;
    enum glet_yaml_type type;
    unsigned rules;
    size_t offset;
    double low, high;           /* DOUBLE, INT */
    const char *const *choices; /* CHOICE: NULL-terminated */
};

/*
 * GLET_ERR_INPUT when the document says another schema than one of `schemas` (ends with NULL): it is
 * another kind of file, and what else is in it would be no help. A missing schema is for
 * glet_yaml_fields() to report.
 */
GLET_MUST_CHECK
int glet_yaml_check_schema(const struct glet_yaml *yaml, const char *const *schemas,
                           struct glet_error *err);

/*
 * Stores the fields of a mapping in *out; what is absent and not required keeps its value, so put
 * the defaults there first. Refuses anything but a mapping, unknown keys (with a hint), missing
 * ones, wrong types and values out of range. On failure, texts stored so far are in *out.
 */
GLET_MUST_CHECK
int glet_yaml_fields(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                     const struct glet_yaml_field *fields, size_t count, void *out,
                     struct glet_error *err);

/* The same for one scalar: a list's item, say. field->key and offset are not used. */
GLET_MUST_CHECK
int glet_yaml_scalar(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                     const struct glet_yaml_field *field, void *out, struct glet_error *err);

/* What GLET_YAML_NAME accepts. */
bool glet_yaml_is_name(const char *text);

/* Checks that node is a list; that a list has at most `most` entries. */
GLET_MUST_CHECK
int glet_yaml_list(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                   struct glet_error *err);
GLET_MUST_CHECK
int glet_yaml_limit(const struct glet_yaml *yaml, const struct glet_yaml_node *list, size_t most,
                    struct glet_error *err);

/* "WHAT NAME is given twice" at node, with a hint where the first is; returns -1. */
int glet_yaml_twice(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                    const char *what, const char *name, struct glet_mark first,
                    struct glet_error *err);

#endif
