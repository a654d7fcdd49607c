/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 20];
static int saved, reading;

static void capture(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fcntl(ends[1], F_SETPIPE_SZ, sizeof text);
    saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reading = ends[0];
}

static void release(void)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    size_t length = 0;
    for (ssize_t got; (got = read(reading, text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    close(reading);
    text[length] = '\0';
}

static void text_lines(void **state)
{
    (void)state;
    capture();
    glet_log_setup(GLET_LOG_INFO, GLET_LOG_TEXT);
    glet_log_info("plan %d applied gpulets=%zu name=%s ratio=%.2f empty=%s", 7, (size_t)3, "a b",
                  0.5, "");
    glet_log_debug("not shown");
    glet_log_warning("draining name=%s", "\033[2Jx");
    release();
    assert_string_equal(text + 23, strstr(text, "Z info"));
    char *second = strchr(text, '\n') + 1;
    assert_memory_equal(text + 23,
                        "Z info    plan 7 applied gpulets=3 name=\"a b\" ratio=0.50 "
                        "empty=\"\"\n",
                        (size_t)(second - text - 23));
    assert_string_equal(second + 23, "Z warning draining name=\"\\u001b[2Jx\"\n");
}

static void json_lines(void **state)
{
    (void)state;
    capture();
    glet_log_setup(GLET_LOG_DEBUG, GLET_LOG_JSON);
    glet_log_debug("a \"b\" c n=%d text=%s big=%llu bad=%g", -1, "x\ny", 1ULL << 40, (double)NAN);
    release();
    assert_string_equal(text + 32, "Z\",\"level\":\"debug\",\"message\":\"a \\\"b\\\" c\",\"n\":-1,"
                                   "\"text\":\"x\\ny\",\"big\":1099511627776,\"bad\":\"nan\"}\n");
}

static void *write_lines(void *unused)
{
    for (int i = 0; i < 200; i++)
        glet_log_info("line of a thread number=%d filler=%s", i, "abcdefghijklmnopqrstuvwxyz");
    return unused;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[4];
    size_t lines = 0;
    capture();
    glet_log_setup(GLET_LOG_INFO, GLET_LOG_TEXT);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, write_lines, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    release();
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++)
        assert_memory_equal(end - 33, "filler=abcdefghijklmnopqrstuvwxyz", 33);
    assert_int_equal(lines, 800);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    static char huge[10000];
    memset(huge, 'x', sizeof huge - 1);
    capture();
    glet_log_info("%s a=%s b=%s c=%s", huge, huge, huge, huge);
    release();
    assert_in_range(strlen(text), 2000, 4096);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
