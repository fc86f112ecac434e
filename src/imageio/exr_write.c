/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes OpenEXR: scan lines of half or float in linear light, compressed with ZIP (lossless, sixteen rows at a time),
 * with the chromaticities and what other attributes there are. */
#include "imageio/exr_internal.h"

#include "common/half.h"

#include <math.h>
#include <string.h>

/** The greatest half; what is brighter would become infinite. */
#define MAX_HALF 65504.0f

typedef struct _exr_t
{
  dt_encoder_t encoder;
  dt_part_t *part;
  exr_context_t file;
  exr_encode_pipeline_t pipeline;
  gboolean has_pipeline;
  int width, height, channels;
  gboolean half;
  size_t sample_size;
  int rows;         ///< of a chunk
  int first, count; ///< of those that wait in the planes
  uint8_t *planes;  ///< of one chunk, one channel after the other
  float *plane_row;
  char message[160];
} _exr_t;

// --- The library's way to us

static int64_t _write_bytes(exr_const_context_t file, void *user, const void *buffer, uint64_t size,
                            uint64_t offset, exr_stream_error_func_ptr_t fail)
{
  _exr_t *self = user;
  (void)file, (void)fail;
  return dt_part_write(self->part, offset, buffer, (size_t)size) ? (int64_t)size : -1;
}

static void _keep_message(exr_const_context_t file, exr_result_t code, const char *text)
{
  void *user = NULL;
  (void)code;
  if(file) exr_get_user_data(file, &user);
  _exr_t *self = user;
  if(self && !*self->message) g_strlcpy(self->message, text, sizeof(self->message));
}

static gboolean _fail(const _exr_t *self, GError **error)
{
  dt_part_set_error(self->part, *self->message ? self->message : "the OpenEXR library gave no reason", error);
  return FALSE;
}

// --- Chunks

/** Channels stand in the order of their names: A, B, G, R. */
static const char *_name_channel(int channels, int c)
{
  static const char *const grey[] = { "Y", "A" }, *const colour[] = { "R", "G", "B", "A" };
  return channels < DT_ROW_RGB ? grey[c] : colour[c];
}

static uint8_t *_get_plane(const _exr_t *self, int c)
{
  return self->planes + (size_t)c * (size_t)self->rows * (size_t)self->width * self->sample_size;
}

static void _aim(_exr_t *self)
{
  for(int i = 0; i < self->pipeline.channel_count; i++)
  {
    exr_coding_channel_info_t *channel = &self->pipeline.channels[i];
    for(int c = 0; c < self->channels; c++)
      if(strcmp(channel->channel_name, _name_channel(self->channels, c)) == 0)
        channel->encode_from_ptr = _get_plane(self, c);
    channel->user_bytes_per_element = (int16_t)self->sample_size;
    channel->user_data_type = self->half ? EXR_PIXEL_HALF : EXR_PIXEL_FLOAT;
    channel->user_pixel_stride = (int32_t)self->sample_size;
    channel->user_line_stride = self->width * (int32_t)self->sample_size;
  }
}

static gboolean _write_chunk(_exr_t *self)
{
  exr_chunk_info_t info = { 0 };
  if(exr_write_scanline_chunk_info(self->file, 0, self->first, &info) != EXR_ERR_SUCCESS) return FALSE;
  if(self->has_pipeline)
  {
    if(exr_encoding_update(self->file, 0, &info, &self->pipeline) != EXR_ERR_SUCCESS) return FALSE;
    _aim(self);
  }
  else
  {
    if(exr_encoding_initialize(self->file, 0, &info, &self->pipeline) != EXR_ERR_SUCCESS) return FALSE;
    self->has_pipeline = TRUE;
    _aim(self);
    if(exr_encoding_choose_default_routines(self->file, 0, &self->pipeline) != EXR_ERR_SUCCESS) return FALSE;
  }
  self->first += self->count;
  self->count = 0;
  return exr_encoding_run(self->file, 0, &self->pipeline) == EXR_ERR_SUCCESS && dt_part_is_fine(self->part);
}

static void _store_half(float *row, uint16_t *plane, int width)
{
  for(int x = 0; x < width; x++)
    if(isfinite(row[x])) row[x] = CLAMP(row[x], -MAX_HALF, MAX_HALF);
  dt_float_to_half(row, plane, (size_t)width);
}

