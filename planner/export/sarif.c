/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SARIF 2.1.0 (OASIS): one run, one rule per kind of check, one result per check that did not
 * pass, at its line of the workload. Only what every consumer reads: tool, rules, level, message,
 * physical location.
 */
#include "common/json.h"
#include "planner/export/export.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *id, *text;
} rules[] = {
    {"latency", "Every model meets its latency objective."},
    {"demand", "Every model is served at its rate."},
    {"app", "Every app meets its end-to-end latency objective."},
    {"memory", "Every model fits into the memory of a GPU."},
    {"stock", "The stock of GPUs suffices."},
    {"gpus", "No more GPUs are used than allowed."},
    {"cost", "The GPUs cost no more than allowed."},
    {"trust", "Decisions rest on measured profiles."},
    {"profile", "Everything is profiled."},
    {"input", "The input files can be read."},
};

/*
 * A path as a URI (RFC 3986, 8089): everything but unreserved characters and '/' is escaped; one
 * that does not start at the root is a relative reference.
 */
static char *uri_of(const char *path)
{
    static const char scheme[] = "file://";
    char *uri = malloc(sizeof scheme + 3 * strlen(path)), *end = uri;
    if (uri && *path == '/')
        end = stpcpy(uri, scheme);
    for (; uri && *path; path++) {
        if (isalnum((unsigned char)*path) || strchr("-._~/", *path)) {
            *end++ = *path;
        } else {
            static const char digits[] = "0123456789ABCDEF";
            *end++ = '%';
            *end++ = digits[(unsigned char)*path >> 4];
            *end++ = digits[(unsigned char)*path & 15];
        }
    }
    if (uri)
        *end = '\0';
    return uri;
}

static void text_object(struct glet_json *json, const char *key, const char *text)
{
    glet_json_object(json, key);
    glet_json_string(json, "text", text);
    glet_json_end(json);
}

static void tool(struct glet_json *json)
{
    glet_json_object(json, "tool");
    glet_json_object(json, "driver");
    glet_json_string(json, "name", "gpulet plan check");
    glet_json_string(json, "version", GLET_VERSION);
    glet_json_array(json, "rules");
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        glet_json_object(json, NULL);
        glet_json_string(json, "id", rules[i].id);
        text_object(json, "shortDescription", rules[i].text);
        text_object(json, "fullDescription", rules[i].text); /* GitHub asks for all three */
        text_object(json, "help", "plan explain says what binds, and what would make it fit.");
        glet_json_end(json);
    }
    glet_json_end(json);
    glet_json_end(json);
    glet_json_end(json);
}

static void location(struct glet_json *json, const char *uri, struct glet_mark mark)
{
    glet_json_array(json, "locations");
    glet_json_object(json, NULL);
    glet_json_object(json, "physicalLocation");
    glet_json_object(json, "artifactLocation");
    glet_json_string(json, "uri", uri);
    glet_json_end(json);
    if (mark.line > 0) {
        glet_json_object(json, "region");
        glet_json_int(json, "startLine", mark.line);
        if (mark.column > 0)
            glet_json_int(json, "startColumn", mark.column);
        glet_json_end(json);
    }
    glet_json_end(json);
    glet_json_end(json);
    glet_json_end(json);
}

void glet_export_sarif(const struct glet_gate *gate, FILE *out)
{
    static const char *const levels[] = {NULL, "note", "error", "warning"};
    char *uri = uri_of(gate->file);
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    glet_json_string(&json, "version", "2.1.0");
    glet_json_array(&json, "runs");
    glet_json_object(&json, NULL);
    tool(&json);
    glet_json_string(&json, "columnKind", "unicodeCodePoints");
    glet_json_array(&json, "results");
    for (size_t i = 0; i < gate->count; i++) {
        const struct glet_check *check = &gate->checks[i];
        if (!levels[check->status])
            continue;
        glet_json_object(&json, NULL);
        glet_json_string(&json, "ruleId", check->rule);
        glet_json_string(&json, "level", levels[check->status]);
        text_object(&json, "message", check->message);
        location(&json, uri ? uri : "", check->mark);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    glet_json_end(&json);
    glet_json_end(&json);
    free(uri);
}
