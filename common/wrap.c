/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wrap.h"

#include <stdbool.h>
#include <string.h>

void glet_wrap(FILE *out, int edge, int at, int indent, const char *text)
{
    bool first = true;
    for (;;) {
        text += strspn(text, " ");
        int length = (int)strcspn(text, " \n");
        if (length == 0 && !*text)
            break;
        if (*text == '\n') {
            fprintf(out, "\n%s%*s", text[1] == '\n' ? "\n" : "", indent, "");
            text += strspn(text, "\n");
            at = indent;
            first = true;
            continue;
        }
        if (!first && at + 1 + length > edge) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        at += fprintf(out, "%s%.*s", first ? "" : " ", length, text);
        first = false;
        text += length;
    }
    putc('\n', out);
}
