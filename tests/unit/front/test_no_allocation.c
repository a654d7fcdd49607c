/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nothing is allocated per request: the linker sends our code's malloc and friends here (see
 * meson.build), and after a warm-up the count of calls does not move, whatever is asked.
 */

#include "tests/unit/check.h"

#include "runtime/serve/front/frontend.h"
#include "tests/doubles/fake_service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long allocations;

/* NOLINTBEGIN: the linker chose these names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, size);
}
/* NOLINTEND */

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void exchange(int fd, const char *request, size_t length, int status)
{
    char answer[16384];
    size_t used = 0, want = 0;
    assert_int_equal(send(fd, request, length, MSG_NOSIGNAL), (ssize_t)length);
    while (!want || used < want) {
        ssize_t n = recv(fd, answer + used, sizeof answer - 1 - used, 0);
        assert_true(n > 0);
        used += (size_t)n;
        answer[used] = '\0';
        char *end = strstr(answer, "\r\n\r\n");
        if (end && !want)
            want = (size_t)(end - answer) + 4 +
                   strtoul(strstr(answer, "Content-Length: ") + 16, NULL, 10);
    }
    assert_int_equal(atoi(answer + 9), status);
}

struct request {
    char *data;
    size_t length;
    int status;
};

static struct request make(const char *line, const char *lines, const char *body, size_t length,
                           int status)
{
    struct request r = {.data = malloc(length + 1024), .status = status};
    int n = snprintf(r.data, 1024, "%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n", line,
                     lines, length);
    memcpy(r.data + n, body, length);
    r.length = (size_t)n + length;
    return r;
}

/* A region of an object that has no name any more. */
static void register_region(int fd)
{
    char key[64], body[128];
    snprintf(key, sizeof key, "/gpulet-test-%d", (int)getpid());
    snprintf(body, sizeof body, "{\"key\":\"%s\",\"byte_size\":64}", key);
    int object = shm_open(key, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(object >= 0 && ftruncate(object, 64) == 0);
    struct request r =
        make("POST /v2/systemsharedmemory/region/r/register", "", body, strlen(body), 200);
    exchange(fd, r.data, r.length, r.status);
    free(r.data);
    close(object);
    shm_unlink(key);
}

static void test_no_allocation(void **state)
{
    (void)state;
    static char zeros[150528];
    const char *json = "{\"id\":\"x\",\"inputs\":[{\"name\":\"in\",\"shape\":[2,4],"
                       "\"datatype\":\"FP32\",\"data\":[1,2.5,3e-7,4,5,6,7,0.1]}]}";
    const char *shared =
        "{\"inputs\":[{\"name\":\"in\",\"shape\":[1,4],\"datatype\":\"FP32\",\"parameters\":"
        "{\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":16}}],\"outputs\":"
        "[{\"name\":\"out\",\"parameters\":{\"shared_memory_region\":\"r\","
        "\"shared_memory_offset\":32,\"shared_memory_byte_size\":16}}]}";
    struct glet_error err = {0};
    FILE *log = fopen("/dev/null", "we");
    struct glet_frontend_options options = {.listen = "127.0.0.1:0",
                                            .metrics_listen = "127.0.0.1:0",
                                            .access_log = log,
                                            .shared_memory = true};
    struct glet_frontend *frontend = NULL;
    struct glet_service *service = glet_fake_service_new(true);
    CHECK_OK(glet_frontend_open(&options, service, &frontend, &err), &err);
    struct request requests[] = {
        make("POST /v2/models/noop/infer", "Inference-Header-Content-Length: 0\r\n", zeros,
             sizeof zeros, 200),
        make("POST /v2/models/echo_FP32/infer", "traceparent: bad\r\n", json, strlen(json), 200),
        make("POST /v2/models/echo_FP32/infer", "", json, strlen(json) - 1, 400),
        make("POST /v2/models/echo_FP32/infer", "", shared, strlen(shared), 200),
        make("POST /v2/models/rate/infer", "Inference-Header-Content-Length: 0\r\n", zeros, 4, 429),
        make("GET /v2/models/noop/stats", "", "", 0, 200),
        make("GET /v2/nothing", "", "", 0, 404),
    };
    int fd = connect_to(glet_frontend_port(frontend));
    long before = 0;
    register_region(fd);
    for (int round = 0; round < 300; round++) {
        if (round == 20)
            before = atomic_load(&allocations);
        for (size_t i = 0; i < COUNT_OF(requests); i++)
            exchange(fd, requests[i].data, requests[i].length, requests[i].status);
    }
    assert_true(before > 0); /* it does count */
    assert_int_equal(atomic_load(&allocations), before);
    close(fd);
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        free(requests[i].data);
    glet_frontend_close(frontend, 1000);
    glet_fake_service_free(service);
    fclose(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
