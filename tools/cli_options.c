// Options from a table, through getopt_long; --help and --version from the same table.
#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "slt/number.h"
#include "slt/version.h"

#define HELP_CODE    1000 // getopt values of --help, --version, and of row i
#define VERSION_CODE 1001
#define ROW_CODE     2000
#define MAX_FILE     (1 << 20) // of @FILE

static const struct cli_program *program;
static bool given[CLI_MAX_OPTIONS]; // by the rows of its options

void cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    // Rank 0 says the same, unless it turns out that it does not.
    if (slt_ranks_announced() > 0) {
        char sentence[1400];
        vsnprintf(sentence, sizeof sentence, format, args);
        cli_keep(sentence);
        exit(2);
    }
    fprintf(stderr, "%s: ", cli_name);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry '%s --help'.\n", cli_name);
    exit(2);
}

// ---- @FILE ----

struct words {
    char **word;
    size_t count, capacity;
};

static void add_word(struct words *w, char *word)
{
    if (w->count + 1 >= w->capacity) {
        w->capacity = w->capacity * 2 + 32;
        w->word = realloc(w->word, w->capacity * sizeof *w->word);
        if (w->word == NULL) {
            fprintf(stderr, "%s: cannot allocate the command line\n", cli_name);
            exit(1);
        }
    }
    w->word[w->count++] = word;
    w->word[w->count] = NULL;
}

// Splits text at white space; '#' starts a comment, and '...' or "..." holds white space together.
static void split_words(struct words *w, char *text)
{
    for (char *in = text; *in != '\0';) {
        in += strspn(in, " \t\r\n");
        if (*in == '#')
            in += strcspn(in, "\n");
        if (*in == '\0' || strchr(" \t\r\n", *in) != NULL)
            continue;
        char *word = in, *out = in, quote = '\0';
        for (; *in != '\0' && (quote != '\0' || strchr(" \t\r\n", *in) == NULL); in++) {
            if (quote == '\0' && (*in == '\'' || *in == '"'))
                quote = *in;
            else if (*in == quote)
                quote = '\0';
            else
                *out++ = *in;
        }
        if (quote != '\0')
            cli_usage("a %c is not closed in an option file", quote);
        if (*in != '\0')
            in++;
        *out = '\0';
        add_word(w, word);
    }
}

// The words live as long as the program.
static char **expand(int *argc, char **argv)
{
    static struct words all;
    struct words w = {0};
    add_word(&w, argv[0]);
    for (int i = 1; i < *argc; i++) {
        struct slt_error err;
        void *text;
        size_t bytes;
        if (argv[i][0] != '@') {
            add_word(&w, argv[i]);
            continue;
        }
        if (slt_file_read(&text, &bytes, argv[i] + 1, MAX_FILE, NULL, &err) != 0) {
            cli_say("%s", err.message);
            exit(1);
        }
        split_words(&w, text);
    }
    *argc = (int)w.count;
    all = w;
    return all.word;
}

// ---- --help and --version ----

static void print_help(void)
{
    printf("usage: %s %s\n\n%s\n\n", program->name, program->synopsis, program->summary);
    printf("  %-34s%s\n", "-h, --help", "show this and exit");
    printf("  %-34s%s\n", "-V, --version", "show the version and exit");
    for (size_t i = 0; i < program->count; i++) {
        const struct cli_option *o = &program->options[i];
        if (o->kind == CLI_HEADING) {
            printf("\n%s:\n", o->help);
            continue;
        }
        char left[96], letter[8] = "    ";
        if (o->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s%s", letter, o->name, o->arg != NULL ? " " : "",
                 o->arg != NULL ? o->arg : "", o->kind == CLI_SCALES ? "=X,..." : "");
        printf("  %-34s%s%s\n", left,
               strlen(left) > 33 ? "\n                                    " : "", o->help);
    }
    printf("\n@FILE among the arguments stands for the words in FILE. See %s(1).\n", program->name);
}

