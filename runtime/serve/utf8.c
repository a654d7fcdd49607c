/* SPDX-License-Identifier: Apache-2.0 */

/* Table 3-7 of the Unicode standard: the second byte's range depends on the first, the rest is
   80..BF. */

#include "runtime/serve/utf8.h"

static size_t tail(const unsigned char *at, size_t length, size_t bytes, unsigned char low,
                   unsigned char high)
{
    if (length < bytes || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

size_t glet_utf8_length(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;
    if (length == 0)
        return 0;
    unsigned char c = at[0];
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return tail(at, length, 2, 0x80, 0xbf);
    if (c >= 0xe0 && c <= 0xef)
        return tail(at, length, 3, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
    if (c >= 0xf0 && c <= 0xf4)
        return tail(at, length, 4, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
    return 0;
}
