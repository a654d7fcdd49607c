/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/file.h"
#include "common/workload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char complete[] = "schema: gpulet-workload/1\n"
                               "models:\n"
                               "  - name: resnet50\n"
                               "    rate_rps: 400\n"
                               "    slo_ms: 108\n"
                               "    percentile: 99.9\n"
                               "    arrival: uniform\n"
                               "  - {name: lenet, rate_rps: 0, slo_ms: 5.5}\n"
                               "apps:\n"
                               "  - name: traffic\n"
                               "    rate_rps: 100\n"
                               "    slo_ms: 202\n"
                               "    stages:\n"
                               "      - {model: ssd}\n"
                               "      - {model: vgg16, after: [lenet, ssd], calls: 1.5}\n"
                               "      - {model: lenet, after: [ssd]}\n"
                               "gpus:\n"
                               "  - type: rtx2080ti\n"
                               "    count: 4\n"
                               "    cost_per_hour: 0.5\n"
                               "    node: node-a\n"
                               "  - type: rtx2080ti\n"
                               "options:\n"
                               "  interference: false\n"
                               "  headroom: 0.2\n"
                               "  rate_quantile: none\n"
                               "  latency_factor: 1.1\n"
                               "  max_gpulets_per_gpu: 8\n"
                               "  sizes: [10, 2, 4]\n";

static struct glet_workload *parsed(const char *text)
{
    struct glet_workload *workload;
    struct glet_error err;
    CHECK_OK(glet_workload_parse(text, strlen(text), "w.yaml", &workload, &err), &err);
    return workload;
}

static void everything_is_read(void **state)
{
    (void)state;
    struct glet_workload *w = parsed(complete);
    assert_int_equal(w->model_count, 4);
    assert_string_equal(w->models[0].name, "resnet50");
    CHECK_NEAR(w->models[0].rate_rps, 400, 0);
    CHECK_NEAR(w->models[0].percentile, 99.9, 0);
    assert_int_equal(w->models[0].arrival, GLET_ARRIVAL_UNIFORM);
    assert_int_equal(w->models[0].slo_mark.line, 5);
    assert_int_equal(w->models[0].slo_mark.column, 13);
    assert_string_equal(w->models[2].name, "ssd");
    CHECK_NEAR(w->models[2].slo_ms, 0, 0);
    assert_int_equal(w->app_count, 1);
    assert_int_equal(w->apps[0].stage_count, 3);
    assert_int_equal(w->apps[0].stages[1].after_count, 2);
    assert_int_equal(w->apps[0].stages[1].after[0], 0);
    assert_int_equal(w->apps[0].stages[1].after[1], 2);
    CHECK_NEAR(w->apps[0].stages[1].calls, 1.5, 0);
    CHECK_NEAR(w->apps[0].percentile, 99, 0);
    assert_int_equal(w->gpu_count, 2);
    assert_int_equal(w->gpus[0].count, 4);
    assert_string_equal(w->gpus[0].node, "node-a");
    assert_int_equal(w->gpus[1].count, GLET_COUNT_UNLIMITED);
    assert_null(w->gpus[1].node);
    assert_false(w->options.interference);
    assert_int_equal(w->options.size_count, 3);
    assert_int_equal(w->options.sizes_units[0], 2);
    assert_int_equal(w->options.sizes_units[2], 10);
    assert_int_equal(strlen(w->sha256), 64);
    glet_workload_free(w);
}

