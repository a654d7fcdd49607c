/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MEMORY_CLASS_H
#define GLET_PLANNER_MEMORY_CLASS_H

/*
 * Classes of memory, for what the sum over all GPUs does not see: of models that take three fifths
 * of a GPU's memory each only one fits, not five thirds. Class k takes more than 1 / (k + 1) of it
 * and at most 1 / k; a model of class 0 takes no more than the smallest of these parts.
 *
 * Source: the roundings of items by which bins are bounded from below ("dual feasible functions").
 */

#include <stdbool.h>
#include <stdint.h>

#define GLET_MEMORY_CLASSES  4   /* more than a half, a third, a quarter, a fifth */
#define GLET_MEMORY_FILLINGS 120 /* counts of each that could be meant to share a GPU */

/* memory_mib > 0 of gpu_mib > 0. */
int glet_memory_class(double memory_mib, double gpu_mib);

/* How many of each class filling i has, 0 <= i < GLET_MEMORY_FILLINGS; false when no GPU can. */
bool glet_memory_filling(int i, int uses_out[GLET_MEMORY_CLASSES + 1]);

/* The most that one GPU's models are worth, price[class] >= 0 each, in units of 2^-32. */
int64_t glet_memory_worth(const double price[GLET_MEMORY_CLASSES + 1]);

#endif
