/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_MEMORY_H
#define GLET_COMMON_MEMORY_H

/*
 * Allocation that reports GLET_ERR_NOMEM, and helpers for GLET_CLEANUP. Whatever is returned is
 * the caller's to free(). Safe from any thread.
 */

#include "common/error.h"

#include <stddef.h>

/* count x size_bytes zeroed bytes; never NULL on success, also for 0; overflow is an error. */
GLET_MUST_CHECK
void *glet_alloc(size_t count, size_t size_bytes, struct glet_error *err);

GLET_MUST_CHECK
char *glet_strdup(const char *text, struct glet_error *err);

GLET_MUST_CHECK
char *glet_format(struct glet_error *err, const char *format, ...) GLET_PRINTF(2, 3);

/*
 * Makes room for at least `wanted` items in a growing array: items is a pointer to the array
 * pointer, *capacity counts its items. Grows by doubling; new items are not initialised; on
 * failure the array is as before.
 */
GLET_MUST_CHECK
int glet_reserve(void *items, size_t *capacity, size_t wanted, size_t size_bytes,
                 struct glet_error *err);

/* For GLET_CLEANUP: frees a pointer variable of any type; closes a descriptor unless negative;
   closes a stream unless NULL. */
void glet_cleanup_free(void *pointer_to_pointer);
void glet_cleanup_close(int *descriptor);
void glet_cleanup_fclose(FILE **stream);

#endif