// ---- Parsing ----

// "b=2,c=0.5" into the values of "a|b|c".
static void apply_scales(const struct cli_option *o, const char *what, const char *text)
{
    struct slt_error err;
    char name[64], value[64], whole[160];
    for (const char *at = text;; at += *at == ',') {
        const size_t n = strcspn(at, "=,"), end = strcspn(at, ",");
        if (at[n] != '=' || n >= sizeof name || end - n > sizeof value)
            cli_usage("%s: '%s' is no list of NAME=X, separated by commas (names: %s)", what, text,
                      o->arg);
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        snprintf(value, sizeof value, "%.*s", (int)(end - n - 1), at + n + 1);
        snprintf(whole, sizeof whole, "%s %s", what, name);
        const int choice = slt_choice_find(o->arg, name);
        if (choice < 0)
            cli_usage("%s: unknown name '%s' (known: %s)", what, name, o->arg);
        if (slt_real_parse((double *)o->target + choice, whole, value, o->min, o->max, &err) != 0)
            cli_usage("%s", err.message);
        at += end;
        if (*at == '\0')
            return;
    }
}

static void add_item(struct cli_list *list, const char *item)
{
    const char **more = realloc(list->item, (list->count + 1) * sizeof *more);
    if (more == NULL) {
        fprintf(stderr, "%s: cannot allocate the command line\n", cli_name);
        exit(1);
    }
    list->item = more;
    list->item[list->count++] = item;
}

// As slt_choice_find; "cuda:1" also is a word of "cpu|cuda:N".
static int find_word(const char *list, const char *text)
{
    const char *colon = strchr(text, ':');
    int at = slt_choice_find(list, text);
    for (int k = 0; at < 0 && colon != NULL && *list != '\0'; k++) {
        if (strncmp(list, text, (size_t)(colon - text) + 1) == 0)
            at = k;
        list += strcspn(list, "|");
        list += *list == '|';
    }
    return at;
}

static void apply(const struct cli_option *o, const char *text)
{
    struct slt_error err = {0};
    char what[64];
    int rc = 0;
    snprintf(what, sizeof what, "--%s", o->name);
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->target = true;
        break;
    case CLI_CLEAR:
        *(bool *)o->target = false;
        break;
    case CLI_COUNT:
        ++*(int *)o->target;
        break;
    case CLI_TEXT:
        *(const char **)o->target = text;
        break;
    case CLI_LIST:
        add_item(o->target, text);
        break;
    case CLI_WHOLE: {
        const int64_t max = o->max >= 9.2e18 ? INT64_MAX : (int64_t)o->max;
        rc = slt_number_parse(o->target, what, text, (int64_t)o->min, max, &err);
        break;
    }
    case CLI_REAL:
        rc = slt_real_parse(o->target, what, text, o->min, o->max, &err);
        break;
    case CLI_SECONDS:
        rc = slt_duration_parse(o->target, what, text, &err);
        break;
    case CLI_HEADING:
        break;
    case CLI_SCALES:
        apply_scales(o, what, text);
        break;
    case CLI_CHOICE:
    case CLI_WORD: {
        const int at = find_word(o->arg, text);
        if (at < 0)
            cli_usage("%s: unknown value '%s' (known: %s)", what, text, o->arg);
        if (o->kind == CLI_CHOICE)
            *(int *)o->target = at;
        else
            *(const char **)o->target = text;
        break;
    }
    }
    if (rc != 0)
        cli_usage("%s", err.message);
}

size_t cli_add_options(struct cli_option *rows, size_t count, const struct cli_option *more,
                       size_t more_count)
{
    assert(count + more_count <= CLI_MAX_OPTIONS);
    for (size_t i = 0; i < more_count; i++)
        rows[count++] = more[i];
    return count;
}

