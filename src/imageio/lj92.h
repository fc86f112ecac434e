/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Lossless JPEG (ITU-T T.81, process 14, first-order prediction), as DNG has it for samples of up to 16 bits.
 */
#ifndef DT_IMAGEIO_LJ92_H
#define DT_IMAGEIO_LJ92_H

#include <glib.h>
#include <stdint.h>

/** Compresses @p height rows of @p width × @p components interleaved samples into a whole lossless JPEG.
 *
 * The Huffman tables are made for these samples; every value of 16 bits is kept.
 *
 * @param stride      samples from row to row
 * @param width       1 to 65535, as @p height
 * @param components  1 to 4
 * @param precision   bits per sample, 2 to 16; no sample may have more
 * @param out         the JPEG is appended; it takes at most 4 GiB, and while it is made up to twice its length
 * Thread-safety: any thread, side by side. */
void dt_lj92_encode(const uint16_t *samples, size_t stride, int width, int height, int components,
                    int precision, GByteArray *out);

#endif
