/* SPDX-License-Identifier: Apache-2.0 */
#include "common/file.h"

#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Reads to the end, and waits for as long as whoever writes takes. first_ms: for how long it waits
 * for a pipe that nobody has opened to write; -1 = for ever.
 */
static int read_all(int descriptor, const char *path, int first_ms, size_t limit_bytes,
                    char **text_out, size_t *length_out, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) char *text = NULL;
    size_t length = 0, capacity = 0;
    for (int wait_ms = first_ms;;) {
        /* One byte for the NUL; and one more than the limit, to see that there is more. */
        if (glet_reserve(&text, &capacity, length + 4096, 1, err) < 0)
            return -1;
        struct pollfd polled = {.fd = descriptor, .events = POLLIN};
        int ready = poll(&polled, 1, wait_ms);
        ssize_t got = ready < 0 ? -1 : read(descriptor, text + length, capacity - length - 1);
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return glet_error_errno(err, errno, "%s", path);
        if (got == 0 && ready == 0)
            return glet_error_set(err, GLET_ERR_IO, "%s: a pipe that nobody writes to", path);
        if (got == 0)
            break;
        if (got > 0 || errno == EAGAIN) /* the writer is there */
            wait_ms = -1;
        length += got > 0 ? (size_t)got : 0;
        if (length > limit_bytes)
            return glet_error_set(err, GLET_ERR_INPUT, "%s: larger than %zu bytes", path,
                                  limit_bytes);
    }
    text[length] = '\0';
    *text_out = GLET_STEAL(text);
    *length_out = length;
    return 0;
}

int glet_file_read(const char *path, size_t limit_bytes, char **text_out, size_t *length_out,
                   struct glet_error *err)
{
    enum { WRITER_MS = 1000 };
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", -1, limit_bytes, text_out, length_out, err);
    /* Opened to block, a pipe would wait for its writer right here. */
    GLET_CLEANUP(glet_cleanup_close)
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return glet_error_errno(err, errno, "%s", path);
    return read_all(descriptor, path, WRITER_MS, limit_bytes, text_out, length_out, err);
}

