/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz_common.h"

#include "benchmarks/load/infer_request.h"

#include <stdlib.h>
#include <string.h>

/* What a server says about a model becomes a request, or an error that says why not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glet_error err = {0};
    struct glet_infer_request request;
    struct glet_random random = glet_random_seeded(1);
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    if (glet_infer_request_init(&request, "h:1", "m", text, &random, NULL, &err) == 0) {
        if (request.variants == 0 || memcmp(request.bytes[0], "POST ", 5) != 0)
            abort();
    } else if (err.code == GLET_OK || !err.message[0]) {
        abort();
    }
    glet_infer_request_fini(&request);
    free(text);
    return 0;
}
