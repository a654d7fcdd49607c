/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_FILE_H
#define GLET_COMMON_FILE_H

/*
 * Whole files in, whole files out. Paths are borrowed for the call; "-" is standard input or
 * output. Errors are GLET_ERR_IO with path and cause, GLET_ERR_INPUT (too large), GLET_ERR_NOMEM.
 */

#include "common/error.h"

#include <stddef.h>

/*
 * Reads all of path. *text_out is the caller's to free() and ends in a NUL that *length_out does
 * not count (the file may hold others). A file of more than limit_bytes is refused.
 */
GLET_MUST_CHECK
int glet_file_read(const char *path, size_t limit_bytes, char **text_out, size_t *length_out,
                   struct glet_error *err);

/*
 * A file that appears only when it is complete: written beside its final path, flushed to disk,
 * then renamed over it. A reader, or a program started after a crash, sees the old file or the new
 * one. A path that is not a regular file (a pipe, /dev/stdout) is written directly; of a link, the
 * file it leads to is replaced.
 */
struct glet_output {
    FILE *stream;    /* write here */
    char *path;      /* final path */
    char *temporary; /* NULL when written directly */
};

GLET_MUST_CHECK
int glet_output_open(struct glet_output *output, const char *path, struct glet_error *err);

/*
 * Whether path is likely to open later, for programs that work long before they write: fails as
 * glet_output_open() where a regular file cannot be made. NULL is accepted, and nothing is left.
 */
GLET_MUST_CHECK
int glet_output_check(const char *path, struct glet_error *err);

/* Makes the file visible and closes output, also on failure. */
GLET_MUST_CHECK
int glet_output_commit(struct glet_output *output, struct glet_error *err);

/* Throws away what was not committed; a zeroed or committed output is accepted. For GLET_CLEANUP. */
void glet_output_discard(struct glet_output *output);

/* The three steps at once. */
GLET_MUST_CHECK
int glet_file_write(const char *path, const void *data, size_t length_bytes,
                    struct glet_error *err);

/*
 * `path` as meant by a file that mentions it: an absolute path as it is, any other relative to the
 * folder of `mentioned_in` ("-" and NULL: the current folder). The caller frees it.
 */
GLET_MUST_CHECK
char *glet_path_beside(const char *mentioned_in, const char *path, struct glet_error *err);

/*
 * The other way: what a file at `mentioned_in` must say to mean `path`, which is relative to the
 * current folder. An absolute path stays as it is. GLET_ERR_IO when the current folder is unknown.
 * The caller frees it.
 */
GLET_MUST_CHECK
char *glet_path_from(const char *mentioned_in, const char *path, struct glet_error *err);

#endif
