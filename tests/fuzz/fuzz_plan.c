/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz_common.h"

#include "common/plan_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *written(const struct glet_plan *plan, size_t *length)
{
    struct glet_error err;
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out || glet_plan_write(plan, out, &err) < 0 || fclose(out) != 0)
        abort();
    return text;
}

/* A plan that was accepted is accepted again as written, and is then written the same way. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glet_plan *plan, *again;
    struct glet_error err = {0};
    size_t first_length, second_length;
    if (glet_plan_parse((const char *)data, size, "fuzz", &plan, &err) < 0) {
        if (err.code == GLET_OK || err.code == GLET_ERR_INTERNAL || !err.message[0])
            abort();
        return 0;
    }
    char *first = written(plan, &first_length);
    if (glet_plan_parse(first, first_length, "again", &again, &err) < 0)
        abort();
    char *second = written(again, &second_length);
    if (first_length != second_length || memcmp(first, second, first_length) != 0)
        abort();
    free(first);
    free(second);
    glet_plan_free(plan);
    glet_plan_free(again);
    return 0;
}
