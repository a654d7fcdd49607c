/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Branch and bound over the duty cycles of the two gpu-lets, each in an interval. For all duty cycles
 * of a node at once, one stands for its upper end where batches take time and for its lower end
 * where they bring rate. What is left of the problem then is, for each model, which batch is in the
 * one gpu-let and, just large enough for the rest of its rate, in the other; and whether the times
 * add up in both. All sums of times that no other pair of sums undercuts tell that exactly, and
 * few ever matter.
 *
 * Intervals are halved until they are rather narrow. Then models are tied to gpu-lets, one by one,
 * which tells who slows whom down at least; then intervals are halved to the end. A node whose
 * relaxed problem has no solution has no plan. Its solution is offered as a plan.
 *
 * Times are whole numbers, rounded in favour of a plan after all slack of the contract was granted,
 * so that what is excluded is proven: sums and comparisons are exact.
 */
#include "planner/solve/exact/two_lets.h"

#include "planner/model/interference.h"
#include "planner/solve/exact/menu.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODELS    GLET_MENU_MODELS
#define BATCHES   128
#define TICK      0x1p20 /* per ms */
#define NEVER     (INT64_MAX / 4)
#define SUMS      100000 /* pairs of sums in one node; more are not looked at */
#define COARSE(x) ((x) / 8)
#define FINE(x)   ((x) / 4096)
#define LAST      1000 /* nodes that are looked at for a plan once there can be no proof */

enum where { UNKNOWN, FIRST, SECOND, BOTH };

struct node {
    int64_t low[2], high[2]; /* duty cycles, ticks */
    int8_t where[MODELS];
};

struct pair { /* of times, or of sums of them */
    int64_t time[2];
    int from, batch[2]; /* the sum before it; the batches that were added */
};

struct sums {
    struct pair *list;
    int count;
};

struct two {
    struct glet_search *search;
    const struct glet_problem *problem;
    const struct glet_problem_type *type;
    int models, index[MODELS]; /* of the problem's models */
    double need_rps[MODELS];
    int64_t limit[MODELS];
    int lets, size[2];
    int batches; /* the largest of all models */
    double latency_ms[2][MODELS][BATCHES + 1];
    int64_t mild[2][MODELS][BATCHES + 1]; /* beside the mildest neighbours */
    double *ratio;                        /* beside each point of the other gpu-let */
    int64_t time[2][MODELS][BATCHES + 1]; /* of the node: of so many requests or more */
    struct sums sums[MODELS + 1];
    struct pair *raw;
    struct node *stack;
    int depth, room;
    long nodes_left;
    bool open; /* some node could not be decided */
};

/* ---- times ---- */

static int64_t ticks_down(double ms)
{
    double ticks = floor(ms * (1 - GLET_EASIER_RATIO) * TICK);
    return ticks < 0x1p60 ? (int64_t)ticks : NEVER;
}

static double rate_rps(const struct node *node, int k, int batch)
{
    return 1000.0 * TICK * batch / (double)node->low[k];
}

static double *ratio_at(const struct two *t, int k, int m, int batch, int a)
{
    size_t row = (size_t)((k * t->models + m) * (t->batches + 1) + batch);
    return &t->ratio[(row * (size_t)t->models + (size_t)a) * (size_t)(t->batches + 1)];
}

/* What a batch takes in gpu-let k beside anything, and how it fares beside each point. */
static void fill_times(struct two *t, int k, int m, int batch)
{
    const struct glet_point point = {t->index[m], t->size[k], batch};
    const struct glet_cell *cell =
        glet_problem_cell(t->problem, 0, point.model, point.size, point.batch);
    t->mild[k][m][batch] = NEVER;
    if (!cell)
        return;
    double factor = t->lets > 1 ? glet_interference_mildest(t->problem, 0, point) : 1;
    t->mild[k][m][batch] = ticks_down(cell->latency_ms * factor);
    t->latency_ms[k][m][batch] = cell->latency_ms;
    for (int a = 0; t->lets > 1 && a < t->models; a++)
        for (int b = 1; b <= t->batches; b++) {
            struct glet_point other = {t->index[a], t->size[1 - k], b};
            bool exists = glet_problem_cell(t->problem, 0, other.model, other.size, b) != NULL;
            ratio_at(t, k, m, batch, a)[b] =
                exists ? fmax(1, glet_interference_pair(t->problem, 0, point, other)) : INFINITY;
        }
}

/* The batches that a model can have in a gpu-let where it surely is; last = 0 where that is open. */
struct range {
    int first, last;
};

