/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Draws small problems that meet every corner of the contract: latencies that are not monotone in
 * batch or size, interference with negative coefficients, measured pairs, binding memory under
 * every mechanism, MIG layouts, two types with prices, apps, zero, tiny and exact rates.
 */
#include "common/random.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct draw {
    struct glet_random random;
    struct brute_instance *out;
    int models, batches, units;
    double fastest_ms[BRUTE_MODELS], best_rps[BRUTE_MODELS];
};

static double uniform(struct draw *d, double low, double high)
{
    return low + (high - low) * glet_random_uniform(&d->random);
}

static bool chance(struct draw *d, double probability)
{
    return glet_random_uniform(&d->random) < probability;
}

static int below(struct draw *d, int bound)
{
    return (int)glet_random_below(&d->random, (uint64_t)bound);
}

static void note(struct draw *d, const char *word)
{
    size_t used = strlen(d->out->what);
    snprintf(d->out->what + used, sizeof d->out->what - used, " %s", word);
}

static void add_device(struct draw *d, const char *name, bool memory_binds)
{
    static const enum glet_mechanism mechanisms[] = {
        GLET_MECHANISM_GREEN_CONTEXT, GLET_MECHANISM_MPS, GLET_MECHANISM_MIG, GLET_MECHANISM_CPU};
    struct fixture *f = &d->out->fixture;
    enum glet_mechanism mechanism = mechanisms[below(d, 4)];
    int lets = d->models == 3 ? 2 : 3;
    int device = fixture_device(f, name, mechanism, d->units, 1 + below(d, lets),
                                memory_binds ? uniform(d, 900, 2500) : 1e6);
    f->profile->devices[device].context_mib = memory_binds ? 100 : NAN;
    if (mechanism == GLET_MECHANISM_MIG && d->units == 4) {
        note(d, "layouts");
        fixture_layout(f, device, (int[]){4, 0});
        fixture_layout(f, device, (int[]){3, 0});
        fixture_layout(f, device, (int[]){2, 1, 1, 0});
    }
    double speed = uniform(d, 0.6, 1.5);
    for (int m = 0; m < d->models; m++) {
        double base = uniform(d, 2, 10) * speed, slope = uniform(d, 0.2, 6) * speed;
        for (int units = 1; units <= d->units; units++) {
            if (chance(d, 0.15) && units < d->units)
                continue; /* this size was not profiled for this model */
            for (int b = 1; b <= d->batches; b++) {
                double share = pow((double)units / d->units, uniform(d, 0.3, 1.0));
                double ms = (base + slope * b) / share * uniform(d, 0.85, 1.15);
                int row = fixture_row(f, device, m, b, units, ms);
                f->profile->latency[row].l2_util = uniform(d, 0, 1);
                f->profile->latency[row].dram_util = chance(d, 0.05) ? NAN : uniform(d, 0, 1);
                f->profile->latency[row].activation_mib =
                    memory_binds ? uniform(d, 0, 60) * b : NAN;
                d->fastest_ms[m] = fmin(d->fastest_ms[m], ms);
                d->best_rps[m] = fmax(d->best_rps[m], 1000 * b / ms);
            }
        }
    }
}

static void add_interference(struct draw *d, int device)
{
    struct fixture *f = &d->out->fixture;
    if (chance(d, 0.55)) {
        note(d, "interference");
        fixture_interference(f, device, uniform(d, 0.7, 1.2), uniform(d, -0.2, 0.3),
                             uniform(d, -0.1, 0.7), uniform(d, -0.1, 0.4), uniform(d, -0.1, 0.3),
                             chance(d, 0.3) ? 0.05 : 0);
    }
    if (!chance(d, 0.2))
        return;
    note(d, "pairs");
    for (int i = 0; i < 4; i++) {
        int a[3] = {below(d, d->models), 1 + below(d, d->batches), 1 + below(d, d->units)};
        int b[3] = {below(d, d->models), 1 + below(d, d->batches), 1 + below(d, d->units)};
        fixture_corun(f, device, a, b, uniform(d, 0.9, 1.8), uniform(d, 0.9, 1.8));
    }
}

static double draw_rate(struct draw *d, int m)
{
    switch (below(d, 8)) {
    case 0:
        return 0;
    case 1:
        return 1e-6;
    case 2:
        return d->best_rps[m];
    case 3:
        return d->best_rps[m] * (1 + 1e-6);
    default:
        return d->best_rps[m] * uniform(d, 0.05, 1.2);
    }
}

