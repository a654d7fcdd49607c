/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/device/fake_net.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct glet_cpu_net {
    struct glet_model *model;
    int batch, threads;
    const float *input;
    float *output;
};

struct glet_cpu_packs {
    int unused;
};

static double thread_cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int glet_cpu_packs_new(struct glet_cpu_packs **out, struct glet_error *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    return 0;
}

void glet_cpu_packs_free(struct glet_cpu_packs *packs)
{
    free(packs);
}

size_t glet_cpu_packs_bytes(struct glet_cpu_packs *packs)
{
    (void)packs;
    return 0;
}

void glet_cpu_packs_forget(struct glet_cpu_packs *packs, const struct glet_model *model)
{
    (void)packs;
    (void)model;
}

int glet_cpu_net_build(struct glet_cpu_packs *packs, const struct glet_model *model, int batch,
                       int threads, struct glet_cpu_net **out, struct glet_error *err)
{
    (void)packs;
    if (model->build_fails)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "no such operator");
    struct glet_cpu_net *net = calloc(1, sizeof *net);
    *net = (struct glet_cpu_net){(struct glet_model *)(uintptr_t)model, batch, threads, NULL, NULL};
    atomic_fetch_add(&net->model->live_nets, 1);
    *out = net;
    return 0;
}

void glet_cpu_net_free(struct glet_cpu_net *net)
{
    if (net)
        atomic_fetch_sub(&net->model->live_nets, 1);
    free(net);
}

bool glet_cpu_net_reads_unused(const struct glet_cpu_net *net, int used)
{
    (void)net;
    (void)used;
    return false;
}

void glet_cpu_net_bind_input(struct glet_cpu_net *net, size_t i, const void *data)
{
    (void)i;
    net->input = data;
}

void glet_cpu_net_bind_output(struct glet_cpu_net *net, size_t i, void *data)
{
    (void)i;
    net->output = data;
}

size_t glet_cpu_net_step_count(const struct glet_cpu_net *net, int used)
{
    (void)used;
    return (size_t)net->model->steps;
}

int glet_cpu_net_step(struct glet_cpu_net *net, size_t i, int used, struct glet_error *err)
{
    if (net->model->step_fails)
        return glet_error_set(err, GLET_ERR_INPUT, "a bad index");
    double end_us = thread_cpu_us() + net->model->step_us * used / net->threads;
    while (thread_cpu_us() < end_us)
        for (volatile int k = 0; k < 200; k++)
            ;
    if (i == 0)
        for (int k = 0; k < used * net->model->floats; k++)
            net->output[k] = net->input[k] + 1;
    return 0;
}

int glet_cpu_net_run(struct glet_cpu_net *net, int used, struct glet_error *err)
{
    for (size_t i = 0; i < glet_cpu_net_step_count(net, used); i++)
        if (glet_cpu_net_step(net, i, used, err) < 0)
            return -1;
    return 0;
}

size_t glet_cpu_net_activation_bytes(const struct glet_cpu_net *net)
{
    return (size_t)net->batch << 20;
}

double glet_cpu_net_longest_step_ms(const struct glet_cpu_net *net)
{
    return net->model->step_us * net->batch / 1e3;
}

static _Thread_local struct glet_model_io io;

const struct glet_model_io *glet_model_input(const struct glet_model *model, size_t i)
{
    (void)i;
    io.bytes = sizeof(float) * (size_t)model->floats;
    return &io;
}

const struct glet_model_io *glet_model_output(const struct glet_model *model, size_t i)
{
    return glet_model_input(model, i);
}

size_t glet_model_input_count(const struct glet_model *model)
{
    (void)model;
    return 1;
}

size_t glet_model_output_count(const struct glet_model *model)
{
    (void)model;
    return 1;
}

const char *glet_model_name(const struct glet_model *model)
{
    (void)model;
    return "fake";
}
