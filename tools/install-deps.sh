#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs what is missing from the distribution's packages: as root, or with sudo when it asks for no
# password; otherwise prints the one command to run and fails.
#
#   install-deps.sh GROUP…      groups: build test demo lint clients developers
set -eu

build="build-essential cmake ninja-build pkg-config git libglib2.0-dev libjson-glib-dev libtiff-dev
  libpng-dev libjpeg-dev liblcms2-dev libdeflate-dev libarchive-dev libcurl4-openssl-dev
  libopenexr-dev libjxl-dev libheif-dev libwebp-dev libraw-dev opencl-c-headers
  debian-archive-keyring python3"
test="libcmocka-dev libgexiv2-dev strace binutils g++ dcraw libraw-bin libimage-exiftool-perl
  ocl-icd-libopencl1 pocl-opencl-icd"
developers="darktable rawtherapee"
demo="mate-backgrounds"
lint="clang-format clang-tidy cppcheck clang-14 libclang-rt-14-dev"

wanted=""
for group in "$@"; do
  case $group in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    demo) wanted="$wanted $demo" ;;
    clients) wanted="$wanted python3-pip npm" ;; # each fetches ONNX Runtime from a registry of its own
    developers) wanted="$wanted $developers" ;; # of raws, that read what is written here
    lint) wanted="$wanted $lint" ;;
    *) echo "install-deps.sh: there is no group \"$group\"" >&2; exit 2 ;;
  esac
done

# the bundled runtime comes through pip or npm; one of them is enough
if ! python3 -m pip --version >/dev/null 2>&1 && ! command -v npm >/dev/null 2>&1; then
  wanted="$wanted python3-pip"
fi

command -v dpkg-query >/dev/null 2>&1 || {
  echo "This is no Debian-like system; install the equivalents of these packages yourself:" $wanted >&2
  exit 0
}

is_installed() {
  # a package, or another one that provides it
  dpkg-query -W -f '${Status}\n${Provides}\n' "$1" 2>/dev/null | grep -q '^install ok installed'
}
missing=""
for package in $wanted; do
  is_installed "$package" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo"
else
  echo "These packages are missing. Run this once, then try again:" >&2
  echo "  sudo apt-get install --no-install-recommends$missing" >&2
  exit 1
fi

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
install() {
  $as_root apt-get install -qq -y --no-install-recommends $missing >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# the package lists may be old, or absent on a new machine
install || { $as_root apt-get update -qq && install; } || { cat "$log" >&2; exit 1; }