static bool is_sure(const struct node *node, int k, int m)
{
    return node->where[m] == BOTH || node->where[m] == (k ? SECOND : FIRST);
}

static void list_ranges(const struct two *t, const struct node *node, int k, struct range *out)
{
    int64_t sum = 0, least[MODELS] = {0};
    for (int m = 0; m < t->models; m++) {
        out[m] = (struct range){1, 0};
        if (!is_sure(node, k, m))
            continue;
        if (node->where[m] != BOTH)
            out[m].first = (int)fmin(t->batches + 1, ceil(t->need_rps[m] / rate_rps(node, k, 1)));
        least[m] = NEVER / (MODELS + 1);
        for (int b = out[m].first; b <= t->batches; b++)
            least[m] = t->mild[k][m][b] < least[m] ? t->mild[k][m][b] : least[m];
        sum += least[m];
    }
    for (int m = 0; m < t->models; m++)
        for (int b = out[m].first; is_sure(node, k, m) && b <= t->batches; b++)
            if (t->mild[k][m][b] <= node->high[k] - (sum - least[m]))
                out[m].last = b;
}

/* Beside the mildest batches of all models that are surely in the other gpu-let. */
static int64_t node_time(const struct two *t, int k, int m, int batch, const struct range *others)
{
    double worst = 1;
    int64_t mild = t->mild[k][m][batch];
    for (int a = 0; a < t->models && mild < NEVER; a++) {
        const double *ratio = ratio_at(t, k, m, batch, a);
        double mildest = others[a].last ? INFINITY : 1;
        for (int b = others[a].first; b <= others[a].last; b++)
            mildest = ratio[b] < mildest ? ratio[b] : mildest;
        worst = fmax(worst, mildest);
    }
    int64_t time = mild < NEVER ? ticks_down(t->latency_ms[k][m][batch] * worst) : NEVER;
    return time > mild ? time : mild;
}

static void fill_node_times(struct two *t, const struct node *node)
{
    struct range ranges[2][MODELS] = {{{0, 0}}};
    for (int k = 0; k < 2 && t->lets > 1; k++)
        list_ranges(t, node, k, ranges[k]);
    for (int k = 0; k < t->lets; k++)
        for (int m = 0; m < t->models; m++) {
            int64_t more = NEVER;
            for (int b = t->batches; b > 0; b--) {
                int64_t time =
                    t->lets > 1 ? node_time(t, k, m, b, ranges[1 - k]) : t->mild[k][m][b];
                more = time < more ? time : more;
                t->time[k][m][b] = more;
            }
        }
}

/* ---- the relaxed problem of a node ---- */

static bool may_be(const struct two *t, const struct node *node, int k, int m, int batch)
{
    int64_t time = t->time[k][m][batch];
    return time <= node->high[k] && node->low[k] + time <= t->limit[m];
}

/* Ways to serve the model: rising time in the first gpu-let, falling in the second. */
static int list_ways(const struct two *t, const struct node *node, int m, struct pair *out)
{
    int count = 0;
    enum where where = (enum where)node->where[m];
    bool first = where != SECOND, second = t->lets > 1 && where != FIRST;
    for (int b = where == FIRST || where == BOTH; b <= (first ? t->batches : 0); b++) {
        struct pair way = {.batch = {b, 0}};
        if (b && !may_be(t, node, 0, m, b))
            continue;
        double rest_rps = t->need_rps[m] - (b ? rate_rps(node, 0, b) : 0);
        bool enough = rest_rps <= 0;
        if (!enough && !second)
            continue;
        double least = enough ? 0 : ceil(rest_rps / rate_rps(node, 1, 1));
        if (least > t->batches)
            continue;
        way.batch[1] = (int)least;
        if (way.batch[1] < 1 && (where == BOTH || where == SECOND))
            way.batch[1] = 1;
        if (way.batch[1] && !may_be(t, node, 1, m, way.batch[1]))
            continue;
        way.time[0] = b ? t->time[0][m][b] : 0;
        way.time[1] = way.batch[1] ? t->time[1][m][way.batch[1]] : 0;
        if (count == 0 || way.time[1] < out[count - 1].time[1])
            out[count++] = way;
        if (enough)
            break;
    }
    return count;
}

static int by_times(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    for (int k = 0; k < 2; k++)
        if (x->time[k] != y->time[k])
            return x->time[k] < y->time[k] ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->batch[0] > y->batch[0]) - (x->batch[0] < y->batch[0]);
}