static void demand(void **state)
{
    (void)state;
    struct glet_workload *w = parsed(complete);
    CHECK_NEAR(glet_workload_demand_rps(w, 0), 480, 1e-9);
    CHECK_NEAR(glet_workload_demand_rps(w, 1), 120, 1e-9);
    CHECK_NEAR(glet_workload_demand_rps(w, 3), 180, 1e-9);
    w->options.headroom_ratio = 0;
    w->options.rate_quantile = 0.99;
    /* From summing the probabilities in decimal arithmetic with 40 digits. */
    CHECK_NEAR(glet_workload_demand_rps(w, 0), 447, 0);
    CHECK_NEAR(glet_workload_demand_rps(w, 2), 124, 0);
    w->models[0].rate_rps = 0.5;
    CHECK_NEAR(glet_workload_demand_rps(w, 0), 3, 0);
    w->models[0].rate_rps = 90000;
    CHECK_NEAR(glet_workload_demand_rps(w, 0), 90699, 0);
    w->models[0].rate_rps = 4e6;
    CHECK_NEAR(glet_workload_demand_rps(w, 0), 4004653, 0);
    w->models[0].rate_rps = 1e18;
    assert_true(glet_workload_demand_rps(w, 0) > 1e18);
    w->models[0].rate_rps = 0;
    CHECK_NEAR(glet_workload_demand_rps(w, 0), 0, 0);
    glet_workload_free(w);
}

#define HEAD   "schema: gpulet-workload/1\n"
#define GPUS   "gpus: [{type: g}]\n"
#define MODELS "models: [{name: a, rate_rps: 1, slo_ms: 1}]\n"
#define APP(s) HEAD "apps: [{name: p, rate_rps: 1, slo_ms: 1, stages: " s "}]\n" GPUS

