/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/options.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct values {
    bool loud, quiet;
    const char *name;
    int64_t count;
    double scale;
    uint64_t duration_us;
    struct glet_list targets;
    int format;
};

static const char *const formats[] = {"table", "json", NULL};

static const struct glet_option options[] = {
    {.group = "Output",
     .name = "loud",
     .letter = 'l',
     .offset = offsetof(struct values, loud),
     .help = "Say it louder."},
    {.name = "quiet",
     .letter = 'q',
     .offset = offsetof(struct values, quiet),
     .help = "Say it less loud."},
    {.name = "name",
     .letter = 'n',
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, name),
     .value = "NAME",
     .fallback = "world",
     .help = "Whom to greet, as they would like to be called by people who have known them for "
             "a long time."},
    {.name = "format",
     .kind = GLET_OPTION_CHOICE,
     .offset = offsetof(struct values, format),
     .choices = formats,
     .fallback = "table",
     .help = "How to print it."},
    {.group = "Load",
     .name = "count",
     .letter = 'c',
     .kind = GLET_OPTION_INT,
     .offset = offsetof(struct values, count),
     .value = "N",
     .low = 1,
     .high = 10,
     .fallback = "3",
     .help = "How often."},
    {.name = "scale",
     .kind = GLET_OPTION_DOUBLE,
     .offset = offsetof(struct values, scale),
     .value = "X",
     .fallback = "-1",
     .hide_fallback = true,
     .help = "How much."},
    {.name = "duration",
     .kind = GLET_OPTION_DURATION,
     .offset = offsetof(struct values, duration_us),
     .value = "TIME",
     .fallback = "60s",
     .help = "How long."},
    {.name = "target",
     .kind = GLET_OPTION_LIST,
     .offset = offsetof(struct values, targets),
     .value = "URL",
     .fallback = "here",
     .help = "Where to."},
};

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    (void)values;
    return arguments->count == 2 ? 7 : glet_error_set(err, GLET_ERR_UNDECIDED, "no idea");
}

static const struct glet_example examples[] = {{"Greets everybody", "greet -l FILE.yaml"}, {0}};

static const struct glet_command commands[] = {
    {.summary = "Greets a file.",
     .arguments = "FILE [FILE]",
     .min_arguments = 1,
     .max_arguments = 2,
     .options = options,
     .option_count = COUNT_OF(options),
     .description = "First paragraph.\n\nSecond paragraph.",
     .examples = examples,
     .exit_no = "nobody answered",
     .values_bytes = sizeof(struct values),
     .run = run},
    {.name = "show", .summary = "Shows greetings.", .max_arguments = 0, .run = run},
};

static const struct glet_program program = {"greet", "greets people", commands, 2};

enum { MOST_WORDS = 8 };

static int parse(const char *const *words, struct values *values, struct glet_list *arguments,
                 enum glet_parse_result *result, struct glet_error *err)
{
    char *argv[MOST_WORDS];
    int argc = 0;
    for (; argc < MOST_WORDS && words[argc]; argc++)
        memcpy(&argv[argc], &words[argc], sizeof argv[argc]);
    memset(values, 0, sizeof *values);
    return glet_command_parse(commands, argc, argv, values, arguments, result, err);
}

static void every_kind(void **state)
{
    (void)state;
    static const char *const words[][MOST_WORDS] = {
        {"-lq", "f", "--name=", "-c", "10", "--format", "json"},
        {"--target", "a,b", "--target=c", "--", "-f", "--x"},
        {"f", "-n", "x", "-c7", "--scale=-2.5", "--duration", "1m30s"},
    };
    struct values values;
    struct glet_list arguments;
    enum glet_parse_result result;
    struct glet_error err;
    CHECK_OK(parse(words[0], &values, &arguments, &result, &err), &err);
    assert_true(values.loud && values.quiet && values.count == 10 && values.format == 1);
    assert_string_equal(values.name, "");
    assert_int_equal(values.duration_us, 60000000);
    assert_int_equal(values.targets.count, 1);
    assert_string_equal(values.targets.items[0], "here");
    glet_command_release(commands, &values, &arguments);
    CHECK_OK(parse(words[1], &values, &arguments, &result, &err), &err);
    assert_int_equal(values.targets.count, 3);
    assert_string_equal(values.targets.items[1], "b");
    assert_int_equal(arguments.count, 2);
    assert_string_equal(arguments.items[1], "--x");
    assert_string_equal(values.name, "world");
    glet_command_release(commands, &values, &arguments);
    CHECK_OK(parse(words[2], &values, &arguments, &result, &err), &err);
    CHECK_NEAR(values.scale, -2.5, 0);
    assert_int_equal(values.count, 7);
    assert_int_equal(values.duration_us, 90000000);
    glet_command_release(commands, &values, &arguments);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *words[MOST_WORDS], *message, *hint;
    } cases[] = {
        {{"--formta", "json"}, "unknown option --formta", "did you mean --format?"},
        {{"--formta=json"}, "unknown option --formta", "did you mean --format?"},
        {{"--xyzzy"}, "unknown option --xyzzy", "see --help for the options"},
        {{"-z"}, "unknown option -z", "see --help for the options"},
        {{"--format=jsno"}, "--format: 'jsno' is not one of table, json", "did you mean json?"},
        {{"--count"}, "--count needs a value", ""},
        {{"-c", "0"}, "--count: 0 is below 1", ""},
        {{"-c", "11"}, "--count: 11 is above 10", ""},
        {{"-c", "0x1"}, "--count: '0x1' is not a whole number", ""},
        {{"--scale", ".5"}, "--scale: '.5' is not a number", ""},
        {{"--duration", "10"},
         "--duration: '10' is not a duration such as 250ms, 60s or 1h30m",
         ""},
        {{"--loud=yes"}, "--loud takes no value", ""},
        {{"--help=html"}, "--help: 'html' is not one of man, bash", ""},
        {{NULL}, "missing argument: FILE [FILE]", "see --help"},
        {{"a", "b", "c"}, "unexpected argument 'c'", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct values values;
        struct glet_list arguments;
        enum glet_parse_result result;
        struct glet_error err = {0};
        CHECK_FAILS(parse(cases[i].words, &values, &arguments, &result, &err), &err, GLET_ERR_USAGE,
                    cases[i].message);
        assert_string_equal(err.hint, cases[i].hint);
        glet_command_release(commands, &values, &arguments);
    }
}

