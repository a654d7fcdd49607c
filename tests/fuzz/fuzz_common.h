/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_FUZZ_COMMON_H
#define GLET_TESTS_FUZZ_COMMON_H

/*
 * One fuzz target per file format: the entry point that libFuzzer calls (-Dfuzz=enabled, clang),
 * and that replay.c calls for each file of the corpus as a normal test.
 */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
