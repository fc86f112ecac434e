#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs an ONNX Runtime with support for a graphics processor below ~/.local/lib: a front for
# "darktable-ai runtime install", which verifies what it downloads and checks that it works.
#
#   install-ort-gpu.sh [--ep NAME] [-y]
#     --ep NAME   cuda12, cuda13, migraphx, rocm, openvino or webgpu; else what suits this machine
#     -y          without asking, and use it from now on
#
# The program is $DARKTABLE_AI, else the one in build/bin of this checkout, else the first on $PATH.
set -eu

name=""
answer=""
while [ $# -gt 0 ]; do
  case $1 in
    --ep) name=${2:?"install-ort-gpu.sh: --ep takes a name"}; shift ;;
    --ep=*) name=${1#--ep=} ;;
    -y | --yes) answer="--yes --use" ;;
    -h | --help) sed -n '3,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "install-ort-gpu.sh: there is no option \"$1\". See: $0 --help" >&2; exit 2 ;;
  esac
  shift
done

program=${DARKTABLE_AI:-$(dirname "$0")/../../build/bin/darktable-ai}
[ -x "$program" ] || program=$(command -v darktable-ai) || {
  echo "install-ort-gpu.sh: darktable-ai is not here. Build it with make, or install it, then try again." >&2
  exit 1
}
# shellcheck disable=SC2086 # none of these words has a space in it
exec "$program" runtime install $answer $name
