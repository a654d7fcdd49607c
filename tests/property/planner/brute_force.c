/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All ways to fill one GPU, reduced to what they can serve; then all ways to take at most three.
 *
 * A configuration is kept as its capacity per model and, with apps, its worst latency bound per
 * model. One that another of the same type beats in every respect is dropped (exactly: no
 * tolerance). Everything else is enumeration.
 */
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_MAX   4
#define BATCH_MAX   4
#define LETS_MAX    3
#define ATOMS_MAX   512
#define CONFIGS_MAX 3000
#define SLACK       1e-9

struct atom { /* a gpu-let: batch of each model, 0 = absent */
    int units, batch[BRUTE_MODELS];
};

struct config {
    int type; /* index into workload->gpus */
    double capacity_rps[BRUTE_MODELS], worst_ms[BRUTE_MODELS];
    int moves[BRUTE_GPUS +
              1]; /* new gpu-lets when it takes the place of old GPU i; last: of none */
};

struct brute {
    const struct glet_workload *workload;
    const struct glet_profile *profile;
    enum glet_objective objective;
    int models;
    bool clip; /* capacities beyond the demand are worth nothing */
    double demand_rps[BRUTE_MODELS];
    const struct glet_profile_latency *row[2][BRUTE_MODELS][UNITS_MAX + 1][BATCH_MAX + 1];
    struct atom atoms[ATOMS_MAX];
    int atom_count;
    struct config *configs;
    long config_count;
    bool too_large;
    const struct brute_let *old; /* NULL unless replanning */
    int old_count;
};

static bool at_most(double a, double b)
{
    return a <= b + SLACK * fabs(b);
}

static double or_zero(double x)
{
    return isnan(x) ? 0 : x;
}

static double term(double k, double util)
{
    return isnan(util) ? fmax(k, 0) : k * util;
}

struct who {
    int model, batch, units;
};

static double slowdown(const struct brute *b, int device, struct who v, struct who o)
{
    double measured = NAN;
    for (size_t i = 0; i < b->profile->corun_count; i++) {
        const struct glet_profile_corun *c = &b->profile->corun[i];
        if ((int)c->device != device)
            continue;
        if ((int)c->model_a == v.model && c->batch_a == v.batch && c->units_a == v.units &&
            (int)c->model_b == o.model && c->batch_b == o.batch && c->units_b == o.units)
            measured = fmax(measured, c->slowdown_a);
        if ((int)c->model_b == v.model && c->batch_b == v.batch && c->units_b == v.units &&
            (int)c->model_a == o.model && c->batch_a == o.batch && c->units_a == o.units)
            measured = fmax(measured, c->slowdown_b);
    }
    if (!isnan(measured))
        return measured;
    for (size_t i = 0; i < b->profile->interference_count; i++) {
        const struct glet_profile_interference *k = &b->profile->interference[i];
        if ((int)k->device != device)
            continue;
        const struct glet_profile_latency *x = b->row[device][v.model][v.units][v.batch];
        const struct glet_profile_latency *y = b->row[device][o.model][o.units][o.batch];
        return k->constant + k->margin + term(k->l2_self, x->l2_util) +
               term(k->l2_other, y->l2_util) + term(k->dram_self, x->dram_util) +
               term(k->dram_other, y->dram_util);
    }
    return 1;
}

static double factor(const struct brute *b, int device, const struct atom *lets, int count, int i,
                     int m)
{
    double worst = 1;
    if (!b->workload->options.interference)
        return worst;
    for (int j = 0; j < count; j++)
        for (int o = 0; j != i && o < b->models; o++)
            if (lets[j].batch[o])
                worst = fmax(worst,
                             slowdown(b, device, (struct who){m, lets[i].batch[m], lets[i].units},
                                      (struct who){o, lets[j].batch[o], lets[j].units}));
    return worst;
}

