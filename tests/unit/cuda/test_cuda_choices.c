/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libraries are asked for and how often: choices that are kept from one life of a gpu-let to the
 * next, and shared by gpu-lets that build at the same time.
 */
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/cuda/cuda_bench.h"
#include "tests/unit/cuda/net_job.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void for_files(const char *folder, void (*act)(const char *path))
{
    DIR *dir = opendir(folder);
    char path[1024];
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        act(path);
    }
    if (dir)
        closedir(dir);
}

static int files;
static void count_file(const char *path)
{
    (void)path;
    files++;
}
static void remove_file(const char *path)
{
    unlink(path);
}
static void damage_file(const char *path)
{
    FILE *out = fopen(path, "w");
    fputs("gpulet-choice/1\nsomething else\n", out);
    fclose(out);
}
static void spoil_value(const char *path) /* well-formed, but nothing that a library knows */
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r+");
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    char *value = strchr(strchr(text, '\n') + 1, '\n') + 1;
    rewind(file);
    fprintf(file, "%.*szzzz\n", (int)(value - text), text);
    fflush(file);
    if (ftruncate(fileno(file), (value - text) + 5) < 0)
        abort();
    fclose(file);
}

static int heuristics_of_a_life(struct job *job, const char *folder, const char *gpu)
{
    struct glet_error err = {0};
    fake_cuda_configure(&(struct fake_cuda_config){.name = gpu});
    fake_libraries_reset(FAKE_REFUSE_NOTHING);
    double error = job_life(job, GLET_CUDA_FP16, folder, &err);
    job_check_clean("cache");
    if (!(error >= 0.0 && error < 1e-2))
        fail_msg("error %g %s", error, err.message);
    return fake_libraries_heuristics();
}

static void choices_are_cached(void **state)
{
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct job job;
    (void)state;
    assert_non_null(mkdtemp(folder));
    job_start(&job, net_convolutions);
    int first = heuristics_of_a_life(&job, folder, "A");
    assert_true(first > 0);
    files = 0;
    for_files(folder, count_file);
    assert_true(files > 5);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);     /* hit */
    assert_int_equal(heuristics_of_a_life(&job, folder, "B"), first); /* another GPU */
    for_files(folder, damage_file);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), first); /* ignored, written anew */
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);
    for_files(folder, spoil_value);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), first);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);
    for_files(folder, remove_file);
    rmdir(folder);
    job_end(&job);
}

/* What was found to be the best of a few ways by wish is not the best of all. */
static void wishes_are_choices_of_their_own(void **state)
{
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct job job;
    (void)state;
    assert_non_null(mkdtemp(folder));
    job_start(&job, net_convolutions);
    setenv("GPULET_CONV_WAYS", "direct", 1);
    (void)heuristics_of_a_life(&job, folder, "A");
    unsetenv("GPULET_CONV_WAYS");
    assert_int_equal(fake_libraries_plans(), 0);
    (void)heuristics_of_a_life(&job, folder, "A");
    assert_true(fake_libraries_plans() > 0);
    for_files(folder, remove_file);
    rmdir(folder);
    job_end(&job);
}

static int heuristics(struct job *job, int refusals)
{
    job_expect(job, GLET_CUDA_FP16, refusals, 1e-2, "SM targets");
    return fake_libraries_heuristics();
}

/* Libraries are asked for the device and for the gpu-let; by wish only for the device. One that
   takes no target has suggested for the device. */
static void sm_targets_are_no_condition(void **state)
{
    struct job job;
    (void)state;
    job_start(&job, net_convolutions);
    int both = heuristics(&job, FAKE_REFUSE_NOTHING);
    assert_true(heuristics(&job, FAKE_REFUSE_SM_TARGET) <= both);
    setenv("GPULET_SM_TARGET", "off", 1);
    int one = heuristics(&job, FAKE_REFUSE_NOTHING);
    assert_int_equal(heuristics(&job, FAKE_REFUSE_SM_TARGET), one);
    unsetenv("GPULET_SM_TARGET");
    assert_true(one < both);
    assert_true(both <= 2 * one);
    job_end(&job);
}

