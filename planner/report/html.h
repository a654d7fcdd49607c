/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_HTML_H
#define GLET_PLANNER_HTML_H

/*
 * A self-contained HTML page: escaping, the frame with its style, and the colours. Pages are well
 * formed XML as well, need nothing from anywhere, and carry no time: the same input gives the same
 * bytes.
 */

#include "common/error.h"

#include <stdio.h>

/* Doctype, head, style, and the start of the body. title is escaped. */
void glet_html_begin(FILE *out, const char *title);
void glet_html_end(FILE *out);

/* printf whose whole result is escaped, for text and for attribute values. */
GLET_PRINTF(2, 3)
void glet_html_text(FILE *out, const char *format, ...);

/* A table cell, escaped; numbers are aligned to the right. */
GLET_PRINTF(3, 4)
void glet_html_cell(FILE *out, int is_number, const char *format, ...);

/*
 * The fill of model number m: the eight colours of Okabe and Ito, which people who see colours
 * differently can tell apart; from the ninth on the same ones, hatched (see glet_html_hatches()).
 */
const char *glet_html_fill(int m);

/* Definitions that glet_html_fill() and the fill "url(#free)" refer to; once per page. */
void glet_html_hatches(FILE *out);

#endif
