/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a profile as a folder of CSVs, all or nothing. The folder is prepared under a temporary
 * name beside its final one and flushed to disk; then one rename makes it visible. Where a folder
 * of that name exists, the two are exchanged (renameat2) and the old one is deleted, so that there
 * is no moment without a complete folder.
 */
#include "common/csv.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/profile/profile_csv.h"
#include "common/profile/profile_schema.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_rows(const struct glet_profile *profile, const struct glet_schema_table *table,
                      FILE *stream, struct glet_error *err)
{
    struct glet_csv_writer writer = {stream, false};
    for (int c = 0; c < table->column_count; c++)
        glet_csv_put(&writer, table->columns[c].name);
    glet_csv_end_row(&writer);
    const char *row = glet_schema_rows(profile, table);
    for (size_t i = glet_schema_row_count(profile, table); i > 0; i--, row += table->row_bytes) {
        for (int c = 0; c < table->column_count; c++) {
            const struct glet_schema_column *column = &table->columns[c];
            char *scratch = NULL;
            if (column->kind == GLET_COLUMN_INT) {
                glet_csv_put_int(&writer, (int64_t)glet_schema_number(column, row));
            } else if (column->kind == GLET_COLUMN_REAL) {
                glet_csv_put_double(&writer, glet_schema_number(column, row));
            } else {
                const char *text = glet_schema_text(profile, column, row, &scratch, err);
                if (!text)
                    return -1;
                glet_csv_put(&writer, text);
            }
            free(scratch);
        }
        glet_csv_end_row(&writer);
    }
    return 0;
}

static int write_table(const struct glet_profile *profile, const struct glet_schema_table *table,
                       const char *folder, struct glet_error *err)
{
    if (table->optional && glet_schema_row_count(profile, table) == 0)
        return 0;
    GLET_CLEANUP(glet_cleanup_free) char *file = glet_format(err, "%s/%s.csv", folder, table->name);
    if (!file)
        return -1;
    GLET_CLEANUP(glet_output_discard) struct glet_output output = {0};
    if (glet_output_open(&output, file, err) < 0 ||
        write_rows(profile, table, output.stream, err) < 0)
        return -1;
    return glet_output_commit(&output, err);
}

static bool is_ours(const char *name)
{
    for (int t = 0; t < GLET_SCHEMA_COUNT; t++) {
        size_t length = strlen(glet_profile_tables[t].name);
        if (strncmp(name, glet_profile_tables[t].name, length) == 0 &&
            strcmp(name + length, ".csv") == 0)
            return true;
    }
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes our files of a folder and the folder itself; what cannot be removed stays. */
static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir) {
        struct dirent *entry;
        while ((entry = readdir(dir)))
            if (entry->d_type != DT_DIR)
                (void)unlinkat(dirfd(dir), entry->d_name, 0);
        closedir(dir);
    }
    (void)rmdir(folder);
}

/* 1 = there is a folder that may be replaced, 0 = there is nothing, -1 = neither. */
static int may_replace(const char *folder, struct glet_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        if (errno == ENOENT)
            return 0;
        return glet_error_errno(err, errno, "%s", folder);
    }
    struct dirent *entry;
    int rc = 1;
    while (rc == 1 && (entry = readdir(dir)))
        if (!is_ours(entry->d_name)) {
            rc = glet_error_set(err, GLET_ERR_IO, "%s: holds '%.100s', which is not of a profile",
                                folder, entry->d_name);
            glet_error_hint(err, "export to a new folder");
        }
    closedir(dir);
    return rc;
}

static int flush_folder(const char *folder, struct glet_error *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? glet_error_errno(err, errno, "%s", folder) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Gives the complete folder its final name. */
static int publish(const char *temporary, const char *folder, bool replace, struct glet_error *err)
{
    if (!replace) {
        if (rename(temporary, folder) == 0)
            return 0;
        return glet_error_errno(err, errno, "%s", folder);
    }
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, folder, RENAME_EXCHANGE) == 0) {
        remove_folder(temporary);
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return glet_error_errno(err, errno, "%s", folder);
    /* A file system that cannot exchange: file by file, each of them complete. */
    for (int t = 0; t < GLET_SCHEMA_COUNT; t++) {
        char from[4096], to[4096];
        const char *name = glet_profile_tables[t].name;
        if (snprintf(from, sizeof from, "%s/%s.csv", temporary, name) >= (int)sizeof from ||
            snprintf(to, sizeof to, "%s/%s.csv", folder, name) >= (int)sizeof to)
            return glet_error_set(err, GLET_ERR_IO, "%s: path too long", folder);
        if (rename(from, to) < 0 && (errno != ENOENT || (unlink(to) < 0 && errno != ENOENT)))
            return glet_error_errno(err, errno, "%s", to);
    }
    remove_folder(temporary);
    return 0;
}

int glet_profile_csv_export(const struct glet_profile *profile, const char *folder,
                            struct glet_error *err)
{
    /* Of a link, the folder that it names is exchanged and not the link; "." has a name, too. */
    GLET_CLEANUP(glet_cleanup_free) char *path = realpath(folder, NULL);
    if (!path && !(path = glet_strdup(folder, err)))
        return -1;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    int replace = may_replace(path, err);
    if (replace < 0)
        return -1;
    GLET_CLEANUP(glet_cleanup_free) char *temporary = glet_format(err, "%s.XXXXXX", path);
    if (!temporary)
        return -1;
    if (!mkdtemp(temporary))
        return glet_error_errno(err, errno, "%s", path);
    int rc = chmod(temporary, 0755) < 0 ? glet_error_errno(err, errno, "%s", temporary) : 0;
    for (int t = 0; rc == 0 && t < GLET_SCHEMA_COUNT; t++)
        rc = write_table(profile, &glet_profile_tables[t], temporary, err);
    if (rc == 0)
        rc = flush_folder(temporary, err);
    if (rc == 0)
        rc = publish(temporary, path, replace == 1, err);
    if (rc < 0)
        remove_folder(temporary);
    return rc;
}
