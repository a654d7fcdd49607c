/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite side of profiles; the only file that knows SQLite.
 *
 * Schema. One STRICT table per table of profile_schema.c, named and typed as there (a unit test
 * compares the two), keyed by what makes a row unique, plus an index for "all points of a model".
 * Names are stored as text in every row: a store is small (a sweep of ten models has some thousand
 * points), and `sqlite3 profiles.db 'select * from latency'` stays readable. application_id marks
 * the file as ours; user_version counts schema versions, and a newer one than ours is refused
 * before anything is read.
 *
 * Durability. Rollback journal, synchronous=FULL, BEGIN IMMEDIATE: a transaction takes the write
 * lock at once instead of failing in its middle. No WAL: it would leave -wal and -shm files beside
 * a store that is copied around, and does not work on network file systems.
 */
#include "profiles/store.h"

#include "common/file.h"
#include "common/memory.h"
#include "common/profile/profile_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SCHEMA_VERSION = 2,
    APPLICATION_ID = 0x676c6574, /* "glet" */
    LOCK_WAIT_MS = 5000,
};

static const char schema[] =
    "CREATE TABLE devices ("
    " gpu TEXT PRIMARY KEY, mechanism TEXT NOT NULL, sm_count INTEGER NOT NULL,"
    " units INTEGER NOT NULL, max_gpulets INTEGER NOT NULL, memory_mib REAL NOT NULL,"
    " context_mib REAL NOT NULL, layouts TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE models ("
    " model TEXT PRIMARY KEY, memory_mib REAL NOT NULL, input_bytes REAL NOT NULL,"
    " output_bytes REAL NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE latency ("
    " gpu TEXT NOT NULL, model TEXT NOT NULL, batch INTEGER NOT NULL, units INTEGER NOT NULL,"
    " p50_ms REAL NOT NULL, p99_ms REAL, samples REAL, trust TEXT NOT NULL, l2_util REAL,"
    " dram_util REAL, activation_mib REAL,"
    " PRIMARY KEY (gpu, model, units, batch)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX latency_by_model ON latency (model, gpu);"
    "CREATE TABLE interference ("
    " gpu TEXT PRIMARY KEY, constant REAL NOT NULL, l2_self REAL NOT NULL,"
    " l2_other REAL NOT NULL, dram_self REAL NOT NULL, dram_other REAL NOT NULL,"
    " margin REAL NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE corun ("
    " gpu TEXT NOT NULL, model_a TEXT NOT NULL, batch_a INTEGER NOT NULL,"
    " units_a INTEGER NOT NULL, model_b TEXT NOT NULL, batch_b INTEGER NOT NULL,"
    " units_b INTEGER NOT NULL, slowdown_a REAL NOT NULL, slowdown_b REAL NOT NULL,"
    " PRIMARY KEY (gpu, model_a, units_a, batch_a, model_b, units_b, batch_b))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX corun_by_other ON corun (gpu, model_b);"
    "CREATE TABLE meta ("
    " gpu TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (gpu, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE quality ("
    " gpu TEXT NOT NULL, model TEXT NOT NULL, batch INTEGER NOT NULL, units INTEGER NOT NULL,"
    " mean_ms REAL, cv_ratio REAL, ci_ratio REAL, wall_ratio REAL, foreign_ratio REAL,"
    " p99_alone_ms REAL, slice_ms REAL, flags TEXT NOT NULL, model_sha256 TEXT NOT NULL, machine "
    "TEXT NOT NULL, device_p50_ms REAL, device_p99_ms REAL, clock_mhz REAL,"
    " achieved_units REAL,"
    " PRIMARY KEY (gpu, model, units, batch)) STRICT, WITHOUT ROWID;";

/* Version 2 times points on the device, too. */
static const char to_version_2[] = "ALTER TABLE quality ADD COLUMN device_p50_ms REAL;"
                                   "ALTER TABLE quality ADD COLUMN device_p99_ms REAL;"
                                   "ALTER TABLE quality ADD COLUMN clock_mhz REAL;"
                                   "ALTER TABLE quality ADD COLUMN achieved_units REAL;"
                                   "PRAGMA user_version = 2";

struct glet_store {
    sqlite3 *db;
    char *path;
    int version; /* of the file */
};

