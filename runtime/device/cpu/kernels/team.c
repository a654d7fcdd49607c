/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork-join team per worker thread, and the OpenMP runtime that oneDNN sees.
 *
 * Debian's oneDNN calls six OpenMP functions, normally libgomp's. They are defined here, and since
 * the executable comes first in the dynamic linker's search order, oneDNN calls these. Why:
 *  - libgomp's threads spin for milliseconds by default; with a second busy process on the cores a
 *    two-thread run was 100 times slower than with one thread. Its only remedy, sleeping at once
 *    (OMP_WAIT_POLICY=passive), is read before main() and wakes by futex for every primitive.
 *    Here a helper spins for about the time between two primitives, then offers its core to
 *    others, then sleeps.
 *  - how many threads a primitive uses follows the worker thread that builds and runs it, with no
 *    global setting.
 *  - ThreadSanitizer sees every synchronisation, which it does not in libgomp.
 *
 * GOMP_parallel and GOMP_barrier are gcc's ABI for `#pragma omp parallel` and `barrier`
 * (https://gcc.gnu.org/onlinedocs/libgomp/Implementing-PARALLEL-construct.html).
 *
 * Waiting is always on one 32-bit word: spin, then futex. A waker changes the word and enters the
 * kernel only if somebody said that he sleeps.
 */
#include "runtime/device/cpu/kernels/team.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * How long to wait before sleeping. First pause instructions (10-40 ns each): about 30 us, the gap
 * between two primitives. Then the core is offered to others, about 0.4 us each time when nobody
 * wants it: about 1 ms, the longest gap inside a run of a network. Waking a sleeper costs 50-90 us
 * on a virtual machine, where an idle core is given back to the host: MobileNetV2 has 50 such gaps
 * (2 threads, batch 1: 10.9 ms with the first wait alone).
 */
enum { SPIN_PAUSES = 1500, SPIN_YIELDS = 2500 };

struct signal_word {
    _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
};

struct team {
    cpu_set_t cores; /* the owner's affinity when the team was made */
    int helper_count;
    pthread_t helpers[GLET_CPU_MAX_THREADS];
    /* the current job; written by the owner before `job` changes */
    void (*body)(void *);
    void *data;
    int parts;
    struct signal_word job;     /* counts jobs; UINT32_MAX-free: compared for change only */
    struct signal_word pending; /* parts of the current job that still run on helpers */
    _Atomic int barrier_arrived;
    struct signal_word barrier_round;
    _Atomic bool ending;
};

/* What a thread is at this moment. */
struct self {
    struct team *team; /* it owns (worker) or serves (helper) */
    int limit;         /* threads of a parallel region begun here */
    int part, parts;   /* inside a region; parts = 0 outside */
};
static _Thread_local struct self self = {.limit = 1};

static pthread_key_t owner_key;
static pthread_once_t owner_key_once = PTHREAD_ONCE_INIT;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void wait_while_equal(struct signal_word *word, uint32_t value)
{
    for (int i = 0; i < SPIN_PAUSES; i++) {
        if (atomic_load_explicit(&word->value, memory_order_acquire) != value)
            return;
        relax();
    }
    for (int i = 0; i < SPIN_YIELDS; i++) {
        if (atomic_load_explicit(&word->value, memory_order_acquire) != value)
            return;
        sched_yield();
    }
    /* seq_cst pairs with signal_change(): either it sees the sleeper or we see the change */
    atomic_fetch_add(&word->sleepers, 1);
    while (atomic_load(&word->value) == value)
        syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&word->sleepers, 1);
}

static void signal_change(struct signal_word *word)
{
    if (atomic_load(&word->sleepers) > 0)
        syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/*
 * Pins the calling thread to the core with this number among the team's, unless there are fewer
 * cores than threads. Without it a scheduler puts a woken helper where its waker runs, and two
 * threads share one core while another idles.
 */
static void take_core(const struct team *team, int number, int threads)
{
    if (CPU_COUNT(&team->cores) < threads)
        return;
    int core = -1;
    for (int seen = -1; seen < number; seen += CPU_ISSET((size_t)core, &team->cores) ? 1 : 0)
        core++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)core, &one);
    sched_setaffinity(0, sizeof one, &one); /* a hint: without it the work is done all the same */
}

struct helper_start {
    struct team *team;
    int number; /* 1 ... */
    uint32_t job_seen;
};

static void *helper_main(void *argument)
{
    struct helper_start start = *(struct helper_start *)argument;
    free(argument);
    struct team *team = start.team;
    self.team = team;
    pthread_setname_np(pthread_self(), "cpu-helper");
    take_core(team, start.number, start.number + 1);
    uint32_t seen = start.job_seen;
    for (;;) {
        wait_while_equal(&team->job, seen);
        seen = atomic_load_explicit(&team->job.value, memory_order_acquire);
        if (atomic_load_explicit(&team->ending, memory_order_acquire))
            return NULL;
        if (start.number < team->parts) {
            self.part = start.number;
            self.parts = team->parts;
            team->body(team->data);
            self.parts = 0;
        }
        /* every helper answers every job, so that none can see the next one half-written */
        if (atomic_fetch_sub(&team->pending.value, 1) == 1)
            signal_change(&team->pending);
    }
}

