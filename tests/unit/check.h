// The unit tests' few macros: CHECK counts and reports, TEST_END prints "N passed, N failed" and
// sets the exit status.
#ifndef SLT_TESTS_CHECK_H
#define SLT_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

static int check_passed, check_failed;

// Counts one check; on failure prints place, expression and the printf-style message that follows.
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (condition) {                                                                           \
            check_passed++;                                                                        \
        } else {                                                                                   \
            check_failed++;                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, "" __VA_ARGS__);                                                       \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

// A call that must return 0; err is the struct slt_error it fills.
#define CHECK_OK(call, err) CHECK((call) == 0, "%s", (err).message)

#define TEST_END() (printf("%d passed, %d failed\n", check_passed, check_failed), check_failed != 0)

#endif
