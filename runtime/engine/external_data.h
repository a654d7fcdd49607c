/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_EXTERNAL_DATA_H
#define GLET_ENGINE_EXTERNAL_DATA_H

/*
 * The files beside a model that hold its weights, mapped on first use. A location is a path
 * relative to the model's folder: absolute paths, "..", and symbolic links are refused, so a model
 * cannot read what lies elsewhere. Not shared between threads.
 */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct glet_external;

/* A read-only mapping of a whole regular file. */
struct glet_mapping {
    const uint8_t *bytes;
    size_t length_bytes;
};

/* Maps an open file, which may be closed afterwards. `path` is for messages. GLET_ERR_IO;
   GLET_ERR_INPUT: empty, or not a regular file. */
GLET_MUST_CHECK
int glet_mapping_open(int descriptor, const char *path, struct glet_mapping *out,
                      struct glet_error *err);
void glet_mapping_close(struct glet_mapping *mapping); /* a zeroed mapping is accepted */

/* model_path: borrowed for the call. NULL = out of memory. */
struct glet_external *glet_external_new(const char *model_path);
void glet_external_free(struct glet_external *external); /* NULL is accepted */

/*
 * The whole file at `location`, valid until glet_external_free(). GLET_ERR_INPUT (leaves the
 * folder, a link, not a regular file), GLET_ERR_IO, GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_external_map(struct glet_external *external, const char *location,
                      struct glet_mapping *out, struct glet_error *err);

/* The files mapped so far, in the order of their first use. */
size_t glet_external_count(const struct glet_external *external);
struct glet_mapping glet_external_at(const struct glet_external *external, size_t index);

#endif
