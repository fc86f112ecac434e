/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns rows of any picture into grey ones. */
#include "libs/mask_source.h"
#include "common/colour.h"
#include "imageio/imageio.h"

typedef struct _mask_t
{
  dt_row_source_t source;
  dt_imageio_reader_t *reader;
  float *row;       /* one row of the file */
  gboolean numbers; /* the file has the strengths themselves, not their code values in sRGB */
} _mask_t;

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  _mask_t *m = (_mask_t *)self;
  const int channels = m->reader->source.channels;
  const gboolean colour = DT_ROW_COLOURS(channels) == 3;
  for(int i = 0; i < n; i++)
  {
    if(!m->reader->source.read(&m->reader->source, y + i, 1, m->row, error)) return FALSE;
    float *out = rows + (size_t)i * (size_t)self->width;
    for(int x = 0; x < self->width; x++)
    {
      const float *in = m->row + (size_t)x * (size_t)channels;
      out[x] = colour ? 0.2126f * in[0] + 0.7152f * in[1] + 0.0722f * in[2] : in[0];
    }
    if(m->numbers) dt_srgb_decode(out, out, (size_t)self->width); /* who reads a mask encodes it again */
  }
  return TRUE;
}

static void _destroy(dt_row_source_t *self)
{
  _mask_t *m = (_mask_t *)self;
  dt_row_source_destroy(&m->reader->source);
  g_free(m->row);
  g_free(m);
}

dt_row_source_t *dt_mask_source_open(const char *path, GError **error)
{
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, error);
  if(!reader) return NULL;
  const dt_row_source_t *in = &reader->source;
  _mask_t *m = g_new0(_mask_t, 1);
  m->reader = reader;
  m->numbers = reader->format == DT_IMAGEIO_PFM || reader->format == DT_IMAGEIO_EXR;
  m->row = g_new(float, (gsize)in->width *(gsize)in->channels);
  m->source =
      (dt_row_source_t){ .width = in->width,
                         .height = in->height,
                         .channels = DT_ROW_GREY,
                         .space = in->space,
                         .memory = in->memory + (size_t)in->width * (size_t)in->channels * sizeof(float),
                         .read = _read,
                         .destroy = _destroy };
  return &m->source;
}

// --- Masks of a part

typedef struct _placed_t
{
  dt_row_source_t source;
  dt_row_source_t *mask;
  dt_mask_place_t place;
} _placed_t;

static gboolean _read_placed(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  const _placed_t *p = (const _placed_t *)self;
  for(int i = 0; i < n; i++, rows += self->width)
  {
    const int inside = y + i - p->place.y;
    for(int x = 0; x < self->width; x++) rows[x] = 1.0f;
    if(inside < 0 || inside >= p->place.height) continue;
    if(!p->mask->read(p->mask, inside, 1, rows + p->place.x, error)) return FALSE;
  }
  return TRUE;
}

static void _destroy_placed(dt_row_source_t *self)
{
  dt_row_source_destroy(((_placed_t *)self)->mask);
  g_free(self);
}

dt_row_source_t *dt_mask_source_place(dt_row_source_t *mask, const dt_mask_place_t *place, int width,
                                      int height)
{
  _placed_t *p = g_new0(_placed_t, 1);
  p->mask = mask;
  p->place = *place;
  p->source = *mask;
  p->source.width = width;
  p->source.height = height;
  p->source.read = _read_placed;
  p->source.destroy = _destroy_placed;
  return &p->source;
}
