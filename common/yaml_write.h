/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_YAML_WRITE_H
#define GLET_COMMON_YAML_WRITE_H

/*
 * Scalars for those who write YAML line by line: what is written reads back as the same value, with
 * yaml_read.h and with any other reader of YAML 1.1 or 1.2. Errors stick to the stream.
 */

#include <stdio.h>

/* Text between `before` and `after`, in double quotes where it could be taken for anything else. */
void glet_yaml_put_text(FILE *out, const char *before, const char *text, const char *after);

/* A finite double with the fewest digits that read back. */
void glet_yaml_put_double(FILE *out, const char *before, double value, const char *after);

#endif
