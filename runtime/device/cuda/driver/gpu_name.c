/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cuda/driver/gpu_name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_maker(const char *word)
{
    static const char *const makers[] = {"nvidia", "tesla", "geforce", "quadro"};
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++)
        if (strcmp(word, makers[i]) == 0)
            return true;
    return false;
}

/* "80gb", "hbm3", "hbm2e" */
static bool is_memory(const char *word)
{
    size_t digits = strspn(word, "0123456789");
    return (digits > 0 && strcmp(word + digits, "gb") == 0) || strncmp(word, "hbm", 3) == 0;
}

void glet_cuda_type_name(const char *name, char *type_out, size_t size)
{
    size_t used = 0;
    type_out[0] = '\0';
    for (;;) {
        char word[64];
        size_t length = 0;
        while (*name && !isalnum((unsigned char)*name))
            name++;
        if (!*name)
            return;
        for (; *name && !isspace((unsigned char)*name); name++)
            if (length + 1 < sizeof word)
                word[length++] = (char)tolower((unsigned char)*name);
        word[length] = '\0';
        if (is_maker(word) || is_memory(word) || used >= size)
            continue;
        int wrote = snprintf(type_out + used, size - used, "%s%s", used ? "-" : "", word);
        used += (size_t)wrote;
    }
}

bool glet_cuda_name_is_mig(const char *name)
{
    return strstr(name, " MIG ") != NULL;
}

void glet_cuda_uuid_text(const char *prefix, const unsigned char bytes[16], char text[48])
{
    static const int dashes[] = {4, 6, 8, 10};
    int used = snprintf(text, 48, "%s", prefix), dash = 0;
    for (int i = 0; i < 16; i++) {
        if (dash < 4 && i == dashes[dash]) {
            text[used++] = '-';
            dash++;
        }
        used += snprintf(text + used, 48 - (size_t)used, "%02x", bytes[i]);
    }
}
