/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/file.h"
#include "common/memory.h"
#include "common/sha256.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_file.XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    unlink("out");
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

static size_t files_here(void)
{
    size_t count = 0;
    DIR *here = opendir(".");
    for (struct dirent *entry; (entry = readdir(here));)
        count += entry->d_name[0] != '.';
    closedir(here);
    return count;
}

static void write_then_read(void **state)
{
    (void)state;
    struct glet_error err;
    char *text;
    size_t length;
    CHECK_OK(glet_file_write("out", "a\0b", 3, &err), &err);
    CHECK_OK(glet_file_read("out", 3, &text, &length, &err), &err);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "a\0b", 4);
    free(text);
    CHECK_FAILS(glet_file_read("out", 2, &text, &length, &err), &err, GLET_ERR_INPUT,
                "out: larger than 2 bytes");
    CHECK_FAILS(glet_file_read("none", 2, &text, &length, &err), &err, GLET_ERR_IO,
                "none: No such file or directory");
    CHECK_FAILS(glet_file_write("none/out", "", 0, &err), &err, GLET_ERR_IO,
                "none/out: No such file or directory");
}

/* What a pipe's writer does in the very moment in which the wait for it ends. */
static const char *written_at_the_end; /* "" = it comes, and takes its time; NULL = nothing */
static pthread_t late;

static void *write_late(void *user)
{
    int *writer = user;
    usleep(50000);
    assert_int_equal(write(*writer, "later", 5), 5);
    close(*writer);
    return NULL;
}

int __real_poll(struct pollfd *polled, nfds_t count, int wait_ms);
int __wrap_poll(struct pollfd *polled, nfds_t count, int wait_ms);
int __wrap_poll(struct pollfd *polled, nfds_t count, int wait_ms)
{
    static int writer;
    const char *text = GLET_STEAL(written_at_the_end);
    if (!text)
        return __real_poll(polled, count, wait_ms);
    writer = open("pipe", O_WRONLY | O_CLOEXEC);
    if (!text[0])
        return pthread_create(&late, NULL, write_late, &writer);
    assert_int_equal(write(writer, text, strlen(text)), strlen(text));
    close(writer);
    return 0;
}

static void a_pipe_is_read_whenever_its_writer_comes(void **state)
{
    (void)state;
    struct glet_error err;
    char *text;
    size_t length;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    written_at_the_end = "just in time";
    CHECK_OK(glet_file_read("pipe", 100, &text, &length, &err), &err);
    assert_string_equal(text, "just in time");
    free(text);
    written_at_the_end = "";
    CHECK_OK(glet_file_read("pipe", 100, &text, &length, &err), &err);
    assert_string_equal(text, "later");
    free(text);
    pthread_join(late, NULL);
    CHECK_FAILS(glet_file_read("pipe", 100, &text, &length, &err), &err, GLET_ERR_IO,
                "pipe: a pipe that nobody writes to");
    unlink("pipe");
}

static void discarded_output_leaves_the_old_file(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_output output;
    char *text;
    size_t length;
    CHECK_OK(glet_file_write("out", "old", 3, &err), &err);
    CHECK_OK(glet_output_open(&output, "out", &err), &err);
    fputs("half of the n", output.stream);
    fflush(output.stream);
    assert_int_equal(files_here(), 2);
    glet_output_discard(&output);
    assert_int_equal(files_here(), 1);
    CHECK_OK(glet_file_read("out", 100, &text, &length, &err), &err);
    assert_string_equal(text, "old");
    free(text);
}

static void a_link_stays(void **state)
{
    (void)state;
    struct glet_error err;
    char *text, target[8] = "";
    size_t length;
    CHECK_OK(glet_file_write("out", "old", 3, &err), &err);
    assert_int_equal(symlink("out", "link"), 0);
    CHECK_OK(glet_file_write("link", "new", 3, &err), &err);
    assert_int_equal(readlink("link", target, sizeof target - 1), 3);
    CHECK_OK(glet_file_read("out", 100, &text, &length, &err), &err);
    assert_string_equal(text, "new");
    free(text);
    unlink("link");
}

static void full_disk_is_reported(void **state)
{
    (void)state;
    struct glet_error err;
    if (access("/dev/full", W_OK) < 0)
        skip();
    CHECK_FAILS(glet_file_write("/dev/full", "x", 1, &err), &err, GLET_ERR_IO,
                "/dev/full: No space left on device");
}

static void paths_are_relative_to_the_mentioning_file(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a/b.yaml", "c.csv", "a/c.csv"}, {"b.yaml", "c.csv", "c.csv"}, {"/b.yaml", "c", "/c"},
        {"a/b.yaml", "/c.csv", "/c.csv"}, {NULL, "c.csv", "c.csv"},     {"-", "c.csv", "c.csv"},
    };
    struct glet_error err;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *path = glet_path_beside(cases[i][0], cases[i][1], &err);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

static void paths_are_written_relative_to_the_mentioning_file(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"p.yaml", "models", "models"},
        {"./p.yaml", "./models", "models"},
        {"sub/p.yaml", "models", "../models"},
        {"sub/p.yaml", "sub/models", "models"},
        {"sub/p.yaml", "sub", "."},
        {"sub/p.yaml", "subway/m", "../subway/m"},
        {"sub/p.yaml", ".", "../"},
        {"sub/p.yaml", "/abs/m", "/abs/m"},
        {NULL, "models", "models"},
        {"-", "./models", "./models"},
    };
    struct glet_error err;
    assert_int_equal(mkdir("sub", 0700), 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *path = glet_path_from(cases[i][0], cases[i][1], &err);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
    assert_int_equal(rmdir("sub"), 0);
}

/* The two short messages of FIPS 180-4's examples. */
static void known_digests(void **state)
{
    (void)state;
    char hex[65];
    glet_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    glet_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void arrays_grow(void **state)
{
    (void)state;
    struct glet_error err;
    int *items = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(glet_reserve(&items, &capacity, (size_t)i + 1, sizeof *items, &err), &err);
        items[i] = i;
    }
    assert_int_equal(items[999], 999);
    CHECK_FAILS(glet_reserve(&items, &capacity, SIZE_MAX, sizeof *items, &err), &err,
                GLET_ERR_NOMEM, "out of memory");
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_then_read),
        cmocka_unit_test(a_pipe_is_read_whenever_its_writer_comes),
        cmocka_unit_test(discarded_output_leaves_the_old_file),
        cmocka_unit_test(a_link_stays),
        cmocka_unit_test(full_disk_is_reported),
        cmocka_unit_test(paths_are_relative_to_the_mentioning_file),
        cmocka_unit_test(paths_are_written_relative_to_the_mentioning_file),
        cmocka_unit_test(known_digests),
        cmocka_unit_test(arrays_grow),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
