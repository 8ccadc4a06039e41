// What every tool shares: options from one table, messages, signals, streams and reports, so that
// all tools keep the same contract (slt(7)).
#ifndef SLT_TOOLS_CLI_H
#define SLT_TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"
#include "slt/estimate.h"
#include "slt/plan.h"
#include "slt/stream.h"
#include "slt/train.h"

// ---- Options (cli_options.c) ----

enum cli_kind {
    CLI_FLAG,    // bool: set to true
    CLI_CLEAR,   // bool: set to false
    CLI_COUNT,   // int: raised by one
    CLI_TEXT,    // const char *
    CLI_LIST,    // struct cli_list: one more each time
    CLI_WHOLE,   // int64_t in [min, max], with suffixes K M G Ki Mi Gi
    CLI_REAL,    // double in [min, max]
    CLI_SECONDS, // double: a duration such as 90, 15m, 2h
    CLI_CHOICE,  // int: the position of the text among "a|b|c"
    CLI_WORD,    // const char *: one of "a|b|c"; "d:N" stands for d: and any text
    CLI_SCALES,  // double for each of "a|b|c", in [min, max]; the text is "b=2,c=0.5"
    CLI_HEADING, // no option: help is a line of --help above those that follow
};

// What --device takes (slt/device.h).
#define CLI_DEVICES "auto|cpu|cpu:ISA|cpu-reference|cuda|cuda:N"

struct cli_option {
    const char *name; // without the dashes
    int letter;       // 0: none
    enum cli_kind kind;
    void *target;
    const char
        *arg; // name of the argument in --help, NULL for flags; of a choice and of scales: "a|b|c"
    double min, max; // CLI_WHOLE, CLI_REAL, CLI_SCALES
    const char *help;
};

#define CLI_MAX_OPTIONS 96 // of a program

// Appends more rows to the count that are there; returns the new count.
size_t cli_add_options(struct cli_option *rows, size_t count, const struct cli_option *more,
                       size_t more_count);

// The options that are nearest to a word that is none, as a list: "--lr" for --learning-rate. Empty
// if none is near (cli_suggest.c).
void cli_suggest(char *text, size_t size, const char *word, const struct cli_option *options,
                 size_t count);

struct cli_list {
    const char **item; // (count): allocated, the caller's to free
    size_t count;
};

struct cli_common {
    const char *output; // -o: "-" by default
    int verbose;        // -v
    bool quiet;         // -q
};

// The rows that every tool has.
#define CLI_COMMON(common)                                                                         \
    {"output", 'o', CLI_TEXT, &(common)->output, "FILE", 0, 0, "write to FILE instead of stdout"}, \
        {"quiet", 'q', CLI_FLAG, &(common)->quiet, NULL, 0, 0, "say nothing but errors"},          \
    {                                                                                              \
        "verbose", 'v', CLI_COUNT, &(common)->verbose, NULL, 0, 0, "say more on stderr"            \
    }

struct cli_program {
    const char *name;     // "slt-init"
    const char *synopsis; // what follows the name, as in the manual page
    const char *summary;  // one sentence
    const struct cli_option *options;
    size_t count;
};

// Parses the command line. @FILE is replaced by the words in FILE. Handles --help and --version
// (which exit 0) and wrong usage (which exits 2). Returns the index of the first operand in *argv,
// which may have been replaced.
int cli_parse(const struct cli_program *program, int argc, char ***argv);
// Whether the command line had the option of this name.
bool cli_was_given(const char *name);
// "slt-x: <sentence>" and "Try 'slt-x --help'." on stderr; exits 2.
_Noreturn void cli_usage(const char *format, ...) SLT_PRINTF(1, 2);
// The operand at index first, or "-" if there is none; more than one is wrong usage.
const char *cli_one_input(char **argv, int first);
// The operands from index first on: the last one is the model, which is returned ("-" if there is
// none); those before it are further items of data, so that an unquoted pattern of the shell after
// --data names all files. There must be data, and one "-" in all at most; else wrong usage.
const char *cli_data_and_model(struct cli_list *data, char **argv, int first);

// ---- Threads (cli_threads.c) ----

// Makes OpenMP's threads sleep soon when they wait, unless the environment says how (GOMP_SPINCOUNT
// or OMP_WAIT_POLICY): starts the program again with the environment that does it. cli_parse calls
// it first of all.
void cli_spin_little(char **argv);

// ---- Messages (cli_message.c) ----

extern const char *cli_name; // the program's name, for messages

// "slt-x: <sentence>" on stderr.
void cli_say(const char *format, ...) SLT_PRINTF(1, 2);
// Of several processes that do one job, all but the first name themselves, and keep what they say
// until it is known whether the first one says it too.
void cli_speak_as(const char *who);
void cli_hold_messages(void);
void cli_release_messages(bool print);
// Says a sentence only if it is kept.
void cli_keep(const char *sentence);
// The sentence of an error; returns the exit code that fits it: 2 for SLT_ERR_MISMATCH, else 1.
int cli_error(const struct slt_error *err);

