/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three ways to show an option table: help for a terminal, a man page, completions for bash.
 * All are functions of the table alone: no date, no width of the terminal, the same bytes always.
 */
#include "common/options.h"

#include "common/wrap.h"

#include <string.h>

enum { WIDTH = 80, HELP_COLUMN = 28 };

/* "man|bash" for a choice, else the placeholder; empty for a flag. */
static void value_name(const struct glet_option *option, char *text, size_t size)
{
    snprintf(text, size, "%s", option->value ? option->value : "");
    for (size_t i = 0; option->choices && option->choices[i]; i++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", i ? "|" : "", option->choices[i]);
    }
}

static void print_usage(const struct glet_program *program, const struct glet_command *command,
                        FILE *out)
{
    fprintf(out, "%s%s%s [options]%s%s", program->name, command->name ? " " : "",
            command->name ? command->name : "", command->arguments ? " " : "",
            command->arguments ? command->arguments : "");
}

static void print_option(const struct glet_option *option, FILE *out)
{
    char value[256];
    value_name(option, value, sizeof value);
    int at = option->letter ? fprintf(out, "  -%c, ", option->letter) : fprintf(out, "      ");
    at += fprintf(out, "--%s%s%s", option->name, *value ? " " : "", value);
    if (at + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - at, "");
    char text[1024];
    const char *fallback = option->hide_fallback ? NULL : option->fallback;
    snprintf(text, sizeof text, "%s%s%s%s", option->help, fallback ? " [" : "",
             fallback ? fallback : "", fallback ? "]" : "");
    glet_wrap(out, WIDTH, HELP_COLUMN, HELP_COLUMN, text);
}

static void print_commands(const struct glet_program *program, FILE *out)
{
    if (program->command_count < 2 && !program->commands[0].name)
        return;
    fputs("\nCommands:\n", out);
    for (size_t i = 0; i < program->command_count; i++) {
        const struct glet_command *command = &program->commands[i];
        if (!command->name)
            continue;
        int at = fprintf(out, "  %s ", command->name);
        fprintf(out, "%*s", at < HELP_COLUMN ? HELP_COLUMN - at : 0, "");
        glet_wrap(out, WIDTH, HELP_COLUMN, HELP_COLUMN, command->summary);
    }
}

static void print_exit_statuses(const struct glet_command *command, FILE *out)
{
    const char *const rows[][2] = {
        {"0", "done"},
        {"1", command->exit_no},
        {"2", "the command line or an input file is wrong; nothing was done"},
        {"3", command->exit_undecided},
        {"4", "something around the program failed: a file, a device, the network, memory"},
        {"70", "a defect of the program"},
    };
    fputs("\nExit status:\n", out);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i][1])
            continue;
        fprintf(out, "  %-4s", rows[i][0]);
        glet_wrap(out, WIDTH, 6, 6, rows[i][1]);
    }
}

void glet_print_help(const struct glet_program *program, const struct glet_command *command,
                     FILE *out)
{
    if (!command) {
        fprintf(out, "%s - %s\n\nUsage: %s COMMAND [options] ...\n", program->name,
                program->summary, program->name);
        print_commands(program, out);
        fprintf(out, "\n%s COMMAND --help explains a command.\n", program->name);
        return;
    }
    fputs("Usage: ", out);
    print_usage(program, command, out);
    fputs("\n\n", out);
    glet_wrap(out, WIDTH, 0, 0, command->summary);
    if (command->description) {
        putc('\n', out);
        glet_wrap(out, WIDTH, 0, 0, command->description);
    }
    if (!command->name)
        print_commands(program, out);
    for (size_t i = 0; i < command->option_count; i++) {
        const char *group = command->options[i].group;
        if (group || i == 0)
            fprintf(out, "\n%s:\n", group ? group : "Options");
        print_option(&command->options[i], out);
    }
    fputs("\nHelp:\n", out);
    fprintf(out, "  -h, --help[=man|bash]     %s\n",
            "This text, a man page, or completions for bash.");
    fprintf(out, "      --version             %s\n", "The version.");
    const struct glet_example *example = command->examples;
    if (example)
        fputs("\nExamples:\n", out);
    for (; example && example->command; example++)
        fprintf(out, "%s  # %s\n  %s\n", example == command->examples ? "" : "\n", example->says,
                example->command);
    print_exit_statuses(command, out);
}

/* Text for roff: backslashes, dashes and leading dots escaped; "\n\n" becomes a paragraph. */
static void roff(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        line_start = *text == '\n';
        if (text[0] == '\n' && text[1] == '\n')
            fputs("\n.PP", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            putc(*text, out);
    }
}

