/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/plan_file.h"

#include <stdlib.h>
#include <string.h>

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* As glet_plan_write() writes it, so that reading and writing give the same bytes. */
static const char complete[] =
    "schema: gpulet-plan/1\n"
    "objective: min-cost\n"
    "certificate:\n"
    "  gpus: 1\n"
    "  lower_bound: 1\n"
    "  gap: 0.1\n"
    "  cost: 2.5\n"
    "  cost_lower_bound: 2.25\n"
    "inputs:\n"
    "  workload_sha256: \"" SHA "\"\n"
    "  profile_sha256: \"" SHA "\"\n"
    "models:\n"
    "  - {name: resnet50, file: ../m/resnet50.onnx, slo_ms: 108, percentile: 99.9, rate_rps: 300, "
    "planned_rps: 300.5}\n"
    "  - {name: \"true\", percentile: 99, rate_rps: 0, planned_rps: 10}\n"
    "gpus:\n"
    "  - id: gpu0\n"
    "    type: rtx2080ti\n"
    "    node: node-a\n"
    "    units: 10\n"
    "    gpulets:\n"
    "      - units: 4\n"
    "        duty_cycle_ms: 52.4\n"
    "        models:\n"
    "          - {name: resnet50, batch: 16, rate_rps: 300.5, exec_ms: 40.1, factor: 1.07, "
    "latency_bound_ms: 92.5}\n"
    "          - {name: \"true\", batch: 1, rate_rps: 10, exec_ms: 12.299999999999999, factor: 1, "
    "latency_bound_ms: 64.7}\n"
    "  - id: spare\n"
    "    type: rtx2080ti\n"
    "    units: 10\n"
    "    gpulets: []\n";

static struct glet_plan *parsed(const char *text)
{
    struct glet_plan *plan;
    struct glet_error err;
    CHECK_OK(glet_plan_parse(text, strlen(text), "p.yaml", &plan, &err), &err);
    return plan;
}

static void everything_is_read(void **state)
{
    (void)state;
    struct glet_plan *plan = parsed(complete);
    assert_int_equal(plan->objective, GLET_MIN_COST);
    CHECK_NEAR(plan->certificate.gap_ratio, 0.1, 0);
    CHECK_NEAR(plan->certificate.cost_lower_bound, 2.25, 0);
    assert_string_equal(plan->profile_sha256, SHA);
    assert_int_equal(plan->model_count, 2);
    assert_string_equal(plan->models[0].file, "../m/resnet50.onnx");
    CHECK_NEAR(plan->models[1].slo_ms, 0, 0);
    assert_int_equal(plan->gpu_count, 2);
    assert_string_equal(plan->gpus[0].node, "node-a");
    assert_null(plan->gpus[1].node);
    const struct glet_plan_let *let = &plan->gpus[0].lets[0];
    assert_int_equal(let->units, 4);
    assert_int_equal(let->models[0].batch, 16);
    assert_int_equal(let->models[1].model, 1);
    CHECK_NEAR(let->models[0].factor, 1.07, 0);
    glet_plan_free(plan);
}

static void written_bytes_are_the_read_ones(void **state)
{
    (void)state;
    struct glet_plan *plan = parsed(complete);
    struct glet_error err;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    CHECK_OK(glet_plan_write(plan, out, &err), &err);
    fclose(out);
    assert_string_equal(text, complete);
    free(text);
    glet_plan_free(plan);
}

static void failed_writes_are_reported(void **state)
{
    (void)state;
    struct glet_plan *plan = parsed(complete);
    struct glet_error err;
    FILE *out = fopen("/dev/full", "w");
    if (!out)
        skip();
    CHECK_FAILS(glet_plan_write(plan, out, &err), &err, GLET_ERR_IO,
                "writing the plan: No space left on device");
    fclose(out);
    glet_plan_free(plan);
}

