// How the threads of a program wait for each other.
//
// libgomp lets them spin for milliseconds before they sleep. Where another program wants the same
// cores, even one of them, each of the many short waits of a training step then costs a time slice:
// two runs side by side take fifty times as long as one. A short spin costs a few per cent alone
// and next to nothing side by side. libgomp reads its environment before main, so that a program
// has to start itself once more to change it.
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

void cli_spin_little(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") != NULL || getenv("OMP_WAIT_POLICY") != NULL ||
        setenv("GOMP_SPINCOUNT", "1000", 0) != 0)
        return;
    execv("/proc/self/exe", argv); // where that is not to be had, things stay as they are
}
