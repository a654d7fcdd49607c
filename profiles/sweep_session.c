/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep_session.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/yaml_read.h"
#include "profiles/machine.h"
#include "profiles/traffic.h"
#include "runtime/device/device_spec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A neighbour of such a point would wait longer than many SLOs allow: whole cores only. */
#define MAX_SLICE_MS 20.0

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant; /* rows hold char *; the store only reads them */
}

static struct glet_profile_device device_row(const struct glet_sweep_session *session)
{
    const struct glet_device_info *info = session->info;
    struct glet_profile_device row = {.gpu = text(session->gpu),
                                      .sm_count = info->sm_count,
                                      .units = info->units,
                                      .max_gpulets = info->max_gpulets,
                                      .memory_mib = info->memory_mib,
                                      .context_mib = info->context_mib};
    for (int i = 0; i <= GLET_MECHANISM_CPU; i++)
        if (strcmp(info->mechanism, glet_mechanism_name((enum glet_mechanism)i)) == 0)
            row.mechanism = (enum glet_mechanism)i;
    return row;
}

static struct glet_profile_model model_row(const struct glet_model *model)
{
    struct glet_profile_model row = {.model = text(glet_model_name(model)),
                                     .memory_mib =
                                         (double)glet_model_weight_bytes(model) / (1 << 20)};
    for (size_t i = 0; i < glet_model_input_count(model); i++)
        row.input_bytes += (double)glet_model_input(model, i)->bytes;
    for (size_t i = 0; i < glet_model_output_count(model); i++)
        row.output_bytes += (double)glet_model_output(model, i)->bytes;
    return row;
}

int glet_sweep_session_refresh(struct glet_sweep_session *session, struct glet_error *err)
{
    struct glet_profile *known = NULL;
    if (glet_store_read(session->store, &known, err) < 0)
        return -1;
    glet_profile_free(session->known);
    session->known = known;
    return 0;
}

/* What no workload can name would be measured for nothing. */
static int check_name(const char *what, const char *name, const char *remedy,
                      struct glet_error *err)
{
    if (glet_yaml_is_name(name))
        return 0;
    glet_error_set(err, GLET_ERR_USAGE, "%s '%.100s' cannot be named in a workload", what, name);
    return glet_error_hint(err, "%s: no blanks, no '/', at most 255 bytes", remedy);
}

static int load_models(struct glet_sweep_session *session,
                       const struct glet_sweep_session_options *options, struct glet_error *err)
{
    struct glet_model_options how = {.random_weights = options->random_weights,
                                     .seed = options->weight_seed};
    session->models = glet_alloc(options->file_count, sizeof *session->models, err);
    if (!session->models)
        return -1;
    for (size_t i = 0; i < options->file_count; i++) {
        if (glet_model_load(options->files[i], &how, &session->models[i], err) < 0)
            return -1;
        session->model_count++;
        if (check_name("model", glet_model_name(session->models[i]), "rename the file", err) < 0)
            return -1;
        for (size_t k = 0; k < i; k++)
            if (strcmp(glet_model_name(session->models[k]), glet_model_name(session->models[i])) ==
                0)
                return glet_error_set(err, GLET_ERR_USAGE, "%s: a second model called '%s'",
                                      options->files[i], glet_model_name(session->models[i]));
    }
    return 0;
}

static int forget_all(struct glet_sweep_session *session, struct glet_error *err)
{
    for (size_t i = 0; i < session->known->model_count; i++)
        if (glet_store_forget(session->store, session->gpu, session->known->models[i].model, err) <
            0)
            return -1;
    return glet_sweep_session_refresh(session, err);
}

