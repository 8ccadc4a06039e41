// What a plugin for MPI exports (libslt-openmpi.so, libslt-mpich.so): the library's start and end,
// and messages between two processes that neither block nor copy. Everything that several processes
// do together is built of these (ranks.c, sum.c), so that a peer that does not answer can be named.
#ifndef SLT_RANKS_PLUGIN_H
#define SLT_RANKS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define SLT_RANKS_PLUGIN_VERSION 1u

// Tags of messages are below this number, which every MPI can do, their bytes below 2^31.
#define SLT_MESSAGE_TAGS 32768

struct slt_ranks_place {
    int rank, size;
    int local_rank, local_size; // among those that share this machine's memory
};

// Functions return -1 after an error of MPI, with its text in reason (size bytes).
struct slt_ranks_plugin {
    uint32_t version;
    const char *name;
    int (*start)(struct slt_ranks_place *place, char *reason, size_t size);
    // Ends MPI; every process must come here.
    void (*finish)(void);
    // Ends all processes, this one too.
    void (*abort)(int status);
    // One line for people: the library and its version.
    void (*describe)(char *text, size_t size);
    // Begins a message to or from peer; data stay untouched until test says that it is done.
    int (*send)(uint64_t *request, const void *data, size_t bytes, int peer, int tag, char *reason,
                size_t size);
    int (*receive)(uint64_t *request, void *data, size_t bytes, int peer, int tag, char *reason,
                   size_t size);
    // 1: done, *bytes have been received; 0: not yet.
    int (*test)(uint64_t *request, size_t *bytes, char *reason, size_t size);
    // 1: *peer has sent a message with this tag which nobody has begun to receive.
    int (*probe)(int *peer, int tag, char *reason, size_t size);
};

const struct slt_ranks_plugin *slt_ranks_plugin(void);

#endif
