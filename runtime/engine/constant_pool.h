/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_CONSTANT_POOL_H
#define GLET_ENGINE_CONSTANT_POOL_H

/*
 * Constants that binding computes (folded shape arithmetic, convolution weights with a batch
 * normalisation in them), kept for the life of the model, so that graphs of different batches have
 * the same pointer for the same constant. Safe from any thread.
 */

#include <stddef.h>
#include <stdint.h>

struct glet_constant_pool;

struct glet_constant_pool *glet_constant_pool_new(void);       /* NULL = out of memory */
void glet_constant_pool_free(struct glet_constant_pool *pool); /* NULL is accepted */

/* The pool's copy of these bytes: one for equal contents. NULL = out of memory. */
const void *glet_constant_pool_intern(struct glet_constant_pool *pool, const void *bytes,
                                      size_t length_bytes);

/*
 * The constant that `compute` makes from `key` (key_bytes of plain data that name everything it
 * depends on): computed the first time, found afterwards. compute fills out[length_bytes] and must
 * not use the pool. NULL = out of memory.
 */
const void *glet_constant_pool_derive(struct glet_constant_pool *pool, const void *key,
                                      size_t key_bytes, size_t length_bytes,
                                      void (*compute)(void *context, void *out), void *context);

#endif
