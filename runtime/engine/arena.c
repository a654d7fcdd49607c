/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator over blocks that double up to a limit: a model of a few nodes costs a few KiB,
 * one of thousands few calls of malloc. Blocks are never moved, so pointers stay good.
 */
#include "runtime/engine/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK_BYTES   4096u
#define LARGEST_BLOCK_BYTES 65536u

struct block {
    struct block *next;
    size_t used, capacity;
    alignas(max_align_t) unsigned char memory[];
};

struct glet_arena {
    struct block *head;
    size_t next_capacity;
};

struct glet_arena *glet_arena_new(void)
{
    struct glet_arena *arena = calloc(1, sizeof *arena);
    if (arena)
        arena->next_capacity = FIRST_BLOCK_BYTES;
    return arena;
}

void glet_arena_free(struct glet_arena *arena)
{
    if (!arena)
        return;
    for (struct block *block = arena->head; block;) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

static struct block *add_block(struct glet_arena *arena, size_t bytes)
{
    size_t capacity = bytes > arena->next_capacity ? bytes : arena->next_capacity;
    if (capacity > SIZE_MAX - sizeof(struct block))
        return NULL;
    struct block *block = calloc(1, sizeof *block + capacity);
    if (!block)
        return NULL;
    block->capacity = capacity;
    if (arena->next_capacity < LARGEST_BLOCK_BYTES)
        arena->next_capacity *= 2;
    /* A block made for one large piece is full: keep filling the current one. */
    if (arena->head && bytes == capacity) {
        block->next = arena->head->next;
        arena->head->next = block;
    } else {
        block->next = arena->head;
        arena->head = block;
    }
    return block;
}

void *glet_arena_alloc(struct glet_arena *arena, size_t bytes)
{
    const size_t grain = alignof(max_align_t);
    if (bytes > SIZE_MAX - grain)
        return NULL;
    bytes = bytes ? (bytes + grain - 1) / grain * grain : grain;
    struct block *block = arena->head;
    if (!block || block->capacity - block->used < bytes)
        block = add_block(arena, bytes);
    if (!block)
        return NULL;
    void *piece = block->memory + block->used;
    block->used += bytes;
    return piece;
}

void *glet_arena_array(struct glet_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return glet_arena_alloc(arena, bytes);
}

char *glet_arena_text(struct glet_arena *arena, const void *text, size_t bytes)
{
    if (bytes == SIZE_MAX)
        return NULL;
    char *copy = glet_arena_alloc(arena, bytes + 1);
    if (copy && bytes)
        memcpy(copy, text, bytes);
    return copy;
}
