/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_WRAP_H
#define GLET_COMMON_WRAP_H

#include <stdio.h>

/*
 * Prints text from column `at` on as words with a blank between them, and ends the line. Lines break
 * before column `edge`, unless a word alone is longer, and at newlines; each begins at `indent`.
 */
void glet_wrap(FILE *out, int edge, int at, int indent, const char *text);

#endif
