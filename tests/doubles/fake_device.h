/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_FAKE_DEVICE_H
#define GLET_TESTS_FAKE_DEVICE_H

/*
 * A device and an engine made of sleep(): runtime/device/device.h and runtime/engine/model.h for
 * tests of what sits above them. A "model file" is a text of `key value` lines:
 *
 *     bytes 64        of its one input IN and of its one output OUT (UINT8) (default 16)
 *     bool 1          both are BOOL (default 0)
 *     fixed_us 500    a run sleeps for fixed_us + row_us x batch (default 0, 0)
 *     row_us 100
 *     skips 1         row_us counts for the rows used, not for the whole batch (default 0)
 *     copy_us 100     of that length, a copy before each run and one after it (default 0)
 *     build_us 1000   building an executor sleeps this long (default 0)
 *     largest 4       no executor is built for more rows than that (default 0: any)
 *     pins 1          rows in pinned memory are read there, as the run ends (default 0)
 *     depth 2         a second batch may begin before the first is finished (default 1); it is then
 *                     copied while that one runs
 *
 * An output byte is the input byte plus one. A row that begins with a byte 255 is refused
 * (GLET_ERR_INPUT), but by a model of depth 2; a run whose first byte is 254 does not return until
 * `release`. Device specs "fake", "fake:UNITS" (default 10); the type is "fake".
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Any test may set these at any time. */
struct glet_fake_faults {
    _Atomic int fail_runs; /* that many of the next runs fail with GLET_ERR_DEVICE */
    _Atomic int hang_runs; /* that many of the next runs do not return until `release` */
    _Atomic int fail_builds;
    _Atomic int fail_begins_ahead; /* of batches that begin beside another */
    _Atomic int hang_begins_ahead;
    _Atomic bool release;
};
extern struct glet_fake_faults glet_fake_faults;

struct glet_fake_counts { /* what exists now, and what was done since the start */
    _Atomic int devices, sets, partitions_entered, executors, models;
    _Atomic int abandoned;              /* begun, and never finished */
    _Atomic int pinned;                 /* blocks of memory, 64 at most */
    _Atomic uint64_t fed;               /* rows that were read there */
    _Atomic uint64_t runs, rows, ahead; /* begun beside another */
};
extern struct glet_fake_counts glet_fake_counts;

#endif
