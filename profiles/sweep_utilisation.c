/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep_utilisation.h"

#include "common/clock.h"
#include "common/memory.h"
#include "profiles/inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_SEED = 1 };

/* The session's model that a row is of; -1: another's, or a row that is not for us to fill in. */
static int open_model(const struct glet_sweep_session *session,
                      const struct glet_profile_latency *row)
{
    const struct glet_profile *known = session->known;
    if ((int)row->device != glet_profile_find_device(known, session->gpu) ||
        row->trust != GLET_TRUST_MEASURED || !isnan(row->dram_util))
        return -1;
    for (size_t k = 0; k < session->model_count; k++)
        if (strcmp(known->models[row->model].model, glet_model_name(session->models[k])) == 0)
            return (int)k;
    return -1;
}

static int largest_units(const struct glet_sweep_session *session)
{
    const struct glet_profile *known = session->known;
    int units = 0;
    for (size_t i = 0; i < known->latency_count; i++)
        if (known->latency[i].units > units && open_model(session, &known->latency[i]) >= 0)
            units = known->latency[i].units;
    return units;
}

static const struct glet_profile_latency *next_open(const struct glet_sweep_session *session,
                                                    int units)
{
    const struct glet_profile *known = session->known;
    for (size_t i = 0; i < known->latency_count; i++)
        if (known->latency[i].units == units && open_model(session, &known->latency[i]) >= 0)
            return &known->latency[i];
    return NULL;
}

size_t glet_sweep_uncounted(const struct glet_sweep_session *session)
{
    const struct glet_profile *known = session->known;
    int units = largest_units(session);
    size_t count = 0;
    for (size_t i = 0; i < known->latency_count; i++)
        count += known->latency[i].units == units && open_model(session, &known->latency[i]) >= 0;
    return count;
}

/* Of the kernels alone, where they were timed. */
static double time_ms(const struct glet_profile *known, const struct glet_profile_latency *row)
{
    for (size_t i = 0; i < known->quality_count; i++) {
        const struct glet_profile_quality *q = &known->quality[i];
        if (q->device == row->device && q->model == row->model && q->batch == row->batch &&
            q->units == row->units && !isnan(q->device_p50_ms))
            return q->device_p50_ms;
    }
    return row->p50_ms;
}

static int put_rows(struct glet_sweep_session *session, struct glet_profile_latency *rows,
                    size_t count, struct glet_error *err)
{
    const struct glet_profile *known = session->known;
    const struct glet_profile part = {.devices = known->devices,
                                      .device_count = known->device_count,
                                      .models = known->models,
                                      .model_count = known->model_count,
                                      .latency = rows,
                                      .latency_count = count};
    if (glet_store_merge(session->store, &part, err) < 0)
        return -1;
    return glet_sweep_session_refresh(session, err);
}

/* All sizes of the counted row's model and batch: the same traffic over another time. */
static int put_counted(struct glet_sweep_session *session,
                       const struct glet_profile_latency *counted,
                       const struct glet_utilisation *utilisation, struct glet_error *err)
{
    const struct glet_profile *known = session->known;
    double counted_ms = time_ms(known, counted);
    size_t count = 0;
    GLET_CLEANUP(glet_cleanup_free)
    struct glet_profile_latency *rows = glet_alloc(known->latency_count, sizeof *rows, err);
    if (!rows)
        return -1;
    for (size_t i = 0; i < known->latency_count; i++) {
        const struct glet_profile_latency *row = &known->latency[i];
        if (row->model != counted->model || row->batch != counted->batch ||
            open_model(session, row) < 0)
            continue;
        double faster = counted_ms / time_ms(known, row);
        rows[count] = *row;
        rows[count].l2_util = fmin(1, utilisation->l2_ratio * faster);
        rows[count++].dram_util = fmin(1, utilisation->dram_ratio * faster);
    }
    return put_rows(session, rows, count, err);
}

static int count_one(struct glet_sweep_session *session, struct glet_partition *partition,
                     const struct glet_profile_latency *row, struct glet_error *err)
{
    struct glet_model *model = session->models[open_model(session, row)];
    struct glet_executor *executor = NULL;
    struct glet_utilisation utilisation;
    if (glet_executor_build(partition, model, row->batch, &executor, err) < 0)
        return -1;
    glet_inputs_fill(executor, model, row->batch, INPUT_SEED);
    int rc = glet_executor_run(executor, row->batch, err);
    if (rc == 0)
        rc = glet_executor_utilisation(executor, &utilisation, err);
    glet_executor_free(executor);
    if (rc < 0 && err->code != GLET_ERR_UNSUPPORTED)
        return glet_error_context(err, "%s, batch %d", glet_model_name(model), row->batch);
    if (rc < 0)
        return -1;
    return put_counted(session, row, &utilisation, err);
}

int glet_sweep_count(struct glet_sweep_session *session, uint64_t deadline_us,
                     const volatile sig_atomic_t *stop, size_t *counted_out, struct glet_error *err)
{
    struct glet_partition_set *set = NULL;
    int units = largest_units(session), rc = 0;
    *counted_out = 0;
    if (units == 0)
        return 0;
    if (glet_partitions_create(session->device, &units, 1, &set, err) < 0)
        return -1;
    struct glet_partition *partition = glet_partition_at(set, 0);
    rc = glet_partition_enter(partition, err);
    if (rc == 0) {
        const struct glet_profile_latency *row;
        while (rc == 0 && !*stop && (deadline_us == 0 || glet_clock_us() < deadline_us) &&
               (row = next_open(session, units))) {
            rc = count_one(session, partition, row, err);
            *counted_out += rc == 0;
        }
        glet_partition_leave(partition);
    }
    glet_partitions_free(set);
    return rc;
}

int glet_sweep_estimate(struct glet_sweep_session *session, size_t *estimated_out,
                        struct glet_error *err)
{
    const struct glet_profile *known = session->known;
    *estimated_out = 0;
    GLET_CLEANUP(glet_cleanup_free)
    struct glet_profile_latency *rows = glet_alloc(known->latency_count, sizeof *rows, err);
    if (!rows)
        return -1;
    for (size_t i = 0; i < known->latency_count; i++) {
        const struct glet_profile_latency *row = &known->latency[i];
        struct glet_utilisation utilisation;
        int model = open_model(session, row);
        if (model < 0)
            continue;
        if (glet_sweep_session_estimate(session, (size_t)model, row->batch, time_ms(known, row),
                                        &utilisation, err) < 0)
            return -1;
        rows[*estimated_out] = *row;
        rows[*estimated_out].l2_util = utilisation.l2_ratio;
        rows[(*estimated_out)++].dram_util = utilisation.dram_ratio;
    }
    return *estimated_out ? put_rows(session, rows, *estimated_out, err) : 0;
}
