/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan simulate PLAN.yaml: does it keep the SLOs under the arrivals that the workload names? */
#include "planner/report/simulation_report.h"
#include "planner/verbs/commands.h"
#include "profiles/load.h"

static const char *const formats[] = {"table", "json", NULL};
enum { FORMAT_TABLE, FORMAT_JSON };
static const char *const routes[] = {"plan", "completion", NULL};

struct values {
    const char *slo, *profiles;
    uint64_t duration_us, warmup_us;
    double rate_scale;
    int64_t seed;
    int route, format;
    bool planned_batches_only, gpulets;
};

static const struct glet_option options[] = {
    {.group = "Inputs",
     .name = "slo",
     .kind = GLET_OPTION_TEXT,
     .value = "WORKLOAD.yaml",
     .offset = offsetof(struct values, slo),
     .help = "The workload: rates, arrivals, SLOs and their percentiles, apps."},
    {.name = "profiles",
     .kind = GLET_OPTION_TEXT,
     .value = "DB|DIR",
     .fallback = "profiles.db",
     .offset = offsetof(struct values, profiles),
     .help = "The profile store, or a folder of exported CSVs: how long batches below the planned "
             "one take."},
    {.group = "What to simulate",
     .name = "duration",
     .kind = GLET_OPTION_DURATION,
     .value = "TIME",
     .fallback = "10m",
     .offset = offsetof(struct values, duration_us),
     .help = "Simulated time that counts."},
    {.name = "warmup",
     .kind = GLET_OPTION_DURATION,
     .value = "TIME",
     .fallback = "10s",
     .offset = offsetof(struct values, warmup_us),
     .help = "Simulated time before that."},
    {.name = "rate-scale",
     .kind = GLET_OPTION_DOUBLE,
     .value = "F",
     .fallback = "1",
     .low = 1e-6,
     .high = 1e6,
     .offset = offsetof(struct values, rate_scale),
     .help = "Multiply every rate by F: what happens beyond the plan?"},
    {.name = "seed",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "1",
     .low = 0,
     .high = 1e15,
     .offset = offsetof(struct values, seed),
     .help = "Of the arrivals; gpulet-load sends the same ones for the same seed."},
    {.name = "route",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "plan",
     .choices = routes,
     .offset = offsetof(struct values, route),
     .help = "As gpulet-runtime --route."},
    {.name = "planned-batches-only",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, planned_batches_only),
     .help = "As gpulet-runtime --planned-batches-only."},
    {.group = "Output",
     .name = "format",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "table",
     .choices = formats,
     .offset = offsetof(struct values, format),
     .help = "What to print on standard output."},
    {.name = "gpulets",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, gpulets),
     .help = "Also how busy each gpu-let is."},
};

static int simulate(const struct values *v, const struct glet_plan *plan,
                    const struct glet_problem *problem, struct glet_error *err)
{
    const struct glet_simulate_options wanted = {
        .duration_s = (double)v->duration_us / 1e6,
        .warmup_s = (double)v->warmup_us / 1e6,
        .rate_scale = v->rate_scale,
        .seed = (uint64_t)v->seed,
        .by_completion = v->route == 1,
        .planned_batches_only = v->planned_batches_only,
    };
    struct glet_simulation simulation;
    int result = glet_simulate(plan, problem, &wanted, &simulation, err);
    if (result == 0)
        result = v->format == FORMAT_JSON
                     ? glet_report_simulation_json(plan, &wanted, &simulation, stdout, err)
                     : glet_report_simulation(plan, &wanted, &simulation, v->gpulets, stdout, err);
    for (size_t i = 0; result == 0 && i < simulation.stream_count; i++)
        if (!glet_simulate_meets_slo(&simulation.streams[i]))
            result = glet_error_exit_status(GLET_ERR_NO);
    glet_simulation_fini(&simulation);
    return result;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    if (!v->slo) {
        glet_error_set(err, GLET_ERR_USAGE, "--slo is missing");
        return glet_error_hint(err,
                               "name the workload: plan simulate plan.yaml --slo workload.yaml");
    }
    if (v->duration_us == 0)
        return glet_error_set(err, GLET_ERR_USAGE, "--duration: must be longer than 0");
    struct glet_plan *plan = NULL;
    struct glet_workload *workload = NULL;
    struct glet_profile *profile = NULL;
    struct glet_problem *problem = NULL;
    int result = glet_plan_load(arguments->items[0], &plan, err);
    if (result == 0)
        result = glet_workload_load(v->slo, &workload, err);
    if (result == 0)
        result = glet_profile_load(v->profiles, &profile, err);
    if (result == 0)
        result = glet_problem_new(workload, profile, plan->objective, &problem, err);
    if (result == 0)
        result = simulate(v, plan, problem, err);
    glet_problem_free(problem);
    glet_profile_free(profile);
    glet_workload_free(workload);
    glet_plan_free(plan);
    return result;
}

static const struct glet_example examples[] = {
    {"Do the SLOs hold under Poisson arrivals?", "plan simulate plan.yaml --slo workload.yaml"},
    {"And with a fifth more of everything, for an hour?",
     "plan simulate plan.yaml --slo workload.yaml --rate-scale 1.2 --duration 1h"},
    {NULL, NULL},
};

const struct glet_command glet_cmd_simulate = {
    .name = "simulate",
    .summary =
        "Serves a plan on paper: which share of requests meets its SLO when arrivals come in "
        "bursts?",
    .arguments = "PLAN.yaml",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "A plan promises its latencies for mean rates. This runs the runtime's own admission, "
        "queues and batches against arrivals as the workload describes them, with every batch "
        "taking what the plan allows for it, and counts. Refused and dropped requests count as "
        "missed.",
    .examples = examples,
    .exit_no = "some SLO is met by fewer requests than its percentile asks",
    .exit_undecided = "a model has no profile",
    .values_bytes = sizeof(struct values),
    .run = run,
};