/* What SQLite says, in the words of a user of profiles. */
static int failed(struct glet_store *store, const char *doing, struct glet_error *err)
{
    int code = store->db ? sqlite3_errcode(store->db) : SQLITE_NOMEM;
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return glet_error_set(err, GLET_ERR_NOMEM, "%s: out of memory", store->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        glet_error_set(err, GLET_ERR_IO, "%s: locked by another program", store->path);
        return glet_error_hint(err, "another profile-models may be running on this store");
    case SQLITE_FULL:
        return glet_error_set(err, GLET_ERR_IO, "%s: the disk is full", store->path);
    case SQLITE_READONLY:
        return glet_error_set(err, GLET_ERR_IO, "%s: read-only", store->path);
    case SQLITE_NOTADB:
        return glet_error_set(err, GLET_ERR_IO, "%s: not an SQLite database", store->path);
    case SQLITE_CORRUPT:
        glet_error_set(err, GLET_ERR_IO, "%s: the database is damaged", store->path);
        return glet_error_hint(err, "sqlite3 %.200s .recover may save what is left", store->path);
    default:
        return glet_error_set(err, GLET_ERR_IO, "%s: %s: %s", store->path, doing,
                              store->db ? sqlite3_errmsg(store->db) : "out of memory");
    }
}

static int cannot_open(struct glet_store *store, enum glet_store_mode mode, struct glet_error *err)
{
    int cause = store->db ? sqlite3_system_errno(store->db) : 0;
    /* Where SQLite may not make a file, it looks for one to read, and says that there is none. */
    if (cause == ENOENT && mode == GLET_STORE_WRITE && glet_output_check(store->path, err) < 0)
        return -1;
    return cause ? glet_error_errno(err, cause, "%s", store->path)
                 : failed(store, "cannot be opened", err);
}

static int execute(struct glet_store *store, const char *sql, const char *doing,
                   struct glet_error *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return failed(store, doing, err);
    return 0;
}

/* Ends a transaction that failed; its own failure changes nothing, since closing rolls back. */
static int roll_back(struct glet_store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

static int read_int(struct glet_store *store, const char *sql, int *value, struct glet_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = -1;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *value = sqlite3_column_int(statement, 0);
        rc = 0;
    } else {
        failed(store, "cannot be read", err);
    }
    sqlite3_finalize(statement);
    return rc;
}

static int create_schema(struct glet_store *store, struct glet_error *err)
{
    char marks[96];
    snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION_ID, SCHEMA_VERSION);
    if (execute(store, "BEGIN IMMEDIATE", "cannot be written", err) < 0)
        return -1;
    /* Another process may have been first. */
    int version = 0;
    if (read_int(store, "PRAGMA user_version", &version, err) < 0)
        return roll_back(store);
    if (version == 0 && (execute(store, schema, "cannot be written", err) < 0 ||
                         execute(store, marks, "cannot be written", err) < 0))
        return roll_back(store);
    if (execute(store, "COMMIT", "cannot be written", err) < 0)
        return roll_back(store);
    return 0;
}

/* Brings an older file up to date, unless another process was first. */
static int upgrade_schema(struct glet_store *store, struct glet_error *err)
{
    if (execute(store, "BEGIN IMMEDIATE", "cannot be written", err) < 0)
        return -1;
    if (read_int(store, "PRAGMA user_version", &store->version, err) < 0 ||
        (store->version == 1 && execute(store, to_version_2, "cannot be written", err) < 0) ||
        execute(store, "COMMIT", "cannot be written", err) < 0)
        return roll_back(store);
    store->version = SCHEMA_VERSION;
    return 0;
}

static int check_version(struct glet_store *store, enum glet_store_mode mode,
                         struct glet_error *err)
{
    int version = 0, application = 0, tables = 0, programs = 0;
    /* Views, triggers and virtual tables have no page of their own: reading them may never end. */
    if (read_int(store, "PRAGMA user_version", &version, err) < 0 ||
        read_int(store, "PRAGMA application_id", &application, err) < 0 ||
        read_int(store, "SELECT count(*) FROM sqlite_schema", &tables, err) < 0 ||
        read_int(store, "SELECT count(*) FROM sqlite_schema WHERE ifnull(rootpage, 0) = 0",
                 &programs, err) < 0)
        return -1;
    if (tables == 0 && version == 0) {
        store->version = SCHEMA_VERSION;
        if (mode == GLET_STORE_WRITE)
            return create_schema(store, err);
        return glet_error_set(err, GLET_ERR_IO, "%s: an empty file, not a profile store",
                              store->path);
    }
    if (application != APPLICATION_ID || programs > 0)
        return glet_error_set(err, GLET_ERR_IO, "%s: an SQLite database, but not a profile store",
                              store->path);
    if (version > SCHEMA_VERSION) {
        glet_error_set(err, GLET_ERR_IO,
                       "%s: written by a newer version (schema %d, this program knows up to %d)",
                       store->path, version, SCHEMA_VERSION);
        return glet_error_hint(err, "update gpulet, or export with the program that wrote it");
    }
    store->version = version;
    return mode == GLET_STORE_WRITE && version < SCHEMA_VERSION ? upgrade_schema(store, err) : 0;
}

