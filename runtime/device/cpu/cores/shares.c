/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs tenths of cores. Whole cores are dealt first, in the order of the partitions, so that the
 * cores of one partition are neighbours; the fractions then go to the cores that are left.
 *
 * Putting fractions of 1 .. 9 tenths on cores of ten without splitting any is bin packing, with at
 * most ten fractions per core. A depth-first search over the fractions, largest first, that treats
 * cores with equally much left as one, ends within microseconds for what plans contain; the limit
 * on its steps only guards against the contrived. When it finds nothing, the fractions are placed
 * where they fit, largest first, and what does not fit is split over the gaps, largest gap first,
 * so that it gets few pieces.
 */
#include "runtime/device/cpu/cores/shares.h"

#include "common/memory.h"

#include <stdbool.h>
#include <stdlib.h>

enum { CORE = GLET_CPU_UNITS_PER_CORE, MAX_STEPS = 100000 };

struct packing {
    const int *units;
    size_t *order; /* partitions that have a fraction, largest fraction first */
    size_t count;
    int *left; /* tenths left per shared core */
    int core_count;
    int *core_of; /* result per entry of order */
    int steps;
};

static bool seen_before(const struct packing *p, int core)
{
    for (int k = 0; k < core; k++)
        if (p->left[k] == p->left[core])
            return true;
    return false;
}

/* Places entry i and all after it; p->left is as before when that fails. */
static bool search(struct packing *p, size_t i)
{
    if (i == p->count)
        return true;
    int tenths = p->units[p->order[i]] % CORE;
    for (int core = 0; core < p->core_count; core++) {
        if (p->left[core] < tenths || seen_before(p, core))
            continue;
        if (++p->steps > MAX_STEPS)
            return false;
        p->left[core] -= tenths;
        p->core_of[i] = core;
        if (search(p, i + 1))
            return true;
        p->left[core] += tenths;
    }
    return false;
}

static void add_piece(struct glet_cpu_share *share, int core, int tenths)
{
    share->pieces[share->piece_count++] = (struct glet_cpu_piece){core, tenths};
}

/* Largest first, each on the first core it fits; then what is left over, split over the gaps. */
static void place_greedily(struct packing *p, int first_core, struct glet_cpu_share *shares)
{
    for (size_t i = 0; i < p->count; i++) {
        int tenths = p->units[p->order[i]] % CORE;
        for (int core = 0; core < p->core_count && tenths > 0; core++)
            if (p->left[core] >= tenths) {
                add_piece(&shares[p->order[i]], first_core + core, tenths);
                p->left[core] -= tenths;
                tenths = 0;
            }
    }
    for (size_t i = 0; i < p->count; i++) {
        struct glet_cpu_share *share = &shares[p->order[i]];
        int tenths = share->piece_count ? 0 : p->units[p->order[i]] % CORE;
        while (tenths > 0) {
            int widest = 0;
            for (int core = 1; core < p->core_count; core++)
                if (p->left[core] > p->left[widest])
                    widest = core;
            int part = p->left[widest] < tenths ? p->left[widest] : tenths;
            add_piece(share, first_core + widest, part);
            p->left[widest] -= part;
            tenths -= part;
        }
    }
}

static void sort_by_fraction(struct packing *p)
{
    for (size_t i = 1; i < p->count; i++) { /* stable insertion: few, and nearly equal */
        size_t entry = p->order[i], k = i;
        for (; k > 0 && p->units[p->order[k - 1]] % CORE < p->units[entry] % CORE; k--)
            p->order[k] = p->order[k - 1];
        p->order[k] = entry;
    }
}

static int deal_whole_cores(int core_count, const int *units, size_t count,
                            struct glet_cpu_share *shares, int *next_core, struct glet_error *err)
{
    long sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (units[i] <= 0)
            return glet_error_set(err, GLET_ERR_RANGE, "a partition of %d units", units[i]);
        sum += units[i];
    }
    if (sum > (long)core_count * CORE)
        return glet_error_set(err, GLET_ERR_RANGE, "%ld units do not fit into the %d of %d core%s",
                              sum, core_count * CORE, core_count, core_count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++) {
        shares[i] =
            (struct glet_cpu_share){.first_core = *next_core, .core_count = units[i] / CORE};
        *next_core += units[i] / CORE;
    }
    return 0;
}

int glet_cpu_shares_cut(int core_count, const int *units, size_t count,
                        struct glet_cpu_share *shares_out, struct glet_error *err)
{
    int first_core = 0;
    if (deal_whole_cores(core_count, units, count, shares_out, &first_core, err) < 0)
        return -1;
    int shared = core_count - first_core;
    GLET_CLEANUP(glet_cleanup_free) size_t *order = glet_alloc(count, sizeof *order, err);
    GLET_CLEANUP(glet_cleanup_free) int *core_of = glet_alloc(count, sizeof *core_of, err);
    GLET_CLEANUP(glet_cleanup_free) int *left = glet_alloc((size_t)shared, sizeof *left, err);
    if (!order || !core_of || !left)
        return -1;
    struct packing p = {
        .units = units, .order = order, .left = left, .core_count = shared, .core_of = core_of};
    for (int core = 0; core < shared; core++)
        left[core] = CORE;
    for (size_t i = 0; i < count; i++)
        if (units[i] % CORE)
            order[p.count++] = i;
    sort_by_fraction(&p);
    if (!search(&p, 0)) {
        for (int core = 0; core < shared; core++)
            left[core] = CORE;
        place_greedily(&p, first_core, shares_out);
        return 0;
    }
    for (size_t i = 0; i < p.count; i++)
        add_piece(&shares_out[order[i]], first_core + core_of[i], units[order[i]] % CORE);
    return 0;
}

int glet_cpu_share_piece_rows(const struct glet_cpu_share *share, int rows)
{
    if (share->core_count == 0 || share->piece_count == 0)
        return 0;
    int tenths = 0, best = 0;
    for (int i = 0; i < share->piece_count; i++)
        tenths += share->pieces[i].tenths;
    double best_time = (double)rows / share->core_count;
    for (int on_pieces = 1; on_pieces < rows; on_pieces++) {
        double whole = (double)(rows - on_pieces) / share->core_count;
        double pieces = (double)on_pieces * CORE / tenths;
        double time = whole > pieces ? whole : pieces;
        if (time < 0.95 * best_time) {
            best_time = time;
            best = on_pieces;
        }
    }
    return best;
}