// ---- Token files (cli_tokens.c) ----

// Opens token files, in this order, as one: each item is a name, - for stdin, or stands for all
// that match it as a shell pattern, in the order of their names. 0 or an exit code with the message
// printed.
int cli_open_tokens(struct slt_tokens **tokens, const struct cli_list *names, slt_stop_flag *stop);
// A note on stderr where the documents of the files end with another token than the model's.
void cli_compare_ends(const struct slt_tokens *tokens, const struct slt_config *config);
// A path that the program will write (NULL and "-" are none): wrong usage if it is one of them.
void cli_keep_from_tokens(const char *option, const char *path);

// ---- Inputs that are read twice (cli_spool.c) ----

// What is no regular file is copied into temporary files first, which are removed at the end.
struct cli_spool {
    const char **paths; // (count): the inputs, or their copies
    char **copies;      // (count): NULL where the input itself can be read again
    size_t count;
};
// paths ends with NULL. 0 or an exit code with the message printed; remove also after a failure.
int cli_spool_inputs(struct cli_spool *spool, char **paths, slt_stop_flag *stop);
void cli_spool_remove(struct cli_spool *spool);

// ---- Memory (cli_fit.c) ----

// Whether the device has the memory of a plan; SLT_ERR_MEMORY with what is needed for what.
int cli_check_fit(const struct slt_device *device, const struct slt_plan *plan,
                  struct slt_error *err);
// One line on stderr: options that would make it fit, or what all that save memory come to.
void cli_hint_savings(struct slt_device *device, const struct slt_config *config,
                      struct slt_train_options options);

// ---- Signals (cli_signal.c) ----

// Installs handlers for SIGINT, SIGTERM, SIGHUP and SIGPIPE that set a flag (a second one of the
// first three ends the program at once), and for SIGUSR1, which asks for a progress line. Ignored
// ones stay ignored.
slt_stop_flag *cli_catch_signals(void);
// True once after each SIGUSR1.
bool cli_progress_asked(void);
// If a signal was caught, ends the program by it; else returns code after stdout is flushed and
// closed, 1 if that failed.
int cli_finish(int code);

// ---- Streams (cli_stream.c) ----

// Opens the input; refuses binary from a terminal (exit 2). 0 or an exit code with the message
// printed.
int cli_open_input(struct slt_input **in, const char *path, slt_stop_flag *stop);
// The same for a model: a checkpoint, or a Hugging Face directory, which is read as the checkpoint
// that slt-convert would make of it. quiet: without notes on stderr (cli_checkpoint.c).
int cli_open_model(struct slt_input **in, const char *path, bool quiet, slt_stop_flag *stop);
// Opens an output for binary data; refuses a terminal (exit 2).
int cli_open_binary_output(struct slt_output **out, const char *path, slt_stop_flag *stop);
// Two outputs, or an output and what is read meanwhile, must not be one file: wrong usage (exit 2).
// NULL and "-" are no files. what and other are option names or "the input".
void cli_keep_apart(const char *what, const char *path, const char *other, const char *other_path);
// Publishes on success (code 0), else abandons; returns the exit code.
int cli_close_output(struct slt_output *out, int code);

// ---- Reports (cli_report.c) ----

// name<TAB>value lines, or one JSON object at the end.
struct cli_report;
int cli_report_open(struct cli_report **report, const char *path, bool json, slt_stop_flag *stop);
void cli_report_text(struct cli_report *report, const char *name, const char *value);
void cli_report_whole(struct cli_report *report, const char *name, int64_t value);
void cli_report_real(struct cli_report *report, const char *name, double value); // NaN: "nan", null
// parameters, the bytes of each region by its name, and their total.
void cli_report_plan(struct cli_report *report, const struct slt_plan *plan);
// What a step of so many tokens is predicted to take on each GPU that there are numbers of, in
// milliseconds and by parts, with its tokens per second and their share of the peak; flops: of a
// token, by the model. ranks: that share it, exchange: seconds in which they send each other what
// they do, which the backward pass of the last micro-batch can hide.
void cli_report_times(struct cli_report *report, const struct slt_work *work, double flops,
                      int64_t tokens, int64_t ranks, double exchange);
// Writes what is left and publishes if code is 0; returns the exit code.
int cli_report_close(struct cli_report *report, int code);

// ---- Progress (cli_progress.c) ----

// Prints a line on stderr: rewritten in place on a terminal (unless quiet), else a plain line at
// most every ten seconds with -v, and one whenever SIGUSR1 asked for it.
struct cli_progress {
    bool terminal, quiet, verbose;
    double last; // when the last line was printed
    int width;   // of the line that stands on the terminal
};
void cli_progress_start(struct cli_progress *progress, const struct cli_common *common);
// Whether a line would be printed now: ask before making an expensive one.
bool cli_progress_due(struct cli_progress *progress);
void cli_progress_line(struct cli_progress *progress, const char *format, ...) SLT_PRINTF(2, 3);
// Clears the line on a terminal, so that other messages can follow.
void cli_progress_clear(struct cli_progress *progress);

#endif
