/* SPDX-License-Identifier: Apache-2.0 */

#include "runtime/serve/front/bearer.h"

#include "common/file.h"
#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SHORTEST 16 /* below it, a token is guessed */

int glet_bearer_load(const char *path, struct glet_bearer *out, struct glet_error *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return glet_error_errno(err, errno, "%s", path);
    if (status.st_mode & (S_IROTH | S_IWOTH)) {
        glet_error_set(err, GLET_ERR_INPUT, "%s: the token can be read or written by every user",
                       path);
        return glet_error_hint(err, "chmod 600 %s", path);
    }
    GLET_CLEANUP(glet_cleanup_free) char *text = NULL;
    size_t length = 0;
    if (glet_file_read(path, 4096, &text, &length, err) < 0)
        return -1;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] > '~')
            return glet_error_set(err, GLET_ERR_INPUT,
                                  "%s: a token is one line of printable characters", path);
    if (length < SHORTEST || length >= sizeof out->token)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: a token has %d to %zu characters", path,
                              SHORTEST, sizeof out->token - 1);
    memcpy(out->token, text, length);
    out->length = length;
    return 0;
}

bool glet_bearer_accepts(const struct glet_bearer *bearer, const struct glet_http_head *head)
{
    if (bearer->length == 0)
        return true;
    const struct glet_slice *value = glet_http_head_find(head, "authorization");
    if (!value || value->length != 7 + bearer->length || strncasecmp(value->data, "bearer ", 7))
        return false;
    unsigned char different = 0;
    for (size_t i = 0; i < bearer->length; i++)
        different |= (unsigned char)(value->data[7 + i] ^ bearer->token[i]);
    return different == 0;
}