static bool is_written_directly(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* mkstemp() makes files only their owner can read; give what open() would have given. */
static void allow_as_umask(int descriptor, const char *final_path)
{
    struct stat status;
    mode_t mode;
    if (stat(final_path, &status) == 0) {
        mode = status.st_mode & 0777;
    } else {
        mode_t mask = umask(0);
        umask(mask);
        mode = 0666 & ~mask;
    }
    if (fchmod(descriptor, mode) < 0)
        return; /* a file system without modes: nothing to keep */
}

/* The path itself, or the file that a link there leads to: the link stays. */
static char *behind_link(const char *path, struct glet_error *err)
{
    struct stat status;
    bool link = lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
    char *target = link ? realpath(path, NULL) : NULL;
    return target ? target : glet_strdup(path, err);
}

int glet_output_open(struct glet_output *output, const char *path, struct glet_error *err)
{
    *output = (struct glet_output){NULL, NULL, NULL};
    GLET_CLEANUP(glet_cleanup_free) char *final_path = behind_link(path, err);
    GLET_CLEANUP(glet_cleanup_free) char *temporary = NULL;
    GLET_CLEANUP(glet_cleanup_close) int descriptor = -1;
    if (!final_path)
        return -1;
    if (strcmp(path, "-") == 0) {
        descriptor = dup(STDOUT_FILENO);
    } else if (is_written_directly(path)) {
        descriptor = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        temporary = glet_format(err, "%s.XXXXXX", final_path);
        if (!temporary)
            return -1;
        descriptor = mkostemp(temporary, O_CLOEXEC);
        if (descriptor >= 0)
            allow_as_umask(descriptor, path);
    }
    if (descriptor < 0)
        return glet_error_errno(err, errno, "%s", path);
    output->stream = fdopen(descriptor, "w");
    if (!output->stream)
        return glet_error_errno(err, errno, "%s", path);
    descriptor = -1;
    output->path = GLET_STEAL(final_path);
    output->temporary = GLET_STEAL(temporary);
    return 0;
}

int glet_output_check(const char *path, struct glet_error *err)
{
    GLET_CLEANUP(glet_output_discard) struct glet_output output = {0};
    if (!path || strcmp(path, "-") == 0 || is_written_directly(path))
        return 0; /* opening a pipe may already mean something to its other end */
    return glet_output_open(&output, path, err);
}

int glet_output_commit(struct glet_output *output, struct glet_error *err)
{
    FILE *stream = GLET_STEAL(output->stream);
    int failed = 0, cause = 0;
    if (fflush(stream) != 0 || ferror(stream))
        failed = 1, cause = errno;
    if (!failed && output->temporary && fsync(fileno(stream)) < 0)
        failed = 1, cause = errno;
    if (fclose(stream) != 0 && !failed)
        failed = 1, cause = errno;
    if (!failed && output->temporary && rename(output->temporary, output->path) < 0)
        failed = 1, cause = errno;
    if (failed)
        glet_error_errno(err, cause ? cause : EIO, "%s", output->path);
    else
        free(GLET_STEAL(output->temporary));
    glet_output_discard(output);
    return failed ? -1 : 0;
}

void glet_output_discard(struct glet_output *output)
{
    glet_cleanup_fclose(&output->stream);
    if (output->temporary)
        unlink(output->temporary);
    free(output->temporary);
    free(output->path);
    *output = (struct glet_output){NULL, NULL, NULL};
}

int glet_file_write(const char *path, const void *data, size_t length_bytes, struct glet_error *err)
{
    GLET_CLEANUP(glet_output_discard) struct glet_output output = {NULL, NULL, NULL};
    if (glet_output_open(&output, path, err) < 0)
        return -1;
    if (length_bytes > 0 && fwrite(data, 1, length_bytes, output.stream) != length_bytes)
        return glet_error_errno(err, errno, "%s", path);
    return glet_output_commit(&output, err);
}

char *glet_path_beside(const char *mentioned_in, const char *path, struct glet_error *err)
{
    const char *slash = mentioned_in ? strrchr(mentioned_in, '/') : NULL;
    if (path[0] == '/' || !slash)
        return glet_strdup(path, err);
    return glet_format(err, "%.*s/%s", (int)(slash - mentioned_in), mentioned_in, path);
}

/* The path without links where it exists, made absolute where it does not; NULL = failed. */
static char *absolute(const char *path)
{
    char *real = realpath(path, NULL), *here = NULL, *out = NULL;
    if (real)
        return real;
    if (path[0] == '/')
        return strdup(path);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    here = realpath(".", NULL);
    if (!here || asprintf(&out, "%s/%s", here, path) < 0)
        out = NULL;
    free(here);
    return out;
}

char *glet_path_from(const char *mentioned_in, const char *path, struct glet_error *err)
{
    if (path[0] == '/' || !mentioned_in || strcmp(mentioned_in, "-") == 0) {
        char *same = strdup(path);
        if (!same)
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return same;
    }
    const char *slash = strrchr(mentioned_in, '/');
    char *folder = slash ? strndup(mentioned_in, (size_t)(slash - mentioned_in) + 1) : strdup(".");
    char *from = folder ? absolute(folder) : NULL, *to = absolute(path), *out = NULL;
    if (!from || !to) {
        glet_error_set(err, GLET_ERR_IO, "%s: the current folder cannot be found", path);
    } else {
        size_t common = 0, ups = 0; /* common: up to and with the last slash both share */
        if (strcmp(from, "/") == 0)
            from[0] = '\0';
        size_t i = 0;
        for (; from[i] && from[i] == to[i]; i++)
            common = from[i] == '/' ? i : common;
        if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/'))
            common = i;
        for (size_t at = common; from[at]; at++)
            ups += from[at] == '/';
        const char *rest = to[common] == '/' ? to + common + 1 : to + common;
        out = malloc(3 * ups + strlen(rest) + 2);
        if (out) {
            out[0] = '\0';
            for (size_t up = 0; up < ups; up++)
                strcat(out, "../");
            strcat(out, *rest ? rest : ups ? "" : ".");
        } else {
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        }
    }
    free(folder);
    free(from);
    free(to);
    return out;
}
