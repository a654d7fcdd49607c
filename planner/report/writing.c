/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/report/writing.h"

int glet_report_finish(FILE *out, struct glet_error *err)
{
    return ferror(out) ? glet_error_set(err, GLET_ERR_IO, "the report cannot be written") : 0;
}

int glet_report_table(const struct glet_table *table, bool markdown, FILE *out,
                      struct glet_error *err)
{
    int result = markdown ? glet_table_print_markdown(table, out) : glet_table_print(table, out);
    if (result < 0 && table->out_of_memory)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    return glet_report_finish(out, err);
}

const char *glet_report_plural(long count)
{
    return count == 1 ? "" : "s";
}

const char *glet_report_price(char text[GLET_PRICE_CHARS], double price)
{
    if (price < 5e-7)
        return "0";
    snprintf(text, GLET_PRICE_CHARS, "%.6f", price);
    return text;
}

void glet_report_xml(const char *text, FILE *out)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        switch (*at) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\t':
        case '\n':
        case '\r':
            fprintf(out, "&#%d;", *at);
            break;
        default:
            if (*at < 0x20 || *at == 0x7f)
                fputs("\xef\xbf\xbd", out);
            else
                putc(*at, out);
        }
    }
}