static void right_with_choices(const char *folder, const char *text)
{
    struct job job;
    job_start(&job, text);
    (void)heuristics_of_a_life(&job, folder, "A");
    job_end(&job);
}

/* A choice says all that there is to say of it: the next process has other graphs, in another
   order, and takes it all the same. */
static void choices_of_another_process(void **state)
{
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct job job;
    int status;
    (void)state;
    assert_non_null(mkdtemp(folder));
    pid_t child = fork();
    if (child == 0) {
        right_with_choices(folder, net_attention);
        right_with_choices(folder, net_little);
        right_with_choices(folder, net_convolutions);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    right_with_choices(folder, net_little);
    job_start(&job, net_convolutions);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);
    job_end(&job);
    right_with_choices(folder, net_attention);
    for_files(folder, remove_file);
    rmdir(folder);
}

/* -- several gpu-lets -------------------------------------------------------------------------- */

enum { GPULETS = 4, ROUNDS = 3 };

struct gpulet {
    pthread_t thread;
    const struct bench *first;
    struct job job;
    double worst;
    struct glet_error err;
};

static double life_beside(struct gpulet *gpulet)
{
    struct bench bench;
    struct job *job = &gpulet->job;
    struct glet_cuda_net *net = NULL;
    int rc = bench_open_beside(&bench, gpulet->first, &gpulet->err);
    if (rc == 0)
        rc = glet_cuda_net_build(&bench.site, job->model, BATCH, &net, &gpulet->err);
    if (rc == 0)
        rc = bench_run(&bench, net, job->model, BATCH, job->inputs, job->got, &gpulet->err);
    glet_cuda_net_free(net);
    bench_close(&bench);
    return rc < 0 ? INFINITY : job_error(job);
}

static void *live(void *opaque)
{
    struct gpulet *gpulet = opaque;
    for (int i = 0; i < ROUNDS; i++)
        gpulet->worst = fmax(gpulet->worst, life_beside(gpulet));
    return NULL;
}

/* Gpu-lets that build at the same time share weights and choices. */
static void gpulets_build_at_once(void **state)
{
    static const char *const texts[GPULETS] = {net_convolutions, net_attention, net_little,
                                               net_convolutions};
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct gpulet gpulets[GPULETS];
    struct glet_error err = {0};
    struct bench first;
    (void)state;
    assert_non_null(mkdtemp(folder));
    fake_cuda_configure(NULL);
    fake_libraries_reset(FAKE_REFUSE_NOTHING);
    assert_int_equal(bench_open(&first, GLET_CUDA_FP16, folder, &err), 0);
    for (int i = 0; i < GPULETS; i++) {
        gpulets[i] = (struct gpulet){.first = &first};
        job_start(&gpulets[i].job, texts[i]);
    }
    for (int i = 0; i < GPULETS; i++)
        assert_int_equal(pthread_create(&gpulets[i].thread, NULL, live, &gpulets[i]), 0);
    for (int i = 0; i < GPULETS; i++) {
        assert_int_equal(pthread_join(gpulets[i].thread, NULL), 0);
        if (!(gpulets[i].worst < 1e-2))
            fail_msg("gpu-let %d: error %g, %s", i, gpulets[i].worst, gpulets[i].err.message);
    }
    for (int i = 0; i < GPULETS; i++) {
        glet_cuda_store_forget(first.store, gpulets[i].job.model);
        job_end(&gpulets[i].job);
    }
    bench_close(&first);
    job_check_clean("gpu-lets at once");
    for_files(folder, remove_file);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_are_cached),
        cmocka_unit_test(wishes_are_choices_of_their_own),
        cmocka_unit_test(sm_targets_are_no_condition),
        cmocka_unit_test(choices_of_another_process),
        cmocka_unit_test(gpulets_build_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