static bool sizes_fit(const struct glet_profile_device *device, const struct atom *lets, int count)
{
    int sum = 0, have[UNITS_MAX + 1] = {0};
    for (int i = 0; i < count; i++) {
        sum += lets[i].units;
        have[lets[i].units]++;
    }
    bool fits = device->layout_count == 0;
    for (size_t l = 0; l < device->layout_count && !fits; l++) {
        int left[UNITS_MAX + 1] = {0};
        for (size_t s = 0; s < device->layouts[l].size_count; s++)
            left[device->layouts[l].sizes_units[s]]++;
        fits = true;
        for (int u = 0; u <= UNITS_MAX; u++)
            fits = fits && have[u] <= left[u];
    }
    return fits && sum <= device->units && count <= device->max_gpulets;
}

static bool memory_fits(const struct brute *b, int device, const struct atom *lets, int count)
{
    const struct glet_profile_device *d = &b->profile->devices[device];
    bool shared =
        d->mechanism == GLET_MECHANISM_GREEN_CONTEXT || d->mechanism == GLET_MECHANISM_CPU;
    bool hosted[BRUTE_MODELS] = {false};
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += or_zero(d->context_mib);
        for (int m = 0; m < b->models; m++) {
            if (!lets[i].batch[m])
                continue;
            sum += or_zero(b->row[device][m][lets[i].units][lets[i].batch[m]]->activation_mib);
            if (!shared || !hosted[m])
                sum += or_zero(b->profile->models[m].memory_mib);
            hosted[m] = true;
        }
    }
    return at_most(sum, d->memory_mib);
}

/* Fills out; false when a latency bound or the memory does not hold. */
static bool evaluate(const struct brute *b, int type, int device, const struct atom *lets,
                     int count, struct config *out)
{
    *out = (struct config){.type = type};
    for (int i = 0; i < count; i++) {
        double exec[BRUTE_MODELS] = {0}, duty = 0;
        for (int m = 0; m < b->models; m++) {
            if (!lets[i].batch[m])
                continue;
            exec[m] = b->row[device][m][lets[i].units][lets[i].batch[m]]->p50_ms *
                      factor(b, device, lets, count, i, m);
            duty += exec[m];
        }
        for (int m = 0; m < b->models; m++) {
            if (!lets[i].batch[m])
                continue;
            double slo_ms = b->workload->models[m].slo_ms;
            if (slo_ms > 0 && !at_most(duty + exec[m], slo_ms))
                return false;
            out->worst_ms[m] = fmax(out->worst_ms[m], duty + exec[m]);
            out->capacity_rps[m] += 1000 * lets[i].batch[m] / duty;
        }
    }
    for (int m = 0; b->clip && m < b->models; m++)
        out->capacity_rps[m] = fmin(out->capacity_rps[m], b->demand_rps[m]);
    return memory_fits(b, device, lets, count);
}

static bool dominates(const struct brute *b, const struct config *x, const struct config *y)
{
    if (x->type != y->type)
        return false;
    for (int m = 0; m < b->models; m++)
        if (x->capacity_rps[m] < y->capacity_rps[m] ||
            (b->workload->app_count && x->worst_ms[m] > y->worst_ms[m]))
            return false;
    for (int i = 0; b->old && i <= BRUTE_GPUS; i++)
        if (x->moves[i] > y->moves[i])
            return false;
    return true;
}

/* New gpu-lets of a GPU in the place of each old one. */
static void count_moves(const struct brute *b, int type, const struct atom *lets, int count,
                        struct config *out)
{
    for (int g = 0; g <= BRUTE_GPUS; g++) {
        bool used[BRUTE_GPUS * LETS_MAX] = {false};
        out->moves[g] = count;
        for (int i = 0; i < count && g < BRUTE_GPUS; i++)
            for (int o = 0; o < b->old_count; o++) {
                if (used[o] || b->old[o].gpu != g || b->old[o].type != type ||
                    b->old[o].units != lets[i].units ||
                    memcmp(b->old[o].batch, lets[i].batch, sizeof lets[i].batch) != 0)
                    continue;
                used[o] = true;
                out->moves[g]--;
                break;
            }
    }
}

