/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_REGION_H
#define GLET_LOAD_REGION_H

/*
 * Memory shared with servers on this machine: a POSIX shared memory object that a server maps when
 * the region of the same name is registered with it (Triton's system shared memory extension). Once
 * every server has, the object's name can go: nothing is left behind then, whatever happens.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct glet_load_region {
    char name[64]; /* of the region, and of the object; empty = not shared */
    bool outputs_too;
    char *memory; /* NULL until it is created */
    size_t bytes;
};

/* Gives it a name that nobody else has. */
void glet_load_region_name(struct glet_load_region *region, size_t number);

GLET_MUST_CHECK
int glet_load_region_create(struct glet_load_region *region, size_t bytes, struct glet_error *err);

/* The object has no name any more, but stays where it is mapped. */
void glet_load_region_unlink(struct glet_load_region *region);

/* Unlinks and unmaps what is there. */
void glet_load_region_fini(struct glet_load_region *region);

/* The requests that a server knows it by and forgets it by; the caller's to free. */
GLET_MUST_CHECK
char *glet_load_region_register(const struct glet_load_region *region, const char *host,
                                struct glet_error *err);
GLET_MUST_CHECK
char *glet_load_region_unregister(const struct glet_load_region *region, const char *host,
                                  struct glet_error *err);

#endif