static void team_end(void *argument)
{
    struct team *team = argument;
    atomic_store_explicit(&team->ending, true, memory_order_release);
    atomic_fetch_add(&team->job.value, 1);
    signal_change(&team->job);
    for (int i = 0; i < team->helper_count; i++)
        pthread_join(team->helpers[i], NULL);
    free(team);
}

static void make_owner_key(void)
{
    pthread_key_create(&owner_key, team_end);
}

static int add_helper(struct team *team, struct glet_error *err)
{
    struct helper_start *start = malloc(sizeof *start);
    if (!start)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a thread");
    start->team = team;
    start->number = team->helper_count + 1;
    start->job_seen = atomic_load_explicit(&team->job.value, memory_order_relaxed);
    int error = pthread_create(&team->helpers[team->helper_count], NULL, helper_main, start);
    if (error != 0) {
        free(start);
        return glet_error_set(err, GLET_ERR_NOMEM, "cannot start a helper thread: %s",
                              strerror(error));
    }
    team->helper_count++;
    return 0;
}

int glet_cpu_team_use(int threads, struct glet_error *err)
{
    if (threads < 1 || threads > GLET_CPU_MAX_THREADS)
        return glet_error_set(err, GLET_ERR_RANGE, "threads = %d is not in 1 ... %d", threads,
                              GLET_CPU_MAX_THREADS);
    if (threads > 1 && !self.team) {
        pthread_once(&owner_key_once, make_owner_key);
        struct team *team = calloc(1, sizeof *team);
        if (!team || pthread_setspecific(owner_key, team) != 0) {
            free(team);
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for threads");
        }
        sched_getaffinity(0, sizeof team->cores, &team->cores);
        take_core(team, 0, threads);
        self.team = team;
    }
    while (threads > 1 && self.team->helper_count < threads - 1)
        if (add_helper(self.team, err) < 0)
            return -1;
    self.limit = threads;
    return 0;
}

int glet_cpu_team_size(void)
{
    return self.parts > 0 ? 1 : self.limit;
}

static void run_alone(void (*body)(void *), void *data)
{
    struct self outer = self;
    self.part = 0;
    self.parts = 1;
    body(data);
    self = outer;
}

static void run_on_team(void (*body)(void *), void *data, int parts)
{
    struct team *team = self.team;
    team->body = body;
    team->data = data;
    team->parts = parts;
    atomic_store_explicit(&team->pending.value, (uint32_t)team->helper_count, memory_order_relaxed);
    atomic_fetch_add(&team->job.value, 1);
    signal_change(&team->job);
    self.part = 0;
    self.parts = parts;
    body(data);
    self.parts = 0;
    uint32_t pending;
    while ((pending = atomic_load_explicit(&team->pending.value, memory_order_acquire)) != 0)
        wait_while_equal(&team->pending, pending);
}

static void run_region(void (*body)(void *), void *data, int parts)
{
    if (parts <= 1 || self.parts > 0 || !self.team)
        run_alone(body, data);
    else
        run_on_team(body, data, parts);
}

struct job {
    void (*body)(int part, int parts, void *data);
    void *data;
};

static void run_job(void *data)
{
    struct job *job = data;
    job->body(self.part, self.parts, job->data);
}

void glet_cpu_team_run(void (*body)(int part, int parts, void *data), void *data)
{
    struct job job = {body, data};
    run_region(run_job, &job, glet_cpu_team_size());
}

void glet_cpu_split(long count, int part, int parts, long *begin, long *end)
{
    long each = count / parts, rest = count % parts;
    *begin = part * each + (part < rest ? part : rest);
    *end = *begin + each + (part < rest ? 1 : 0);
}

/* What oneDNN calls. Declared here because no header of ours should offer them. */
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
void GOMP_barrier(void);
int omp_get_max_threads(void);
int omp_get_num_threads(void);
int omp_get_thread_num(void);
int omp_in_parallel(void);

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags)
{
    (void)flags; /* thread binding: helpers already have the worker's affinity */
    int size = glet_cpu_team_size();
    run_region(body, data, threads == 0 || threads > (unsigned)size ? size : (int)threads);
}

void GOMP_barrier(void)
{
    if (self.parts <= 1)
        return;
    struct team *team = self.team;
    uint32_t round = atomic_load_explicit(&team->barrier_round.value, memory_order_relaxed);
    if (atomic_fetch_add(&team->barrier_arrived, 1) == self.parts - 1) {
        atomic_store_explicit(&team->barrier_arrived, 0, memory_order_relaxed);
        atomic_fetch_add(&team->barrier_round.value, 1);
        signal_change(&team->barrier_round);
    } else {
        wait_while_equal(&team->barrier_round, round);
    }
}

int omp_get_max_threads(void)
{
    return glet_cpu_team_size();
}

int omp_get_num_threads(void)
{
    return self.parts > 0 ? self.parts : 1;
}

int omp_get_thread_num(void)
{
    return self.parts > 0 ? self.part : 0;
}

int omp_in_parallel(void)
{
    return self.parts > 1;
}
