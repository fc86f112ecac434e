/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes PFM in the machine's byte order: each row at its place, which is counted from below. Nothing but pixels fits
 * into it. */
#include "imageio/metadata.h"

#include <stdio.h>
#include <string.h>

typedef struct _pfm_t
{
  dt_encoder_t encoder;
  dt_part_t *part;
  uint64_t start;
  size_t row_bytes;
  int rows_left;
} _pfm_t;

static gboolean _fail(const _pfm_t *self, GError **error)
{
  dt_part_set_error(self->part, "the file cannot be extended", error);
  return FALSE;
}

static gboolean _write_row(dt_encoder_t *encoder, void *row, GError **error)
{
  _pfm_t *self = (_pfm_t *)encoder;
  self->rows_left--;
  return dt_part_write(self->part, self->start + (uint64_t)self->rows_left * self->row_bytes, row,
                       self->row_bytes)
         || _fail(self, error);
}

static gboolean _finish(dt_encoder_t *encoder, GError **error)
{
  (void)encoder, (void)error;
  return TRUE;
}

static void _destroy(dt_encoder_t *encoder)
{
  g_free(encoder);
}

static void _note_losses(const dt_encode_spec_t *spec)
{
  const dt_metadata_t *metadata = spec->metadata;
  if(metadata->exif || metadata->xmp || metadata->iptc || metadata->orientation != 1)
    dt_metadata_note(spec, "PFM holds no metadata: EXIF, XMP, IPTC and the orientation were left out.");
}

dt_encoder_t *dt_pfm_encoder_create(const dt_encode_spec_t *spec, GError **error)
{
  char head[64];
  _pfm_t *self = g_new0(_pfm_t, 1);
  self->encoder = (dt_encoder_t){
    .memory = sizeof(*self), .write_row = _write_row, .finish = _finish, .destroy = _destroy
  };
  self->part = spec->part;
  self->row_bytes = (size_t)spec->width * (size_t)spec->channels * sizeof(float);
  self->rows_left = spec->height;
  g_snprintf(head, sizeof(head), "%s\n%d %d\n%s\n", spec->channels == DT_ROW_RGB ? "PF" : "Pf", spec->width,
             spec->height, G_BYTE_ORDER == G_LITTLE_ENDIAN ? "-1.0" : "1.0");
  self->start = strlen(head);
  _note_losses(spec);
  if(dt_part_write(self->part, 0, head, strlen(head))) return &self->encoder;
  _fail(self, error);
  _destroy(&self->encoder);
  return NULL;
}
