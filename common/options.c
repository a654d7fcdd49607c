/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getopt_long() would need its own tables built from ours, prints its own messages, and cannot say
 * what was meant; matching words against our rows directly is shorter.
 */
#include "common/options.h"

#include "common/memory.h"
#include "common/nearest.h"
#include "common/number.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int append(struct glet_list *list, const char *item, struct glet_error *err)
{
    /* Lists are short: growing by one keeps the public struct free of a capacity. */
    const char **items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (!items)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    list->items = items;
    list->items[list->count++] = item;
    return 0;
}

static int append_split(struct glet_list *list, const char *text, struct glet_error *err)
{
    char **copies = reallocarray(list->copies, list->copy_count + 1, sizeof *copies);
    if (!copies)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    list->copies = copies;
    char *rest = glet_strdup(text, err), *item;
    if (!rest)
        return -1;
    list->copies[list->copy_count++] = rest;
    while ((item = strsep(&rest, ",")))
        if (*item && append(list, item, err) < 0)
            return -1;
    return 0;
}

static int bad_value(const struct glet_option *option, const char *text, const char *wanted,
                     struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_USAGE, "--%s: '%.100s' is not %s", option->name, text,
                          wanted);
}

static int check_range(const struct glet_option *option, const char *text, double value,
                       struct glet_error *err)
{
    bool not_given = option->hide_fallback && text == option->fallback;
    if (not_given || option->low == option->high || (value >= option->low && value <= option->high))
        return 0;
    bool below = value < option->low;
    return glet_error_set(err, GLET_ERR_USAGE, "--%s: %.100s is %s %g", option->name, text,
                          below ? "below" : "above", below ? option->low : option->high);
}

static int set_choice(const struct glet_option *option, const char *text, int *out,
                      struct glet_error *err)
{
    char all[256] = "";
    size_t count = 0;
    for (; option->choices[count]; count++) {
        if (strcmp(option->choices[count], text) == 0) {
            *out = (int)count;
            return 0;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", count ? ", " : "", option->choices[count]);
    }
    const char *meant = glet_nearest(text, option->choices, count);
    glet_error_set(err, GLET_ERR_USAGE, "--%s: '%.100s' is not one of %s", option->name, text, all);
    return meant ? glet_error_hint(err, "did you mean %s?", meant) : -1;
}

static int set_value(const struct glet_option *option, const char *text, void *values,
                     struct glet_error *err)
{
    void *field = (char *)values + option->offset;
    switch (option->kind) {
    case GLET_OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case GLET_OPTION_TEXT:
        *(const char **)field = text;
        return 0;
    case GLET_OPTION_INT:
        if (!glet_parse_int(text, field))
            return bad_value(option, text, "a whole number", err);
        return check_range(option, text, (double)*(int64_t *)field, err);
    case GLET_OPTION_DOUBLE:
        if (!glet_parse_double(text, field))
            return bad_value(option, text, "a number", err);
        return check_range(option, text, *(double *)field, err);
    case GLET_OPTION_DURATION:
        if (!glet_parse_duration_us(text, field))
            return bad_value(option, text, "a duration such as 250ms, 60s or 1h30m", err);
        return 0;
    case GLET_OPTION_LIST:
        if (strspn(text, ",") == strlen(text))
            return bad_value(option, text, "a list of values", err);
        return append_split(field, text, err);
    case GLET_OPTION_CHOICE:
        return set_choice(option, text, field, err);
    }
    return glet_error_set(err, GLET_ERR_INTERNAL, "--%s: unknown kind of option", option->name);
}

static const struct glet_option *find_long(const struct glet_command *command, const char *name,
                                           size_t length)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const char *candidate = command->options[i].name;
        if (strlen(candidate) == length && memcmp(candidate, name, length) == 0)
            return &command->options[i];
    }
    return NULL;
}

static const struct glet_option *find_letter(const struct glet_command *command, char letter)
{
    for (size_t i = 0; i < command->option_count; i++)
        if (letter && command->options[i].letter == letter)
            return &command->options[i];
    return NULL;
}

static int unknown_option(const struct glet_command *command, const char *word, size_t length,
                          struct glet_error *err)
{
    const char *names[128] = {"help", "version"};
    size_t count = 2;
    for (size_t i = 0; i < command->option_count && count < 128; i++)
        names[count++] = command->options[i].name;
    glet_error_set(err, GLET_ERR_USAGE, "unknown option %.*s", (int)(length < 100 ? length : 100),
                   word);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length > 2 ? length - 2 : 0), word + 2);
    const char *meant = word[1] == '-' ? glet_nearest(name, names, count) : NULL;
    return glet_error_hint(err, meant ? "did you mean --%s?" : "see --%s for the options",
                           meant ? meant : "help");
}

