/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of actions, the keys of choices, and the choice between ways.
 */
#include "runtime/device/cuda/net/action.h"

#include "common/memory.h"
#include "runtime/device/cuda/libs/timing.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct glet_cuda_action *add(struct glet_cuda_actions *actions, struct glet_error *err)
{
    if (glet_reserve(&actions->items, &actions->capacity, actions->count + 1,
                     sizeof *actions->items, err) < 0)
        return NULL;
    struct glet_cuda_action *action = &actions->items[actions->count];
    memset(action, 0, sizeof *action);
    action->step = actions->step;
    return action;
}

int glet_cuda_act_launch(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                         struct glet_error *err)
{
    struct glet_cuda_action *action = add(actions, err);
    if (!action ||
        glet_cuda_launch_of(actions->plan, step, actions->bases, &action->launch, err) < 0)
        return -1;
    if (action->launch.grid[0] == 0) /* nothing to do */
        return 0;
    action->kind = GLET_CUDA_LAUNCH;
    if (glet_cuda_function(actions->site, action->launch.kernel, &action->function, err) < 0)
        return -1;
    actions->count++;
    return 0;
}

int glet_cuda_act_dnn(struct glet_cuda_actions *actions, struct glet_dnn_plan *plan,
                      struct glet_error *err)
{
    struct glet_cuda_action *action = add(actions, err);
    if (!action) {
        glet_dnn_plan_fini(actions->site, plan);
        return -1;
    }
    action->kind = GLET_CUDA_CUDNN;
    action->dnn = *plan;
    actions->count++;
    return 0;
}

int glet_cuda_act_lt(struct glet_cuda_actions *actions, struct glet_lt_plan *plan,
                     struct glet_error *err)
{
    struct glet_cuda_action *action = add(actions, err);
    if (!action) {
        glet_lt_plan_fini(actions->site, plan);
        return -1;
    }
    action->kind = GLET_CUDA_CUBLASLT;
    action->lt = *plan;
    actions->count++;
    return 0;
}

int glet_cuda_action_enqueue(const struct glet_cuda_site *site,
                             const struct glet_cuda_action *action, struct glet_error *err)
{
    switch (action->kind) {
    case GLET_CUDA_CUDNN:
        return glet_dnn_plan_enqueue(site, &action->dnn, err);
    case GLET_CUDA_CUBLASLT:
        return glet_lt_plan_enqueue(site, &action->lt, err);
    default:
        return glet_cuda_enqueue(site, action->function, &action->launch, err);
    }
}

/* Takes out the actions from `first` up to `end`. */
static void drop(struct glet_cuda_actions *actions, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        struct glet_cuda_action *action = &actions->items[i];
        if (action->kind == GLET_CUDA_CUDNN)
            glet_dnn_plan_fini(actions->site, &action->dnn);
        else if (action->kind == GLET_CUDA_CUBLASLT)
            glet_lt_plan_fini(actions->site, &action->lt);
    }
    if (first < end)
        memmove(&actions->items[first], &actions->items[end],
                (actions->count - end) * sizeof *actions->items);
    actions->count -= end - first;
}

void glet_cuda_actions_fini(struct glet_cuda_actions *actions)
{
    drop(actions, 0, actions->count);
    free(actions->items);
    actions->items = NULL;
}

/* -- keys -------------------------------------------------------------------------------------- */

static size_t append(char *key, size_t size, size_t at, const char *format, ...) GLET_PRINTF(4, 5);

static size_t append(char *key, size_t size, size_t at, const char *format, ...)
{
    va_list arguments;
    if (at >= size)
        return at;
    va_start(arguments, format);
    int written = vsnprintf(key + at, size - at, format, arguments);
    va_end(arguments);
    return written < 0 ? at : at + (size_t)written;
}

