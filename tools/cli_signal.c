// Signals: the first one asks to stop, the tool cleans up and then ends by that very signal.
//
// Handlers run on a stack of their own: the generated code of oneDNN's products uses the stack
// pointer in ways that a signal's frame, which AVX-512 makes large, would overwrite memory by. The
// library's worker threads take no signals at all (kernels/cpu/memory.c).
#include <signal.h>
#include <stdio.h>

#include "cli.h"

static volatile sig_atomic_t caught;   // the signal that asked to stop, 0 if none
static volatile sig_atomic_t progress; // SIGUSR1 came
static unsigned char handler_stack[1 << 16];

static void on_stop(int number)
{
    if (caught != 0 && number != SIGPIPE) {
        signal(number, SIG_DFL);
        raise(number);
    }
    caught = number;
}

static void on_usr1(int number)
{
    (void)number;
    progress = 1;
}

slt_stop_flag *cli_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction old, stop = {.sa_handler = on_stop}, usr1 = {.sa_handler = on_usr1};
    const stack_t own = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    sigaltstack(&own, NULL);
    sigemptyset(&stop.sa_mask);
    sigemptyset(&usr1.sa_mask);
    // No SA_RESTART for stops: a blocked read or write has to come back.
    stop.sa_flags = SA_ONSTACK;
    usr1.sa_flags = SA_RESTART | SA_ONSTACK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &stop, NULL);
    sigaction(SIGUSR1, &usr1, NULL);
    return &caught;
}

bool cli_progress_asked(void)
{
    const bool asked = progress != 0;
    progress = 0;
    return asked;
}

int cli_finish(int code)
{
    const int number = caught;
    if (number != 0 && code != 0) {
        signal(number, SIG_DFL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, number);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        raise(number);
    }
    const bool failed = ferror(stdout) != 0;
    if ((fclose(stdout) != 0 || failed) && code == 0) {
        cli_say("cannot write to <stdout>");
        return 1;
    }
    return code;
}
