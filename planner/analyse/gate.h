/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_GATE_H
#define GLET_PLANNER_GATE_H

/*
 * The capacity gate: a planning answer turned into a list of checks that passed, failed or could
 * not be decided, each with its place in the workload file. The exports (table, JSON, JUnit, SARIF,
 * GitHub, Markdown) only write this list down.
 */

#include "planner/analyse/diff.h"
#include "planner/session.h"

enum glet_check_status { GLET_CHECK_PASS, GLET_CHECK_NOTE, GLET_CHECK_FAIL, GLET_CHECK_UNDECIDED };

struct glet_check {
    enum glet_check_status status;
    const char *rule; /* "latency", "demand", "stock", ...: static text */
    char *subject;    /* a model, an app, a GPU type, or "stock" */
    char *title;      /* what is checked: "resnet50 p99 <= 108 ms" */
    char *message;    /* what was found */
    struct glet_mark mark;
};

struct glet_gate {
    const char *file;              /* the workload's path; borrowed */
    enum glet_check_status status; /* PASS, FAIL or UNDECIDED: what the exit status says */
    struct glet_check *checks;
    size_t count, capacity;
    bool has_plan;
    bool open;             /* a check did not pass that a better plan might pass */
    int gpus, lower_bound; /* of the plan; lower_bound also without one */
    double scale;          /* factor on every rate that the plan serves as it is; 0 without one */
    double cost_per_hour;
    const char *tightest; /* model with the least headroom, or NULL; borrowed from the session */
    double tightest_headroom_percent;
    bool has_baseline;
    struct glet_diff diff; /* from the baseline to the plan; with has_baseline and has_plan */
};

struct glet_gate_limits {
    int max_gpus;                /* -1 = none */
    double max_cost_per_hour;    /* < 0 = none */
    double min_scale;            /* the plan must serve this factor on every rate; 0 = none */
    double min_headroom_percent; /* below each SLO; < 0 = none */
    bool require_measured;       /* rows that were not measured decide nothing */
    const char *model_dir;       /* NULL, or: models whose file there changed decide nothing */
};

/*
 * Judges an answer. answer, session and baseline (NULL = none) are borrowed and must outlive gate.
 * Fails with GLET_ERR_NOMEM. Release with glet_gate_fini() in either case.
 */
GLET_MUST_CHECK
int glet_gate(const struct glet_session *session, const struct glet_answer *answer,
              const struct glet_plan *baseline, const struct glet_gate_limits *limits,
              struct glet_gate *gate, struct glet_error *err);

/*
 * The gate of an error that is itself an answer: a missing profile, or an input file that is wrong.
 * gate borrows cause, whose file is the gate's; file is for an error that names none.
 */
GLET_MUST_CHECK
int glet_gate_of_error(const struct glet_error *cause, const char *file, struct glet_gate *gate,
                       struct glet_error *err);

void glet_gate_fini(struct glet_gate *gate);

/* "fits on 3 GPUs, tightest ...": one line, at most size - 1 bytes. */
void glet_gate_text(const struct glet_gate *gate, char *text, size_t size);

/* "pass", "note", "fail", "undecided". */
const char *glet_check_status_name(enum glet_check_status status);

#endif
