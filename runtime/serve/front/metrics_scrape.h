/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_METRICS_SCRAPE_H
#define GLET_METRICS_SCRAPE_H

/* One GET /metrics, and how a line of it is written; shared by the metrics_*.c files. */

#include "runtime/serve/front/front.h"

struct glet_scrape {
    struct glet_call *call;
    struct glet_frontend *frontend;
    const struct glet_service *service;
    struct glet_text *text;
    size_t model_count;
};

/* The two comment lines in front of a family. */
void glet_scrape_family(struct glet_scrape *scrape, const char *name, const char *type,
                        const char *help);
/* separator is "{" for the first label of a series and "," for the others. */
void glet_scrape_label(struct glet_scrape *scrape, const char *separator, const char *key,
                       const char *value);
/* " VALUE" and the end of the line. */
void glet_scrape_number(struct glet_scrape *scrape, double value);
/* A family of one series without labels. */
void glet_scrape_single(struct glet_scrape *scrape, const char *name, const char *type,
                        const char *help, double value);

static inline const char *glet_scrape_model(const struct glet_scrape *scrape, size_t model)
{
    return glet_service_model_name(scrape->service, (int)model);
}

/* The families, one file each. */
void glet_scrape_devices(struct glet_scrape *scrape);
void glet_scrape_sensors(struct glet_scrape *scrape);
void glet_scrape_process(struct glet_scrape *scrape);
void glet_scrape_triton(struct glet_scrape *scrape);

#endif