/* The words still to be read, and where what they say goes. */
struct parser {
    const struct glet_command *command;
    int argc, next;
    char **argv;
    void *values;
    enum glet_parse_result result;
};

static int take_value(struct parser *parser, const struct glet_option *option, const char *attached,
                      struct glet_error *err)
{
    if (option->kind == GLET_OPTION_FLAG && attached)
        return glet_error_set(err, GLET_ERR_USAGE, "--%s takes no value", option->name);
    if (option->kind != GLET_OPTION_FLAG && !attached) {
        if (parser->next == parser->argc)
            return glet_error_set(err, GLET_ERR_USAGE, "--%s needs a value", option->name);
        attached = parser->argv[parser->next++];
    }
    return set_value(option, attached, parser->values, err);
}

static int take_help(struct parser *parser, const char *topic, struct glet_error *err)
{
    if (!topic)
        parser->result = GLET_PARSE_HELP;
    else if (strcmp(topic, "man") == 0)
        parser->result = GLET_PARSE_MAN;
    else if (strcmp(topic, "bash") == 0)
        parser->result = GLET_PARSE_BASH;
    else
        return glet_error_set(err, GLET_ERR_USAGE, "--help: '%.100s' is not one of man, bash",
                              topic);
    return 0;
}

static int take_long(struct parser *parser, const char *word, struct glet_error *err)
{
    size_t length = strcspn(word, "=");
    const char *attached = word[length] ? word + length + 1 : NULL;
    const struct glet_option *option = find_long(parser->command, word + 2, length - 2);
    if (option)
        return take_value(parser, option, attached, err);
    if (length == 6 && memcmp(word, "--help", 6) == 0)
        return take_help(parser, attached, err);
    if (strcmp(word, "--version") == 0)
        parser->result = GLET_PARSE_VERSION;
    else
        return unknown_option(parser->command, word, length, err);
    return 0;
}

static int take_letters(struct parser *parser, const char *word, struct glet_error *err)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const struct glet_option *option = find_letter(parser->command, *letter);
        if (!option && *letter == 'h')
            parser->result = GLET_PARSE_HELP;
        else if (!option)
            return unknown_option(parser->command, (char[]){'-', *letter, '\0'}, 2, err);
        else if (option->kind != GLET_OPTION_FLAG)
            return take_value(parser, option, letter[1] ? letter + 1 : NULL, err);
        else if (set_value(option, NULL, parser->values, err) < 0)
            return -1;
    }
    return 0;
}

static int set_defaults(const struct glet_command *command, void *values, struct glet_error *err)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const struct glet_option *option = &command->options[i];
        if (option->fallback && option->kind != GLET_OPTION_LIST &&
            set_value(option, option->fallback, values, err) < 0)
            return -1;
    }
    return 0;
}

/* A list's default is what it holds when nothing was added. */
static int set_default_lists(const struct glet_command *command, void *values,
                             struct glet_error *err)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const struct glet_option *option = &command->options[i];
        struct glet_list *list = (struct glet_list *)(void *)((char *)values + option->offset);
        if (option->kind == GLET_OPTION_LIST && option->fallback && list->count == 0 &&
            append_split(list, option->fallback, err) < 0)
            return -1;
    }
    return 0;
}

static int check_arguments(const struct glet_command *command, const struct glet_list *arguments,
                           struct glet_error *err)
{
    if (arguments->count < (size_t)command->min_arguments) {
        glet_error_set(err, GLET_ERR_USAGE, "missing argument: %s", command->arguments);
        return glet_error_hint(err, "see --help");
    }
    if (command->max_arguments < 0 || arguments->count <= (size_t)command->max_arguments)
        return 0;
    return glet_error_set(err, GLET_ERR_USAGE, "unexpected argument '%.200s'",
                          arguments->items[command->max_arguments]);
}

