/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_run.h"
#include "common/clock.h"
#include "common/memory.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t call_timeout_us = 10 * 1000000, retry_us = 100 * 1000;
static const uint64_t unregister_timeout_us = 2 * 1000000;

struct answer {
    char *body;
    bool out_of_memory;
};

static void keep_answer(struct glet_call *call)
{
    struct answer *answer = call->user;
    if (call->result != GLET_CALL_ANSWERED)
        return;
    answer->body = strdup(call->body ? call->body : "");
    answer->out_of_memory = !answer->body;
}

/* One call, waited for. call->result and call->status say how it went; body_out is the caller's. */
static int send_one(struct glet_client *client, size_t target, const char *request,
                    uint64_t timeout_us, struct glet_call *call, char **body_out,
                    struct glet_error *err)
{
    struct answer answer = {0};
    *call = (struct glet_call){.target = target,
                               .bytes = request,
                               .length = strlen(request),
                               .timeout_us = timeout_us,
                               .keep_body = true,
                               .done = keep_answer,
                               .user = &answer};
    glet_client_begin(client, call);
    while (glet_client_open_calls(client) > 0)
        if (glet_client_poll(client, glet_clock_us() + timeout_us, NULL, err) < 0)
            return -1;
    if (answer.out_of_memory)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    *body_out = answer.body;
    return 0;
}

static int get(struct glet_client *client, size_t target, const char *path, struct glet_call *call,
               char **body_out, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free)
    char *request = glet_get_request(glet_client_host(client, target), path, err);
    return request ? send_one(client, target, request, call_timeout_us, call, body_out, err) : -1;
}

static int stopped(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_UNDECIDED, "stopped before the load began");
}

static int wait_ready(struct glet_client *client, size_t target, uint64_t wait_us,
                      const volatile int *stop, struct glet_error *err)
{
    uint64_t end_us = glet_clock_us() + wait_us;
    for (;;) {
        GLET_CLEANUP(glet_cleanup_free) char *body = NULL;
        struct glet_call call;
        if (get(client, target, "/v2/health/ready", &call, &body, err) < 0)
            return -1;
        if (call.result == GLET_CALL_ANSWERED && call.status == 200)
            return 0;
        if (call.result == GLET_CALL_REFUSED && glet_client_turn(client, target))
            continue;
        uint64_t now_us = glet_clock_us();
        if (now_us >= end_us && call.result == GLET_CALL_ANSWERED)
            return glet_error_set(err, GLET_ERR_IO, "%s is not ready: status %d",
                                  glet_client_host(client, target), call.status);
        if (now_us >= end_us)
            return glet_error_set(err, GLET_ERR_IO, "%s: %s", glet_client_host(client, target),
                                  glet_call_result_name(call.result));
        if (stop && *stop)
            return stopped(err);
        glet_clock_sleep_until_us(now_us + retry_us);
    }
}

/* The server's own words, where it gave any. */
static int refused(const char *host, const struct glet_call *call, const char *body,
                   struct glet_error *err)
{
    cJSON *root = body ? cJSON_Parse(body) : NULL;
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(root, "error");
    if (call->result != GLET_CALL_ANSWERED)
        glet_error_set(err, GLET_ERR_IO, "%s: %s", host, glet_call_result_name(call->result));
    else
        glet_error_set(err, GLET_ERR_IO, "%s takes no shared memory: status %d%s%.300s", host,
                       call->status, cJSON_IsString(words) ? ": " : "",
                       cJSON_IsString(words) ? words->valuestring : "");
    cJSON_Delete(root);
    return -1;
}

static int register_region(struct glet_client *client, size_t index, struct glet_load_model *model,
                           struct glet_error *err)
{
    const char *host = glet_client_host(client, index);
    GLET_CLEANUP(glet_cleanup_free) char *body = NULL;
    GLET_CLEANUP(glet_cleanup_free)
    char *request = glet_load_region_register(&model->region, host, err);
    struct glet_call call;
    if (!request || send_one(client, index, request, call_timeout_us, &call, &body, err) < 0)
        return -1;
    model->targets[index].registered = call.result == GLET_CALL_ANSWERED && call.status == 200;
    return model->targets[index].registered ? 0 : refused(host, &call, body, err);
}

