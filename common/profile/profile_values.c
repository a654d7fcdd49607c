/* SPDX-License-Identifier: Apache-2.0 */
/* One value of a row, from text or a number and back. */
#include "common/profile/profile_schema.h"

#include "common/number.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE_UNITS = 1000000, MAX_NAME_BYTES = 200 };

static void *field(const struct glet_schema_column *column, void *row)
{
    return (char *)row + column->offset;
}

static const void *const_field(const struct glet_schema_column *column, const void *row)
{
    return (const char *)row + column->offset;
}

static int set_string(const struct glet_schema_column *column, void *row, const char *text,
                      struct glet_error *err)
{
    if (column->kind == GLET_COLUMN_NAME) {
        size_t length = strlen(text);
        if (length == 0)
            return glet_error_set(err, GLET_ERR_INPUT, "%s: empty", column->name);
        if (length > MAX_NAME_BYTES)
            return glet_error_set(err, GLET_ERR_RANGE, "%s: longer than %d bytes", column->name,
                                  MAX_NAME_BYTES);
        for (size_t i = 0; i < length; i++)
            if (iscntrl((unsigned char)text[i]))
                return glet_error_set(err, GLET_ERR_INPUT, "%s: contains a control character",
                                      column->name);
    }
    char *copy = strdup(text);
    if (!copy)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    *(char **)field(column, row) = copy;
    return 0;
}

static int set_reference(struct glet_profile *profile, const struct glet_schema_column *column,
                         void *row, const char *text, struct glet_error *err)
{
    bool device = column->kind == GLET_COLUMN_DEVICE;
    int index =
        device ? glet_profile_find_device(profile, text) : glet_profile_find_model(profile, text);
    if (index < 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: '%.100s' is not in the table of %s",
                              column->name, text, device ? "devices" : "models");
    *(size_t *)field(column, row) = (size_t)index;
    return 0;
}