static int check_machine(struct glet_sweep_session *session,
                         const struct glet_sweep_session_options *options, struct glet_error *err)
{
    char changes[512];
    int device = glet_profile_find_device(session->known, session->gpu);
    bool other = false;
    for (size_t i = 0; i < session->known->quality_count; i++) {
        const struct glet_profile_quality *row = &session->known->quality[i];
        other = other || ((int)row->device == device && row->machine[0] &&
                          strcmp(row->machine, session->machine) != 0);
    }
    if (options->remeasure && device >= 0)
        return forget_all(session, err);
    if (!other)
        return 0;
    glet_machine_changes(session->device, options->cold_l2, session->known, device, changes,
                         sizeof changes);
    glet_error_set(err, GLET_ERR_UNDECIDED,
                   "%s: '%s' was measured on another machine, or with other cores or libraries%s%s",
                   session->known->path, session->gpu, changes[0] ? ": " : "", changes);
    return glet_error_hint(err, "another --db, another name (--gpu), or --remeasure");
}

/* Drops what was measured of files that have changed since. */
static int check_models(struct glet_sweep_session *session, struct glet_error *err)
{
    int device = glet_profile_find_device(session->known, session->gpu);
    for (size_t k = 0; k < session->model_count; k++) {
        struct glet_model *loaded = session->models[k];
        int model = glet_profile_find_model(session->known, glet_model_name(loaded));
        const char *sha256 = glet_model_sha256(loaded);
        bool changed = false;
        for (size_t i = 0; i < session->known->quality_count; i++) {
            const struct glet_profile_quality *row = &session->known->quality[i];
            changed = changed || ((int)row->device == device && (int)row->model == model &&
                                  row->model_sha256[0] && strcmp(row->model_sha256, sha256) != 0);
        }
        if (!changed)
            continue;
        fprintf(stderr, "%s: the file has changed, measuring it again\n", glet_model_name(loaded));
        if (glet_store_forget(session->store, session->gpu, glet_model_name(loaded), err) < 0)
            return -1;
    }
    return glet_sweep_session_refresh(session, err);
}

static int put_facts(struct glet_sweep_session *session,
                     const struct glet_sweep_session_options *options, struct glet_error *err)
{
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(session->device, &count);
    for (size_t i = 0; i < count; i++)
        if (glet_sweep_session_put_meta(session, facts[i].key, facts[i].value, err) < 0)
            return -1;
    if (glet_sweep_session_put_meta(session, "l2", options->cold_l2 ? "cold" : "warm", err) < 0)
        return -1;
    char seed[32];
    snprintf(seed, sizeof seed, "random, seed %llu", (unsigned long long)options->weight_seed);
    if (options->random_weights &&
        glet_sweep_session_put_meta(session, "missing_weights", seed, err) < 0)
        return -1;
    return glet_sweep_session_put_meta(session, "gpulet", GLET_VERSION, err);
}

/* Its times would be those that it was told. */
static int refuse_replay(const char *device, struct glet_error *err)
{
    struct glet_device_spec spec;
    if (glet_device_spec_parse(device, &spec, err) < 0)
        return -1;
    return spec.kind == GLET_DEVICE_REPLAY
               ? glet_error_set(err, GLET_ERR_USAGE,
                                "--device %.200s: a profile that is replayed cannot be measured",
                                device)
               : 0;
}

static int open_device(const struct glet_sweep_session_options *options,
                       struct glet_sweep_session *session, struct glet_error *err)
{
    if ((options->gpu && check_name("device", options->gpu, "another --gpu", err) < 0) ||
        refuse_replay(options->device, err) < 0 || load_models(session, options, err) < 0 ||
        glet_device_open(options->device, &session->device, err) < 0)
        return -1;
    session->info = glet_device_info(session->device);
    session->gpu = options->gpu ? options->gpu : session->info->gpu;
    session->grain = strcmp(session->info->mechanism, "cpu") == 0
                         ? session->info->units / session->info->sm_count
                         : 1;
    glet_machine_digest(session->device, options->cold_l2, session->machine);
    return 0;
}

int glet_sweep_session_open(const struct glet_sweep_session_options *options,
                            struct glet_sweep_session *session, struct glet_error *err)
{
    *session = (struct glet_sweep_session){0};
    if (open_device(options, session, err) < 0) {
        glet_sweep_session_close(session);
        return -1;
    }
    return 0;
}

