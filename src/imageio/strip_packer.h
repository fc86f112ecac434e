/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Compresses the strips of a TIFF, or its tiles, beside the thread that produces them.
 *
 * Strips are handed in and come out in order. A fixed ring of slots bounds the memory: while rows
 * still arrive, one thread in the background compresses, or as many as are asked for; when the ring is full, the
 * producer helps; at the end all cores do. The bytes do not depend on who compressed what.
 */
#ifndef DT_IMAGEIO_STRIP_PACKER_H
#define DT_IMAGEIO_STRIP_PACKER_H

#include "imageio/imageio_internal.h"

/** What is done to the samples of a strip before it is deflated. */
typedef enum dt_predictor_t
{
  DT_PREDICTOR_NONE = 1, ///< the numbers are TIFF's
  DT_PREDICTOR_HORIZONTAL = 2,
  DT_PREDICTOR_FLOAT = 3,
} dt_predictor_t;

/** Appends the compressed samples of a strip to @p out; called from any thread. */
typedef void (*dt_strip_encoder_t)(void *user, const void *data, size_t size, GByteArray *out);

typedef struct dt_strip_shape_t
{
  size_t row_bytes;
  size_t strip_bytes; ///< of a full strip: whole rows
  int channels;
  dt_sample_t sample; ///< U8, U16, F16 or F32
  dt_predictor_t predictor;
  dt_strip_encoder_t encode; ///< NULL: the predictor, then deflate
  int threads;               ///< 0: one while rows arrive, every core at the end; else as many always
} dt_strip_shape_t;

/** Takes a finished strip; called from the producer's thread only, in order. */
typedef gboolean (*dt_strip_writer_t)(void *user, const void *data, size_t size);

typedef struct dt_strip_packer_t dt_strip_packer_t;

dt_strip_packer_t *dt_strip_packer_create(const dt_strip_shape_t *shape, dt_strip_writer_t write, void *user);
/** Bytes the packer holds. */
size_t dt_strip_packer_memory(const dt_strip_packer_t *packer);
/** The buffer for the next strip, of strip_bytes bytes; waits for a free one. NULL when a strip
 * could not be written. */
void *dt_strip_packer_begin(dt_strip_packer_t *packer);
/** Hands the buffer of dt_strip_packer_begin() over, filled with @p size bytes. */
void dt_strip_packer_submit(dt_strip_packer_t *packer, size_t size);
/** Compresses and writes everything that is left; FALSE when a strip could not be written. */
gboolean dt_strip_packer_finish(dt_strip_packer_t *packer);
/** Frees the packer; strips that were not written are dropped. NULL is fine. */
void dt_strip_packer_destroy(dt_strip_packer_t *packer);

#endif
