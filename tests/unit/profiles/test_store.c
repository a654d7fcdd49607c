/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite store: same facts as the CSVs, all or nothing, and clear refusals. */
#include "common/profile/profile_csv.h"
#include "common/profile/profile_schema.h"
#include "profiles/load.h"
#include "profiles/store.h"
#include "tests/unit/check.h"
#include "tests/unit/profiles/folder.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char folder[256], path[512];

static int set_up(void **state)
{
    (void)state;
    folder_new(folder);
    snprintf(path, sizeof path, "%s", folder_path(folder, "profiles.db"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

/* Writes one point, as a sweep does. */
static int put_point(struct glet_store *store, int batch, int units, double p50_ms,
                     struct glet_error *err)
{
    static char gpu[] = "cpu", name[] = "lenet", flags[] = "drift";
    struct glet_profile_device device = {.gpu = gpu,
                                         .mechanism = GLET_MECHANISM_CPU,
                                         .sm_count = 2,
                                         .units = 20,
                                         .max_gpulets = 20,
                                         .memory_mib = 4096};
    struct glet_profile_model model = {
        .model = name, .memory_mib = 0.25, .input_bytes = 3136, .output_bytes = 40};
    struct glet_profile_latency latency = {.batch = batch,
                                           .units = units,
                                           .p50_ms = p50_ms,
                                           .p99_ms = 2 * p50_ms,
                                           .samples = 300,
                                           .l2_util = NAN,
                                           .dram_util = NAN,
                                           .activation_mib = 1.0 / 3};
    struct glet_profile_quality quality = {.batch = batch,
                                           .units = units,
                                           .mean_ms = p50_ms,
                                           .cv_ratio = NAN,
                                           .ci_ratio = 0.01,
                                           .wall_ratio = 1,
                                           .foreign_ratio = 0,
                                           .flags = flags};
    struct glet_profile part = {.devices = &device,
                                .device_count = 1,
                                .models = &model,
                                .model_count = 1,
                                .latency = &latency,
                                .latency_count = 1,
                                .quality = &quality,
                                .quality_count = 1};
    return glet_store_merge(store, &part, err);
}

static void test_points_come_back(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    struct glet_profile *one = NULL, *two = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    CHECK_OK(put_point(store, 8, 20, 0.1, &err), &err);
    CHECK_OK(put_point(store, 1, 20, 7, &err), &err);
    CHECK_OK(put_point(store, 1, 20, 0.3, &err), &err); /* replaces */
    CHECK_OK(put_point(store, 1, 3, 1.0 / 3, &err), &err);
    CHECK_OK(glet_store_read(store, &one, &err), &err);
    glet_store_close(store);
    assert_int_equal(one->latency_count, 3);
    assert_int_equal(one->latency[0].units, 3);
    assert_true(one->latency[0].p50_ms == 1.0 / 3 && one->latency[0].activation_mib == 1.0 / 3);
    assert_true(one->latency[1].p50_ms == 0.3 && isnan(one->latency[1].l2_util));
    assert_string_equal(one->quality[2].flags, "drift");
    assert_true(isnan(one->quality[2].cv_ratio));
    /* The same facts have the same digest as text. */
    CHECK_OK(glet_profile_csv_export(one, folder_path(folder, "text"), &err), &err);
    CHECK_OK(glet_profile_load(folder_path(folder, "text"), &two, &err), &err);
    assert_string_equal(one->sha256, two->sha256);
    assert_string_equal(two->quality[1].flags, "drift");
    glet_profile_free(two);
    glet_profile_free(one);
}

static void test_forget(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    struct glet_profile *profile = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    CHECK_OK(put_point(store, 8, 20, 0.1, &err), &err);
    CHECK_OK(glet_store_forget(store, "cpu", "other", &err), &err);
    CHECK_OK(glet_store_read(store, &profile, &err), &err);
    assert_int_equal(profile->latency_count, 1);
    glet_profile_free(profile);
    CHECK_OK(glet_store_forget(store, "cpu", "lenet", &err), &err);
    CHECK_OK(glet_store_read(store, &profile, &err), &err);
    assert_int_equal(profile->latency_count, 0);
    assert_int_equal(profile->quality_count, 0);
    glet_profile_free(profile);
    glet_store_close(store);
}

/* Every column that the tables describe is a column of the schema, in the same order. */
static void test_schema_matches_the_tables(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    glet_store_close(store);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (int t = 0; t < GLET_SCHEMA_COUNT; t++) {
        const struct glet_schema_table *table = &glet_profile_tables[t];
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT name, type FROM pragma_table_info('%s') ORDER BY cid",
                 table->name);
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        for (int c = 0; c < table->column_count; c++) {
            assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
            assert_string_equal((const char *)sqlite3_column_text(statement, 0),
                                table->columns[c].name);
            enum glet_schema_kind kind = table->columns[c].kind;
            const char *type = kind == GLET_COLUMN_INT    ? "INTEGER"
                               : kind == GLET_COLUMN_REAL ? "REAL"
                                                          : "TEXT";
            assert_string_equal((const char *)sqlite3_column_text(statement, 1), type);
        }
        assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void check_refused(const char *message, int exit_status)
{
    struct glet_error err;
    struct glet_store *store = NULL;
    for (int mode = GLET_STORE_READ; mode <= GLET_STORE_WRITE; mode++) {
        int rc = glet_store_open(path, (enum glet_store_mode)mode, &store, &err);
        if (rc == 0) { /* opened: then reading must tell */
            struct glet_profile *profile = NULL;
            rc = glet_store_read(store, &profile, &err);
            glet_store_close(store);
        }
        assert_int_equal(rc, -1);
        if (!strstr(err.message, message))
            fail_msg("'%s' does not say '%s'", err.message, message);
        assert_non_null(strstr(err.message, path));
        assert_int_equal(glet_error_exit_status(err.code), exit_status);
    }
}

/* A store of version 1 can be read as it is, and is brought up to date when it is written. */
static void test_older_stores(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    struct glet_profile *profile = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    CHECK_OK(put_point(store, 8, 20, 0.1, &err), &err);
    glet_store_close(store);
    run_sql("ALTER TABLE quality DROP COLUMN device_p50_ms; PRAGMA user_version = 1;"
            "ALTER TABLE quality DROP COLUMN device_p99_ms;"
            "ALTER TABLE quality DROP COLUMN clock_mhz;"
            "ALTER TABLE quality DROP COLUMN achieved_units");
    for (int mode = GLET_STORE_READ; mode <= GLET_STORE_WRITE; mode++) {
        CHECK_OK(glet_store_open(path, (enum glet_store_mode)mode, &store, &err), &err);
        CHECK_OK(glet_store_read(store, &profile, &err), &err);
        assert_int_equal(profile->latency_count, 1);
        assert_int_equal(profile->quality_count, 1);
        assert_true(isnan(profile->quality[0].clock_mhz));
        glet_profile_free(profile);
        glet_store_close(store);
    }
    run_sql("UPDATE quality SET device_p50_ms = 1, device_p99_ms = 2, clock_mhz = 1980");
    CHECK_OK(glet_store_open(path, GLET_STORE_READ, &store, &err), &err);
    CHECK_OK(glet_store_read(store, &profile, &err), &err);
    CHECK_NEAR(profile->quality[0].clock_mhz, 1980, 0);
    glet_profile_free(profile);
    glet_store_close(store);
}

static void test_refusals(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    for (int batch = 1; batch <= 200; batch++)
        CHECK_OK(put_point(store, batch, 1, 1, &err), &err);
    glet_store_close(store);
    run_sql("PRAGMA user_version = 3");
    check_refused("written by a newer version (schema 3, this program knows up to 2)", 4);
    run_sql("PRAGMA user_version = 2; UPDATE latency SET units = 21 WHERE batch = 7");
    check_refused("units: 21 is more than the 20 units of cpu", 2);
    run_sql("UPDATE latency SET units = 1 WHERE batch = 7; PRAGMA application_id = 7");
    check_refused("not a profile store", 4);
    run_sql("PRAGMA application_id = 0x676c6574; ALTER TABLE meta RENAME TO was;"
            "CREATE VIEW meta AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            "SELECT 'cpu' AS gpu, i AS key, i AS value FROM n");
    check_refused("not a profile store", 4); /* it would never end */
    run_sql("DROP VIEW meta; ALTER TABLE was RENAME TO meta");
    /* Damage: every page after the first is zeroes. */
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    FILE *file = fopen(path, "r+e");
    fseek(file, 4096, SEEK_SET);
    for (long i = 4096; i < status.st_size; i++)
        fputc(0, file);
    fclose(file);
    check_refused("damaged", 4);
    folder_put(folder, "profiles.db", "SQLite format 3 but no more than that");
    check_refused("not an SQLite database", 4);
    unlink(path);
    assert_int_equal(glet_store_open(path, GLET_STORE_READ, &store, &err), -1);
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(access(path, F_OK), -1); /* reading made nothing */
    folder_put(folder, "profiles.db", "");
    assert_int_equal(glet_store_open(path, GLET_STORE_READ, &store, &err), -1);
    assert_non_null(strstr(err.message, "empty"));
}

static void test_locked(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_point(store, 1, 1, 1, &err), -1);
    assert_non_null(strstr(err.message, "locked by another program"));
    sqlite3_close(other);
    CHECK_OK(put_point(store, 1, 1, 1, &err), &err);
    glet_store_close(store);
}

/* The disk fills up in the middle: the transaction fails, the store keeps what it had. */
static void test_full_disk(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_store *store = NULL;
    CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
    CHECK_OK(put_point(store, 1, 1, 1, &err), &err);
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    struct rlimit old, limit;
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    limit.rlim_cur = (rlim_t)before.st_size;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    int rc = 0, done = 1;
    while (rc == 0 && done < 5000) {
        rc = put_point(store, done + 1, 1, 1, &err);
        done += rc == 0;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rc, -1);
    assert_int_equal(err.code, GLET_ERR_IO);
    struct glet_profile *profile = NULL;
    CHECK_OK(glet_store_read(store, &profile, &err), &err);
    assert_int_equal(profile->latency_count, done);
    glet_profile_free(profile);
    glet_store_close(store);
}

static int child_writes_for_ever(int first)
{
    struct glet_error err;
    struct glet_store *store = NULL;
    if (glet_store_open(path, GLET_STORE_WRITE, &store, &err) < 0)
        return 1;
    for (int batch = first;; batch++)
        if (put_point(store, batch, 1, batch, &err) < 0)
            return 2;
}

/* Killed at any moment, the store opens and holds whole points only. */
static void test_killed_writer(void **state)
{
    (void)state;
    struct glet_error err;
    int last = 0;
    srand(7);
    /* On a busy machine a child needs longer to write anything at all. */
    for (int round = 0; round < 20 || (last == 0 && round < 60); round++) {
        pid_t child = fork();
        if (child == 0)
            _exit(child_writes_for_ever(last + 1));
        usleep((useconds_t)((1000 + rand() % 15000) * (1 + round / 8)));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct glet_store *store = NULL;
        struct glet_profile *profile = NULL;
        CHECK_OK(glet_store_open(path, GLET_STORE_WRITE, &store, &err), &err);
        CHECK_OK(glet_store_read(store, &profile, &err), &err);
        assert_int_equal(profile->latency_count, profile->quality_count);
        assert_true((int)profile->latency_count >= last);
        last = (int)profile->latency_count;
        for (int i = 0; i < last; i++)
            assert_int_equal(profile->latency[i].batch, i + 1);
        glet_profile_free(profile);
        glet_store_close(store);
    }
    assert_true(last > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_points_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forget, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_schema_matches_the_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_older_stores, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_locked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_writer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