int glet_sweep_session_open_store(const struct glet_sweep_session_options *options,
                                  struct glet_sweep_session *session, struct glet_error *err)
{
    if (glet_store_open(options->db, GLET_STORE_WRITE, &session->store, err) < 0 ||
        glet_sweep_session_refresh(session, err) < 0 || check_machine(session, options, err) < 0 ||
        check_models(session, err) < 0 || put_facts(session, options, err) < 0)
        return -1;
    return glet_sweep_session_finish(session, err);
}

void glet_sweep_session_close(struct glet_sweep_session *session)
{
    for (size_t i = 0; i < session->model_count; i++) {
        if (session->device)
            glet_device_forget_model(session->device, session->models[i]);
        glet_model_free(session->models[i]);
    }
    free(session->models);
    glet_profile_free(session->known);
    glet_store_close(session->store);
    glet_device_close(session->device);
    *session = (struct glet_sweep_session){0};
}

bool glet_sweep_session_has(const struct glet_sweep_session *session,
                            const struct glet_sweep_point *point)
{
    const struct glet_profile *known = session->known;
    int device = glet_profile_find_device(known, session->gpu);
    int model = glet_profile_find_model(known, glet_model_name(session->models[point->model]));
    for (size_t i = 0; i < known->quality_count; i++) {
        const struct glet_profile_quality *row = &known->quality[i];
        if ((int)row->device == device && (int)row->model == model && row->batch == point->batch &&
            row->units == point->units && row->machine[0])
            return true;
    }
    return false;
}

static bool is_shared(const struct glet_sweep_session *session, int units)
{
    return session->grain > 1 && units % session->grain != 0;
}

static double longest_slice_ms(const struct glet_sweep_session *session)
{
    int device = glet_profile_find_device(session->known, session->gpu);
    double longest_ms = 0;
    for (size_t i = 0; i < session->known->quality_count; i++) {
        const struct glet_profile_quality *row = &session->known->quality[i];
        if ((int)row->device == device && is_shared(session, row->units) &&
            row->slice_ms > longest_ms && row->slice_ms <= MAX_SLICE_MS)
            longest_ms = row->slice_ms;
    }
    return longest_ms;
}

int glet_sweep_session_estimate(const struct glet_sweep_session *session, size_t model, int batch,
                                double latency_ms, struct glet_utilisation *out,
                                struct glet_error *err)
{
    struct glet_traffic traffic;
    if (glet_traffic_estimate(session->models[model], batch, session->info->l2_mib * (1 << 20),
                              &traffic, err) < 0)
        return -1;
    *out = glet_traffic_utilisation(&traffic, latency_ms, session->info);
    return 0;
}

int glet_sweep_session_put(struct glet_sweep_session *session, const struct glet_sweep_point *point,
                           const struct glet_measurement *m, struct glet_error *err)
{
    struct glet_model *model = session->models[point->model];
    struct glet_profile_device device = device_row(session);
    struct glet_profile_model weights = model_row(model);
    bool shared = is_shared(session, point->units), useful = !shared || m->slice_ms <= MAX_SLICE_MS;
    char flags[80];
    snprintf(flags, sizeof flags, "%s%s%s", m->flags, m->flags[0] && !useful ? ";" : "",
             useful ? "" : "slices");
    double wait_ms = shared ? fmax(longest_slice_ms(session), m->slice_ms) : 0;
    double kernels_ms = isnan(m->device_p50_ms) ? m->p50_ms : m->device_p50_ms;
    struct glet_utilisation utilisation = {NAN, NAN};
    if (session->utilisation == GLET_UTILISATION_ESTIMATE &&
        glet_sweep_session_estimate(session, point->model, point->batch, kernels_ms, &utilisation,
                                    err) < 0)
        return -1;
    struct glet_profile_latency latency = {.batch = point->batch,
                                           .units = point->units,
                                           .p50_ms = m->p50_ms,
                                           .p99_ms = m->p99_ms + wait_ms,
                                           .samples = m->samples,
                                           .trust = GLET_TRUST_MEASURED,
                                           .l2_util = utilisation.l2_ratio,
                                           .dram_util = utilisation.dram_ratio,
                                           .activation_mib = m->activation_mib};
    struct glet_profile_quality quality = {.batch = point->batch,
                                           .units = point->units,
                                           .mean_ms = m->mean_ms,
                                           .cv_ratio = m->cv_ratio,
                                           .ci_ratio = m->ci_ratio,
                                           .wall_ratio = m->wall_ratio,
                                           .foreign_ratio = m->foreign_ratio,
                                           .p99_alone_ms = m->p99_ms,
                                           .slice_ms = shared ? m->slice_ms : 0,
                                           .flags = flags,
                                           .model_sha256 = text(glet_model_sha256(model)),
                                           .machine = session->machine,
                                           .device_p50_ms = m->device_p50_ms,
                                           .device_p99_ms = m->device_p99_ms,
                                           .clock_mhz = m->clock_mhz,
                                           .achieved_units = m->achieved_units};
    struct glet_profile part = {.devices = &device,
                                .device_count = 1,
                                .models = &weights,
                                .model_count = 1,
                                .latency = &latency,
                                .latency_count = useful,
                                .quality = &quality,
                                .quality_count = 1};
    if (glet_store_merge(session->store, &part, err) < 0)
        return -1;
    return glet_sweep_session_refresh(session, err);
}

