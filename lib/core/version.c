// What this library was built with, put together by the preprocessor.
#include <archive.h>
#include <jansson.h>
#include <oneapi/dnnl/dnnl_version.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>
#include <zstd.h>

#include "slt/version.h"

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

#define DNNL_TEXT TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(DNNL_VERSION_PATCH)

#define PCRE2_TEXT    TEXT(PCRE2_MAJOR) "." TEXT(PCRE2_MINOR)
#define UTF8PROC_TEXT TEXT(UTF8PROC_VERSION_MAJOR) "." TEXT(UTF8PROC_VERSION_MINOR)

const char *slt_build_features(void)
{
    // SentencePiece has no version macro, and simdjson's is for C++ alone.
    return COMPILER ", oneDNN " DNNL_TEXT ", SentencePiece, libarchive " ARCHIVE_VERSION_ONLY_STRING
                    ", zstd " ZSTD_VERSION_STRING ", simdjson, jansson " JANSSON_VERSION
                    ", PCRE2 " PCRE2_TEXT ", utf8proc " UTF8PROC_TEXT ", CUDA none";
}