static gboolean _write_row(dt_encoder_t *encoder, void *data, GError **error)
{
  _exr_t *self = (_exr_t *)encoder;
  const float *row = data;
  const size_t at = (size_t)self->count * (size_t)self->width * self->sample_size;
  for(int c = 0; c < self->channels; c++)
  {
    for(int x = 0; x < self->width; x++)
      self->plane_row[x] = row[(size_t)x * (size_t)self->channels + (size_t)c];
    if(self->half)
      _store_half(self->plane_row, (uint16_t *)(void *)(_get_plane(self, c) + at), self->width);
    else
      memcpy(_get_plane(self, c) + at, self->plane_row, (size_t)self->width * sizeof(float));
  }
  self->count++;
  if(self->count < self->rows && self->first + self->count < self->height) return TRUE;
  return _write_chunk(self) || _fail(self, error);
}

static gboolean _finish(dt_encoder_t *encoder, GError **error)
{
  _exr_t *self = (_exr_t *)encoder;
  if(self->has_pipeline) exr_encoding_destroy(self->file, &self->pipeline);
  self->has_pipeline = FALSE;
  const exr_result_t result = exr_finish(&self->file); // writes the table of chunks
  self->file = NULL;
  return (result == EXR_ERR_SUCCESS && dt_part_is_fine(self->part)) || _fail(self, error);
}

static void _destroy(dt_encoder_t *encoder)
{
  _exr_t *self = (_exr_t *)encoder;
  if(self->has_pipeline) exr_encoding_destroy(self->file, &self->pipeline);
  if(self->file) exr_finish(&self->file);
  g_free(self->planes);
  g_free(self->plane_row);
  g_free(self);
}

// --- Creating

static gboolean _describe(_exr_t *self, const dt_encode_spec_t *spec)
{
  int part;
  const exr_pixel_type_t type = self->half ? EXR_PIXEL_HALF : EXR_PIXEL_FLOAT;
  if(exr_add_part(self->file, NULL, EXR_STORAGE_SCANLINE, &part) != EXR_ERR_SUCCESS
     || exr_initialize_required_attr_simple(self->file, part, spec->width, spec->height, EXR_COMPRESSION_ZIP)
            != EXR_ERR_SUCCESS)
    return FALSE;
  for(int c = 0; c < spec->channels; c++)
    if(exr_add_channel(self->file, part, _name_channel(spec->channels, c), type, EXR_PERCEPTUALLY_LOGARITHMIC,
                       1, 1)
       != EXR_ERR_SUCCESS)
      return FALSE;
  dt_exr_write_attributes(self->file, part, spec);
  return TRUE;
}

static gboolean _open(_exr_t *self, const dt_encode_spec_t *spec)
{
  exr_context_initializer_t init = EXR_DEFAULT_CONTEXT_INITIALIZER;
  init.error_handler_fn = _keep_message;
  init.user_data = self;
  init.write_fn = _write_bytes;
  init.max_image_width = init.max_image_height = DT_IMAGEIO_MAX_SIDE;
  int32_t rows = 0;
  if(exr_start_write(&self->file, spec->name, EXR_WRITE_FILE_DIRECTLY, &init) != EXR_ERR_SUCCESS
     || !_describe(self, spec) || exr_write_header(self->file) != EXR_ERR_SUCCESS
     || exr_get_scanlines_per_chunk(self->file, 0, &rows) != EXR_ERR_SUCCESS || rows < 1)
    return FALSE;
  self->rows = rows;
  return TRUE;
}

dt_encoder_t *dt_exr_encoder_create(const dt_encode_spec_t *spec, GError **error)
{
  _exr_t *self = g_new0(_exr_t, 1);
  self->encoder = (dt_encoder_t){ .write_row = _write_row, .finish = _finish, .destroy = _destroy };
  self->part = spec->part;
  self->width = spec->width;
  self->height = spec->height;
  self->channels = spec->channels;
  self->half = spec->sample == DT_SAMPLE_F16;
  self->sample_size = dt_sample_size(spec->sample);
  if(!_open(self, spec))
  {
    _fail(self, error);
    _destroy(&self->encoder);
    return NULL;
  }
  const size_t planes = (size_t)self->rows * (size_t)self->width * (size_t)self->channels * self->sample_size;
  self->planes = g_malloc0(planes);
  self->plane_row = g_new(float, self->width);
  // the library packs a chunk, compresses it, and has a scratch buffer as large
  self->encoder.memory = sizeof(*self) + 5 * planes + (size_t)spec->height * sizeof(uint64_t);
  return &self->encoder;
}