/* Adds a model to the sums. Returns 0 = there are some, 1 = none, -1 = too many. */
static int add_model(struct two *t, const struct node *node, int m)
{
    struct pair ways[BATCHES + 1];
    const struct sums *before = &t->sums[m];
    struct sums *after = &t->sums[m + 1];
    int way_count = list_ways(t, node, m, ways), raw = 0;
    if ((long)before->count * way_count > SUMS)
        return -1;
    for (int i = 0; i < before->count; i++)
        for (int w = 0; w < way_count; w++) {
            struct pair sum = ways[w];
            sum.from = i;
            sum.time[0] += before->list[i].time[0];
            sum.time[1] += before->list[i].time[1];
            if (sum.time[0] <= node->high[0] && sum.time[1] <= node->high[1])
                t->raw[raw++] = sum;
        }
    qsort(t->raw, (size_t)raw, sizeof *t->raw, by_times);
    free(after->list);
    *after = (struct sums){.list = glet_must_alloc(sizeof *after->list, (size_t)raw + 1)};
    for (int i = 0; i < raw; i++)
        if (after->count == 0 || t->raw[i].time[1] < after->list[after->count - 1].time[1])
            after->list[after->count++] = t->raw[i];
    return after->count == 0;
}

/* Of the sums, the one that leaves both gpu-lets the most time. */
static int easiest(const struct two *t, const struct node *node)
{
    const struct sums *all = &t->sums[t->models];
    double least = INFINITY;
    int best = 0;
    for (int i = 0; i < all->count; i++) {
        double part = (double)all->list[i].time[0] / (double)node->high[0];
        part = fmax(part, (double)all->list[i].time[1] / (double)node->high[1]);
        if (part < least) {
            least = part;
            best = i;
        }
    }
    return best;
}

/* Whether the batches of a solution are a plan. */
static bool offer(struct two *t, const struct node *node)
{
    struct glet_boxes boxes = {0};
    struct glet_box box = {.count = t->lets};
    int at = easiest(t, node);
    for (int k = 0; k < t->lets; k++)
        box.atoms[k] = (struct glet_atom){.size = (int16_t)t->size[k]};
    for (int m = t->models - 1; m >= 0; m--) {
        const struct pair *sum = &t->sums[m + 1].list[at];
        for (int k = 0; k < t->lets; k++) {
            struct glet_atom *atom = &box.atoms[k];
            if (sum->batch[k] == 0)
                continue;
            atom->model[atom->count] = (uint16_t)t->index[m];
            atom->batch[atom->count++] = (uint16_t)sum->batch[k];
        }
        at = sum->from;
    }
    if (t->lets > 1 && box.atoms[0].count == 0)
        box.atoms[0] = box.atoms[1];
    if (t->lets > 1 && (box.atoms[0].count == 0 || box.atoms[1].count == 0))
        box.count = 1;
    bool found = glet_box_evaluate(t->problem, &box);
    if (found) {
        glet_boxes_add(&boxes, &box);
        found = glet_search_offer(t->search, &boxes);
        glet_boxes_free(&boxes);
    }
    return found;
}

/* ---- branching ---- */

static void push(struct two *t, const struct node *node)
{
    if (t->depth == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->stack = glet_must_resize(t->stack, sizeof *t->stack, (size_t)t->room);
    }
    t->stack[t->depth++] = *node;
}

/* The wider of the intervals, in parts of its lower end. */
static int wider(const struct node *node)
{
    double first = (double)node->high[0] / (double)node->low[0];
    return first >= (double)node->high[1] / (double)node->low[1] ? 0 : 1;
}

static void halve(struct two *t, const struct node *node)
{
    int k = wider(node);
    struct node lower = *node, upper = *node;
    lower.high[k] = (int64_t)sqrt((double)node->low[k] * (double)node->high[k]);
    upper.low[k] = lower.high[k];
    push(t, &lower);
    push(t, &upper);
}

/* Of a node that may hold a plan. */
static void branch(struct two *t, const struct node *node)
{
    int k = wider(node), free_model = 0;
    int64_t width = node->high[k] - node->low[k];
    while (t->lets > 1 && free_model < t->models && node->where[free_model] != UNKNOWN)
        free_model++;
    if (t->lets > 1 && free_model < t->models && width <= COARSE(node->low[k])) {
        for (int8_t where = FIRST; where <= BOTH; where++) {
            struct node child = *node;
            child.where[free_model] = where;
            push(t, &child);
        }
    } else if (width > FINE(node->low[k])) {
        halve(t, node);
    } else {
        t->nodes_left = t->open || t->nodes_left < LAST ? t->nodes_left : LAST;
        t->open = true;
    }
}

