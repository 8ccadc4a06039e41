// The version of libslt and of the formats it writes.
#ifndef SLT_VERSION_H
#define SLT_VERSION_H

#include "slt/error.h"

#define SLT_VERSION "0.1.0"

// One line for --version: compiler, oneDNN, SentencePiece, libarchive, CUDA ("none" when built
// without).
SLT_API const char *slt_build_features(void);

#endif
