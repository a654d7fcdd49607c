/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files of a folder, and over every prefix and some seeded mutations of
 * each: what was once found stays fixed, also where libFuzzer is not installed.
 */
#include "tests/fuzz/fuzz_common.h"

#include "common/file.h"
#include "common/random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MUTATIONS = 300, MOST_PREFIXES = 400 };

/* A fresh block of exactly this size, so that a checker sees every read beyond it. */
static void run(const char *text, size_t length)
{
    char *exact = malloc(length ? length : 1);
    if (!exact)
        abort();
    memcpy(exact, text, length);
    LLVMFuzzerTestOneInput((const uint8_t *)exact, length);
    free(exact);
}

static void mutate(const char *text, size_t length, struct glet_random *random)
{
    static const char interesting[] = "\n\r\t \"'{}[],:-&*!|>#%@`~0919.eE+_\\/";
    char *copy = malloc(length + 1);
    if (!copy)
        abort();
    memcpy(copy, text, length + 1);
    for (uint64_t edits = 1 + glet_random_below(random, 4); edits > 0 && length > 0; edits--) {
        size_t at = (size_t)glet_random_below(random, length);
        size_t other = (size_t)glet_random_below(random, length);
        uint64_t kind = glet_random_below(random, 4);
        if (kind == 0)
            copy[at] = interesting[glet_random_below(random, sizeof interesting - 1)];
        else if (kind == 1)
            copy[at] = (char)glet_random_below(random, 256);
        else if (kind == 2)
            memmove(copy + at, copy + other, length - (at > other ? at : other));
        else
            length = at;
    }
    run(copy, length);
    free(copy);
}

static int replay(const char *path)
{
    struct glet_error err;
    char *text;
    size_t length;
    if (glet_file_read(path, 1 << 20, &text, &length, &err) < 0) {
        glet_error_print(&err, stderr);
        return -1;
    }
    struct glet_random random = glet_random_seeded(length);
    size_t step = length / MOST_PREFIXES + 1;
    for (size_t prefix = 0; prefix < length; prefix += step)
        run(text, prefix);
    run(text, length);
    for (int i = 0; i < MUTATIONS; i++)
        mutate(text, length, &random);
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    int files = 0;
    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (replay(path) < 0)
            return 1;
        files++;
    }
    closedir(folder);
    printf("%d files replayed\n", files);
    return files > 0 ? 0 : 1;
}
