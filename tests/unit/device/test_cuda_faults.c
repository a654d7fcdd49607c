/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of the driver fails once: a whole life of a device, from opening it to closing it, with
 * the nth call failing, and then with every call from the nth on failing, as after a fault of the
 * GPU. Each life must end, with an error that says something or without one, with no rule broken
 * and nothing left. A process opens the driver once; the calls of that fail in processes of their
 * own.
 */
#include "runtime/device/device.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FINE = 0, WRONG = 1, NOT_REACHED = 2 };

static int run_let(struct glet_partition *let, struct glet_model *model, struct glet_error *err)
{
    struct glet_executor *executor = NULL;
    if (glet_partition_enter(let, err) < 0)
        return -1;
    int rc = glet_executor_build(let, model, 4, &executor, err);
    if (rc == 0)
        rc = glet_executor_run(executor, 3, err);
    int begun = 0;
    for (; rc == 0 && begun < 2; begun += rc == 0)
        rc = glet_executor_begin(executor, 3, err);
    for (struct glet_error other; begun > 0; begun--)
        if (glet_executor_finish(executor, rc < 0 ? &other : err) < 0)
            rc = -1;
    glet_executor_free(executor);
    glet_partition_leave(let);
    return rc;
}

static int live(struct glet_model *model, bool verify, struct glet_error *err)
{
    struct glet_device *device = NULL;
    struct glet_partition_set *set = NULL, *next = NULL;
    uint64_t blocks;
    if (glet_device_open("cuda:0", &device, err) < 0)
        return -1;
    int rc = glet_partitions_create(device, (int[]){12, 4}, 2, &set, err);
    if (rc == 0 && verify)
        rc = glet_partitions_verify(set, &blocks, err);
    for (size_t i = 0; rc == 0 && i < 2; i++)
        rc = run_let(glet_partition_at(set, i), model, err);
    if (rc == 0) /* the next plan, beside the first */
        rc = glet_partitions_create(device, (int[]){3}, 1, &next, err);
    glet_partitions_free(set);
    if (rc == 0)
        rc = run_let(glet_partition_at(next, 0), model, err);
    glet_partitions_free(next);
    glet_device_forget_model(device, model);
    glet_device_close(device);
    return rc;
}

struct fault {
    CUresult code;
    bool sticky;
    bool verify; /* with the isolation check, which takes long */
};

static int check_life(long nth, const struct fault *fault)
{
    struct glet_model model = {.floats = 3, .weight_bytes = 64};
    struct glet_error err = {0};
    fake_cuda_configure(NULL);
    fake_cuda_fail(NULL, nth, fault->code, fault->sticky);
    int rc = live(&model, fault->verify, &err);
    const char *left = fake_cuda_live();
    if (fake_cuda_breaches() > 0 || *left || atomic_load(&model.live_nets) != 0 ||
        (rc < 0 && (err.code == GLET_OK || !err.message[0]))) {
        fprintf(stderr, "call %ld fails%s: '%s' broke '%s', left '%s'\n", nth,
                fault->sticky ? " and all after it" : "", err.message, fake_cuda_breach(), left);
        return WRONG;
    }
    if (rc == 0 && nth == 1) { /* without which nothing can go on */
        fprintf(stderr, "call %ld fails, and nobody says so\n", nth);
        return WRONG;
    }
    return fake_cuda_calls() < nth ? NOT_REACHED : FINE;
}

static int check_in_child(long nth, const struct fault *fault)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exit(check_life(nth, fault)); /* with the leak check of a sanitizer */
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return WRONG;
    if (!WIFEXITED(status))
        fprintf(stderr, "call %ld fails: ended by signal %d\n", nth, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : WRONG;
}

int main(void)
{
    static const struct fault faults[] = {{CUDA_ERROR_UNKNOWN, false, true},
                                          {CUDA_ERROR_OUT_OF_MEMORY, false, false},
                                          {CUDA_ERROR_ILLEGAL_ADDRESS, true, false}};
    enum { OPENING_CALLS = 16 }; /* and some more */
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++)
        for (long nth = 1; nth <= OPENING_CALLS; nth++)
            if (check_in_child(nth, &faults[f]) != FINE)
                return 1;
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        int result = FINE;
        long nth = 0;
        while (result == FINE)
            result = check_life(++nth, &faults[f]);
        if (result != NOT_REACHED || nth < 100) {
            fprintf(stderr, "ended with %d at call %ld\n", result, nth);
            return 1;
        }
        printf("%ld calls failed, one by one\n", nth - 1);
    }
    return 0;
}