// An option that there is not, or one that is short for several.
static _Noreturn void refuse_option(const struct cli_program *p, const char *word)
{
    char list[300] = "";
    const size_t length = strcspn(word + 2, "=");
    for (size_t i = 0; i < p->count; i++) {
        const size_t used = strlen(list);
        if (p->options[i].kind != CLI_HEADING && strncmp(p->options[i].name, word + 2, length) == 0)
            snprintf(list + used, sizeof list - used, "%s--%s", used > 0 ? ", " : "",
                     p->options[i].name);
    }
    if (list[0] != '\0' && strchr(list, ',') != NULL)
        cli_usage("option '%s' could be any of %s", word, list);
    cli_suggest(list, sizeof list, word, p->options, p->count);
    if (list[0] != '\0')
        cli_usage("unknown option '%s'; did you mean %s?", word, list);
    cli_usage("unknown option '%s'", word);
}

int cli_parse(const struct cli_program *p, int argc, char ***argv)
{
    struct option longs[CLI_MAX_OPTIONS + 3] = {{"help", no_argument, NULL, HELP_CODE},
                                                {"version", no_argument, NULL, VERSION_CODE}};
    char shorts[2 * CLI_MAX_OPTIONS + 8] = ":hV";
    program = p;
    cli_name = p->name;
    cli_spin_little(*argv);
    char **words = expand(&argc, *argv);
    for (size_t i = 0, n = 2; i < p->count && i < CLI_MAX_OPTIONS; i++) {
        const struct cli_option *o = &p->options[i];
        const bool takes = o->arg != NULL;
        if (o->kind == CLI_HEADING)
            continue;
        longs[n++] = (struct option){o->name, takes ? required_argument : no_argument, NULL,
                                     ROW_CODE + (int)i};
        if (o->letter != 0)
            snprintf(shorts + strlen(shorts), 4, "%c%s", o->letter, takes ? ":" : "");
    }
    opterr = 0;
    for (int code; (code = getopt_long(argc, words, shorts, longs, NULL)) != -1;) {
        if (code == HELP_CODE || code == 'h') {
            print_help();
            exit(cli_finish(0));
        }
        if (code == VERSION_CODE || code == 'V') {
            printf("%s %s\n%s\n", p->name, SLT_VERSION, slt_build_features());
            exit(cli_finish(0));
        }
        if (code == ':')
            cli_usage("option '%s' needs an argument", words[optind - 1]);
        if (code == '?' && optopt > 0 && optopt < 256)
            cli_usage("unknown option '-%c'", optopt);
        if (code == '?')
            refuse_option(p, words[optind - 1]);
        size_t row = (size_t)(code - ROW_CODE);
        for (size_t i = 0; code < 256 && i < p->count; i++)
            if (p->options[i].letter == code)
                row = i;
        given[row] = true;
        apply(&p->options[row], optarg);
    }
    *argv = words;
    return optind;
}

bool cli_was_given(const char *name)
{
    for (size_t i = 0; i < program->count; i++)
        if (program->options[i].kind != CLI_HEADING && strcmp(program->options[i].name, name) == 0)
            return given[i];
    return false;
}

const char *cli_one_input(char **argv, int first)
{
    if (argv[first] != NULL && argv[first + 1] != NULL)
        cli_usage("more than one input: '%s' and '%s'", argv[first], argv[first + 1]);
    return argv[first] != NULL ? argv[first] : "-";
}

const char *cli_data_and_model(struct cli_list *data, char **argv, int first)
{
    for (; argv[first] != NULL && argv[first + 1] != NULL; first++)
        add_item(data, argv[first]);
    const char *model = argv[first] != NULL ? argv[first] : "-";
    int streams = strcmp(model, "-") == 0;
    if (data->count == 0)
        cli_usage("--data is missing");
    for (size_t i = 0; i < data->count; i++)
        streams += strcmp(data->item[i], "-") == 0;
    if (streams > 1)
        cli_usage("only one of the inputs can be '-'");
    return model;
}