/* One mistake each: the file, "line:column: message", the hint. */
static const char *const mistakes[][3] = {
    {"", "1:1: the file is empty", ""},
    {"a: [", "2:1: not YAML: did not find expected node content", ""},
    {"- 1\n", "1:1: is a list, not a mapping", ""},
    {MODELS GPUS, "1:1: schema: missing", ""},
    {"schema: gpulet-workload/2\n" MODELS GPUS,
     "1:9: schema: 'gpulet-workload/2' is not one of gpulet-workload/1",
     "did you mean gpulet-workload/1?"},
    {HEAD MODELS, "1:1: gpus: missing", ""},
    {HEAD GPUS, "1:1: there are no models and no apps", ""},
    {HEAD MODELS GPUS "option: {}\n", "4:1: option: unknown key", "did you mean options?"},
    {HEAD MODELS GPUS MODELS, "4:1: models: given twice", "the first is in line 2"},
    {HEAD MODELS GPUS "options: &x {}\n", "4:10: anchors and aliases are not supported", ""},
    {HEAD MODELS GPUS "options: *x\n", "4:10: anchors and aliases are not supported", ""},
    {HEAD MODELS GPUS "options: !!map {}\n", "4:10: tags are not supported", ""},
    {HEAD MODELS GPUS "---\na: 1\n", "4:1: a second document", ""},
    {HEAD MODELS GPUS "? [a]\n: 1\n", "4:3: a key must be a plain word", ""},
    {HEAD MODELS GPUS "? {a: 1}\n: 1\n", "4:3: a key must be a plain word", ""},
    {HEAD "models: 3\n" GPUS, "2:9: models: '3' is not a list", ""},
    {HEAD "models:\n" GPUS, "2:8: models: is empty, not a list", ""},
    {HEAD "models: [3]\n" GPUS, "2:10: models[0]: '3' is not a mapping", ""},
    {HEAD "models: [{rate_rps: 1, slo_ms: 1}]\n" GPUS, "2:10: models[0].name: missing", ""},
    {HEAD "models: [{name: a, slo_ms: 1}]\n" GPUS, "2:10: models[0].rate_rps: missing", ""},
    {HEAD "models: [{name: a, rate_rps: 1}]\n" GPUS, "2:10: models[0].slo_ms: missing", ""},
    {HEAD "models: [{name: a, rate_rsp: 1, slo_ms: 1}]\n" GPUS,
     "2:20: models[0].rate_rsp: unknown key", "did you mean rate_rps?"},
    {HEAD "models: [{name: a, rate_rps: -1, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: -1 is below 0", ""},
    {HEAD "models: [{name: a, rate_rps: 0x10, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: '0x10' is not a number", ""},
    {HEAD "models: [{name: a, rate_rps: 1_000, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: '1_000' is not a number", ""},
    {HEAD "models: [{name: a, rate_rps: .inf, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: '.inf' is not a number", ""},
    {HEAD "models: [{name: a, rate_rps: nan, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: 'nan' is not a number", ""},
    {HEAD "models: [{name: a, rate_rps: 1e400, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: '1e400' is not a number", ""},
    {HEAD "models: [{name: a, rate_rps: '4', slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: '4' is text in quotes, not a number", ""},
    {HEAD "models: [{name: a, rate_rps: 1e10, slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: 1e10 is above 1e+09", ""},
    {HEAD "models: [{name: a, rate_rps: [1], slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: is a list, not a number", ""},
    {HEAD "models: [{name: a, rate_rps: , slo_ms: 1}]\n" GPUS,
     "2:30: models[0].rate_rps: is empty, not a number", ""},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 0}]\n" GPUS,
     "2:41: models[0].slo_ms: 0 is not above 0", ""},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1, percentile: 100}]\n" GPUS,
     "2:56: models[0].percentile: 100 is not below 100", ""},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1, percentile: 0}]\n" GPUS,
     "2:56: models[0].percentile: 0 is not above 0", ""},
    {HEAD "models: [{name: {}, rate_rps: 1, slo_ms: 1}]\n" GPUS,
     "2:17: models[0].name: is a mapping, not a name", ""},
    {HEAD "models: [{name: null, rate_rps: 1, slo_ms: 1}]\n" GPUS,
     "2:17: models[0].name: 'null' is not a name", ""},
    {HEAD "models: [{name: a/b, rate_rps: 1, slo_ms: 1}]\n" GPUS,
     "2:17: models[0].name: 'a/b' is not a name",
     "a name has at most 255 bytes, no '/', no blanks"},
    {HEAD "models: [{name: \"a\\0b\", rate_rps: 1, slo_ms: 1}]\n" GPUS,
     "2:17: a NUL character in text", ""},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1}, {name: a, rate_rps: 1, slo_ms: 1}]\n" GPUS,
     "2:52: models[1].name: model a is given twice", "the first is in line 2"},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1, arrival: poison}]\n" GPUS,
     "2:53: models[0].arrival: 'poison' is not one of poisson, uniform, trace",
     "did you mean poisson?"},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1, arrival: trace}]\n" GPUS,
     "2:53: models[0].arrival: trace needs a file", "add trace: FILE.csv"},
    {HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1, trace: t.csv}]\n" GPUS,
     "2:51: models[0].trace: has no meaning without arrival: trace", "add arrival: trace"},
    {HEAD MODELS "gpus: []\n", "3:7: gpus: at least one GPU type is needed", ""},
    {HEAD MODELS "gpus: [{count: 1}]\n", "3:8: gpus[0].type: missing", ""},
    {HEAD MODELS "gpus: [{type: g, count: -1}]\n", "3:25: gpus[0].count: -1 is below 0", ""},
    {HEAD MODELS "gpus: [{type: g, count: 1.5}]\n",
     "3:25: gpus[0].count: '1.5' is not a whole number", ""},
    {HEAD MODELS "gpus: [{type: g, count: 99999999999}]\n",
     "3:25: gpus[0].count: 99999999999 is above 1e+06", ""},
    {HEAD MODELS "gpus: [{type: g, cost_per_hour: 0}]\n",
     "3:33: gpus[0].cost_per_hour: 0 is not above 0", ""},
    {HEAD MODELS "gpus: [{type: g}, {type: g, node: n}, {type: g}]\n",
     "3:46: gpus[2].type: without a node, type g is given twice", "the first is in line 3"},
    {HEAD MODELS "gpus: [{type: g, node: n}, {type: g, node: n}]\n",
     "3:35: gpus[1].type: with this node, type g is given twice", "the first is in line 3"},
    {HEAD MODELS GPUS "options: []\n", "4:10: options: is a list, not a mapping", ""},
    {HEAD MODELS GPUS "options: {interference: yes}\n",
     "4:25: options.interference: 'yes' is not true or false", ""},
    {HEAD MODELS GPUS "options: {headroom: -0.1}\n", "4:21: options.headroom: -0.1 is below 0", ""},
    {HEAD MODELS GPUS "options: {rate_quantile: 1}\n",
     "4:26: options.rate_quantile: 1 is not below 1", "give none, or a probability such as 0.99"},
    {HEAD MODELS GPUS "options: {rate_quantile: nine}\n",
     "4:26: options.rate_quantile: 'nine' is not a number",
     "give none, or a probability such as 0.99"},
    {HEAD MODELS GPUS "options: {latency_factor: 0}\n",
     "4:27: options.latency_factor: 0 is below 0.001", ""},
    {HEAD MODELS GPUS "options: {max_gpulets_per_gpu: 0}\n",
     "4:32: options.max_gpulets_per_gpu: 0 is below 1", ""},
    {HEAD MODELS GPUS "options: {sizes: []}\n", "4:18: options.sizes: at least one size is needed",
     ""},
    {HEAD MODELS GPUS "options: {sizes: [0]}\n", "4:19: options.sizes[0]: 0 is below 1", ""},
    {HEAD MODELS GPUS "options: {sizes: [2, 1, 2]}\n", "4:25: options.sizes[2]: 2 is given twice",
     ""},
    {APP("[]"), "2:50: apps[0].stages: an app needs at least one stage", ""},
    {APP("[{}]"), "2:51: apps[0].stages[0].model: missing", ""},
    {APP("[{model: a, calls: 0}]"), "2:69: apps[0].stages[0].calls: 0 is not above 0", ""},
    {APP("[{model: a, after: b}]"), "2:69: apps[0].stages[0].after: 'b' is not a list", ""},
    {APP("[{model: a, after: [b]}]"), "2:70: apps[0].stages[0].after[0]: b is not a stage of app p",
     ""},
    {APP("[{model: a}, {model: b, after: [a, a]}]"),
     "2:85: apps[0].stages[1].after[1]: a is given twice", ""},
    {APP("[{model: a}, {model: a}]"), "2:71: apps[0].stages[1].model: stage a is given twice",
     "the first is in line 2"},
    {APP("[{model: a, after: [a]}]"),
     "2:51: apps[0].stages[0]: stage a waits for itself, through the stages after it", ""},
    {APP("[{model: r}, {model: a, after: [b]}, {model: b, after: [r, a]}]"),
     "2:63: apps[0].stages[1]: stage a waits for itself, through the stages after it", ""},
    {HEAD "apps: [{name: p, rate_rps: 1, stages: [{model: a}]}]\n" GPUS,
     "2:8: apps[0].slo_ms: missing", ""},
    {HEAD "apps: [{name: p, rate_rps: 1, slo_ms: 1, stages: [{model: a}]}, {name: p, rate_rps: 1, "
          "slo_ms: 1, stages: [{model: a}]}]\n" GPUS,
     "2:72: apps[1].name: app p is given twice", "the first is in line 2"},
    {HEAD "models: [\xff]\n", "2:10: not YAML: invalid leading UTF-8 octet", ""},
};