int glet_sweep_session_put_meta(struct glet_sweep_session *session, const char *key,
                                const char *value, struct glet_error *err)
{
    struct glet_profile_device device = device_row(session);
    struct glet_profile_meta meta = {.key = text(key), .value = text(value)};
    struct glet_profile part = {
        .devices = &device, .device_count = 1, .meta = &meta, .meta_count = 1};
    return glet_store_merge(session->store, &part, err);
}

int glet_sweep_session_finish(struct glet_sweep_session *session, struct glet_error *err)
{
    struct glet_profile *known = session->known;
    double wait_ms = longest_slice_ms(session);
    int device = glet_profile_find_device(known, session->gpu);
    bool changed = false;
    /* Both tables are sorted by the same key, and a latency row of ours has its quality row. */
    for (size_t q = 0, l = 0; q < known->quality_count; q++) {
        const struct glet_profile_quality *quality = &known->quality[q];
        if ((int)quality->device != device || !is_shared(session, quality->units) ||
            isnan(quality->p99_alone_ms))
            continue;
        for (; l < known->latency_count; l++) {
            struct glet_profile_latency *row = &known->latency[l];
            if (row->device == quality->device && row->model == quality->model &&
                row->units == quality->units && row->batch == quality->batch) {
                double p99_ms = quality->p99_alone_ms + wait_ms;
                changed = changed || row->p99_ms != p99_ms;
                row->p99_ms = p99_ms;
                break;
            }
        }
        if (l == known->latency_count)
            l = 0; /* that point is not offered: look for the next one from the start */
    }
    if (!changed)
        return 0;
    struct glet_profile part = {.devices = known->devices,
                                .device_count = known->device_count,
                                .models = known->models,
                                .model_count = known->model_count,
                                .latency = known->latency,
                                .latency_count = known->latency_count};
    return glet_store_merge(session->store, &part, err);
}

double glet_sweep_session_predict_ms(const struct glet_sweep_session *session,
                                     const struct glet_sweep_point *point)
{
    const struct glet_profile *known = session->known;
    int device = glet_profile_find_device(known, session->gpu);
    int model = glet_profile_find_model(known, glet_model_name(session->models[point->model]));
    double best_distance = INFINITY, predicted_ms = NAN;
    for (size_t i = 0; i < known->latency_count; i++) {
        const struct glet_profile_latency *row = &known->latency[i];
        if ((int)row->device != device || (int)row->model != model)
            continue;
        /* Work is about proportional to the batch and inversely to the size. */
        double batches = (double)point->batch / row->batch,
               sizes = (double)row->units / point->units;
        double distance = fabs(log(batches)) + 0.5 * fabs(log(sizes));
        if (distance < best_distance) {
            best_distance = distance;
            predicted_ms = row->p50_ms * batches * sizes;
        }
    }
    return predicted_ms;
}
