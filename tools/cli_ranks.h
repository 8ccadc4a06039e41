// Tools that several processes run together: joining, one voice, and ending as one.
#ifndef SLT_TOOLS_CLI_RANKS_H
#define SLT_TOOLS_CLI_RANKS_H

#include "cli.h"
#include "slt/ranks.h"

struct cli_ranks {
    struct slt_ranks *ranks; // NULL: this process alone
    const char *mpi;         // --mpi
    double timeout;          // --timeout
};

// clang-format off
#define CLI_RANKS(r)                                                                               \
    {"mpi", 0, CLI_WORD, &(r)->mpi, "openmpi|mpich", 0, 0,                                         \
     "which MPI joins them (the launcher's)"},                                                     \
    {"timeout", 0, CLI_SECONDS, &(r)->timeout, "TIME", 0, 0,                                       \
     "give up on a rank that is silent for TIME (10m, or ten of the slowest steps)"}
// clang-format on

// What a program that they share works on: all of it is opened before any of it begins.
struct cli_inputs {
    struct slt_tokens *tokens;
    struct slt_checkpoint_reader *reader;
    struct slt_device *device;
};

struct cli_shared {
    int64_t count;     // processes that there must be, 0: as many as the launcher says
    const char *model; // the operand, which several ranks cannot read from standard input
    const struct cli_common *common;
    void *user; // for both of these, which return an exit code with the message printed:
    int (*open)(void *user, struct cli_inputs *in, slt_stop_flag *stop);
    int (*run)(void *user, const struct cli_inputs *in, slt_stop_flag *stop); // all have opened
};

// A program from joining the others to leaving them; after SLT_ERR_RANKS it ends there. Ranks other
// than 0 keep their messages to themselves until all have opened what they need; with -v it is said
// who is where, and on what device. Returns the exit code.
int cli_ranks_run(struct cli_ranks *r, const struct cli_shared *program, slt_stop_flag *stop);

// The device of this process, which has its part of its host's cores, or a GPU of its own. Returns an
// exit code with the message printed.
int cli_ranks_device(const struct cli_ranks *r, struct slt_device **device, const char *name,
                     int64_t threads);

// Whether this process speaks for all.
bool cli_ranks_speaks(const struct cli_ranks *r);
// Whether all ranks are ready; code is this one's exit code. The lowest rank that is not is heard.
int cli_ranks_agree(struct cli_ranks *r, int code);
// The error that all ranks have, said once.
int cli_ranks_error(struct cli_ranks *r, const struct slt_error *err);

#endif