static void every_mistake(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        struct glet_workload *workload;
        struct glet_error err = {0};
        char got[1200] = "(none)";
        if (glet_workload_parse(mistakes[i][0], strlen(mistakes[i][0]), "w.yaml", &workload,
                                &err) == 0)
            glet_workload_free(workload);
        else
            snprintf(got, sizeof got, "%d:%d: %s", err.line, err.column, err.message);
        if (strcmp(got, mistakes[i][1]) == 0 && strcmp(err.hint, mistakes[i][2]) == 0 &&
            strcmp(err.file, "w.yaml") == 0)
            continue;
        print_error("%zu: got    %s (%s)\n   wanted %s (%s)\n", i, got, err.hint, mistakes[i][1],
                    mistakes[i][2]);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void hostile_sizes(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    static char text[2 * DEEP + 1];
    struct glet_workload *workload;
    struct glet_error err;
    memset(text, '[', DEEP);
    assert_int_equal(glet_workload_parse(text, DEEP, "w", &workload, &err), -1);
    assert_string_equal(err.message, "more than 64 levels");
    for (int i = 0; i < DEEP / 2; i++)
        snprintf(text + 4 * i, 5, "%c%c:\n", 'a' + i % 26, 'a' + i / 26 % 26);
    assert_int_equal(glet_workload_parse(text, 2 * DEEP, "w", &workload, &err), -1);
    assert_string_equal(err.message, "more than 256 keys in one mapping");
}

static char folder[] = "/tmp/test_workload.XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    unlink("t.csv");
    unlink("w.yaml");
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

static int load_with_trace(const char *trace, struct glet_workload **workload,
                           struct glet_error *err)
{
    static const char text[] =
        HEAD "models: [{name: a, rate_rps: 1, slo_ms: 1, arrival: trace, trace: t.csv}]\n" GPUS;
    CHECK_OK(glet_file_write("t.csv", trace, strlen(trace), err), err);
    CHECK_OK(glet_file_write("w.yaml", text, sizeof text - 1, err), err);
    return glet_workload_load("./w.yaml", workload, err);
}

/* As some editors write it; the places stay right. */
static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    struct glet_workload *w = parsed("\xef\xbb\xbf" HEAD MODELS GPUS);
    struct glet_error err;
    const char *bad = "\xef\xbb\xbf" HEAD "models: 3\n" GPUS;
    assert_int_equal(w->model_count, 1);
    glet_workload_free(w);
    CHECK_FAILS(glet_workload_parse(bad, strlen(bad), "w.yaml", &w, &err), &err, GLET_ERR_INPUT,
                "models: '3' is not a list");
    assert_int_equal(err.line, 2);
    assert_int_equal(err.column, 9);
}

