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

#define CLI_RANKS(r)                                                                               \
    {                                                                                              \
        "mpi",           0, CLI_WORD, &(r)->mpi,                                                   \
        "openmpi|mpich", 0, 0,        "which MPI joins them (the launcher's)"},                    \
    {                                                                                              \
        "timeout", 0, CLI_SECONDS, &(r)->timeout, "TIME", 0, 0,                                    \
            "give up on a rank that is silent for TIME (10m, or ten of the slowest steps)"         \
    }

// Joins the other processes, count of them or, for 0, as many as the launcher says. 0 or an exit
// code with the message printed. From here on ranks other than 0 keep their messages to themselves
// until cli_ranks_agree.
int cli_ranks_open(struct cli_ranks *r, int64_t count, slt_stop_flag *stop);
// Whether this process speaks for all.
bool cli_ranks_speaks(const struct cli_ranks *r);
// What several processes cannot all read: wrong usage if it is one.
void cli_ranks_check_input(const struct cli_ranks *r, const char *name);
// Whether all ranks are ready; code is this one's exit code. The lowest rank that is not is heard.
int cli_ranks_agree(struct cli_ranks *r, int code);
// The error that all ranks have, said once.
int cli_ranks_error(struct cli_ranks *r, const struct slt_error *err);
// With -v: who is where, and on what device. 0 or an exit code.
int cli_ranks_show(struct cli_ranks *r, const struct cli_common *common,
                   const struct slt_device *device);
// Leaves the others; does not return after SLT_ERR_RANKS, here or before.
void cli_ranks_close(struct cli_ranks *r);

#endif
