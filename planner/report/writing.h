/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPORT_WRITING_H
#define GLET_PLANNER_REPORT_WRITING_H

/* What every report and export ends with, or spells alike. */

#include "common/table.h"

/* Whether all that was written to out got there; fails with GLET_ERR_IO. */
GLET_MUST_CHECK
int glet_report_finish(FILE *out, struct glet_error *err);

/* The table's complete rows, aligned or as Markdown; fails with GLET_ERR_IO or GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_report_table(const struct glet_table *table, bool markdown, FILE *out,
                      struct glet_error *err);

/* "" or "s", behind a noun that is counted. */
const char *glet_report_plural(long count);

#define GLET_PRICE_CHARS 32

/* With six decimals; "0" where those would all be 0: it is worth nothing that counts. */
const char *glet_report_price(char text[GLET_PRICE_CHARS], double price);

/*
 * Text for XML and HTML, in an element or an attribute. XML 1.0 forbids most control characters
 * even when escaped: they become U+FFFD.
 */
void glet_report_xml(const char *text, FILE *out);

#endif
