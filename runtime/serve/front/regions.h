/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_REGIONS_H
#define GLET_REGIONS_H

/*
 * The parts of POSIX shared memory objects that clients have registered, by name. A region is mapped
 * when it is registered; it is unmapped when it has been unregistered and the last request that
 * holds it has let go. Its owner may cut the object short at any time: what is there is touched
 * through shared_copy.h alone, or by GPUs, for which it is pinned as it is mapped where they read
 * memory in place (glet_service_pin()): those pages stay, whatever becomes of the object. Any thread.
 */

#include "common/error.h"
#include "runtime/serve/text.h"
#include "runtime/serve/v2/json_reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GLET_REGIONS_MOST = 1024 };

struct glet_regions;
struct glet_region;

struct glet_service;

/* Also makes glet_shared_copy() ready. The service is borrowed, for pinning. */
GLET_MUST_CHECK
int glet_regions_new(struct glet_service *service, struct glet_regions **out,
                     struct glet_error *err);
void glet_regions_free(struct glet_regions *regions); /* none is held; NULL is accepted */

/*
 * key names the object, as shm_open(3) has it, with or without its slash; a region is `bytes` of it
 * from offset on. GLET_ERR_INPUT: the name is taken, or the key is none, or there is no such object
 * for us; GLET_ERR_RANGE: the object has fewer bytes, or there are GLET_REGIONS_MOST regions;
 * GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_regions_register(struct glet_regions *regions, const char *name, const char *key,
                          uint64_t offset, uint64_t bytes, struct glet_error *err);
/* NULL = all; one that is not there is fine. */
void glet_regions_unregister(struct glet_regions *regions, const char *name);

/* The region of that name, until glet_region_release(); NULL = none. */
struct glet_region *glet_regions_hold(struct glet_regions *regions,
                                      const struct glet_json_string *name);
void glet_region_release(struct glet_region *region);

/* Where `bytes` from offset on are; NULL: they are not all in the region. */
void *glet_region_at(const struct glet_region *region, uint64_t offset, uint64_t bytes);
/* false: the object may only be read by us. */
bool glet_region_writable(const struct glet_region *region);
bool glet_region_pinned(const struct glet_region *region);

/* Triton's list of them: all (name NULL), or the one, false when there is none. */
bool glet_regions_list(struct glet_regions *regions, const char *name, struct glet_text *text);

#endif
