/* SPDX-License-Identifier: Apache-2.0 */
/* The CSV folder: what is read, what is refused and where, and that writing gives it back. */
#include "common/profile/profile.h"
#include "common/profile/profile_csv.h"
#include "profiles/load.h"
#include "tests/unit/check.h"
#include "tests/unit/profiles/folder.h"

#define DEVICE_HEAD "gpu,mechanism,sm_count,units,max_gpulets,memory_mib,context_mib,layouts\n"
#define POINT_HEAD  "gpu,model,batch,units,p50_ms,p99_ms,trust\n"
#define CORUN_HEAD  "gpu,model_a,batch_a,units_a,model_b,batch_b,units_b,slowdown_a,slowdown_b\n"

static char folder[256];

static void put_good_files(void)
{
    folder_put(folder, "devices.csv",
               DEVICE_HEAD "h200,green_context,132,16,16,140000,300.5,\n"
                           "a100,mig,108,7,7,81920,0,7;3+4;2+4+1\n");
    folder_put(folder, "models.csv",
               "model,memory_mib,input_bytes,output_bytes\n"
               "resnet50,97.5,602112,4000\n"
               "\"odd, \"\"name\"\"\",1,2,3\n");
    folder_put(folder, "latency.csv",
               "gpu,model,batch,units,p50_ms,p99_ms,samples,trust,l2_util,dram_util\n"
               "h200,resnet50,8,2,10.25,,,imported,0.5,\n"
               "h200,resnet50,1,4,1.5,2.5,300,measured,,0.25\n"
               "h200,resnet50,1,2,3,3,300,measured,,\n"
               "a100,resnet50,1,7,1e-3,,,estimated,,\n");
    folder_put(folder, "interference.csv",
               "gpu,constant,l2_self,l2_other,dram_self,dram_other,margin\n"
               "h200,0.9,0.1,0.7,0.35,-0.08,0.02\n");
    folder_put(folder, "corun.csv", CORUN_HEAD "h200,resnet50,8,2,resnet50,1,4,1.1,1.2\n");
    folder_put(folder, "meta.csv", "gpu,key,value\nh200,driver,580.1\na100,source,\"x, y\"\n");
}

