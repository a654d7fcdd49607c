/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the design takes for granted about green contexts, asked of a real GPU: each check prints
 * rows as lines of JSON, {"what", "value", "unit", "target", "met"}.
 *
 *     gpu_checks CHECK --device cuda:0
 *
 * Exit status 77 where there is no GPU, 1 where a check could not be done.
 */
#include "tests/gpu/gpu_check.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(struct gpu_check *check, struct glet_error *err);
} checks[] = {
    {"units", gpu_check_units},         {"sets", gpu_check_sets},
    {"leak", gpu_check_leak},           {"graph-home", gpu_check_graph_home},
    {"isolation", gpu_check_isolation}, {"launch", gpu_check_launch},
    {"stall", gpu_check_stall},         {"events", gpu_check_events},
    {"storm", gpu_check_storm},         {"queues", gpu_check_queues},
    {"pinned", gpu_check_pinned},
};

static int run_check(int (*run)(struct gpu_check *check, struct glet_error *err), const char *spec)
{
    struct gpu_check check;
    struct glet_error err = {0};
    int rc = gpu_check_open(spec, &check, &err);
    if (rc < 0 && !glet_cuda_device_present()) {
        printf("skipped: %s\n", err.message);
        gpu_check_close(&check);
        return 77;
    }
    if (rc == 0)
        rc = run(&check, &err);
    if (rc < 0)
        glet_error_print(&err, stderr);
    gpu_check_close(&check);
    return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *spec = argc == 4 && strcmp(argv[2], "--device") == 0 ? argv[3] : "cuda:0";
    if (argc == 2 || argc == 4)
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
            if (strcmp(argv[1], checks[i].name) == 0)
                return run_check(checks[i].run, spec);
    fprintf(stderr, "usage: %s CHECK [--device cuda:N]\nchecks:", argv[0]);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        fprintf(stderr, " %s", checks[i].name);
    fputc('\n', stderr);
    return 2;
}
