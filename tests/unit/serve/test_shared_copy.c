/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/serve/shared_copy.h"

#include "tests/unit/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 4, BYTES = PAGE * PAGES };

static int new_file(void)
{
    int fd = memfd_create("shared_copy", MFD_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, BYTES) == 0);
    return fd;
}

/* Of a file; and ready to copy from it: the test's frame takes SIGBUS for each of them. */
static unsigned char *map(int fd)
{
    struct glet_error err = {0};
    CHECK_OK(glet_shared_copy_setup(&err), &err);
    unsigned char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static void what_is_there_is_copied_and_what_is_gone_is_told(void **state)
{
    (void)state;
    static unsigned char mine[BYTES];
    int fd = new_file();
    unsigned char *theirs = map(fd);
    memset(theirs, 7, BYTES);
    assert_true(glet_shared_copy(mine, theirs, BYTES));
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(mine[i], 7);
    for (int i = 0; i < 1000; i++) { /* the mask and the handler stay as they are */
        assert_int_equal(ftruncate(fd, PAGE), 0);
        assert_false(glet_shared_copy(mine, theirs, BYTES));
        assert_false(glet_shared_copy(theirs, mine, BYTES));
        assert_true(glet_shared_copy(mine, theirs, PAGE));
        assert_true(glet_shared_copy(mine, theirs + PAGE, 0));
        assert_int_equal(ftruncate(fd, BYTES), 0);
        assert_true(glet_shared_copy(mine, theirs, BYTES));
    }
    munmap(theirs, BYTES);
    close(fd);
}

static _Atomic bool stop;

static void *copy_on(void *user)
{
    unsigned char *mine = malloc(BYTES);
    size_t gone = 0, fine = 0;
    while (!stop || !gone || !fine) {
        bool copied = glet_shared_copy(mine, user, BYTES);
        gone += !copied;
        fine += copied;
    }
    free(mine);
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    pthread_t threads[4];
    int fd = new_file();
    unsigned char *theirs = map(fd);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, copy_on, theirs), 0);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        usleep(200);
        assert_int_equal(ftruncate(fd, BYTES), 0);
        usleep(200);
    }
    /* Each has seen both when it ends. */
    stop = true;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        usleep(20000);
        assert_int_equal(ftruncate(fd, BYTES), 0);
        usleep(20000);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    munmap(theirs, BYTES);
    close(fd);
}

/* Ours is not to hide what others do wrong. */
static void any_other_access_still_kills(void **state)
{
    (void)state;
    int fd = new_file();
    volatile unsigned char *theirs = map(fd);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        unsigned char byte = 0;
        struct glet_error err;
        signal(SIGBUS, SIG_DFL); /* instead of the test frame's */
        if (glet_shared_copy_setup(&err) < 0 || ftruncate(fd, 0) < 0 ||
            !glet_shared_copy(&byte, &byte, 1))
            _exit(0);
        byte = theirs[0];
        _exit(byte);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_copied_and_what_is_gone_is_told),
        cmocka_unit_test(threads_do_not_disturb_each_other),
        cmocka_unit_test(any_other_access_still_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