static void draw_stock(struct draw *d, int types)
{
    struct fixture *f = &d->out->fixture;
    bool limited = d->out->objective != GLET_MIN_GPUS || chance(d, 0.5);
    if (types == 2) {
        note(d, "two-types");
        fixture_stock(f, "x", 1 + below(d, 2), uniform(d, 0.5, 2), NULL);
        fixture_stock(f, "y", 1, uniform(d, 0.5, 2), "node");
    } else {
        fixture_stock(f, "x", limited ? 1 + below(d, 3) : GLET_COUNT_UNLIMITED, uniform(d, 0.5, 2),
                      NULL);
    }
    if (limited || types == 2)
        note(d, "limited");
}

/* Two stages in a chain or side by side; sometimes more, the same model twice, or a second app. */
static void draw_app(struct draw *d, struct draw *more)
{
    struct fixture *f = &d->out->fixture;
    note(d, "app");
    double path_ms = 2 * (d->fastest_ms[0] + d->fastest_ms[1]), room = uniform(d, 0.95, 3);
    double rate_rps = d->best_rps[0] * uniform(d, 0.02, 0.3);
    int third = chance(more, 0.5) ? below(more, d->models) : -1;
    if (third >= 0)
        path_ms += 2 * d->fastest_ms[third];
    int app = fixture_app(f, "app", rate_rps, path_ms * room);
    fixture_stage(f, app, 0, -1, 1);
    fixture_stage(f, app, 1, chance(d, 0.8) ? 0 : -1, uniform(d, 0.5, 2));
    if (third >= 0) {
        note(d, "third-stage");
        fixture_stage(f, app, third, below(more, 2), uniform(more, 0.2, 1));
    }
    if (chance(d, 0.5))
        f->workload->models[0].slo_ms = 0;
    if (!chance(more, 0.2))
        return;
    note(d, "second-app");
    int last = d->models - 1;
    app = fixture_app(f, "other", d->best_rps[last] * uniform(more, 0.02, 0.2),
                      2 * (d->fastest_ms[0] + d->fastest_ms[last]) * uniform(more, 0.95, 3));
    fixture_stage(f, app, last, -1, 1);
    fixture_stage(f, app, 0, 0, 1);
}

struct brute_instance brute_instance_new(uint64_t seed)
{
    struct brute_instance out = {.fixture = fixture_new()};
    struct draw d = {.random = glet_random_seeded(seed), .out = &out};
    d.models = 1 + below(&d, BRUTE_MODELS);
    d.batches = d.models == 3 ? 1 + below(&d, 3) : 1 + below(&d, 4);
    d.units = 1 + below(&d, 4);
    out.objective = (enum glet_objective)(chance(&d, 0.7) ? 0 : 1 + below(&d, 2));
    int types = chance(&d, 0.2) ? 2 : 1;
    bool memory_binds = chance(&d, 0.3);
    snprintf(out.what, sizeof out.what, "%d models, batch <= %d, %d units, %s:", d.models,
             d.batches, d.units, glet_objective_name(out.objective));
    if (memory_binds)
        note(&d, "memory");
    for (int m = 0; m < d.models; m++) {
        fixture_model(&out.fixture, (const char *[]){"a", "b", "c"}[m], 0, 1);
        out.fixture.profile->models[m].memory_mib = memory_binds ? uniform(&d, 100, 1200) : NAN;
        d.fastest_ms[m] = INFINITY;
    }
    for (int t = 0; t < types; t++) {
        add_device(&d, t ? "y" : "x", memory_binds);
        add_interference(&d, t);
    }
    for (int m = 0; m < d.models; m++) {
        struct glet_workload_model *model = &out.fixture.workload->models[m];
        model->slo_ms = 2 * d.fastest_ms[m] * (chance(&d, 0.1) ? 1 : uniform(&d, 0.97, 4));
        model->rate_rps = draw_rate(&d, m);
    }
    draw_stock(&d, types);
    struct draw more = {.random = glet_random_seeded(seed ^ 0x5bd1e995u)};
    if (d.models >= 2 && chance(&d, 0.15))
        draw_app(&d, &more);
    if (chance(&d, 0.1))
        out.fixture.workload->options.interference = false;
    fixture_done(&out.fixture);
    return out;
}
