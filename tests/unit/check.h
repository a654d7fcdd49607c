/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_CHECK_H
#define GLET_TESTS_CHECK_H

/* cmocka with the headers it wants first, and the few checks that every unit test needs. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/error.h"

/* The call succeeded; otherwise its error is printed and the test fails. */
#define CHECK_OK(call, err)                                                                        \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            glet_error_print(err, stderr);                                                         \
            fail_msg("%s", #call);                                                                 \
        }                                                                                          \
    } while (0)

/* The call failed with this code and message. */
#define CHECK_FAILS(call, err, wanted_code, wanted_message)                                        \
    do {                                                                                           \
        assert_int_equal((call), -1);                                                              \
        assert_string_equal((err)->message, wanted_message);                                       \
        assert_int_equal((err)->code, wanted_code);                                                \
    } while (0)

/* |actual - wanted| <= tolerance. */
#define CHECK_NEAR(actual, wanted, tolerance)                                                      \
    do {                                                                                           \
        double actual_ = (actual), wanted_ = (wanted);                                             \
        if (!(fabs(actual_ - wanted_) <= (tolerance)))                                             \
            fail_msg("%s = %.9g, not %.9g", #actual, actual_, wanted_);                            \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