static void what_no_reader_takes_is_not_written(void **state)
{
    (void)state;
    struct glet_plan_gpu *gpus = calloc(GLET_PLAN_MOST_GPUS + 1, sizeof *gpus);
    struct glet_plan plan = {.gpus = gpus, .gpu_count = GLET_PLAN_MOST_GPUS + 1};
    struct glet_error err;
    assert_non_null(gpus);
    CHECK_FAILS(glet_plan_write(&plan, stdout, &err), &err, GLET_ERR_UNSUPPORTED,
                "the plan has 16385 GPUs; a plan file holds at most 16384");
    free(gpus);
}

#define HEAD      "schema: gpulet-plan/1\nobjective: min-gpus\n"
#define MODEL     "models: [{name: a, slo_ms: 10, rate_rps: 9, planned_rps: 100}]\n"
#define LET(body) "gpus: [{id: g, type: t, units: 10, gpulets: [{" body "}]}]\n"
#define ROUND(m)  LET("units: 2, duty_cycle_ms: 5, models: [" m "]")
#define ENTRY     "{name: a, batch: 1, rate_rps: 100, exec_ms: 4, factor: 1, latency_bound_ms: 9}"
#define FINE      ROUND(ENTRY)

static const char *const mistakes[][3] = {
    {HEAD MODEL FINE, "(none)", ""},
    {"schema: gpulet-workload/1\n", "1:9: schema: 'gpulet-workload/1' is not one of gpulet-plan/1",
     ""},
    {"schema: gpulet-plan/1\n" MODEL FINE, "1:1: objective: missing", ""},
    {"schema: gpulet-plan/1\nobjective: max-rat\n",
     "2:12: objective: 'max-rat' is not one of min-gpus, min-cost, max-rate",
     "did you mean max-rate?"},
    {HEAD FINE, "1:1: models: missing", ""},
    {HEAD MODEL, "1:1: gpus: missing", ""},
    {HEAD MODEL FINE "input: {}\n", "5:1: input: unknown key", "did you mean inputs?"},
    {HEAD MODEL FINE "inputs: {workload_sha256: 12}\n",
     "5:27: inputs.workload_sha256: is not 64 lower-case hexadecimal digits", ""},
    {HEAD MODEL FINE "certificate: {gpus: 1, gap: 0}\n", "5:14: certificate.lower_bound: missing",
     ""},
    {HEAD MODEL FINE "certificate: {gpus: 1, lower_bound: 2, gap: 0}\n",
     "5:37: certificate.lower_bound: 2 is above the 1 GPU used", ""},
    {HEAD MODEL FINE "certificate: {gpus: 2, lower_bound: 1, gap: 0}\n",
     "5:21: certificate.gpus: 2, but 1 GPU has gpu-lets", ""},
    {"schema: gpulet-plan/1\nobjective: max-rate\ncertificate: {gpus: 1, lower_bound: 1, gap: 0}\n",
     "1:1: models: missing", ""},
    {"schema: gpulet-plan/1\nobjective: max-rate\ncertificate: {gpus: 1, lower_bound: 1, gap: "
     "0}\n" MODEL FINE,
     "3:14: certificate.scale: missing", ""},
    {HEAD "models: [{name: a, rate_rps: 9}]\n" FINE, "3:10: models[0].planned_rps: missing", ""},
    {HEAD "models: [{name: a, rate_rps: 9, planned_rps: 1}, {name: a, rate_rps: 9, planned_rps: "
          "1}]\n" FINE,
     "3:57: models[1].name: model a is given twice", "the first is in line 3"},
    {HEAD "models: [{name: a, rate_rps: 9, planned_rps: 99}]\n" FINE,
     "3:46: models[0].planned_rps: 99 is not the sum over its gpu-lets, 100", ""},
    {HEAD MODEL "gpus: [{id: g, type: t, gpulets: []}]\n", "4:8: gpus[0].units: missing", ""},
    {HEAD MODEL "gpus: [{id: g, type: t, units: 0, gpulets: []}]\n",
     "4:32: gpus[0].units: 0 is below 1", ""},
    {HEAD MODEL "gpus: [{id: g, type: t, units: 1, gpulets: []}, {id: g, type: t, units: 1, "
                "gpulets: []}]\n",
     "4:54: gpus[1].id: GPU g is given twice", "the first is in line 4"},
    {HEAD MODEL LET("units: 11, duty_cycle_ms: 5, models: [" ENTRY "]"),
     "4:45: gpus[0].gpulets: 11 units together, but the GPU has 10", ""},
    {HEAD MODEL LET("units: 2, duty_cycle_ms: 0, models: [" ENTRY "]"),
     "4:72: gpus[0].gpulets[0].duty_cycle_ms: 0 is not above 0", ""},
    {HEAD MODEL LET("units: 2, duty_cycle_ms: 5, models: []"),
     "4:83: gpus[0].gpulets[0].models: a gpu-let needs at least one model", ""},
    {HEAD MODEL ROUND("{name: b, batch: 1, rate_rps: 1, exec_ms: 4, factor: 1, latency_bound_ms: "
                      "9}"),
     "4:91: gpus[0].gpulets[0].models[0].name: b is not one of the plan's models", ""},
    {HEAD MODEL ROUND(ENTRY ", " ENTRY),
     "4:171: gpus[0].gpulets[0].models[1].name: model a is given twice", "the first is in line 4"},
    {HEAD MODEL ROUND("{name: a, batch: 0, rate_rps: 1, exec_ms: 4, factor: 1, latency_bound_ms: "
                      "9}"),
     "4:101: gpus[0].gpulets[0].models[0].batch: 0 is below 1", ""},
    {HEAD MODEL ROUND("{name: a, batch: 1, rate_rps: 1, exec_ms: 4, factor: 0.9, latency_bound_ms: "
                      "9}"),
     "4:137: gpus[0].gpulets[0].models[0].factor: 0.9 is below 1", ""},
    {HEAD MODEL ROUND("{name: a, batch: 1, rate_rps: 201, exec_ms: 4, factor: 1, latency_bound_ms: "
                      "9}"),
     "4:101: gpus[0].gpulets[0].models[0].batch: 1 requests per round, but 1.005 arrive during one",
     ""},
    {HEAD MODEL ROUND("{name: a, batch: 1, rate_rps: 100, exec_ms: 4, factor: 1, latency_bound_ms: "
                      "8}"),
     "4:160: gpus[0].gpulets[0].models[0].latency_bound_ms: 8 is not duty_cycle_ms + exec_ms = 9",
     ""},
    {HEAD "models: [{name: a, slo_ms: 8, rate_rps: 9, planned_rps: 100}]\n" FINE,
     "4:160: gpus[0].gpulets[0].models[0].latency_bound_ms: duty_cycle_ms + exec_ms = 9 is above "
     "the SLO of 8 ms",
     ""},
    {HEAD "models: [{name: a, rate_rps: 9, planned_rps: 100}]\n" ROUND(
         "{name: a, batch: 1, rate_rps: 100, exec_ms: 6, factor: 1, latency_bound_ms: 11}"),
     "4:72: gpus[0].gpulets[0].duty_cycle_ms: 5 is below the models' exec_ms together, 6", ""},
};

static void every_mistake(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        struct glet_plan *plan;
        struct glet_error err = {0};
        char got[1200] = "(none)";
        if (glet_plan_parse(mistakes[i][0], strlen(mistakes[i][0]), "p.yaml", &plan, &err) == 0)
            glet_plan_free(plan);
        else
            snprintf(got, sizeof got, "%d:%d: %s", err.line, err.column, err.message);
        if (strcmp(got, mistakes[i][1]) == 0 && strcmp(err.hint, mistakes[i][2]) == 0)
            continue;
        print_error("%zu: got    %s (%s)\n   wanted %s (%s)\n", i, got, err.hint, mistakes[i][1],
                    mistakes[i][2]);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(written_bytes_are_the_read_ones),
        cmocka_unit_test(failed_writes_are_reported),
        cmocka_unit_test(what_no_reader_takes_is_not_written),
        cmocka_unit_test(every_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