/* Makes the target's requests, or gives it weight 0 when it does not know the model. */
static int ask_model(struct glet_client *client, size_t index, struct glet_load_model *model,
                     struct glet_random *random, struct glet_error *err)
{
    struct glet_load_target *target = &model->targets[index];
    const char *host = glet_client_host(client, index);
    GLET_CLEANUP(glet_cleanup_free) char *path = glet_model_path(model->name, "", err);
    GLET_CLEANUP(glet_cleanup_free) char *body = NULL;
    struct glet_call call;
    if (!path || get(client, index, path, &call, &body, err) < 0)
        return -1;
    if (call.result != GLET_CALL_ANSWERED)
        return glet_error_set(err, GLET_ERR_IO, "%s: %s", host, glet_call_result_name(call.result));
    if (call.status == 404) {
        target->weight = 0;
        return 0;
    }
    if (call.status != 200)
        return glet_error_set(err, GLET_ERR_IO, "%s: status %d for model %s", host, call.status,
                              model->name);
    if (glet_infer_request_init(&target->request, host, model->name, body, random, &model->region,
                                err) < 0)
        return -1;
    return model->region.memory ? register_region(client, index, model, err) : 0;
}

static int ask_targets(struct glet_client *client, struct glet_load_model *model,
                       const struct glet_random *random, struct glet_error *err)
{
    double total = 0;
    for (size_t t = 0; t < model->target_count; t++) {
        struct glet_random own = *random; /* all targets get the same data */
        if (model->targets[t].weight > 0 && ask_model(client, t, model, &own, err) < 0)
            return -1;
        total += model->targets[t].weight;
    }
    glet_load_region_unlink(&model->region); /* all have it */
    if (total > 0)
        return 0;
    return glet_error_set(err, GLET_ERR_INPUT, "%s%s not serve model %s",
                          model->target_count > 1 ? "the targets" : glet_client_host(client, 0),
                          model->target_count > 1 ? " do" : " does", model->name);
}

int glet_load_prepare(struct glet_client *client, size_t target_count,
                      struct glet_load_model *models, size_t model_count, uint64_t wait_us,
                      uint64_t seed, const volatile int *stop, struct glet_error *err)
{
    for (size_t t = 0; t < target_count; t++)
        if (wait_ready(client, t, wait_us, stop, err) < 0)
            return -1;
    struct glet_random random = glet_random_seeded(seed);
    for (size_t i = 0; i < model_count; i++) {
        struct glet_random own = glet_random_split(&random, i);
        if (models[i].target_count > 0 && ask_targets(client, &models[i], &own, err) < 0)
            return -1;
        if (stop && *stop)
            return stopped(err);
    }
    return 0;
}

/* false: it does not answer, and need not be asked for more. */
static bool unregister(struct glet_client *client, size_t index, struct glet_load_model *model)
{
    struct glet_error ignored;
    struct glet_call call;
    GLET_CLEANUP(glet_cleanup_free) char *body = NULL;
    GLET_CLEANUP(glet_cleanup_free)
    char *request =
        glet_load_region_unregister(&model->region, glet_client_host(client, index), &ignored);
    model->targets[index].registered = false;
    return request &&
           send_one(client, index, request, unregister_timeout_us, &call, &body, &ignored) == 0 &&
           call.result == GLET_CALL_ANSWERED;
}

void glet_load_unregister(struct glet_client *client, size_t target_count,
                          struct glet_load_model *models, size_t model_count)
{
    for (size_t t = 0; t < target_count; t++) {
        bool answers = true;
        for (size_t i = 0; i < model_count && answers; i++)
            if (models[i].target_count > 0 && models[i].targets[t].registered)
                answers = unregister(client, t, &models[i]);
    }
}
