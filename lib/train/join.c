// Joining devices: who has which, the library that exchanges, and a name for all to meet by.
#include <stdlib.h>
#include <string.h>

#include "device/library.h"
#include "ranks/ranks.h"
#include "train/join.h"

// Two ranks on one device would wait for each other in turns, if they could be joined at all.
static int check_places(const struct slt_device *d, struct slt_ranks *ranks, struct slt_error *err)
{
    const int size = slt_ranks_size(ranks);
    char(*all)[SLT_RANKS_TEXT];
    int rc = slt_ranks_texts(ranks, &all, d->place, err);
    for (int i = 0; rc == 0 && i < size; i++)
        for (int k = 0; rc == 0 && k < i; k++)
            if (strcmp(all[i], all[k]) == 0)
                rc =
                    slt_error_set(err, SLT_ERR_DEVICE,
                                  "ranks %d and %d both have %s of host %s: start as many ranks on "
                                  "a host as it has GPUs, without a number in --device",
                                  k, i, all[i], slt_ranks_host(ranks, i));
    free(all);
    return rc;
}

static int open_nccl(const struct slt_device *d, void **handle, struct slt_error *err)
{
    struct slt_library library;
    *handle = NULL;
    if (d->ops->comm_open == NULL)
        return slt_error_set(err, SLT_ERR_DEVICE,
                             "this backend was built without NCCL, which several ranks need");
    slt_library_open(&library, "libnccl.so.2");
    *handle = library.handle;
    if (library.handle != NULL)
        return 0;
    return slt_error_set(err, SLT_ERR_DEVICE,
                         "several ranks on GPUs need NCCL (the package libnccl2 of NVIDIA): %s",
                         library.reason);
}

int slt_devices_join(const struct slt_device *d, struct slt_ranks *ranks, struct slt_error *err)
{
    char id[SLT_COMM_ID] = "";
    struct slt_comm_options options = {.rank = slt_ranks_rank(ranks),
                                       .size = slt_ranks_size(ranks),
                                       .keep_waiting = slt_ranks_keep_waiting,
                                       .user = ranks};
    if (options.size == 1 || slt_ops_on_host(d->ops))
        return 0;
    int rc = slt_ranks_settle(ranks, open_nccl(d, &options.nccl, err), err);
    if (rc != 0 || (rc = check_places(d, ranks, err)) != 0)
        return rc;
    rc = options.rank == 0 ? d->ops->comm_id(options.nccl, id, err) : 0;
    if ((rc = slt_ranks_settle(ranks, rc, err)) != 0 ||
        (rc = slt_ranks_broadcast(ranks, id, sizeof id, 0, err)) != 0)
        return rc;
    return slt_ranks_settle(ranks, d->ops->comm_open(d->ctx, id, &options, err), err);
}