/* Whether the node, or what is left of it, may hold a plan; *found: it does. */
static bool look(struct two *t, const struct node *node, bool *found)
{
    fill_node_times(t, node);
    for (int m = 0; m < t->models; m++) {
        int none = add_model(t, node, m);
        if (none)
            return none < 0;
    }
    *found = offer(t, node);
    return true;
}

/* Whether a plan was found for the gpu-lets of these sizes. */
static bool search_sizes(struct two *t)
{
    struct node root = {.high = {1, 1}, .low = {1, 1}};
    bool found = false;
    for (int k = 0; k < t->lets; k++) {
        int64_t least = NEVER, most = 1;
        for (int m = 0; m < t->models; m++) {
            most = most > t->limit[m] ? most : t->limit[m];
            for (int b = 1; b <= t->batches; b++) {
                fill_times(t, k, m, b);
                least = least < t->mild[k][m][b] ? least : t->mild[k][m][b];
            }
        }
        if (least == NEVER || least > most)
            return false;
        root.low[k] = least > 0 ? least : 1;
        root.high[k] = most;
    }
    t->depth = 0;
    push(t, &root);
    while (t->depth && !found) {
        struct node node = t->stack[--t->depth];
        if (--t->nodes_left < 0 || glet_halted(t->search->halt)) {
            t->open = true;
            return false;
        }
        if (look(t, &node, &found) && !found)
            branch(t, &node);
    }
    return found;
}

/* All sizes of one and of two gpu-lets. */
static bool search_all(struct two *t)
{
    for (t->size[0] = t->type->size_count - 1; t->size[0] >= 0; t->size[0]--)
        for (t->size[1] = -1; t->size[1] <= t->size[0]; t->size[1]++) {
            int units[2] = {t->type->sizes_units[t->size[0]]};
            t->lets = t->size[1] < 0 ? 1 : 2;
            if (t->lets > 1)
                units[1] = t->type->sizes_units[t->size[1]];
            if (glet_problem_sizes_fit(t->type, units, t->lets) && search_sizes(t))
                return true;
        }
    return false;
}

static bool holds_two(const struct glet_problem_type *type)
{
    bool two = type->max_gpulets <= 2 || (!type->layouts && 3 * type->sizes_units[0] > type->units);
    for (int i = 0; type->layouts && !two; i++) {
        if (i == type->layout_count)
            return true;
        if (type->layouts[i].size_count > 2)
            break;
    }
    return two;
}

static bool list_models(struct two *t)
{
    for (int m = 0; m < t->problem->model_count; m++) {
        const struct glet_problem_model *model = &t->problem->models[m];
        if (model->demand_rps <= 0)
            continue;
        if (t->models == MODELS)
            return false;
        for (int s = 0; s < t->type->size_count; s++) {
            int last = t->type->rows[m * t->type->size_count + s].last_batch;
            t->batches = last > t->batches ? last : t->batches;
        }
        double limit = ceil(model->limit_ms * (1 + GLET_EASIER_RATIO) * TICK);
        t->index[t->models] = m;
        t->need_rps[t->models] = model->demand_rps * (1 - GLET_EASIER_RATIO);
        t->limit[t->models++] = limit < 0x1p60 ? (int64_t)limit : NEVER;
    }
    return t->models > 0 && t->batches <= BATCHES;
}

bool glet_two_lets_run(struct glet_search *search)
{
    static const long nodes[] = {10000, 40000, 5000000};
    const struct glet_problem *problem = search->problem;
    if (problem->type_count != 1 || problem->types[0].count == 0 || search->survive ||
        search->bound > search->cost[0] || search->best_cost <= search->cost[0] ||
        problem->types[0].size_count == 0 || !holds_two(&problem->types[0]))
        return false;
    struct two *t = glet_must_alloc(sizeof *t, 1);
    t->search = search;
    t->problem = problem;
    t->type = &problem->types[0];
    t->nodes_left = nodes[search->effort];
    t->raw = glet_must_alloc(sizeof *t->raw, SUMS);
    t->sums[0] = (struct sums){.list = glet_must_alloc(sizeof(struct pair), 1), .count = 1};
    bool suits = list_models(t);
    if (suits) {
        size_t points = (size_t)(t->models * (t->batches + 1));
        t->ratio = glet_must_alloc(sizeof *t->ratio, 2 * points * points);
        if (!search_all(t) && !t->open)
            glet_search_raise(search, 2 * search->cost[0]);
    }
    free(t->ratio);
    for (int m = 0; m <= MODELS; m++)
        free(t->sums[m].list);
    free(t->raw);
    free(t->stack);
    free(t);
    return suits;
}