static void keep(struct brute *b, const struct config *config)
{
    for (long i = 0; i < b->config_count; i++)
        if (dominates(b, &b->configs[i], config))
            return;
    long kept = 0;
    for (long i = 0; i < b->config_count; i++)
        if (!dominates(b, config, &b->configs[i]))
            b->configs[kept++] = b->configs[i];
    b->config_count = kept;
    if (b->config_count == CONFIGS_MAX)
        b->too_large = true;
    else
        b->configs[b->config_count++] = *config;
}

/* Adds gpu-lets from atom `first` on to lets[0..count). */
static void fill(struct brute *b, int type, int device, struct atom *lets, int count, int first)
{
    struct config config;
    if (count > 0) {
        /* A gpu-let that breaks its SLO here breaks it with more neighbours as well. */
        if (!evaluate(b, type, device, lets, count, &config))
            return;
        if (b->old)
            count_moves(b, type, lets, count, &config);
        if (sizes_fit(&b->profile->devices[device], lets, count))
            keep(b, &config);
    }
    int used = 0;
    for (int i = 0; i < count; i++)
        used += lets[i].units;
    for (int a = first; a < b->atom_count && count < LETS_MAX && !b->too_large; a++) {
        if (used + b->atoms[a].units > b->profile->devices[device].units)
            continue;
        lets[count] = b->atoms[a];
        fill(b, type, device, lets, count + 1, a);
    }
}

/* Every gpu-let whose points exist on the device and whose models have demand. */
static void list_atoms(struct brute *b, int device)
{
    b->atom_count = 0;
    for (int units = 1; units <= b->profile->devices[device].units; units++)
        for (int x = 0; x <= BATCH_MAX; x++)
            for (int y = 0; y <= (b->models > 1 ? BATCH_MAX : 0); y++)
                for (int z = 0; z <= (b->models > 2 ? BATCH_MAX : 0); z++) {
                    struct atom atom = {units, {x, y, z}};
                    bool exists = x + y + z > 0;
                    for (int m = 0; m < b->models && exists; m++)
                        exists = atom.batch[m] == 0 ||
                                 (b->demand_rps[m] > 0 && b->row[device][m][units][atom.batch[m]]);
                    if (exists && b->atom_count < ATOMS_MAX)
                        b->atoms[b->atom_count++] = atom;
                }
}

static bool apps_ok(const struct brute *b, const struct config *const *chosen, int count)
{
    double worst[BRUTE_MODELS] = {0};
    for (int i = 0; i < count; i++)
        for (int m = 0; m < b->models; m++)
            worst[m] = fmax(worst[m], chosen[i]->worst_ms[m]);
    for (size_t a = 0; a < b->workload->app_count; a++) {
        const struct glet_workload_app *app = &b->workload->apps[a];
        double end[BRUTE_MODELS] = {0}, longest = 0;
        for (size_t s = 0; s < app->stage_count; s++) {
            for (size_t i = 0; i < app->stages[s].after_count; i++)
                end[s] = fmax(end[s], end[app->stages[s].after[i]]);
            end[s] += worst[app->stages[s].model];
            longest = fmax(longest, end[s]);
        }
        if (!at_most(longest, app->slo_ms))
            return false;
    }
    return true;
}

struct search {
    const struct brute *b;
    const struct config *chosen[BRUTE_GPUS];
    int size; /* GPUs to take, at most BRUTE_GPUS */
    bool survive;
    int max_moves; /* -1 = any */
    double best;
    int best_moves;
    bool found;
};

static double scale_of(const struct brute *b, const struct config *const *chosen, int count)
{
    double scale = INFINITY;
    for (int m = 0; m < b->models; m++) {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += chosen[i]->capacity_rps[m];
        if (b->demand_rps[m] > 0)
            scale = fmin(scale, sum / b->demand_rps[m]);
    }
    return scale;
}