static int set_up(void **state)
{
    (void)state;
    folder_new(folder);
    put_good_files();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

static void test_reads(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_profile *profile = NULL;
    CHECK_OK(glet_profile_load(folder, &profile, &err), &err);
    assert_int_equal(profile->device_count, 2);
    assert_string_equal(profile->devices[0].gpu, "a100");
    assert_int_equal(profile->devices[0].mechanism, GLET_MECHANISM_MIG);
    assert_int_equal(profile->devices[0].layout_count, 3);
    assert_int_equal(profile->devices[0].layouts[1].sizes_units[0], 4);
    assert_int_equal(profile->devices[0].layouts[2].size_count, 3);
    assert_int_equal(glet_profile_find_device(profile, "h200"), 1);
    assert_int_equal(glet_profile_find_device(profile, "h100"), -1);
    assert_int_equal(glet_profile_find_model(profile, "odd, \"name\""), 0);
    assert_int_equal(profile->latency_count, 4);
    const struct glet_profile_latency *row = profile->latency; /* a100 first, then by size */
    assert_int_equal(row[0].units, 7);
    assert_true(row[0].p50_ms == 1e-3 && isnan(row[0].p99_ms) && isnan(row[0].activation_mib));
    assert_int_equal(row[1].units, 2);
    assert_int_equal(row[1].batch, 1);
    assert_int_equal(row[2].batch, 8);
    assert_true(row[2].trust == GLET_TRUST_IMPORTED && row[2].l2_util == 0.5);
    assert_int_equal(row[3].units, 4);
    assert_true(profile->interference[0].dram_other == -0.08);
    assert_true(profile->corun[0].slowdown_b == 1.2);
    assert_string_equal(profile->meta[0].value, "x, y");
    assert_int_equal(strlen(profile->sha256), 64);
    glet_profile_free(profile);
}

static void test_export_gives_it_back(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_profile *one = NULL, *two = NULL;
    char copy[512], *text;
    snprintf(copy, sizeof copy, "%s", folder_path(folder, "copy"));
    CHECK_OK(glet_profile_csv_load(folder, &one, &err), &err);
    CHECK_OK(glet_profile_csv_export(one, copy, &err), &err);
    CHECK_OK(glet_profile_csv_load(copy, &two, &err), &err);
    assert_string_equal(one->sha256, two->sha256);
    text = strdup(folder_get(copy, "latency.csv"));
    CHECK_OK(glet_profile_csv_export(two, copy, &err), &err); /* over itself */
    assert_string_equal(folder_get(copy, "latency.csv"), text);
    free(text);
    assert_null(folder_get(copy, "quality.csv"));
    glet_profile_free(one);
    glet_profile_free(two);
}

static void test_export_refuses_a_strange_folder(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_profile *profile = NULL;
    folder_put(folder, "notes.txt", "mine\n");
    CHECK_OK(glet_profile_csv_load(folder, &profile, &err), &err);
    assert_int_equal(glet_profile_csv_export(profile, folder, &err), -1);
    assert_int_equal(err.code, GLET_ERR_IO);
    assert_non_null(strstr(err.message, "notes.txt"));
    assert_string_equal(folder_get(folder, "notes.txt"), "mine\n");
    glet_profile_free(profile);
}

static void test_digest_is_of_the_facts(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_profile *one = NULL, *two = NULL, *three = NULL;
    CHECK_OK(glet_profile_csv_load(folder, &one, &err), &err);
    folder_put(folder, "meta.csv", "gpu,key,value\nh200,driver,590\n");
    folder_put(
        folder, "latency.csv",
        "trust,model,gpu,batch,units,p99_ms,p50_ms,samples,activation_mib,dram_util,l2_util\n"
        "estimated,resnet50,a100,1,7,,0.001,,,,\n"
        "measured,resnet50,h200,1,2,3.0,3,300,,,\n"
        "imported,resnet50,h200,8,2,,10.25,,,,0.50\n"
        "measured,resnet50,h200,1,4,2.5,1.5,3e2,,0.25,\n");
    CHECK_OK(glet_profile_csv_load(folder, &two, &err), &err);
    assert_string_equal(one->sha256, two->sha256);
    folder_put(folder, "models.csv",
               "model,memory_mib,input_bytes,output_bytes\nresnet50,97.5,602112,4000\n");
    CHECK_OK(glet_profile_csv_load(folder, &three, &err), &err);
    assert_string_not_equal(one->sha256, three->sha256);
    glet_profile_free(one);
    glet_profile_free(two);
    glet_profile_free(three);
}

static const struct {
    const char *file, *text; /* NULL: the file is removed */
    enum glet_code code;
    int line, column; /* column 0: any */
    const char *message;
} bad[] = {
    {"latency.csv", "gpu,model,batch,units,p50_ms,trust\n", GLET_ERR_INPUT, 1, 0, "p99_ms"},
    {"latency.csv", "gpu,model,batch,units,p50_ms,p99_ms,trust,speed\n", GLET_ERR_INPUT, 1, 43,
     "speed: unknown column"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,x,,measured\n", GLET_ERR_INPUT, 2, 19,
     "p50_ms: 'x' is not a number"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,,,measured\n", GLET_ERR_INPUT, 2, 19,
     "p50_ms: empty, a number is needed"},
    {"latency.csv", POINT_HEAD "h200,resnet50,0,2,1,,measured\n", GLET_ERR_RANGE, 2, 15,
     "batch: 0 is not at least 1"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,17,1,,measured\n", GLET_ERR_RANGE, 2, 1,
     "units: 17 is more than the 16 units of h200"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1.5,2,1,,measured\n", GLET_ERR_INPUT, 2, 15,
     "batch: 1.5 is not a whole number"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,0,,measured\n", GLET_ERR_RANGE, 2, 19,
     "p50_ms: 0 is not above 0"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,2,1,measured\n", GLET_ERR_RANGE, 2, 1,
     "p99_ms: 1 is less than p50_ms, 2"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,nan,,measured\n", GLET_ERR_INPUT, 2, 19,
     "p50_ms: 'nan' is not a number"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,1e999,,measured\n", GLET_ERR_INPUT, 2, 19,
     "p50_ms: '1e999' is not a number"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,.5,,measured\n", GLET_ERR_INPUT, 2, 19,
     "p50_ms: '.5' is not a number"},
    {"latency.csv", POINT_HEAD "h200,vgg,1,2,1,,measured\n", GLET_ERR_INPUT, 2, 6,
     "model: 'vgg' is not in the table of models"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2,1,,guessed\n", GLET_ERR_INPUT, 2, 22,
     "trust: 'guessed' is not one of measured, imported, estimated"},
    {"latency.csv",
     POINT_HEAD "h200,resnet50,1,2,1,,measured\nh200,resnet50,2,2,1,,measured\n"
                "h200,resnet50,1,2,3,,imported\n",
     GLET_ERR_INPUT, 4, 1, "a second row with the same gpu, model, units, batch"},
    {"latency.csv", POINT_HEAD "h200,resnet50,1,2\n", GLET_ERR_INPUT, 2, 0, "field"},
    {"latency.csv", NULL, GLET_ERR_IO, 0, 0, "latency.csv"},
    {"devices.csv", DEVICE_HEAD "h200,magic,132,16,16,140000,300,\n", GLET_ERR_INPUT, 2, 6,
     "mechanism: 'magic' is not one of green_context, mps, mig, cpu"},
    {"devices.csv", DEVICE_HEAD "h200,mig,132,7,7,140000,300,4+4\n", GLET_ERR_RANGE, 2, 1,
     "layouts: layout 1 needs 8 units, h200 has 7"},
    {"devices.csv", DEVICE_HEAD "h200,mig,132,7,7,140000,300,4+;3\n", GLET_ERR_INPUT, 2, 29,
     "layouts: expected sizes"},
    {"devices.csv", DEVICE_HEAD ",mig,132,7,7,140000,300,\n", GLET_ERR_INPUT, 2, 1, "gpu: empty"},
    {"meta.csv", "gpu,key,value\nh201,a,b\n", GLET_ERR_INPUT, 2, 1,
     "gpu: 'h201' is not in the table of devices"},
    {"corun.csv", CORUN_HEAD "h200,resnet50,8,99,resnet50,1,4,1.1,1.2\n", GLET_ERR_RANGE, 2, 1,
     "units_a: 99 is more than the 16 units of h200"},
};

static void test_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct glet_error err;
        struct glet_profile *profile = NULL;
        put_good_files();
        if (bad[i].text)
            folder_put(folder, bad[i].file, bad[i].text);
        else
            unlink(folder_path(folder, bad[i].file));
        assert_int_equal(glet_profile_load(folder, &profile, &err), -1);
        bool as_wanted = err.code == bad[i].code && err.line == bad[i].line &&
                         (!bad[i].column || err.column == bad[i].column) &&
                         strstr(err.message, bad[i].message) &&
                         (!err.line || strstr(err.file, bad[i].file));
        if (!as_wanted) {
            glet_error_print(&err, stderr);
            fail_msg("case %zu (%s): code %d", i, bad[i].message, err.code);
        }
    }
}

static void test_neither_folder_nor_store(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_profile *profile = NULL;
    folder_put(folder, "text", "hello, this is not a database\n");
    assert_int_equal(glet_profile_load(folder_path(folder, "text"), &profile, &err), -1);
    assert_int_equal(err.code, GLET_ERR_INPUT);
    assert_int_equal(glet_profile_load(folder_path(folder, "absent"), &profile, &err), -1);
    assert_int_equal(err.code, GLET_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_export_gives_it_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_export_refuses_a_strange_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_digest_is_of_the_facts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_neither_folder_nor_store, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
