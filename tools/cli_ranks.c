// Several processes that look like one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_ranks.h"

static struct slt_ranks *joined; // until they are left
static bool is_lost;

static void notice(void *user, const char *sentence)
{
    (void)user;
    cli_say("%s", sentence);
}

// Wrong usage is found by all, who leave one by one through exit.
static void leave(void)
{
    slt_ranks_close(joined);
    joined = NULL;
}

int cli_ranks_open(struct cli_ranks *r, int64_t count, slt_stop_flag *stop)
{
    static char speaker[128];
    struct slt_error err;
    const struct slt_ranks_options options = {
        .count = count, .mpi = r->mpi, .timeout = r->timeout, .stop = stop, .notice = notice};
    if (slt_ranks_open(&r->ranks, &options, &err) != 0) {
        if (err.code == SLT_ERR_RANGE)
            cli_usage("%s", err.message);
        return cli_error(&err);
    }
    joined = r->ranks;
    if (joined == NULL)
        return 0;
    atexit(leave);
    const int rank = slt_ranks_rank(joined);
    if (rank > 0) {
        snprintf(speaker, sizeof speaker, "rank %d on host %s: ", rank,
                 slt_ranks_host(joined, rank));
        cli_speak_as(speaker);
        cli_hold_messages();
    }
    return 0;
}

bool cli_ranks_speaks(const struct cli_ranks *r)
{
    return slt_ranks_rank(r->ranks) == 0;
}

void cli_ranks_check_input(const struct cli_ranks *r, const char *name)
{
    if (r->ranks != NULL && strcmp(name, "-") == 0)
        cli_usage("%d ranks cannot all read standard input: give a file", slt_ranks_size(r->ranks));
}

int cli_ranks_agree(struct cli_ranks *r, int code)
{
    struct slt_error err = {.code = code != 0 ? SLT_ERR_IO : 0};
    if (r->ranks == NULL)
        return code;
    const int rc = slt_ranks_settle(r->ranks, err.code, &err);
    // The sentence of a rank whose code is not that of the others begins with its name.
    char own[32];
    snprintf(own, sizeof own, "rank %d on", slt_ranks_rank(r->ranks));
    const bool is_first = cli_ranks_speaks(r) || strncmp(err.message, own, strlen(own)) == 0;
    cli_release_messages(rc != 0 && rc != SLT_ERR_RANKS && is_first);
    if (rc == SLT_ERR_RANKS)
        return cli_ranks_error(r, &err);
    return code != 0 ? code : rc != 0;
}

int cli_ranks_error(struct cli_ranks *r, const struct slt_error *err)
{
    is_lost = err->code == SLT_ERR_RANKS;
    if (is_lost || cli_ranks_speaks(r))
        return cli_error(err);
    return err->code == SLT_ERR_MISMATCH ? 2 : 1;
}

void cli_ranks_show(struct cli_ranks *r, const struct cli_common *common,
                    const struct slt_device *device)
{
    char text[256], mine[SLT_RANKS_TEXT];
    char(*all)[SLT_RANKS_TEXT] = NULL;
    struct slt_error err;
    const int size = slt_ranks_size(r->ranks);
    if (common->verbose == 0)
        return;
    snprintf(mine, sizeof mine, "%s", slt_device_describe(device));
    if (r->ranks == NULL) {
        cli_say("%s", mine);
        return;
    }
    if ((all = calloc((size_t)size, sizeof *all)) != NULL &&
        slt_ranks_texts(r->ranks, all, mine, &err) == 0 && cli_ranks_speaks(r)) {
        cli_say("%d ranks by %s", size, slt_ranks_describe(r->ranks, text, sizeof text));
        for (int i = 0; i < size; i++)
            cli_say("rank %d: host %s, %s", i, slt_ranks_host(r->ranks, i), all[i]);
    }
    free(all);
}

void cli_ranks_close(struct cli_ranks *r)
{
    if (is_lost)
        slt_ranks_abort(joined);
    leave();
    r->ranks = NULL;
}
