/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_OPTIONS_H
#define GLET_COMMON_OPTIONS_H

/*
 * Command lines from tables: one static table per verb says what its options are called, mean and
 * default to; parsing, error messages, --help, the man page (--help=man) and the completions of
 * bash (--help=bash) all come from it.
 *
 *     struct greet { const char *name; int64_t times; bool loud; };
 *     static const struct glet_option options[] = {
 *         {.group = "What to say", .name = "name", .letter = 'n', .kind = GLET_OPTION_TEXT,
 *          .offset = offsetof(struct greet, name), .value = "NAME", .fallback = "world",
 *          .help = "Whom to greet."},
 *         ...
 *     };
 *     static const struct glet_command commands[] = {
 *         {.summary = "Greets.", .options = options, .option_count = 3,
 *          .values_bytes = sizeof(struct greet), .run = run_greet},
 *     };
 *     int main(int argc, char **argv)
 *     {
 *         static const struct glet_program program = {"greet", "greets people", commands, 1};
 *         return glet_program_main(&program, argc, argv);
 *     }
 *
 * Typed forms: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -ab for flags; `--` ends the
 * options; options and arguments may be mixed. The last of several values wins, except for lists.
 * -h, --help and --version need no row.
 */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct glet_list {
    const char **items; /* text is borrowed from argv or from a list's own copy */
    size_t count;
    char **copies; /* of this module */
    size_t copy_count;
};

/* What is typed, and the type of the field at `offset`. */
enum glet_option_kind {
    GLET_OPTION_FLAG,     /* bool */
    GLET_OPTION_TEXT,     /* const char *, NULL when not given */
    GLET_OPTION_INT,      /* int64_t */
    GLET_OPTION_DOUBLE,   /* double */
    GLET_OPTION_DURATION, /* uint64_t microseconds; typed 250ms, 60s, 1h30m */
    GLET_OPTION_LIST,     /* struct glet_list; repeatable and comma separated */
    GLET_OPTION_CHOICE,   /* int: index into choices */
};

struct glet_option {
    const char *group; /* heading in the help; NULL = that of the row before */
    const char *name;  /* without the dashes */
    char letter;       /* short form, or 0 */
    enum glet_option_kind kind;
    size_t offset;
    const char *value;    /* placeholder in the help: "FILE"; NULL for flags and choices */
    const char *fallback; /* default, as typed; NULL = zero */
    bool hide_fallback;   /* it stands for "not given": not in the help, not held to the range */
    double low, high;     /* INT and DOUBLE: range, both included; equal = none */
    const char *const *choices; /* CHOICE: NULL-terminated */
    const char *help;           /* one or more sentences */
};

struct glet_example {
    const char *says, *command;
};

struct glet_command {
    const char *name;      /* verb; NULL (first row only) = what the program does without one */
    const char *summary;   /* one sentence */
    const char *arguments; /* as in the usage line: "WORKLOAD.yaml"; NULL = none */
    int min_arguments, max_arguments; /* max -1 = any number */
    const struct glet_option *options;
    size_t option_count;
    const char *description;              /* paragraphs, separated by blank lines; or NULL */
    const struct glet_example *examples;  /* ends with a row of NULLs; or NULL */
    const char *exit_no, *exit_undecided; /* when it exits with 1 and with 3; NULL = never */
    size_t values_bytes;
    /*
     * values: the filled struct; arguments: what is not an option. Both end with the call. Returns
     * the exit status, or -1 with err filled: then the error is printed and decides the status.
     */
    int (*run)(const void *values, const struct glet_list *arguments, struct glet_error *err);
};

struct glet_program {
    const char *name, *summary; /* summary: as after "name - " in a man page */
    const struct glet_command *commands;
    size_t command_count;
};

/* Parses, runs and reports; the value main() returns. Prints "NAME: message" on errors. */
GLET_MUST_CHECK
int glet_program_main(const struct glet_program *program, int argc, char **argv);

enum glet_parse_result {
    GLET_PARSE_RUN,
    GLET_PARSE_HELP,
    GLET_PARSE_MAN,
    GLET_PARSE_BASH,
    GLET_PARSE_VERSION
};

/*
 * The parsing step alone. argv holds the words after program and verb. values is zeroed by the
 * caller; give it and arguments to glet_command_release() whatever happens. Fails with
 * GLET_ERR_USAGE or GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_command_parse(const struct glet_command *command, int argc, char **argv, void *values,
                       struct glet_list *arguments, enum glet_parse_result *result,
                       struct glet_error *err);
void glet_command_release(const struct glet_command *command, void *values,
                          struct glet_list *arguments);

/* What --help, --help=man and --help=bash print. */
void glet_print_help(const struct glet_program *program, const struct glet_command *command,
                     FILE *out);
void glet_print_man(const struct glet_program *program, FILE *out);
void glet_print_bash(const struct glet_program *program, FILE *out);

#endif
