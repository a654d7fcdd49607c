/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workflow commands: lines that become annotations on the workload file. The escapes are those of
 * the toolkit's command.ts: %, CR, LF in data; also ':' and ',' in properties.
 */
#include "planner/export/export.h"

static void put(const char *text, bool property, FILE *out)
{
    for (; *text; text++) {
        switch (*text) {
        case '%':
            fputs("%25", out);
            break;
        case '\r':
            fputs("%0D", out);
            break;
        case '\n':
            fputs("%0A", out);
            break;
        case ':':
            fputs(property ? "%3A" : ":", out);
            break;
        case ',':
            fputs(property ? "%2C" : ",", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

static void annotate(const char *command, const char *file, struct glet_mark mark,
                     const char *title, const char *message, FILE *out)
{
    fprintf(out, "::%s file=", command);
    put(file, true, out);
    if (mark.line > 0)
        fprintf(out, ",line=%d,col=%d", mark.line, mark.column);
    fputs(",title=", out);
    put(title, true, out);
    fputs("::", out);
    put(message, false, out);
    fputc('\n', out);
}

void glet_export_github(const struct glet_gate *gate, FILE *out)
{
    static const char *const commands[] = {NULL, "warning", "error", "error"};
    char text[900];
    for (size_t i = 0; i < gate->count; i++) {
        const struct glet_check *check = &gate->checks[i];
        if (commands[check->status])
            annotate(commands[check->status], gate->file, check->mark, check->title, check->message,
                     out);
    }
    glet_gate_text(gate, text, sizeof text);
    annotate("notice", gate->file, (struct glet_mark){0, 0}, "Capacity", text, out);
}
