/* SPDX-License-Identifier: Apache-2.0 */
#include "common/progress.h"

#include "common/clock.h"
#include "common/number.h"
#include "common/terminal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 20, WIDEST = 200, REDRAW_US = 100000 };

void glet_progress_format(char *line, int width, const char *label, double done, double total,
                          const char *note, uint64_t elapsed_us)
{
    char text[512], left[GLET_DOUBLE_CHARS * 2] = "", bar[BAR + 1];
    double ratio = total > 0 ? fmin(fmax(done / total, 0), 1) : 0;
    int filled = (int)(ratio * BAR);
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, '-', (size_t)(BAR - filled));
    bar[BAR] = '\0';
    if (ratio > 0) {
        double left_s = ceil((double)elapsed_us * (1 - ratio) / ratio / 1e6);
        glet_format_duration(left, (uint64_t)fmin(left_s, 1e9) * 1000000);
    }
    snprintf(text, sizeof text, "%s [%s] %d %%  %g of %g%s%.200s%s%s%s", label, bar,
             (int)(100 * ratio), floor(done), total, note ? "  " : "", note ? note : "",
             *left ? "  " : "", left, *left ? " left" : "");
    snprintf(line, (size_t)width + 1, "%s", text);
}

struct glet_progress glet_progress_begin(const char *label)
{
    return (struct glet_progress){label, glet_clock_us(), 0, glet_terminal(STDERR_FILENO)};
}

void glet_progress_update(struct glet_progress *progress, double done, double total,
                          const char *note)
{
    uint64_t now_us = glet_clock_us();
    if (!progress->shown || now_us - progress->drawn_us < REDRAW_US)
        return;
    char line[WIDEST + 1];
    int width = glet_terminal_width(STDERR_FILENO) - 1;
    glet_progress_format(line, width < WIDEST ? width : WIDEST, progress->label, done, total, note,
                         now_us - progress->begin_us);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    progress->drawn_us = now_us;
}

void glet_progress_end(struct glet_progress *progress)
{
    if (progress->shown && progress->drawn_us > 0) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
