/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/check_report.h"

#include "common/json.h"
#include "common/table.h"
#include "runtime/serve/v2/v2_model.h"

#include <inttypes.h>
#include <string.h>

static int used_units(const struct glet_plan_gpu *gpu)
{
    int units = 0;
    for (size_t l = 0; l < gpu->let_count; l++)
        units += gpu->lets[l].units;
    return units;
}

static void print_gpu(const struct glet_check_gpu *row, FILE *out)
{
    const struct glet_plan_gpu *gpu = row->gpu;
    fprintf(out, "%s: a %s, %d of %d units in %zu gpu-let%s", gpu->id, gpu->type, used_units(gpu),
            gpu->units, gpu->let_count, gpu->let_count == 1 ? "" : "s");
    if (gpu->memory_mib > 0)
        fprintf(out, ", %.0f MiB", gpu->memory_mib);
    fprintf(out, "; device %s", row->spec ? row->spec : "-");
    if (row->info)
        fprintf(out, ": a %s, %d units, %.0f MiB%s", row->info->gpu, row->info->units,
                row->info->memory_mib,
                row->info->replay ? "; a profile is replayed, nothing is computed" : "");
    fputc('\n', out);
}

static void add_let(struct glet_table *table, const struct glet_check_gpu *row, size_t number,
                    const struct glet_plan *plan)
{
    const struct glet_plan_let *let = &row->gpu->lets[number];
    for (size_t i = 0; i < let->model_count; i++) {
        const struct glet_plan_let_model *part = &let->models[i];
        const struct glet_plan_model *model = &plan->models[part->model];
        glet_table_cell(table, "%s", row->gpu->id);
        glet_table_cell(table, "%zu", number);
        glet_table_cell(table, "%d", let->units);
        glet_table_cell(table, "%s", model->name);
        glet_table_cell(table, "%d", part->batch);
        glet_table_cell(table, "%.6g", part->rate_rps);
        glet_table_cell(table, "%.4g", part->exec_ms);
        glet_table_cell(table, "%.4g", part->latency_bound_ms);
        if (model->slo_ms > 0)
            glet_table_cell(table, "%.6g", model->slo_ms);
        else
            glet_table_cell(table, "-");
    }
}

typedef const struct glet_model_io *get_io(const struct glet_model *model, size_t i);

/* "x FP32[-1,3,224,224], ..."; what does not fit ends in dots. */
static void add_tensors(struct glet_table *table, const struct glet_model *model, size_t count,
                        get_io *get)
{
    char text[256] = "";
    size_t used = 0, room = sizeof text - 4; /* "..." */
    for (size_t i = 0; i < count && used < room; i++) {
        const struct glet_model_io *io = get(model, i);
        int n = snprintf(text + used, sizeof text - used, "%s%s %s[", i ? ", " : "", io->name,
                         glet_v2_datatype(io->dtype)->name);
        used += (size_t)n;
        for (int d = 0; d < io->rank && used < room; d++, used += (size_t)n)
            n = snprintf(text + used, sizeof text - used, "%s%" PRId64, d ? "," : "",
                         io->dims[d] == GLET_DIM_BATCH ? -1 : io->dims[d]);
        if (used < room)
            used += (size_t)snprintf(text + used, sizeof text - used, "]");
    }
    if (used >= room)
        strcpy(text + room, "...");
    glet_table_cell(table, "%s", text);
}

static void add_model(struct glet_table *table, const struct glet_check_model *row)
{
    glet_table_cell(table, "%s", row->model->name);
    if (row->loaded) {
        glet_table_cell(table, "%.1f", (double)glet_model_weight_bytes(row->loaded) / 1048576);
        add_tensors(table, row->loaded, glet_model_input_count(row->loaded), glet_model_input);
        add_tensors(table, row->loaded, glet_model_output_count(row->loaded), glet_model_output);
        glet_table_cell(table, "%.12s", row->sha256);
    } else {
        for (int i = 0; i < 4; i++)
            glet_table_cell(table, "-");
    }
    glet_table_cell(table, "%s", row->path ? row->path : "-");
}

static int print_table(struct glet_table *table, FILE *out, struct glet_error *err)
{
    fputc('\n', out);
    int failed = glet_table_print(table, out);
    bool no_memory = table->out_of_memory;
    glet_table_fini(table);
    if (failed)
        return glet_error_set(err, no_memory ? GLET_ERR_NOMEM : GLET_ERR_IO,
                              no_memory ? "out of memory" : "standard output: cannot be written");
    return 0;
}

int glet_check_print(const struct glet_check *check, const struct glet_plan *plan, FILE *out,
                     FILE *problems_out, struct glet_error *err)
{
    struct glet_table table;
    for (size_t g = 0; g < check->gpu_count; g++)
        print_gpu(&check->gpus[g], out);
    glet_table_init(&table, "gpu|>gpu-let|>units|model|>batch|>rate/s|>exec ms|>bound ms|>SLO ms");
    for (size_t g = 0; g < check->gpu_count; g++)
        for (size_t l = 0; l < check->gpus[g].gpu->let_count; l++)
            add_let(&table, &check->gpus[g], l, plan);
    if (print_table(&table, out, err) < 0)
        return -1;
    glet_table_init(&table, "model|>weights MiB|inputs|outputs|sha256|file");
    for (size_t m = 0; m < check->model_count; m++)
        add_model(&table, &check->models[m]);
    if (print_table(&table, out, err) < 0)
        return -1;
    size_t problems = check->problem_count;
    if (problems > 0)
        fprintf(out, "\nplan %.12s: %zu problem%s\n", plan->sha256, problems,
                problems > 1 ? "s" : "");
    else
        fprintf(out, "\nplan %.12s: no problem\n", plan->sha256);
    if (fflush(out) != 0)
        return glet_error_set(err, GLET_ERR_IO, "standard output: cannot be written");
    for (size_t i = 0; i < problems; i++)
        glet_error_print(&check->problems[i], problems_out);
    return 0;
}

