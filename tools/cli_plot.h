// Pictures: grey maps of matrices as PGM, and figures that gnuplot draws.
#ifndef SLT_TOOLS_CLI_PLOT_H
#define SLT_TOOLS_CLI_PLOT_H

#include <stdio.h>

#include "cli.h"

#define CLI_MAP_SIDE 512 // the most pixels of a map's side

// Magnitudes of a matrix, averaged over cells of at least one element.
struct cli_map {
    int64_t rows, cols; // of the matrix
    int height, width;  // in cells
    float *value;       // (height, width)
};
// 0, or an exit code with the message printed.
int cli_map_make(struct cli_map *map, const float *x, int64_t rows, int64_t cols);
void cli_map_free(struct cli_map *map);
// Writes DIR/NAME.WHAT.pgm, white being the magnitude top.
int cli_map_write(const struct cli_map *map, const char *dir, const char *name, const char *what,
                  double top, slt_stop_flag *stop);

// After the last picture: forgets them, or removes them all, as after an input that proved damaged.
void cli_pictures_end(bool keep);

// Whether gnuplot can be run and its figures written into the folder; says so if not. 0 or an exit
// code.
int cli_gnuplot_check(const char *dir);
// Starts gnuplot on DIR/NAME.WHAT.KIND, kind being svg or png: the caller writes commands and
// inline data to it. NULL with the message printed if that fails.
FILE *cli_gnuplot_start(const char *dir, const char *name, const char *what, const char *kind);
// Waits for it. 0 or an exit code with the message printed.
int cli_gnuplot_finish(FILE *plot);

#endif