/* The smallest scale that is left when any one GPU is gone. */
static double surviving_scale(const struct brute *b, const struct config *const *chosen, int count)
{
    double scale = INFINITY;
    for (int gone = 0; gone < count; gone++) {
        const struct config *rest[BRUTE_GPUS];
        int left = 0;
        for (int i = 0; i < count; i++)
            if (i != gone)
                rest[left++] = chosen[i];
        scale = fmin(scale, scale_of(b, rest, left));
    }
    return scale;
}

/* The fewest moves over all ways to put the chosen GPUs in the places of old ones. */
static int fewest_moves(const struct search *s, int depth, int taken)
{
    if (depth >= s->size || depth >= BRUTE_GPUS)
        return 0;
    int best = s->chosen[depth]->moves[BRUTE_GPUS] + fewest_moves(s, depth + 1, taken);
    for (int g = 0; g < BRUTE_GPUS; g++) {
        if (taken >> g & 1)
            continue;
        int moves = s->chosen[depth]->moves[g] + fewest_moves(s, depth + 1, taken | 1 << g);
        best = moves < best ? moves : best;
    }
    return best;
}

static void judge(struct search *s)
{
    const struct brute *b = s->b;
    int used[2] = {0, 0};
    double cost = 0, scale = s->survive ? surviving_scale(b, s->chosen, s->size)
                                        : scale_of(b, s->chosen, s->size);
    for (int i = 0; i < s->size; i++) {
        const struct glet_workload_gpu *gpu = &b->workload->gpus[s->chosen[i]->type];
        cost += gpu->cost_per_hour;
        if (++used[s->chosen[i]->type] > gpu->count && gpu->count >= 0)
            return;
    }
    bool rate = b->objective == GLET_MAX_RATE;
    double value = rate ? scale : b->objective == GLET_MIN_COST ? cost : s->size;
    if ((rate ? scale <= 0 : !at_most(1, scale)) ||
        (s->found && (rate ? value < s->best : value > s->best)))
        return;
    int moves = b->old ? fewest_moves(s, 0, 0) : 0;
    if ((s->max_moves >= 0 && moves > s->max_moves) ||
        (s->found && value == s->best && moves >= s->best_moves))
        return;
    if (!apps_ok(b, s->chosen, s->size))
        return;
    s->found = true;
    s->best = value;
    s->best_moves = moves;
}

static void take(struct search *s, int depth, long first)
{
    if (depth >= s->size || depth >= BRUTE_GPUS) { /* the second for the compiler, at -O3 */
        judge(s);
        return;
    }
    for (long i = first; i < s->b->config_count; i++) {
        s->chosen[depth] = &s->b->configs[i];
        take(s, depth + 1, i);
        if (s->found && s->b->objective == GLET_MIN_GPUS && s->best_moves == 0)
            return;
    }
}

static void index_rows(struct brute *b)
{
    for (size_t i = 0; i < b->profile->latency_count; i++) {
        const struct glet_profile_latency *row = &b->profile->latency[i];
        b->row[row->device][row->model][row->units][row->batch] = row;
    }
}

static bool any_demand(const struct brute *b)
{
    for (int m = 0; m < b->models; m++)
        if (b->demand_rps[m] > 0)
            return true;
    return false;
}

static struct brute brute_new(const struct brute_instance *instance)
{
    struct brute b = {.workload = instance->fixture.workload,
                      .profile = instance->fixture.profile,
                      .objective = instance->objective,
                      .models = (int)instance->fixture.workload->model_count,
                      .clip = instance->objective != GLET_MAX_RATE,
                      .configs = calloc(CONFIGS_MAX, sizeof(struct config))};
    for (int m = 0; m < b.models; m++)
        b.demand_rps[m] = glet_workload_demand_rps(b.workload, (size_t)m);
    index_rows(&b);
    return b;
}

