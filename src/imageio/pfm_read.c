/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads PFM (portable float map): three lines of text, then rows of floats, the lowest first. Rows are read by position
 * from the end of the file towards its beginning, so that they come out from the top. The format says nothing of colour;
 * here it is linear Rec.709. */
#include "imageio/imageio_internal.h"

#include <math.h>
#include <string.h>

/** The header has no greatest length; nobody writes more than this. */
#define MAX_HEADER 256

typedef struct _pfm_t
{
  dt_decoder_t decoder;
  const dt_input_t *input;
  uint64_t start; ///< of the lowest row
  size_t row_bytes;
  gboolean swap; ///< numbers stand in the other byte order
} _pfm_t;

static gboolean _fail(const _pfm_t *self, GError **error)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                       "this PFM is truncated or damaged; copy it again from its source");
  return FALSE;
}

static void _swap_words(uint32_t *words, size_t n)
{
  for(size_t i = 0; i < n; i++) words[i] = GUINT32_SWAP_LE_BE(words[i]);
}

static gboolean _read_row(dt_decoder_t *decoder, int y, void *row, GError **error)
{
  const _pfm_t *self = (const _pfm_t *)decoder;
  const uint64_t from_below = (uint64_t)(decoder->height - 1 - y);
  if(dt_input_read(self->input, self->start + from_below * self->row_bytes, row, self->row_bytes)
     != self->row_bytes)
    return _fail(self, error);
  if(self->swap) _swap_words(row, self->row_bytes / sizeof(uint32_t));
  return TRUE;
}

static void _destroy(dt_decoder_t *decoder)
{
  g_free(decoder);
}

// --- The header

/** The next word of @p text, of at most 31 characters; NULL at its end. */
static const char *_next_word(const char *text, size_t *at, char word[32])
{
  size_t length = 0;
  while(g_ascii_isspace(text[*at])) ++*at;
  while(length < 31 && text[*at] && !g_ascii_isspace(text[*at])) word[length++] = text[(*at)++];
  word[length] = '\0';
  return length > 0 && g_ascii_isspace(text[*at]) ? word : NULL;
}

static gboolean _read_side(const char *text, size_t *at, int *side)
{
  char word[32];
  guint64 value = 0;
  if(!_next_word(text, at, word) || !g_ascii_string_to_unsigned(word, 10, 1, G_MAXINT, &value, NULL))
    return FALSE;
  *side = (int)value;
  return TRUE;
}

/** "PF" or "Pf", width, height, and a number whose sign tells the byte order; its size has no meaning that programs
 * agree on. */
static gboolean _read_header(_pfm_t *self)
{
  char text[MAX_HEADER + 1] = { 0 }, word[32], *end;
  size_t at = 2;
  dt_input_read(self->input, 0, text, MAX_HEADER);
  self->decoder.channels = text[1] == 'F' ? DT_ROW_RGB : DT_ROW_GREY;
  if(!_read_side(text, &at, &self->decoder.width) || !_read_side(text, &at, &self->decoder.height)
     || !_next_word(text, &at, word))
    return FALSE;
  const double scale = g_ascii_strtod(word, &end);
  if(*end || !isfinite(scale) || scale == 0.0) return FALSE;
  self->swap = (scale < 0.0) != (G_BYTE_ORDER == G_LITTLE_ENDIAN);
  self->start = at + 1; // one character ends the header, whatever the first float looks like
  return TRUE;
}

static gboolean _is_whole(_pfm_t *self)
{
  self->row_bytes = (size_t)self->decoder.width * (size_t)self->decoder.channels * sizeof(float);
  const uint64_t rows = (uint64_t)self->decoder.height;
  return self->start <= self->input->size && self->row_bytes <= (self->input->size - self->start) / rows;
}

dt_decoder_t *dt_pfm_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  _pfm_t *self = g_new0(_pfm_t, 1);
  self->input = input;
  self->decoder.read_row = _read_row;
  self->decoder.destroy = _destroy;
  self->decoder.bits = 32;
  self->decoder.sample = DT_SAMPLE_F32;
  self->decoder.memory = sizeof(*self);
  if(!_read_header(self) || !_is_whole(self))
  {
    _fail(self, error);
    g_free(self);
    return NULL;
  }
  metadata->icc = dt_profile_load("srgb-linear", DT_ROW_COLOURS(self->decoder.channels), NULL);
  return &self->decoder;
}
