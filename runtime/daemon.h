/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_DAEMON_H
#define GLET_DAEMON_H

/*
 * The life of the process around a service: start, plan changes, signals, drain, end.
 *
 *   starting   building; SIGTERM and SIGINT end the process at once
 *   serving    SIGHUP or a changed plan file: another plan. SIGTERM, SIGINT: draining
 *   draining   not ready, but serving for drain_s (a second signal cuts that short); then new
 *              requests are refused, those in flight are answered, and the process ends with 0
 */

#include "common/error.h"
#include "runtime/serve/control.h"
#include "runtime/serve/front/frontend.h"

struct glet_daemon_options {
    const char *plan_path; /* "-" = standard input, read once */
    struct glet_service_options service;
    struct glet_frontend_options frontend; /* change_plan is the daemon's own */
    double drain_s;
    double finish_s; /* for requests in flight, after drain_s */
    bool watch;      /* the plan file */
};

/* Serves until told to end. Returns the exit status 0, or -1. */
GLET_MUST_CHECK
int glet_daemon_run(const struct glet_daemon_options *options, struct glet_error *err);

#endif
