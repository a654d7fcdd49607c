/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml_write.h"

#include "common/json.h"
#include "common/number.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Words that some version of YAML takes for a bool or a null. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* Starts like a word or a path, and goes on like one. All else is quoted, needed or not. */
static bool is_plain(const char *text)
{
    const char *c = text + strspn(text, "./");
    if (!isalpha((unsigned char)*c) && *c != '_')
        return false;
    if (c == text + 1 && *text == '.') /* .inf, .nan */
        return false;
    for (; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_./-+", *c))
            return false;
    return !is_reserved(text);
}

void glet_yaml_put_text(FILE *out, const char *before, const char *text, const char *after)
{
    fputs(before, out);
    if (is_plain(text))
        fputs(text, out);
    else
        glet_json_quote(out, text);
    fputs(after, out);
}

void glet_yaml_put_double(FILE *out, const char *before, double value, const char *after)
{
    char text[GLET_DOUBLE_CHARS];
    fprintf(out, "%s%s%s", before, glet_format_double(text, value), after);
}
