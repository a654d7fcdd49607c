/* SPDX-License-Identifier: Apache-2.0 */
/* Other tools' files: made-up numbers under their real headers. */
#include "profiles/import_foreign.h"
#include "tests/unit/check.h"
#include "tests/unit/profiles/folder.h"

static struct glet_error err;
static char folder[256];

#define PERF_HEAD                                                                                  \
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"             \
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,"     \
    "p90 latency,p95 latency,p99 latency\n"
#define ANALYZER_HEAD                                                                              \
    "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,"                     \
    "Satisfies Constraints,Throughput (infer/sec),p99 Latency (ms)\n"
#define PARVA_HEAD                                                                                 \
    "model,mig_gpcs,batch,mps_procs,throughput_per_proc_rps,throughput_segment_rps,latency_ms,"    \
    "infeasible_oom\n"

static int set_up(void **state)
{
    (void)state;
    folder_new(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

static struct glet_profile *load(const char *text, enum glet_foreign_kind wanted,
                                 const struct glet_foreign_options *options)
{
    enum glet_foreign_kind kind;
    struct glet_profile *profile = NULL;
    folder_put(folder, "x.csv", text);
    CHECK_OK(glet_foreign_detect(folder_path(folder, "x.csv"), &kind, &err), &err);
    assert_int_equal(kind, wanted);
    CHECK_OK(glet_foreign_load(folder_path(folder, "x.csv"), kind, options, &profile, &err), &err);
    for (size_t i = 0; i < profile->latency_count; i++)
        assert_int_equal(profile->latency[i].trust, GLET_TRUST_IMPORTED);
    return profile;
}

static void test_parvagpu(void **state)
{
    (void)state;
    struct glet_foreign_options options = {.gpu = "a100"};
    struct glet_profile *p = load(PARVA_HEAD "bert,2,4,1,200,200,20,0\n"
                                             "bert,2,2,2,125,250,16,0\n" /* faster for batch 4 */
                                             "bert,7,8,3,0,0,0,1\n"      /* out of memory */
                                             "bert,1,1,1,50,50,20,0\n",
                                  GLET_FOREIGN_PARVAGPU, &options);
    assert_int_equal(p->latency_count, 2);
    assert_int_equal(p->devices[0].units, 7);
    assert_int_equal(p->devices[0].mechanism, GLET_MECHANISM_MIG);
    assert_int_equal(p->devices[0].layout_count, 14);
    assert_int_equal(p->latency[1].units, 2);
    assert_int_equal(p->latency[1].batch, 4);
    CHECK_NEAR(p->latency[1].p50_ms, 16, 1e-12);
    assert_true(isnan(p->latency[1].p99_ms));
    glet_profile_free(p);
}

/* The artifact's own files: named after the model, throughput per process. */
static void test_parvagpu_artifact(void **state)
{
    (void)state;
    static const char text[] = "Mig instance,Batch size,Workload Number,Throughput,Latency\n"
                               "2,4,1,200,0.02\n"
                               "2,2,2,125,0.016\n" /* together 250/s: faster for batch 4 */
                               "7,8,3,0,0\n"       /* out of memory */
                               "1,1,1,50,0.02\n";
    struct glet_foreign_options options = {.gpu = "a100"};
    struct glet_profile *p = load(text, GLET_FOREIGN_PARVAGPU, &options);
    assert_string_equal(p->models[0].model, "x"); /* of x.csv */
    assert_int_equal(p->latency_count, 2);
    assert_int_equal(p->latency[1].batch, 4);
    CHECK_NEAR(p->latency[1].p50_ms, 16, 1e-12);
    glet_profile_free(p);
    options.model = "bert";
    p = load(text, GLET_FOREIGN_PARVAGPU, &options);
    assert_string_equal(p->models[0].model, "bert");
    glet_profile_free(p);
}

static void test_model_analyzer(void **state)
{
    (void)state;
    struct glet_foreign_options options = {.gpu = "t4", .units = 3, .gpu_units = 10};
    struct glet_profile *p = load(ANALYZER_HEAD "resnet,1,4,c0,1/GPU,32,Yes,900,9.5\n"
                                                "resnet,1,1,c0,1/GPU,32,Yes,160,8.0\n"
                                                "resnet,1,1,c1,2/GPU,32,Yes,200,7.5\n"
                                                "vgg,8,1,c0,1/GPU,32,No,100,81\n",
                                  GLET_FOREIGN_MODEL_ANALYZER, &options);
    assert_int_equal(p->latency_count, 2);
    assert_int_equal(p->latency[0].units, 3);
    CHECK_NEAR(p->latency[0].p50_ms, 5, 1e-12);
    CHECK_NEAR(p->latency[0].p99_ms, 7.5, 0);
    CHECK_NEAR(p->latency[1].p50_ms, 80, 1e-12);
    assert_int_equal(p->devices[0].units, 10);
    glet_profile_free(p);
}

static void test_perf_analyzer(void **state)
{
    (void)state;
    struct glet_profile_device known = {.units = 16,
                                        .memory_mib = 100,
                                        .max_gpulets = 5,
                                        .mechanism = GLET_MECHANISM_GREEN_CONTEXT};
    struct glet_foreign_options options = {
        .gpu = "h200", .model = "resnet", .batch = 8, .device = &known};
    struct glet_profile *p = load(PERF_HEAD "1,69,2,21,6,2,117,1,0,13891,18795,19753,21018\n"
                                            "3,84,2,17,21,2,117,1,0,35000,36000,37000,38000\n",
                                  GLET_FOREIGN_PERF_ANALYZER, &options);
    assert_int_equal(p->latency_count, 1);
    assert_int_equal(p->latency[0].units, 16);
    assert_int_equal(p->latency[0].batch, 8);
    CHECK_NEAR(p->latency[0].p99_ms, 21.018, 1e-12);
    assert_int_equal(p->devices[0].max_gpulets, 5);
    glet_profile_free(p);
}

/* The store's row of the device is replaced by the import's: it must not lose what it knew. */
static void test_layouts_of_a_known_device_stay(void **state)
{
    (void)state;
    int whole[] = {4}, halves[] = {2, 2};
    struct glet_profile_layout layouts[] = {{whole, 1}, {halves, 2}};
    struct glet_profile_device known = {.units = 4,
                                        .max_gpulets = 4,
                                        .mechanism = GLET_MECHANISM_MIG,
                                        .layouts = layouts,
                                        .layout_count = 2};
    struct glet_foreign_options options = {
        .gpu = "a30", .model = "resnet", .batch = 8, .device = &known};
    struct glet_profile *p = load(PERF_HEAD "1,69,2,21,6,2,117,1,0,13891,18795,19753,21018\n",
                                  GLET_FOREIGN_PERF_ANALYZER, &options);
    assert_int_equal(p->devices[0].layout_count, 2);
    assert_int_equal(p->devices[0].layouts[1].size_count, 2);
    glet_profile_free(p);
}

static const struct {
    const char *text;
    enum glet_foreign_kind kind;
    enum glet_code code;
    int line;
    const char *message;
} bad[] = {
    {PERF_HEAD "1,69,2,21,6,2,117,1,0,x,18795,19753,21018\n", GLET_FOREIGN_PERF_ANALYZER,
     GLET_ERR_INPUT, 2, "p50 latency"},
    {PERF_HEAD "2,69,2,21,6,2,117,1,0,1,1,1,1\n", GLET_FOREIGN_PERF_ANALYZER, GLET_ERR_UNDECIDED, 0,
     "no row with one request at a time"},
    {"Request Rate,Inferences/Second,p50 latency,p99 latency\n1,2,3,4\n",
     GLET_FOREIGN_PERF_ANALYZER, GLET_ERR_INPUT, 1, "Concurrency"},
    {ANALYZER_HEAD "m,0,1,c,i,3,Yes,10,1\n", GLET_FOREIGN_MODEL_ANALYZER, GLET_ERR_RANGE, 2,
     "Batch"},
    {ANALYZER_HEAD "m,1,1,c,i,3,Yes\n", GLET_FOREIGN_MODEL_ANALYZER, GLET_ERR_INPUT, 2, "field"},
    {PARVA_HEAD "bert,8,4,1,200,200,20,0\n", GLET_FOREIGN_PARVAGPU, GLET_ERR_RANGE, 2, "mig_gpcs"},
};

static void test_refused(void **state)
{
    (void)state;
    struct glet_foreign_options options = {.gpu = "g", .model = "m", .batch = 1};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct glet_profile *profile = NULL;
        folder_put(folder, "x.csv", bad[i].text);
        assert_int_equal(
            glet_foreign_load(folder_path(folder, "x.csv"), bad[i].kind, &options, &profile, &err),
            -1);
        if (err.code != bad[i].code || err.line != bad[i].line ||
            !strstr(err.message, bad[i].message)) {
            glet_error_print(&err, stderr);
            fail_msg("case %zu: code %d", i, err.code);
        }
    }
    enum glet_foreign_kind kind;
    folder_put(folder, "x.csv", "a,b\n1,2\n");
    CHECK_OK(glet_foreign_detect(folder_path(folder, "x.csv"), &kind, &err), &err);
    assert_int_equal(kind, GLET_FOREIGN_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parvagpu, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parvagpu_artifact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_model_analyzer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_perf_analyzer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_layouts_of_a_known_device_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
