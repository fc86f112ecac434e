#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Denoises a real photograph and shows what happened: by default one with seeded camera-like noise, so that
# the gain can be measured; or PHOTO, as it is.
#
#   demo.sh BUILD_DIR [PHOTO]
set -eu

build=$1
photo=${2:-}
program=$build/bin/darktable-ai
picture=$build/bin/picture
demo=demo
mkdir -p "$demo"

# a configuration of its own: the user's stays as it is
run() { "$program" --configdir "$demo/config" --cachedir "$demo/cache" "$@"; }
run enable 2>/dev/null

if [ -n "$photo" ]; then
  [ -r "$photo" ] || { echo "PHOTO=$photo cannot be read." >&2; exit 1; }
  noisy=$photo
  clean=""
  echo "Photograph: $photo, as it is"
else
  # a picture the bundled model was not trained on
  clean=/usr/share/backgrounds/mate/nature/TwoWings.jpg
  gain=0.006 read=0.01 seed=1
  noisy=$demo/noisy.tif
  "$picture" noise "$clean" "$noisy" camera "$gain" "$read" "$seed"
  echo "Photograph: $clean"
  echo "Noise added: variance $gain·x + $read² of the linear signal x at each RGGB photosite, bilinear" \
    "demosaic, seed $seed"
fi

denoised=$demo/denoised.tif
words=$demo/words.txt
run denoise --overwrite --json -o "$denoised" "$noisy" >"$words"
# "field":value out of the one JSON object
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$words"; }
"$picture" compare "$noisy" "$denoised" "$demo/before-after.png"

echo
echo "Model:       $(field model) on $(field provider)"
echo "Time:        $(field seconds) s, $(field mp_per_s) MP/s"
echo "Peak memory: $(( $(field peak_memory) / 1048576 )) MiB"
if [ -n "$clean" ]; then
  before=$("$picture" psnr "$clean" "$noisy")
  after=$("$picture" psnr "$clean" "$denoised")
  gained=$(awk "BEGIN { printf \"%.2f\", $after - $before }")
  echo "PSNR:        $before dB noisy, $after dB denoised: $gained dB gained"
fi
echo "Result:      $denoised"
echo "Compare:     $demo/before-after.png (before | after; below: the same at 1:1)"
[ -z "$clean" ] || awk "BEGIN { exit !($gained >= 4) }" || { echo "The gain is below 4 dB." >&2; exit 1; }