static void man_option(const struct glet_option *option, FILE *out)
{
    char value[256];
    value_name(option, value, sizeof value);
    fputs(".TP\n", out);
    if (option->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB", out);
    roff(out, "--");
    roff(out, option->name);
    fputs(*value ? "\\fR \\fI" : "", out);
    roff(out, value);
    fputs("\\fR\n", out);
    roff(out, option->help);
    if (option->fallback && !option->hide_fallback) {
        fputs(" Default: ", out);
        roff(out, option->fallback);
        putc('.', out);
    }
    putc('\n', out);
}

static void man_command(const struct glet_program *program, const struct glet_command *command,
                        FILE *out)
{
    fputs(".SS \"", out);
    print_usage(program, command, out);
    fputs("\"\n", out);
    roff(out, command->summary);
    putc('\n', out);
    if (command->description) {
        fputs(".PP\n", out);
        roff(out, command->description);
        putc('\n', out);
    }
    for (size_t i = 0; i < command->option_count; i++) {
        if (command->options[i].group)
            fprintf(out, ".PP\n\\fI%s\\fR\n", command->options[i].group);
        man_option(&command->options[i], out);
    }
    for (const struct glet_example *e = command->examples; e && e->command; e++) {
        fputs(".PP\n", out);
        roff(out, e->says);
        fputs(":\n.PP\n.RS 4\n.nf\n", out);
        roff(out, e->command);
        fputs("\n.fi\n.RE\n", out);
    }
    if (command->exit_no) {
        fputs(".PP\nExit status 1: ", out);
        roff(out, command->exit_no);
        putc('\n', out);
    }
    if (command->exit_undecided) {
        fputs(".PP\nExit status 3: ", out);
        roff(out, command->exit_undecided);
        putc('\n', out);
    }
}

void glet_print_man(const struct glet_program *program, FILE *out)
{
    fprintf(out, ".TH \"%s\" 1 \"\" \"gpulet %s\" \"User Commands\"\n.SH NAME\n", program->name,
            GLET_VERSION);
    roff(out, program->name);
    fputs(" \\- ", out);
    roff(out, program->summary);
    fputs("\n.SH SYNOPSIS\n.nf\n", out);
    for (size_t i = 0; i < program->command_count; i++) {
        print_usage(program, &program->commands[i], out);
        putc('\n', out);
    }
    fputs(".fi\n.SH COMMANDS\n", out);
    for (size_t i = 0; i < program->command_count; i++)
        man_command(program, &program->commands[i], out);
    fputs(".SH EXIT STATUS\n0: done; 1: answered \"no\"; 2: the command line or an input file is\n"
          "wrong; 3: could not decide; 4: the environment failed; 70: a defect of the program.\n",
          out);
}

static void bash_words(const struct glet_command *command, FILE *out)
{
    fputs("--help --version", out);
    for (size_t i = 0; i < command->option_count; i++)
        fprintf(out, " --%s", command->options[i].name);
}

void glet_print_bash(const struct glet_program *program, FILE *out)
{
    char function[64];
    snprintf(function, sizeof function, "_%s", program->name);
    for (char *c = function; *c; c++)
        if (*c == '-')
            *c = '_';
    fprintf(out,
            "%s() {\n    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}"
            "\n    local verb=${COMP_WORDS[1]} options verbs=\"",
            function);
    for (size_t i = 0; i < program->command_count; i++)
        if (program->commands[i].name)
            fprintf(out, "%s ", program->commands[i].name);
    fputs("\"\n    case $verb:$previous in\n", out);
    for (size_t i = 0; i < program->command_count; i++) {
        const struct glet_command *command = &program->commands[i];
        for (size_t k = 0; k < command->option_count; k++) {
            char value[256];
            if (!command->options[k].choices)
                continue;
            value_name(&command->options[k], value, sizeof value);
            for (char *c = value; *c; c++)
                if (*c == '|')
                    *c = ' ';
            fprintf(out, "    %s:--%s) COMPREPLY=($(compgen -W '%s' -- \"$word\")); return;;\n",
                    command->name ? command->name : "*", command->options[k].name, value);
        }
    }
    fputs("    esac\n    case $verb in\n", out);
    const struct glet_command *fallback = NULL;
    for (size_t i = 0; i < program->command_count; i++) {
        const struct glet_command *command = &program->commands[i];
        if (!command->name) {
            fallback = command;
            continue;
        }
        fprintf(out, "    %s) options='", command->name);
        bash_words(command, out);
        fputs("';;\n", out);
    }
    fputs("    *) options='", out);
    if (fallback)
        bash_words(fallback, out);
    else
        fputs("--help --version", out);
    fprintf(out,
            "';;\n    esac\n    if [[ $word == -* ]]; then\n"
            "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
            "    elif (( COMP_CWORD == 1 )); then\n"
            "        COMPREPLY=($(compgen -W \"$verbs\" -- \"$word\") "
            "$(compgen -f -- \"$word\"))\n"
            "    else\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}\n"
            "complete -o filenames -F %s %s\n",
            function, program->name);
}