static int set_named(const struct glet_schema_column *column, void *row, const char *text,
                     int count, const char *(*name)(int), struct glet_error *err)
{
    char known[128] = "";
    for (int i = 0; i < count; i++) {
        if (strcmp(text, name(i)) == 0) {
            /* Both enums are stored through the type that the compiler gives them. */
            if (column->kind == GLET_COLUMN_MECHANISM)
                *(enum glet_mechanism *)field(column, row) = (enum glet_mechanism)i;
            else
                *(enum glet_trust *)field(column, row) = (enum glet_trust)i;
            return 0;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", name(i));
    }
    return glet_error_set(err, GLET_ERR_INPUT, "%s: '%.60s' is not one of %s", column->name, text,
                          known);
}

static const char *mechanism_name(int i)
{
    return glet_mechanism_name((enum glet_mechanism)i);
}

static const char *trust_name(int i)
{
    return glet_trust_name((enum glet_trust)i);
}

static int descending(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

/* One "4+2+1"; returns where it ended, or NULL with err. */
static const char *parse_layout(const char *text, struct glet_profile_layout *layout,
                                struct glet_error *err)
{
    for (;;) {
        char *end;
        long size = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;
        if (size < 1 || size > MAX_SIZE_UNITS) {
            glet_error_set(err, GLET_ERR_INPUT,
                           "layouts: expected sizes as in '4+3;4+2+1' at '%.20s'", text);
            return NULL;
        }
        int *larger =
            reallocarray(layout->sizes_units, layout->size_count + 1, sizeof *layout->sizes_units);
        if (!larger) {
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
            return NULL;
        }
        layout->sizes_units = larger;
        layout->sizes_units[layout->size_count++] = (int)size;
        text = end;
        if (*text != '+')
            break;
        text++;
    }
    qsort(layout->sizes_units, layout->size_count, sizeof *layout->sizes_units, descending);
    return text;
}

static int set_layouts(struct glet_profile_device *device, const char *text, struct glet_error *err)
{
    if (!*text)
        return 0;
    for (;;) {
        struct glet_profile_layout *larger =
            reallocarray(device->layouts, device->layout_count + 1, sizeof *larger);
        if (!larger)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        device->layouts = larger;
        struct glet_profile_layout *layout = &device->layouts[device->layout_count++];
        *layout = (struct glet_profile_layout){0};
        text = parse_layout(text, layout, err);
        if (!text)
            return -1;
        if (!*text)
            return 0;
        if (*text != ';')
            return glet_error_set(err, GLET_ERR_INPUT, "layouts: unexpected '%.20s'", text);
        text++;
    }
}

int glet_schema_set_text(struct glet_profile *profile, const struct glet_schema_column *column,
                         void *row, const char *text, struct glet_error *err)
{
    switch (column->kind) {
    case GLET_COLUMN_NAME:
    case GLET_COLUMN_TEXT:
        return set_string(column, row, text, err);
    case GLET_COLUMN_DEVICE:
    case GLET_COLUMN_MODEL:
        return set_reference(profile, column, row, text, err);
    case GLET_COLUMN_MECHANISM:
        return set_named(column, row, text, GLET_MECHANISM_CPU + 1, mechanism_name, err);
    case GLET_COLUMN_TRUST:
        return set_named(column, row, text, GLET_TRUST_ESTIMATED + 1, trust_name, err);
    case GLET_COLUMN_LAYOUTS:
        return set_layouts(row, text, err);
    case GLET_COLUMN_INT:
    case GLET_COLUMN_REAL:
        break;
    }
    double value = NAN;
    if (*text && !glet_parse_double(text, &value))
        return glet_error_set(err, GLET_ERR_INPUT, "%s: '%.60s' is not a number", column->name,
                              text);
    return glet_schema_set_number(column, row, value, err);
}

int glet_schema_set_number(const struct glet_schema_column *column, void *row, double value,
                           struct glet_error *err)
{
    bool is_int = column->kind == GLET_COLUMN_INT;
    assert(is_int || column->kind == GLET_COLUMN_REAL);
    if (isnan(value) && !column->nullable)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: empty, a number is needed", column->name);
    if (is_int && value != rint(value))
        return glet_error_set(err, GLET_ERR_INPUT, "%s: %g is not a whole number", column->name,
                              value);
    if (value < column->low || value > column->high || (column->above_low && value == column->low))
        return glet_error_set(err, GLET_ERR_RANGE, "%s: %g is not %s %g and at most %g",
                              column->name, value, column->above_low ? "above" : "at least",
                              column->low, column->high);
    if (is_int)
        *(int *)field(column, row) = (int)value;
    else
        *(double *)field(column, row) = value == 0 ? 0 : value; /* no negative zero */
    return 0;
}

bool glet_schema_is_number(const struct glet_schema_column *column)
{
    return column->kind == GLET_COLUMN_INT || column->kind == GLET_COLUMN_REAL;
}

double glet_schema_number(const struct glet_schema_column *column, const void *row)
{
    const void *value = const_field(column, row);
    return column->kind == GLET_COLUMN_INT ? *(const int *)value : *(const double *)value;
}

static char *compose_layouts(const struct glet_profile_device *device)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    for (size_t i = 0; i < device->layout_count; i++)
        for (size_t k = 0; k < device->layouts[i].size_count; k++)
            fprintf(out, "%s%d", k ? "+" : i ? ";" : "", device->layouts[i].sizes_units[k]);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

const char *glet_schema_text(const struct glet_profile *profile,
                             const struct glet_schema_column *column, const void *row,
                             char **scratch, struct glet_error *err)
{
    const void *value = const_field(column, row);
    *scratch = NULL;
    switch (column->kind) {
    case GLET_COLUMN_NAME:
    case GLET_COLUMN_TEXT: {
        const char *text = *(char *const *)value;
        return text ? text : "";
    }
    case GLET_COLUMN_DEVICE:
        return profile->devices[*(const size_t *)value].gpu;
    case GLET_COLUMN_MODEL:
        return profile->models[*(const size_t *)value].model;
    case GLET_COLUMN_MECHANISM:
        return glet_mechanism_name(*(const enum glet_mechanism *)value);
    case GLET_COLUMN_TRUST:
        return glet_trust_name(*(const enum glet_trust *)value);
    case GLET_COLUMN_LAYOUTS:
        *scratch = compose_layouts(row);
        if (!*scratch)
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return *scratch;
    case GLET_COLUMN_INT:
    case GLET_COLUMN_REAL:
        break;
    }
    assert(!"a number has no text here");
    return "";
}