/* Lists the configurations and tries all of them together; fills s. */
static enum brute_status try_all(struct brute *b, struct search *s)
{
    bool limited = true;
    for (int t = 0; t < (int)b->workload->gpu_count; t++) {
        int device = glet_profile_find_device(b->profile, b->workload->gpus[t].type);
        struct atom lets[LETS_MAX];
        limited = limited && b->workload->gpus[t].count >= 0;
        list_atoms(b, device);
        fill(b, t, device, lets, 0, 0);
    }
    if (b->too_large || pow((double)b->config_count, BRUTE_GPUS) / 6 > 3e7)
        return BRUTE_TOO_LARGE;
    s->b = b;
    for (s->size = 1; s->size <= BRUTE_GPUS && !(s->found && b->objective == GLET_MIN_GPUS);
         s->size++)
        take(s, 0, 0);
    return s->found ? BRUTE_FOUND : limited ? BRUTE_INFEASIBLE : BRUTE_MORE;
}

static struct brute_answer answer(const struct brute_instance *instance, bool survive)
{
    struct brute b = brute_new(instance);
    struct search s = {.survive = survive, .max_moves = -1};
    struct brute_answer out = {BRUTE_FOUND, b.objective == GLET_MAX_RATE ? 1 : 0, 0};
    if (any_demand(&b)) {
        out.status = try_all(&b, &s);
        out.value = s.best;
        out.configurations = b.config_count;
    }
    free(b.configs);
    return out;
}

struct brute_answer brute_solve(const struct brute_instance *instance)
{
    return answer(instance, false);
}

struct brute_answer brute_survive(const struct brute_instance *instance)
{
    return answer(instance, true);
}

struct brute_replan brute_replan(const struct brute_instance *instance, const struct brute_let *old,
                                 int old_count, int max_moves)
{
    struct brute b = brute_new(instance);
    struct search s = {.max_moves = max_moves};
    b.old = old;
    b.old_count = old_count;
    struct brute_replan out = {BRUTE_FOUND, 0, 0};
    if (any_demand(&b)) {
        out.status = try_all(&b, &s);
        out.value = s.best;
        out.moves = s.best_moves;
    }
    free(b.configs);
    return out;
}

static int kept_at(const struct brute_let *old, int old_count, int place,
                   const struct brute_let *now, int now_count, int gpu)
{
    bool used[64] = {false};
    int kept = 0;
    for (int i = 0; i < now_count; i++)
        for (int o = 0; o < old_count && now[i].gpu == gpu; o++) {
            if (used[o] || old[o].gpu != place || old[o].type != now[i].type ||
                old[o].units != now[i].units ||
                memcmp(old[o].batch, now[i].batch, sizeof now[i].batch) != 0)
                continue;
            used[o] = true;
            kept++;
            break;
        }
    return kept;
}

static int most_kept(const struct brute_let *old, int old_count, const struct brute_let *now,
                     int now_count, int gpu, int gpus, int taken)
{
    if (gpu == gpus)
        return 0;
    int best = most_kept(old, old_count, now, now_count, gpu + 1, gpus, taken);
    for (int place = 0; place < BRUTE_GPUS; place++) {
        if (taken >> place & 1)
            continue;
        int kept = kept_at(old, old_count, place, now, now_count, gpu) +
                   most_kept(old, old_count, now, now_count, gpu + 1, gpus, taken | 1 << place);
        best = kept > best ? kept : best;
    }
    return best;
}

int brute_moves(const struct brute_let *old, int old_count, const struct brute_let *now,
                int now_count)
{
    int gpus = 0;
    for (int i = 0; i < now_count; i++)
        gpus = now[i].gpu >= gpus ? now[i].gpu + 1 : gpus;
    return now_count - most_kept(old, old_count, now, now_count, 0, gpus, 0);
}
