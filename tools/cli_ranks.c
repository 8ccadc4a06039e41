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

static struct cli_ranks *current; // until all are ready

// Wrong usage ends a process by exit: the others must know if that is before all are ready.
static void leave(void)
{
    if (current != NULL)
        cli_ranks_agree(current, 2);
    if (is_lost)
        slt_ranks_abort(joined);
    slt_ranks_close(joined);
    joined = NULL;
}

static int join(struct cli_ranks *r, int64_t count, slt_stop_flag *stop)
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
    current = r;
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

int cli_ranks_device(const struct cli_ranks *r, struct slt_device **device, const char *name,
                     int64_t threads)
{
    struct slt_error err;
    if (slt_device_open_turn(device, name, slt_ranks_threads(r->ranks, (int)threads),
                             slt_ranks_local_rank(r->ranks), &err) != 0)
        return cli_error(&err);
    return 0;
}

bool cli_ranks_speaks(const struct cli_ranks *r)
{
    return slt_ranks_rank(r->ranks) == 0;
}

int cli_ranks_agree(struct cli_ranks *r, int code)
{
    struct slt_error err = {.code = code != 0 ? SLT_ERR_IO : 0};
    if (r->ranks == NULL)
        return code;
    current = NULL;
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

// Who is where, and on what device.
static int show(struct cli_ranks *r, const struct cli_common *common,
                const struct slt_device *device)
{
    char text[256], mine[SLT_RANKS_TEXT];
    struct slt_error err;
    const int size = slt_ranks_size(r->ranks);
    if (common->verbose == 0)
        return 0;
    const char *place = slt_device_place(device);
    snprintf(mine, sizeof mine, "%s%s%s", slt_device_describe(device), place[0] != '\0' ? ", " : "",
             place);
    if (r->ranks == NULL) {
        cli_say("%s", mine);
        return 0;
    }
    char(*all)[SLT_RANKS_TEXT];
    const int rc = slt_ranks_texts(r->ranks, &all, mine, &err);
    if (rc == 0 && cli_ranks_speaks(r)) {
        cli_say("%d ranks by %s", size, slt_ranks_describe(r->ranks, text, sizeof text));
        for (int i = 0; i < size; i++)
            cli_say("rank %d: host %s, %s", i, slt_ranks_host(r->ranks, i), all[i]);
    }
    free(all);
    return rc == 0 ? 0 : cli_ranks_error(r, &err);
}

int cli_ranks_run(struct cli_ranks *r, const struct cli_shared *p, slt_stop_flag *stop)
{
    struct cli_inputs in = {0};
    int code = join(r, p->count, stop);
    if (code != 0)
        return code;
    if (r->ranks != NULL && strcmp(p->model, "-") == 0)
        cli_usage("%d ranks cannot all read standard input: give a file", slt_ranks_size(r->ranks));
    if ((code = cli_ranks_agree(r, p->open(p->user, &in, stop))) == 0 &&
        (code = show(r, p->common, in.device)) == 0)
        code = p->run(p->user, &in, stop);
    slt_checkpoint_close(in.reader);
    slt_tokens_close(in.tokens);
    slt_device_close(in.device);
    leave();
    r->ranks = NULL;
    return code;
}
