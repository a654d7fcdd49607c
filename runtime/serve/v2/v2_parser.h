/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_V2_PARSER_H
#define GLET_V2_PARSER_H

/* What the two halves of the request's parser share; private to it. Its functions return false when
   the request is refused: then either the reader or err says why. */

#include "runtime/serve/v2/json_reader.h"
#include "runtime/serve/v2/v2_request.h"

#define GLET_V2_ALIGNMENT 64   /* of tensors that came as JSON */
#define GLET_V2_UNSAID    (-1) /* an output goes as the request's binary_data_output says */

struct glet_v2_parser {
    struct glet_json_reader reader;
    const struct glet_v2_model *model;
    struct glet_v2_request *out;
    struct glet_error *err;
    const char *tail, *tail_end; /* binary tensors not yet taken */
    char *json;                  /* room for JSON tensors not yet taken */
    bool binary_output;          /* the request's binary_data_output */
    bool has_outputs;
    int said_binary[GLET_V2_MAX_TENSORS]; /* per output of `out`: 0, 1, or GLET_V2_UNSAID */
};

/* Refuses with this message; returns false. */
bool glet_v2_fail(struct glet_v2_parser *p, enum glet_code code, const char *format, ...)
    GLET_PRINTF(3, 4);

/* Marks a key as seen; a second time is refused. */
bool glet_v2_once(struct glet_v2_parser *p, unsigned *seen, unsigned bit, const char *key);

/* Its index, or -1. */
int glet_v2_find(const struct glet_v2_tensor *tensors, size_t count,
                 const struct glet_json_string *name);

/* How much of a client's text a message repeats. */
int glet_v2_shown(const struct glet_json_string *string);

/*
 * The members of "parameters" that say where in shared memory a tensor is. A new one is {0}.
 * glet_v2_place_member() reads one of them, *fine tells whether that went well, or returns false for
 * any other key; glet_v2_place_check() is for when all have been read.
 */
struct glet_v2_place_reader {
    struct glet_v2_place place;
    unsigned seen;
};
bool glet_v2_place_member(struct glet_v2_parser *p, struct glet_v2_place_reader *reader,
                          const struct glet_json_string *key, bool *fine);
bool glet_v2_place_check(struct glet_v2_parser *p, const struct glet_v2_place_reader *reader);

/* The value of "inputs". */
bool glet_v2_read_inputs(struct glet_v2_parser *p);

/* A BOOL is 0 or 1 in binary too. */
bool glet_v2_check_booleans(struct glet_v2_parser *p, const struct glet_v2_tensor *tensor,
                            const void *data, size_t bytes);

#endif
