/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/space/scratch.h"

#include <stdio.h>
#include <stdlib.h>

static void *checked(void *memory)
{
    if (!memory) {
        fputs("plan: out of memory\n", stderr);
        exit(4);
    }
    return memory;
}

void *glet_must_alloc(size_t size, size_t count)
{
    return checked(calloc(count ? count : 1, size));
}

void *glet_must_resize(void *list, size_t size, size_t count)
{
    return checked(reallocarray(list, count ? count : 1, size));
}
