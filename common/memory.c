/* SPDX-License-Identifier: Apache-2.0 */
#include "common/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *check(void *block, struct glet_error *err)
{
    if (!block)
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    return block;
}

void *glet_alloc(size_t count, size_t size_bytes, struct glet_error *err)
{
    return check(calloc(count ? count : 1, size_bytes ? size_bytes : 1), err);
}

char *glet_strdup(const char *text, struct glet_error *err)
{
    return check(strdup(text), err);
}

char *glet_format(struct glet_error *err, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return check(text, err);
}

int glet_reserve(void *items, size_t *capacity, size_t wanted, size_t size_bytes,
                 struct glet_error *err)
{
    if (wanted <= *capacity)
        return 0;
    size_t grown = *capacity > SIZE_MAX / 2 ? wanted : 2 * *capacity;
    if (grown < wanted)
        grown = wanted;
    if (grown < 8)
        grown = 8;
    if (size_bytes > 0 && grown > SIZE_MAX / size_bytes) {
        check(NULL, err);
        return -1;
    }
    void *old, *block;
    memcpy(&old, items, sizeof old); /* a `T **` cannot be read as a `void **` */
    block = check(realloc(old, grown * size_bytes), err);
    if (!block)
        return -1;
    memcpy(items, &block, sizeof block);
    *capacity = grown;
    return 0;
}

void glet_cleanup_free(void *pointer_to_pointer)
{
    void *block;
    memcpy(&block, pointer_to_pointer, sizeof block);
    free(block);
}

void glet_cleanup_close(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

void glet_cleanup_fclose(FILE **stream)
{
    if (*stream)
        fclose(*stream);
}
