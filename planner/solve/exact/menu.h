/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MENU_H
#define GLET_PLANNER_MENU_H

/*
 * The complete menu of a small problem: every gpu-let (models and batches) of every type and size
 * that could be of use, and every combination of sizes that a GPU can hold. Complete means that
 * some optimal plan uses only gpu-lets of the menu; large problems have no menu.
 *
 * So that it stays complete in spite of rounding, the menu is that of a problem of its own with
 * limits, memory and demands just easier than the contract's slack allows. What is found in it must
 * be checked against the problem that was asked about; what is not in it does not exist.
 */

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

/*
 * How much easier. The contract's comparisons add up to three times its slack: a round may be that
 * much shorter than its batches take, a batch that much too small for a rate, and the rates short of
 * the demand; the rest is for rounding.
 */
#define GLET_EASIER_RATIO (4 * GLET_TOLERANCE_RATIO)

#define GLET_MENU_MODELS 10 /* models with demand */
#define GLET_MENU_LETS   8  /* gpu-lets on one GPU */
#define GLET_MENU_LEVELS 8  /* of aggressors, evenly spaced over a type's range */

struct glet_entry { /* a gpu-let with everything needed to rate it next to any neighbour */
    struct glet_atom atom;
    double aggressor, memory_mib; /* memory: weights and context included */
    int level;                    /* of its aggressor */
    double latency_ms[GLET_MENU_MODELS], victim[GLET_MENU_MODELS], limit_ms[GLET_MENU_MODELS];
    bool paired; /* some of its batches are victims of pairs that were measured */
    double mildest_ratio[GLET_MENU_MODELS]; /* beside any neighbour, where that is so; else 0 */
    /* Scratch of the pricing: values next to the mildest neighbours of all, and of each level. */
    double optimistic, worth[GLET_MENU_LEVELS];
};

struct glet_entries {
    struct glet_entry *list;
    int count, room;
};

struct glet_combination { /* sizes of one GPU, ascending indices; one = alone */
    int type, count;
    int8_t sizes[GLET_BOX_ATOMS];
};

struct glet_menu {
    const struct glet_problem *problem; /* the easier one */
    struct glet_problem *own;           /* the same, to be freed; NULL in hand-built menus */
    struct glet_problem_type *own_types;
    struct glet_entries **shared; /* [type][size]: next to others */
    struct glet_entries **alone;  /* [type][size] */
    struct glet_combination *combinations;
    int combination_count;
};

/*
 * Builds the menu, at most `most` gpu-lets in all. Returns NULL when the problem is too large for
 * that, or the search was halted.
 */
struct glet_menu *glet_menu_new(const struct glet_problem *problem, int most,
                                const struct glet_halt *halt);
void glet_menu_free(struct glet_menu *menu); /* NULL is accepted */

#endif