static void traces(void **state)
{
    (void)state;
    struct glet_workload *workload;
    struct glet_error err;
    CHECK_OK(load_with_trace("x,t_s\n1,0\n2,0.5\n3,0.5\n", &workload, &err), &err);
    assert_string_equal(workload->models[0].trace_path, "./t.csv");
    assert_int_equal(workload->models[0].trace_count, 3);
    CHECK_NEAR(workload->models[0].trace_s[2], 0.5, 0);
    glet_workload_free(workload);
    CHECK_FAILS(load_with_trace("t_s\n1\n0.5\n", &workload, &err), &err, GLET_ERR_INPUT,
                "t_s: 0.5 comes after 1: times must ascend");
    assert_string_equal(err.file, "./t.csv");
    assert_int_equal(err.line, 3);
    CHECK_FAILS(load_with_trace("t_s\n-1\n", &workload, &err), &err, GLET_ERR_RANGE,
                "t_s: -1 is below 0");
    CHECK_FAILS(load_with_trace("t_s\n", &workload, &err), &err, GLET_ERR_INPUT,
                "the trace has no arrivals");
    CHECK_FAILS(load_with_trace("t\n1\n", &workload, &err), &err, GLET_ERR_INPUT, "no column t_s");
    unlink("t.csv");
    CHECK_FAILS(glet_workload_load("./w.yaml", &workload, &err), &err, GLET_ERR_IO,
                "a: trace: ./t.csv: No such file or directory");
    assert_string_equal(err.file, "./w.yaml");
    assert_int_equal(err.line, 2);
    CHECK_FAILS(glet_workload_load("none.yaml", &workload, &err), &err, GLET_ERR_IO,
                "none.yaml: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(demand),
        cmocka_unit_test(every_mistake),
        cmocka_unit_test(hostile_sizes),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(traces),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