int glet_store_open(const char *path, enum glet_store_mode mode, struct glet_store **out,
                    struct glet_error *err)
{
    struct glet_store *store = glet_alloc(1, sizeof *store, err);
    if (!store)
        return -1;
    store->path = glet_strdup(path, err);
    if (!store->path) {
        free(store);
        return -1;
    }
    /* SQLite would wait for a pipe, and keep what has no name in a file that nobody finds. */
    struct stat status;
    if (!*path || (stat(path, &status) == 0 && !S_ISREG(status.st_mode))) {
        glet_store_close(store);
        return glet_error_set(err, GLET_ERR_IO, "'%s': not a regular file", path);
    }
    /* Also for reading: what a killed writer left half done must be rolled back first. */
    int flags = SQLITE_OPEN_READWRITE | (mode == GLET_STORE_WRITE ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (code != SQLITE_OK && mode == GLET_STORE_READ) {
        sqlite3_close(store->db);
        store->db = NULL;
        code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READONLY, NULL);
    }
    int rc = -1;
    if (code != SQLITE_OK) {
        cannot_open(store, mode, err);
    } else if (mode == GLET_STORE_WRITE && sqlite3_db_readonly(store->db, "main") == 1) {
        glet_error_set(err, GLET_ERR_IO, "%s: read-only", path);
    } else {
        sqlite3_busy_timeout(store->db, LOCK_WAIT_MS);
        rc = check_version(store, mode, err);
    }
    if (rc < 0) {
        glet_store_close(store);
        return -1;
    }
    *out = store;
    return 0;
}

void glet_store_close(struct glet_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

/* "SELECT gpu, model, ... FROM latency" and "INSERT OR REPLACE INTO latency (...) VALUES (?, ...)"
 */
static void compose_sql(const struct glet_store *store, const struct glet_schema_table *table,
                        char select[512], char insert[512])
{
    char names[320] = "", known[320] = "", marks[64] = "";
    for (int c = 0; c < table->column_count; c++) {
        const struct glet_schema_column *column = &table->columns[c];
        const char *comma = c ? ", " : "";
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", comma, column->name);
        used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", comma,
                 column->since <= store->version ? column->name : "NULL");
        used = strlen(marks);
        snprintf(marks + used, sizeof marks - used, "%s?", comma);
    }
    snprintf(select, 512, "SELECT %s FROM %s", known, table->name);
    snprintf(insert, 512, "INSERT OR REPLACE INTO %s (%s) VALUES (%s)", table->name, names, marks);
}

static int read_value(struct glet_profile *profile, const struct glet_schema_column *column,
                      void *row, sqlite3_stmt *statement, int index, struct glet_error *err)
{
    if (glet_schema_is_number(column)) {
        double value = sqlite3_column_type(statement, index) == SQLITE_NULL
                           ? NAN
                           : sqlite3_column_double(statement, index);
        return glet_schema_set_number(column, row, value, err);
    }
    const char *text = (const char *)sqlite3_column_text(statement, index);
    return glet_schema_set_text(profile, column, row, text ? text : "", err);
}

static int read_table(struct glet_store *store, const struct glet_schema_table *table,
                      struct glet_profile *profile, struct glet_error *err)
{
    char select[512], insert[512];
    compose_sql(store, table, select, insert);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, select, -1, &statement, NULL) != SQLITE_OK)
        return failed(store, "cannot be read", err);
    size_t capacity = 0, bad_row = 0;
    int code, rc = 0;
    while (rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        void *row = glet_schema_append(profile, table, &capacity, err);
        if (!row)
            rc = -1;
        for (int c = 0; rc == 0 && c < table->column_count; c++)
            rc = read_value(profile, &table->columns[c], row, statement, c, err);
        if (rc < 0)
            glet_error_context(err, "%s: table %s, row %zu", store->path, table->name,
                               glet_schema_row_count(profile, table));
    }
    if (rc == 0 && code != SQLITE_DONE)
        rc = failed(store, "cannot be read", err);
    sqlite3_finalize(statement);
    if (rc == 0 && glet_schema_finish(profile, table, &bad_row, err) < 0)
        rc =
            glet_error_context(err, "%s: table %s, row %zu", store->path, table->name, bad_row + 1);
    return rc;
}

