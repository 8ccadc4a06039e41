// The plugin for MPI: compiled once for each implementation whose compiler is there, since their
// binary interfaces differ. It uses nothing of libslt.
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "ranks/plugin.h"

#ifndef SLT_MPI_NAME
#error "SLT_MPI_NAME names the implementation"
#endif

static MPI_Comm all;

static int fail(int code, char *reason, size_t size)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
        snprintf(text, sizeof text, "error %d", code);
    snprintf(reason, size, "%s", text);
    return -1;
}

static int start(struct slt_ranks_place *place, char *reason, size_t size)
{
    MPI_Comm local;
    int code, level;
    if ((code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level)) != MPI_SUCCESS ||
        (code = MPI_Comm_dup(MPI_COMM_WORLD, &all)) != MPI_SUCCESS ||
        (code = MPI_Comm_set_errhandler(all, MPI_ERRORS_RETURN)) != MPI_SUCCESS ||
        (code = MPI_Comm_rank(all, &place->rank)) != MPI_SUCCESS ||
        (code = MPI_Comm_size(all, &place->size)) != MPI_SUCCESS ||
        (code = MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local)) !=
            MPI_SUCCESS ||
        (code = MPI_Comm_rank(local, &place->local_rank)) != MPI_SUCCESS ||
        (code = MPI_Comm_size(local, &place->local_size)) != MPI_SUCCESS ||
        (code = MPI_Comm_free(&local)) != MPI_SUCCESS)
        return fail(code, reason, size);
    return 0;
}

static void finish(void)
{
    MPI_Finalize();
}

static void end_all(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

static void describe(char *text, size_t size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, "\n,")] = '\0';
    for (char *c = version; *c != '\0'; c++)
        *c = *c == '\t' ? ' ' : *c;
    snprintf(text, size, "%s", version);
}

_Static_assert(sizeof(MPI_Request) <= sizeof(uint64_t),
               "a request fits into the number it is kept in");

static int begun(uint64_t *request, const MPI_Request *r, int code, char *reason, size_t size)
{
    if (code != MPI_SUCCESS)
        return fail(code, reason, size);
    *request = 0;
    memcpy(request, r, sizeof *r);
    return 0;
}

static int post_send(uint64_t *request, const void *data, size_t bytes, int peer, int tag,
                     char *reason, size_t size)
{
    MPI_Request r;
    const int code = MPI_Isend(data, (int)bytes, MPI_BYTE, peer, tag, all, &r);
    return begun(request, &r, code, reason, size);
}

static int post_receive(uint64_t *request, void *data, size_t bytes, int peer, int tag,
                        char *reason, size_t size)
{
    MPI_Request r;
    const int code = MPI_Irecv(data, (int)bytes, MPI_BYTE, peer, tag, all, &r);
    return begun(request, &r, code, reason, size);
}

static int test(uint64_t *request, size_t *bytes, char *reason, size_t size)
{
    MPI_Request r;
    MPI_Status status;
    int done = 0, count = 0;
    memcpy(&r, request, sizeof r);
    int code = MPI_Test(&r, &done, &status);
    memcpy(request, &r, sizeof r);
    if (code == MPI_SUCCESS && done)
        code = MPI_Get_count(&status, MPI_BYTE, &count);
    if (code != MPI_SUCCESS)
        return fail(code, reason, size);
    *bytes = count > 0 ? (size_t)count : 0;
    return done;
}

static int probe(int *peer, int tag, char *reason, size_t size)
{
    MPI_Status status;
    int there = 0;
    const int code = MPI_Iprobe(MPI_ANY_SOURCE, tag, all, &there, &status);
    if (code != MPI_SUCCESS)
        return fail(code, reason, size);
    *peer = there ? status.MPI_SOURCE : -1;
    return there;
}

__attribute__((visibility("default"))) const struct slt_ranks_plugin *slt_ranks_plugin(void)
{
    static const struct slt_ranks_plugin plugin = {SLT_RANKS_PLUGIN_VERSION,
                                                   SLT_MPI_NAME,
                                                   start,
                                                   finish,
                                                   end_all,
                                                   describe,
                                                   post_send,
                                                   post_receive,
                                                   test,
                                                   probe};
    return &plugin;
}
