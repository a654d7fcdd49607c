/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as text: the engine, and the bytes of the graph as hexadecimal digits. */
#include "tests/doubles/cuda/fake_cudnn_state.h"

#include <stdio.h>
#include <string.h>

static const char HEAD[] = "{\"engine\":%d,\"tensors\":%d,\"operations\":%d,\"graph\":\"";
static const char TAIL[] = "\"}";

/* Appends as snprintf() does: how long it would be. */
static size_t put_bytes(char *text, size_t size, size_t at, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++, at += 2)
        if (at + 2 < size)
            snprintf(text + at, 3, "%02x", ((const unsigned char *)bytes)[i]);
    return at;
}

static const char *get_bytes(const char *text, void *bytes, size_t count)
{
    for (size_t i = 0; text && i < count; i++, text += 2) {
        unsigned value;
        if (strspn(text, "0123456789abcdef") < 2 || sscanf(text, "%2x", &value) != 1)
            return NULL;
        ((unsigned char *)bytes)[i] = (unsigned char)value;
    }
    return text;
}

int fake_cudnn_write(char *text, size_t size, int engine, const struct fake_program *program)
{
    char head[128];
    int length =
        snprintf(head, sizeof head, HEAD, engine, program->tensor_count, program->operation_count);
    size_t at = (size_t)length;
    if (size > 0)
        snprintf(text, size, "%s", head);
    at = put_bytes(text, size, at, program->tensors,
                   (size_t)program->tensor_count * sizeof program->tensors[0]);
    at = put_bytes(text, size, at, program->operations,
                   (size_t)program->operation_count * sizeof program->operations[0]);
    if (at + sizeof TAIL <= size)
        memcpy(text + at, TAIL, sizeof TAIL);
    return (int)(at + sizeof TAIL - 1);
}

const struct fake_program *fake_cudnn_read(const char *text, int *engine_out)
{
    struct fake_program *p = fake_library_keep(sizeof *p);
    const char *digits = strstr(text, "\"graph\":\"");
    enum { TENSORS = sizeof p->tensors / sizeof p->tensors[0] };
    enum { OPERATIONS = sizeof p->operations / sizeof p->operations[0] };
    if (!digits || sscanf(text, HEAD, engine_out, &p->tensor_count, &p->operation_count) != 3 ||
        p->tensor_count < 0 || p->tensor_count > TENSORS || p->operation_count < 1 ||
        p->operation_count > OPERATIONS)
        return NULL;
    digits = get_bytes(digits + strlen("\"graph\":\""), p->tensors,
                       (size_t)p->tensor_count * sizeof p->tensors[0]);
    digits = get_bytes(digits, p->operations, (size_t)p->operation_count * sizeof p->operations[0]);
    return digits && strcmp(digits, TAIL) == 0 ? p : NULL;
}