int glet_store_read(struct glet_store *store, struct glet_profile **out, struct glet_error *err)
{
    struct glet_profile *profile = glet_alloc(1, sizeof *profile, err);
    if (!profile)
        return -1;
    profile->path = glet_strdup(store->path, err);
    int rc = profile->path ? 0 : -1;
    if (rc == 0)
        rc = execute(store, "BEGIN", "cannot be read", err);
    for (int t = 0; rc == 0 && t < GLET_SCHEMA_COUNT; t++)
        rc = read_table(store, &glet_profile_tables[t], profile, err);
    (void)roll_back(store); /* ends the snapshot */
    if (rc == 0)
        rc = glet_profile_digest(profile, err);
    if (rc < 0) {
        glet_profile_free(profile);
        return -1;
    }
    *out = profile;
    return 0;
}

static int bind_value(sqlite3_stmt *statement, int index, const struct glet_profile *part,
                      const struct glet_schema_column *column, const void *row,
                      struct glet_error *err)
{
    if (!glet_schema_is_number(column)) {
        char *scratch = NULL;
        const char *text = glet_schema_text(part, column, row, &scratch, err);
        if (!text)
            return -1;
        int code = sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
        free(scratch);
        return code == SQLITE_OK ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    }
    double value = glet_schema_number(column, row);
    if (column->kind == GLET_COLUMN_INT)
        (void)sqlite3_bind_int(statement, index, (int)value);
    else if (isnan(value))
        (void)sqlite3_bind_null(statement, index);
    else
        (void)sqlite3_bind_double(statement, index, value);
    return 0;
}

static int write_table(struct glet_store *store, const struct glet_schema_table *table,
                       const struct glet_profile *part, struct glet_error *err)
{
    size_t count = glet_schema_row_count(part, table);
    if (count == 0)
        return 0;
    char select[512], insert[512];
    compose_sql(store, table, select, insert);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, insert, -1, &statement, NULL) != SQLITE_OK)
        return failed(store, "cannot be written", err);
    const char *row = glet_schema_rows(part, table);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++, row += table->row_bytes) {
        for (int c = 0; rc == 0 && c < table->column_count; c++)
            rc = bind_value(statement, c + 1, part, &table->columns[c], row, err);
        if (rc == 0 && sqlite3_step(statement) != SQLITE_DONE)
            rc = failed(store, "cannot be written", err);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return rc;
}

int glet_store_merge(struct glet_store *store, const struct glet_profile *part,
                     struct glet_error *err)
{
    if (execute(store, "BEGIN IMMEDIATE", "cannot be written", err) < 0)
        return -1;
    for (int t = 0; t < GLET_SCHEMA_COUNT; t++)
        if (write_table(store, &glet_profile_tables[t], part, err) < 0)
            return roll_back(store);
    if (execute(store, "COMMIT", "cannot be written", err) < 0)
        return roll_back(store);
    return 0;
}

static int delete_points(struct glet_store *store, const char *sql, const char *gpu,
                         const char *model, struct glet_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_bind_text(statement, 1, gpu, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(statement, 2, model, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE)
        rc = failed(store, "cannot be written", err);
    sqlite3_finalize(statement);
    return rc;
}

int glet_store_forget(struct glet_store *store, const char *gpu, const char *model,
                      struct glet_error *err)
{
    static const char *const statements[] = {
        "DELETE FROM latency WHERE gpu = ?1 AND model = ?2",
        "DELETE FROM quality WHERE gpu = ?1 AND model = ?2",
        "DELETE FROM corun WHERE gpu = ?1 AND (model_a = ?2 OR model_b = ?2)",
    };
    if (execute(store, "BEGIN IMMEDIATE", "cannot be written", err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (delete_points(store, statements[i], gpu, model, err) < 0)
            return roll_back(store);
    if (execute(store, "COMMIT", "cannot be written", err) < 0)
        return roll_back(store);
    return 0;
}

bool glet_store_is_store(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t got = read(fd, head, sizeof head);
    close(fd);
    return got == 0 || (got == (ssize_t)sizeof head && memcmp(head, magic, sizeof head) == 0);
}
