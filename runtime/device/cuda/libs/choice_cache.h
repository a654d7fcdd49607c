/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_CHOICE_CACHE_H
#define GLET_CUDA_CHOICE_CACHE_H

/*
 * Which of a library's plans was the fastest, kept in memory and in a folder: a key (the GPU, the
 * versions, the shape, the SMs) and a value, both text. One file per key, named by the key's digest,
 * so that processes share a folder without locks. A file that is not what was written is ignored
 * with one line in the log. Safe from any thread.
 */

#include "common/error.h"

struct glet_choice_cache;

/* folder: NULL = memory only; borrowed for the call. */
GLET_MUST_CHECK
int glet_choice_cache_new(const char *folder, struct glet_choice_cache **out,
                          struct glet_error *err);
void glet_choice_cache_free(struct glet_choice_cache *cache); /* NULL is accepted */

/* The value, the caller's to free(); NULL: not known. */
char *glet_choice_cache_get(struct glet_choice_cache *cache, const char *key);
/* A value that cannot be kept is only a line in the log. */
void glet_choice_cache_put(struct glet_choice_cache *cache, const char *key, const char *value);

#endif
