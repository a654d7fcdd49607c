/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_ARENA_H
#define GLET_ENGINE_ARENA_H

/*
 * Memory that is freed all at once: what a parsed file or a bound graph consists of. Everything
 * comes zeroed and aligned for any type. Not shared between threads.
 */

#include <stddef.h>
#include <stdint.h>

struct glet_arena;

/* NULL = out of memory. The arena itself is heap memory. */
struct glet_arena *glet_arena_new(void);
void glet_arena_free(struct glet_arena *arena); /* NULL is accepted */

/* Zeroed; one byte at least, so that success is never NULL; NULL = out of memory. */
void *glet_arena_alloc(struct glet_arena *arena, size_t bytes);

/* Array of count elements; NULL also when count * size overflows. */
void *glet_arena_array(struct glet_arena *arena, size_t count, size_t size);

/* A NUL-terminated copy of `bytes` bytes. */
char *glet_arena_text(struct glet_arena *arena, const void *text, size_t bytes);

#endif
