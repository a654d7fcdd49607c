/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/inputs.h"

#include "common/memory.h"
#include "common/random.h"

#include <stdlib.h>
#include <string.h>

static void fill(struct glet_random *random, void *data, enum glet_dtype dtype, size_t bytes)
{
    size_t count = bytes / glet_dtype_size(dtype);
    for (size_t i = 0; i < count; i++) {
        if (dtype == GLET_FLOAT32)
            ((float *)data)[i] = (float)(2 * glet_random_uniform(random) - 1);
        else if (dtype == GLET_FLOAT64)
            ((double *)data)[i] = 2 * glet_random_uniform(random) - 1;
        else /* the lowest byte of an integer: 0 or 1; half floats: zero or tiny */
            ((unsigned char *)data)[i * glet_dtype_size(dtype)] =
                (unsigned char)glet_random_below(random, 2);
    }
}

void glet_inputs_fill(struct glet_executor *executor, const struct glet_model *model, int batch,
                      uint64_t seed)
{
    struct glet_random random = glet_random_seeded(seed);
    for (size_t i = 0; i < glet_model_input_count(model); i++) {
        const struct glet_model_io *io = glet_model_input(model, i);
        fill(&random, glet_executor_input(executor, i), io->dtype, io->bytes * (size_t)batch);
    }
}

static size_t bytes_of(const struct glet_inputs *inputs, size_t i)
{
    return glet_model_input(inputs->model, i)->bytes * (size_t)inputs->batch;
}

int glet_inputs_init(struct glet_inputs *inputs, struct glet_executor *executor,
                     const struct glet_model *model, int batch, size_t count,
                     struct glet_error *err)
{
    size_t input_count = glet_model_input_count(model);
    *inputs = (struct glet_inputs){.executor = executor, .model = model, .batch = batch};
    inputs->sets = glet_alloc(count * input_count, sizeof *inputs->sets, err);
    if (!inputs->sets)
        return -1;
    for (size_t set = count; set-- > 0; inputs->set_count++) {
        glet_inputs_fill(executor, model, batch, set + 1);
        for (size_t i = 0; count > 1 && i < input_count; i++) {
            void *block = glet_alloc(bytes_of(inputs, i), 1, err);
            inputs->sets[inputs->set_count * input_count + i] = block;
            if (!block) {
                inputs->set_count++;
                glet_inputs_fini(inputs);
                return -1;
            }
            memcpy(block, glet_executor_input(executor, i), bytes_of(inputs, i));
        }
    }
    return 0;
}

void glet_inputs_fini(struct glet_inputs *inputs)
{
    size_t input_count = inputs->sets ? glet_model_input_count(inputs->model) : 0;
    for (size_t i = 0; i < inputs->set_count * input_count; i++)
        free(inputs->sets[i]);
    free(inputs->sets);
    *inputs = (struct glet_inputs){0};
}

void glet_inputs_rotate(struct glet_inputs *inputs)
{
    size_t input_count = glet_model_input_count(inputs->model);
    if (inputs->set_count < 2)
        return;
    for (size_t i = 0; i < input_count; i++)
        memcpy(glet_executor_input(inputs->executor, i),
               inputs->sets[inputs->next * input_count + i], bytes_of(inputs, i));
    inputs->next = (inputs->next + 1) % inputs->set_count;
}