static void json_gpu(struct glet_json *json, const struct glet_check_gpu *row,
                     const struct glet_plan *plan)
{
    const struct glet_plan_gpu *gpu = row->gpu;
    glet_json_object(json, NULL);
    glet_json_string(json, "id", gpu->id);
    glet_json_string(json, "type", gpu->type);
    glet_json_int(json, "units", gpu->units);
    glet_json_int(json, "used_units", used_units(gpu));
    glet_json_double(json, "memory_mib", gpu->memory_mib);
    glet_json_string(json, "device", row->spec);
    if (row->info) {
        glet_json_string(json, "device_type", row->info->gpu);
        glet_json_int(json, "device_units", row->info->units);
        glet_json_double(json, "device_memory_mib", row->info->memory_mib);
        glet_json_bool(json, "device_replay", row->info->replay);
    }
    glet_json_array(json, "gpulets");
    for (size_t l = 0; l < gpu->let_count; l++) {
        const struct glet_plan_let *let = &gpu->lets[l];
        glet_json_object(json, NULL);
        glet_json_int(json, "units", let->units);
        glet_json_double(json, "duty_cycle_ms", let->duty_cycle_ms);
        glet_json_array(json, "models");
        for (size_t i = 0; i < let->model_count; i++) {
            glet_json_object(json, NULL);
            glet_json_string(json, "name", plan->models[let->models[i].model].name);
            glet_json_int(json, "batch", let->models[i].batch);
            glet_json_double(json, "rate_rps", let->models[i].rate_rps);
            glet_json_double(json, "exec_ms", let->models[i].exec_ms);
            glet_json_double(json, "latency_bound_ms", let->models[i].latency_bound_ms);
            glet_json_end(json);
        }
        glet_json_end(json);
        glet_json_end(json);
    }
    glet_json_end(json);
    glet_json_end(json);
}

static void json_tensors(struct glet_json *json, const char *key, const struct glet_model *model,
                         size_t count, get_io *get)
{
    glet_json_array(json, key);
    for (size_t i = 0; i < count; i++) {
        const struct glet_model_io *io = get(model, i);
        glet_json_object(json, NULL);
        glet_json_string(json, "name", io->name);
        glet_json_string(json, "datatype", glet_v2_datatype(io->dtype)->name);
        glet_json_array(json, "shape");
        for (int d = 0; d < io->rank; d++)
            glet_json_int(json, NULL, io->dims[d] == GLET_DIM_BATCH ? -1 : io->dims[d]);
        glet_json_end(json);
        glet_json_end(json);
    }
    glet_json_end(json);
}

static void json_model(struct glet_json *json, const struct glet_check_model *row)
{
    glet_json_object(json, NULL);
    glet_json_string(json, "name", row->model->name);
    glet_json_double(json, "slo_ms", row->model->slo_ms);
    glet_json_string(json, "file", row->path);
    if (row->loaded) {
        const struct glet_model *model = row->loaded;
        glet_json_string(json, "sha256", row->sha256);
        glet_json_double(json, "weight_mib", (double)glet_model_weight_bytes(model) / 1048576);
        json_tensors(json, "inputs", model, glet_model_input_count(model), glet_model_input);
        json_tensors(json, "outputs", model, glet_model_output_count(model), glet_model_output);
    }
    glet_json_end(json);
}

static void json_problem(struct glet_json *json, const struct glet_error *problem)
{
    glet_json_object(json, NULL);
    if (problem->file[0]) {
        glet_json_string(json, "file", problem->file);
        glet_json_int(json, "line", problem->line);
        glet_json_int(json, "column", problem->column);
    }
    glet_json_string(json, "message", problem->message);
    if (problem->hint[0])
        glet_json_string(json, "hint", problem->hint);
    glet_json_end(json);
}

int glet_check_print_json(const struct glet_check *check, const struct glet_plan *plan, FILE *out,
                          struct glet_error *err)
{
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-runtime-check/1");
    glet_json_int(&json, "exit_status", glet_check_exit_status(check));
    glet_json_string(&json, "plan", plan->path);
    glet_json_string(&json, "plan_sha256", plan->sha256);
    glet_json_array(&json, "gpus");
    for (size_t g = 0; g < check->gpu_count; g++)
        json_gpu(&json, &check->gpus[g], plan);
    glet_json_end(&json);
    glet_json_array(&json, "models");
    for (size_t m = 0; m < check->model_count; m++)
        json_model(&json, &check->models[m]);
    glet_json_end(&json);
    glet_json_array(&json, "problems");
    for (size_t i = 0; i < check->problem_count; i++)
        json_problem(&json, &check->problems[i]);
    glet_json_end(&json);
    glet_json_end(&json);
    if (fflush(out) != 0 || ferror(out))
        return glet_error_set(err, GLET_ERR_IO, "standard output: cannot be written");
    return 0;
}
