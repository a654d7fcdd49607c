/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signal is sent to the thread that touched the memory, in the middle of memcpy(), which holds
 * nothing that has to be given back: so the handler can jump out of it.
 */
#include "runtime/serve/shared_copy.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

static _Thread_local sigjmp_buf *volatile way_out; /* NULL: this thread is in no copy */
static struct sigaction before;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)info;
    if (way_out) {
        const ucontext_t *interrupted = context;
        pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL); /* as a return would */
        siglongjmp(*way_out, 1);
    }
    sigaction(number, &before, NULL); /* and the same access comes again */
}

int glet_shared_copy_setup(struct glet_error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    struct sigaction now;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    int failed = sigaction(SIGBUS, NULL, &now) < 0;
    if (!failed && now.sa_sigaction != on_sigbus) {
        before = now;
        failed = sigaction(SIGBUS, &action, NULL) < 0;
    }
    int number = errno;
    pthread_mutex_unlock(&lock);
    return failed ? glet_error_errno(err, number, "SIGBUS") : 0;
}

bool glet_shared_copy(void *to, const void *from, size_t bytes)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) { /* without a mask, whose saving is a system call */
        way_out = NULL;
        return false;
    }
    way_out = &here;
    atomic_signal_fence(memory_order_seq_cst); /* the copy stays between the two */
    memcpy(to, from, bytes);
    atomic_signal_fence(memory_order_seq_cst);
    way_out = NULL;
    return true;
}