int glet_command_parse(const struct glet_command *command, int argc, char **argv, void *values,
                       struct glet_list *arguments, enum glet_parse_result *result,
                       struct glet_error *err)
{
    struct parser parser = {command, argc, 0, argv, values, GLET_PARSE_RUN};
    bool options_ended = false;
    *arguments = (struct glet_list){NULL, 0, NULL, 0};
    if (set_defaults(command, values, err) < 0)
        return -1;
    while (parser.next < argc && parser.result == GLET_PARSE_RUN) {
        const char *word = argv[parser.next++];
        int status;
        if (options_ended || word[0] != '-' || !word[1])
            status = append(arguments, word, err);
        else if (word[1] != '-')
            status = take_letters(&parser, word, err);
        else if (word[2])
            status = take_long(&parser, word, err);
        else
            options_ended = true, status = 0;
        if (status < 0)
            return -1;
    }
    *result = parser.result;
    if (parser.result != GLET_PARSE_RUN)
        return 0;
    if (set_default_lists(command, values, err) < 0)
        return -1;
    return check_arguments(command, arguments, err);
}

static void free_list(struct glet_list *list)
{
    for (size_t i = 0; i < list->copy_count; i++)
        free(list->copies[i]);
    free(list->copies);
    free(list->items);
}

void glet_command_release(const struct glet_command *command, void *values,
                          struct glet_list *arguments)
{
    for (size_t i = 0; values && i < command->option_count; i++)
        if (command->options[i].kind == GLET_OPTION_LIST)
            free_list((struct glet_list *)(void *)((char *)values + command->options[i].offset));
    free_list(arguments);
}

/* The verb at argv[1], else the row without a name. *skip: words before the options. */
static const struct glet_command *select_command(const struct glet_program *program, int argc,
                                                 char **argv, int *skip, struct glet_error *err)
{
    const struct glet_command *fallback = program->commands[0].name ? NULL : program->commands;
    const char *word = argc > 1 ? argv[1] : NULL, *names[64];
    size_t count = 0;
    *skip = 1;
    for (size_t i = fallback != NULL; i < program->command_count && count < 64; i++) {
        const struct glet_command *command = &program->commands[i];
        names[count++] = command->name;
        if (word && strcmp(word, command->name) == 0) {
            *skip = 2;
            return command;
        }
    }
    const char *meant = word ? glet_nearest(word, names, count) : NULL;
    bool takes_word = fallback && (fallback->max_arguments != 0 || !word || word[0] == '-');
    if (takes_word || (word && word[0] == '-'))
        return fallback ? fallback : program->commands;
    if (word)
        glet_error_set(err, GLET_ERR_USAGE, "unknown command '%.100s'", word);
    else
        glet_error_set(err, GLET_ERR_USAGE, "missing command");
    glet_error_hint(err, meant ? "did you mean %s?" : "see %s --help",
                    meant ? meant : program->name);
    return NULL;
}

static int run_command(const struct glet_program *program, const struct glet_command *command,
                       bool has_verb, int argc, char **argv, struct glet_error *err)
{
    enum glet_parse_result result = GLET_PARSE_RUN;
    struct glet_list arguments;
    void *values = glet_alloc(1, command->values_bytes, err);
    if (!values)
        return -1;
    int status = glet_command_parse(command, argc, argv, values, &arguments, &result, err);
    if (status == 0) {
        if (result == GLET_PARSE_RUN)
            status = command->run(values, &arguments, err);
        else if (result == GLET_PARSE_HELP)
            glet_print_help(program, has_verb || !command->name ? command : NULL, stdout);
        else if (result == GLET_PARSE_MAN)
            glet_print_man(program, stdout);
        else if (result == GLET_PARSE_BASH)
            glet_print_bash(program, stdout);
        else
            printf("%s %s\n", program->name, GLET_VERSION);
    }
    glet_command_release(command, values, &arguments);
    free(values);
    return status;
}

/*
 * A standard descriptor that the caller closed would be the number of the next file that is opened,
 * and messages would end in it. What stands in fails as a closed one does.
 */
static void occupy_standard_descriptors(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 &&
            open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor)
            return; /* no /dev/null: as it was */
}

int glet_program_main(const struct glet_program *program, int argc, char **argv)
{
    struct glet_error err;
    int skip, status = -1;
    occupy_standard_descriptors();
    /* A file that may not grow is an error to report, not a reason to die. */
    signal(SIGXFSZ, SIG_IGN);
    const struct glet_command *command = select_command(program, argc, argv, &skip, &err);
    if (command)
        status = run_command(program, command, skip == 2, argc - skip, argv + skip, &err);
    /* A result that did not reach the disk must not look like success. */
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && status >= 0)
        status = glet_error_errno(&err, errno ? errno : EIO, "standard output");
    if (status >= 0)
        return status;
    fprintf(stderr, "%s: ", program->name);
    glet_error_print(&err, stderr);
    return glet_error_exit_status(err.code);
}
