/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/report/html.h"

#include "planner/report/writing.h"

#include <stdarg.h>
#include <stdlib.h>

/* Widths in px. Print: no shadows, sections kept together. */
static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;color:#1a1a1a;max-width:60em;margin:2em auto;"
    "padding:0 1em}\n"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin:2em 0 .5em;border-bottom:1px solid #ccc}\n"
    "p.verdict{font-size:1.15em;padding:.7em 1em;border-left:.4em solid "
    "#009E73;background:#f4f8f6}\n"
    "p.verdict.no{border-color:#D55E00;background:#fbf4f0}\n"
    "table{border-collapse:collapse;width:100%}th,td{padding:.2em .6em;text-align:left;"
    "border-bottom:1px solid #e4e4e4;vertical-align:top}\n"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}th{cursor:pointer}\n"
    "svg{font:11px system-ui,sans-serif;max-width:100%;height:auto}\n"
    "svg .axis{stroke:#777;fill:none}svg .grid{stroke:#e4e4e4}svg .slo{stroke:#D55E00;"
    "stroke-dasharray:5 3}\n"
    ".charts{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0}figcaption{font-size:.9em}\n"
    "code{font-size:.85em;overflow-wrap:anywhere}details summary{cursor:pointer}\n"
    "@media print{body{max-width:none}section,figure{break-inside:avoid}}\n";

/* Sorts a table by the column whose head is clicked. No character here needs escaping in XML. */
static const char script[] =
    "document.querySelectorAll('th').forEach(function(head){head.onclick=function(){\n"
    "var table=head.closest('table'),at=head.cellIndex,body=table.tBodies[0];\n"
    "var up=head.dataset.up!=='1';head.dataset.up=up?'1':'0';\n"
    "var key=function(row){var text=row.cells[at].textContent,number=parseFloat(text);\n"
    "return isNaN(number)?text:number;};\n"
    "Array.from(body.rows).sort(function(a,b){var x=key(a),y=key(b);\n"
    "return (x===y?0:x>y?1:-1)*(up?1:-1);}).forEach(function(row){body.appendChild(row);});\n"
    "};});\n";

void glet_html_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>",
          out);
    glet_html_text(out, "%s", title);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", style);
}

void glet_html_end(FILE *out)
{
    /* The only comparison in the script is ">", which XML allows in text. */
    fprintf(out, "<script>\n%s</script>\n</body>\n</html>\n", script);
}

GLET_PRINTF(2, 0)
static void print(FILE *out, const char *format, va_list arguments)
{
    char *text;
    if (vasprintf(&text, format, arguments) < 0)
        return;
    glet_report_xml(text, out);
    free(text);
}

void glet_html_text(FILE *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print(out, format, arguments);
    va_end(arguments);
}

void glet_html_cell(FILE *out, int is_number, const char *format, ...)
{
    va_list arguments;
    fputs(is_number ? "<td class=\"n\">" : "<td>", out);
    va_start(arguments, format);
    print(out, format, arguments);
    va_end(arguments);
    fputs("</td>", out);
}

static const char *const colours[] = {"#E69F00", "#56B4E9", "#009E73", "#F0E442",
                                      "#0072B2", "#D55E00", "#CC79A7", "#999999"};
enum { COLOURS = sizeof colours / sizeof colours[0] };

const char *glet_html_fill(int m)
{
    static const char *const hatched[COLOURS] = {"url(#h0)", "url(#h1)", "url(#h2)", "url(#h3)",
                                                 "url(#h4)", "url(#h5)", "url(#h6)", "url(#h7)"};
    return m / COLOURS % 2 ? hatched[m % COLOURS] : colours[m % COLOURS];
}

void glet_html_hatches(FILE *out)
{
    fputs("<svg width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n", out);
    for (int i = 0; i < COLOURS; i++)
        fprintf(out,
                "<pattern id=\"h%d\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
                "patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"%s\"/>"
                "<rect width=\"2\" height=\"6\" fill=\"#fff\" fill-opacity=\".6\"/></pattern>\n",
                i, colours[i]);
    fputs("<pattern id=\"free\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
          "patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#fff\"/>"
          "<rect width=\"1\" height=\"5\" fill=\"#bbb\"/></pattern>\n</defs></svg>\n",
          out);
}
