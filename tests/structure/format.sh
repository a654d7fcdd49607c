#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# .clang-format decides; nobody argues. usage: format.sh ROOT
cd "$1" || exit 2
format=$(command -v clang-format-14 || command -v clang-format) || { echo "no clang-format"; exit 77; }
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || { echo "not a git checkout"; exit 77; }
git ls-files '*.c' '*.h' | xargs "$format" --dry-run --Werror