static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    print(out);
    fclose(out);
    return text;
}

static void print_help(FILE *out)
{
    glet_print_help(&program, commands, out);
}

static void print_man(FILE *out)
{
    glet_print_man(&program, out);
}

static void print_bash(FILE *out)
{
    glet_print_bash(&program, out);
}

static void help_text(void **state)
{
    (void)state;
    char *text = printed(print_help);
    assert_string_equal(text,
                        "Usage: greet [options] FILE [FILE]\n"
                        "\n"
                        "Greets a file.\n"
                        "\n"
                        "First paragraph.\n"
                        "\n"
                        "Second paragraph.\n"
                        "\n"
                        "Commands:\n"
                        "  show                      Shows greetings.\n"
                        "\n"
                        "Output:\n"
                        "  -l, --loud                Say it louder.\n"
                        "  -q, --quiet               Say it less loud.\n"
                        "  -n, --name NAME           Whom to greet, as they would like to be "
                        "called by\n"
                        "                            people who have known them for a long time. "
                        "[world]\n"
                        "      --format table|json   How to print it. [table]\n"
                        "\n"
                        "Load:\n"
                        "  -c, --count N             How often. [3]\n"
                        "      --scale X             How much.\n"
                        "      --duration TIME       How long. [60s]\n"
                        "      --target URL          Where to. [here]\n"
                        "\n"
                        "Help:\n"
                        "  -h, --help[=man|bash]     This text, a man page, or completions "
                        "for bash.\n"
                        "      --version             The version.\n"
                        "\n"
                        "Examples:\n"
                        "  # Greets everybody\n"
                        "  greet -l FILE.yaml\n"
                        "\n"
                        "Exit status:\n"
                        "  0   done\n"
                        "  1   nobody answered\n"
                        "  2   the command line or an input file is wrong; nothing was "
                        "done\n"
                        "  4   something around the program failed: a file, a device, the "
                        "network, memory\n"
                        "  70  a defect of the program\n");
    free(text);
}

/* Parsed by the programs they are for, where those exist. */
static void man_and_bash_are_well_formed(void **state)
{
    (void)state;
    char *man = printed(print_man), *bash = printed(print_bash);
    assert_non_null(strstr(man, ".TH \"greet\" 1"));
    assert_non_null(strstr(man, ".SH SYNOPSIS\n.nf\ngreet [options]"));
    assert_non_null(strstr(man, "\\fB\\-c\\fR, \\fB\\-\\-count\\fR \\fIN\\fR"));
    FILE *shell = popen("bash -n", "w");
    assert_non_null(shell);
    fputs(bash, shell);
    assert_int_equal(pclose(shell), 0);
    assert_non_null(strstr(bash, "complete -o filenames -F _greet greet"));
    free(man);
    free(bash);
}

static void programs_return_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *words[MOST_WORDS];
        int status;
    } cases[] = {
        {{"greet", "a", "b"}, 7}, {{"greet", "a"}, 3},          {{"greet"}, 2},
        {{"greet", "show"}, 3},   {{"greet", "show", "-l"}, 2},
    };
    if (!freopen("/dev/null", "w", stderr))
        skip();
    signal(SIGXFSZ, SIG_DFL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *argv[MOST_WORDS];
        int argc = 0;
        for (; cases[i].words[argc]; argc++)
            memcpy(&argv[argc], &cases[i].words[argc], sizeof argv[argc]);
        assert_int_equal(glet_program_main(&program, argc, argv), cases[i].status);
    }
    assert_true(signal(SIGXFSZ, SIG_DFL) == SIG_IGN); /* writing is what fails, not the program */
}

static void closed_descriptors_stay_taken(void **state)
{
    (void)state;
    char name[] = "greet", *argv[] = {name, NULL}, byte;
    int saved = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    assert_int_equal(glet_program_main(&program, 1, argv), 2);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
    assert_int_equal(read(STDIN_FILENO, &byte, 1), -1); /* as from a closed one */
    dup2(saved, STDIN_FILENO);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(help_text),
        cmocka_unit_test(man_and_bash_are_well_formed),
        cmocka_unit_test(programs_return_statuses),
        cmocka_unit_test(closed_descriptors_stay_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
