#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Unpacks ONNX Runtime's C header from Debian's development package into FOLDER/include. Nothing is
# installed and the machine's own package lists are not touched: apt works in private folders, with
# the mirror and the keyring taken from the machine's sources.
#
#   get-onnxruntime-header.sh FOLDER
set -eu

folder=$1
suite=trixie # the release that first ships libonnxruntime-dev
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# the first Debian mirror this machine knows, whatever its own release
mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
  sed -n 's/^\([^ ]*\) Debian$/\1/p' | grep -v -e security | head -n 1)
[ -n "$mirror" ] || { echo "apt knows no Debian mirror here" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || { echo "$keyring is missing (package debian-archive-keyring)" >&2; exit 1; }

mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
apt_private() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::Languages=none \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
    -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
apt_private update
(cd "$work" && apt_private download libonnxruntime-dev)
dpkg-deb -x "$work"/libonnxruntime-dev_*.deb "$work/unpacked"
header=$(find "$work/unpacked" -name onnxruntime_c_api.h | head -n 1)
[ -n "$header" ] || { echo "libonnxruntime-dev holds no onnxruntime_c_api.h" >&2; exit 1; }
mkdir -p "$folder/include"
cp "$(dirname "$header")"/onnxruntime_*.h "$folder/include/"
