/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_CACHE_DIR_H
#define GLET_CUDA_CACHE_DIR_H

/*
 * The folder in which choices of library plans outlive the process, made where it is missing:
 * $GPULET_CACHE_DIR; else what systemd's CacheDirectory= gives, $CACHE_DIRECTORY; else
 * $XDG_CACHE_HOME/gpulet; else $HOME/.cache/gpulet. False where there is none that can be written.
 */

#include <stdbool.h>

bool glet_cuda_cache_dir(char path[4096]);

#endif