void glet_cuda_choice_key(const struct glet_cuda_actions *actions, const char *way,
                          const struct glet_cuda_step *step, char *key, size_t size)
{
    static const char *const precisions[] = {"fp16", "tf32", "fp32"};
    const struct glet_node *node = step->node;
    size_t at = append(
        key, size, 0, "%s | %d SMs%s | %s | %s %s", glet_cuda_store_identity(actions->site->store),
        actions->site->sm_count, glet_cuda_aims_at_sms(actions->site) ? ", aimed at" : "",
        precisions[actions->plan->precision], glet_cuda_step_kind_name(step->kind), way);
    for (int p = 0; p < step->place_count; p++) {
        const struct glet_cuda_place *place = &step->places[p];
        at = append(key, size, at, " ;");
        for (int i = 0; place->buffer >= 0 && i < place->rank; i++)
            at = append(key, size, at, " %" PRId64 "/%" PRId64, place->dims[i], place->strides[i]);
    }
    if (step->kind == GLET_CUDA_CONV)
        for (int i = 0; i < 2; i++)
            at = append(key, size, at, " ; s%" PRId64 " p%" PRId64 " %" PRId64 " d%" PRId64,
                        node->strides[i], node->pads_begin[i], node->pads_end[i],
                        node->dilations[i]);
    append(key, size, at, " ; %d%d %s %g %g", node->trans_a, node->trans_b,
           glet_activation_name(step->activation.kind), (double)step->activation.a,
           (double)step->activation.b);
}

/* -- the fastest way ---------------------------------------------------------------------------- */

struct range { /* of actions */
    const struct glet_cuda_actions *actions;
    size_t first, end;
};

static int enqueue_range(void *context, struct glet_error *err)
{
    const struct range *range = context;
    for (size_t i = range->first; i < range->end; i++)
        if (glet_cuda_action_enqueue(range->actions->site, &range->actions->items[i], err) < 0)
            return -1;
    return 0;
}

static int time_range(const struct glet_cuda_actions *actions, size_t first, size_t end,
                      double rival_ms, double *ms_out, struct glet_error *err)
{
    struct range range = {actions, first, end};
    return glet_cuda_time(actions->site, enqueue_range, &range, rival_ms, ms_out, err);
}

/* The rivals' actions are appended in turn, and the slower of two taken out again. */
static int act_fastest(struct glet_cuda_actions *actions, const struct glet_cuda_way *ways,
                       int rivals, const void *context, const char **name, struct glet_error *err)
{
    size_t first = actions->count;
    double best_ms = 0.0, ms;
    *name = NULL;
    for (int i = 0; i < rivals; i++) {
        size_t begin = actions->count;
        int done = ways[i].act(context, err);
        if (done < 0)
            return -1;
        if (done > 0 && *name) {
            if ((best_ms <= 0.0 && time_range(actions, first, begin, 0, &best_ms, err) < 0) ||
                time_range(actions, begin, actions->count, best_ms, &ms, err) < 0)
                return -1;
            bool faster = ms < best_ms;
            drop(actions, faster ? first : begin, faster ? begin : actions->count);
            best_ms = faster ? ms : best_ms;
            *name = faster ? ways[i].name : *name;
        } else if (done > 0) {
            *name = ways[i].name;
        }
    }
    return *name != NULL;
}

int glet_cuda_act_best(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       const struct glet_cuda_way *ways, int count, int rivals, const void *context,
                       struct glet_error *err)
{
    enum { NAMES_BYTES = 128 };
    struct glet_choice_cache *choices = glet_cuda_store_choices(actions->site->store);
    char names[NAMES_BYTES] = "way", key[GLET_CUDA_KEY_BYTES];
    const char *name = NULL;
    int done = 0;
    for (size_t i = 0, at = strlen(names); i < (size_t)count; i++)
        at = append(names, sizeof names, at, " %s", ways[i].name);
    glet_cuda_choice_key(actions, names, step, key, sizeof key);
    char *known = glet_choice_cache_get(choices, key);
    for (int i = 0; known && done == 0 && i < count; i++)
        if (strcmp(ways[i].name, known) == 0)
            done = ways[i].act(context, err);
    if (done == 0) {
        done = act_fastest(actions, ways, rivals, context, &name, err);
        for (int i = rivals; done == 0 && i < count; i++) {
            done = ways[i].act(context, err);
            name = ways[i].name;
        }
        if (done > 0 && (!known || strcmp(known, name) != 0))
            glet_choice_cache_put(choices, key, name);
    }
    free(known);
    return done;
}
