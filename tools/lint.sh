#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Everything that reads the sources without running them.
#
#   lint.sh BUILD_DIR      with its compile_commands.json
set -eu

build=$1
sources=$(git ls-files 'src/*.c' 'src/*.h' 'tools/*.c' 'bench/*.c' 'tests/*.c' 'tests/*.h' 'examples/*.c')

echo "clang-format"
clang-format --dry-run -Werror $sources

echo "cppcheck"
# memleak in exif.c: the array takes the value over, which cppcheck cannot know
cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -j "$(nproc)" \
  --enable=warning,performance,portability --suppress=missingIncludeSystem \
  --suppress=unknownMacro --suppress=uninitvar --suppress=memleak:src/imageio/exif.c --library=gtk -Isrc $(git ls-files 'src/*.c')

echo "clang-tidy"
# clang's own omp.h is not asked for: pragmas are for the compiler that builds
git ls-files 'src/*.c' |
  xargs -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" --extra-arg=-fno-openmp --extra-arg=-Wno-unknown-pragmas 2>/dev/null

echo "lint: clean"
