/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads OpenEXR: the first part of a file, RGB or Y with or without A, half and float, in scan lines or tiles and
 * whatever compression the library knows. One chunk of rows (a row of tiles) is held decoded.
 *
 * The numbers are linear light of the file's chromaticities, and colours are multiplied by alpha. Of the two windows
 * the data window is the picture. */
#include "imageio/exr_internal.h"

#include <string.h>

/** Largest chunk that is decoded, as in TIFF. */
#define MAX_CHUNK ((uint64_t)1 << 30)
#define PART 0

typedef struct _exr_t
{
  dt_decoder_t decoder;
  const dt_input_t *input;
  exr_context_t file;
  exr_decode_pipeline_t pipeline;
  gboolean has_pipeline;
  exr_attr_box2i_t window;
  const char *names[4]; ///< of the channels, in the order of a row
  gboolean tiled;
  int rows, columns; ///< of a chunk; a scan line has one chunk
  float *block;      ///< decoded rows, one channel after the other
  int first, count;  ///< which they are
  char message[160];
} _exr_t;

// --- The library's way to us

static int64_t _read_bytes(exr_const_context_t file, void *user, void *buffer, uint64_t size, uint64_t offset,
                           exr_stream_error_func_ptr_t fail)
{
  const _exr_t *self = user;
  (void)file, (void)fail;
  return (int64_t)dt_input_read(self->input, offset, buffer, (size_t)size);
}

static int64_t _get_size(exr_const_context_t file, void *user)
{
  (void)file;
  return (int64_t)((const _exr_t *)user)->input->size;
}

static void _keep_message(exr_const_context_t file, exr_result_t code, const char *text)
{
  void *user = NULL;
  (void)code;
  if(file) exr_get_user_data(file, &user);
  _exr_t *self = user;
  if(self && !*self->message) g_strlcpy(self->message, text, sizeof(self->message));
}

static gboolean _fail(const _exr_t *self, GError **error, const char *problem)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name, "%s", problem);
  return FALSE;
}

static gboolean _fail_damaged(const _exr_t *self, GError **error)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                       "this OpenEXR is truncated or damaged%s%s%s; copy it again from its source",
                       *self->message ? " (" : "", self->message, *self->message ? ")" : "");
  return FALSE;
}

// --- Chunks

static float *_get_plane(const _exr_t *self, int c)
{
  return self->block + (size_t)c * (size_t)self->rows * (size_t)self->decoder.width;
}

/** Tells the library where the samples of a chunk go that begins in column @p x of the block. Not interleaved: it mixes
 * up the channels of some pictures then (3.1.5). */
static void _aim(_exr_t *self, int x)
{
  const int channels = self->decoder.channels;
  for(int i = 0; i < self->pipeline.channel_count; i++)
  {
    exr_coding_channel_info_t *channel = &self->pipeline.channels[i];
    channel->decode_to_ptr = NULL;
    for(int c = 0; c < channels; c++)
      if(strcmp(channel->channel_name, self->names[c]) == 0)
        channel->decode_to_ptr = (uint8_t *)(_get_plane(self, c) + x);
    channel->user_bytes_per_element = sizeof(float);
    channel->user_data_type = EXR_PIXEL_FLOAT;
    channel->user_pixel_stride = (int)sizeof(float);
    channel->user_line_stride = self->decoder.width * (int)sizeof(float);
  }
}

static gboolean _decode_chunk(_exr_t *self, const exr_chunk_info_t *info, int x)
{
  if(info->width < 1 || info->width > self->decoder.width - x || info->height < 1 || info->height > self->rows
     || info->unpacked_size > MAX_CHUNK || info->packed_size > MAX_CHUNK)
    return FALSE;
  if(self->has_pipeline)
  {
    if(exr_decoding_update(self->file, PART, info, &self->pipeline) != EXR_ERR_SUCCESS) return FALSE;
    _aim(self, x);
  }
  else
  {
    if(exr_decoding_initialize(self->file, PART, info, &self->pipeline) != EXR_ERR_SUCCESS) return FALSE;
    self->has_pipeline = TRUE;
    _aim(self, x);
    if(exr_decoding_choose_default_routines(self->file, PART, &self->pipeline) != EXR_ERR_SUCCESS)
      return FALSE;
  }
  return exr_decoding_run(self->file, PART, &self->pipeline) == EXR_ERR_SUCCESS;
}

static gboolean _decode_tiles(_exr_t *self, int row)
{
  const int across = (self->decoder.width + self->columns - 1) / self->columns;
  for(int column = 0; column < across; column++)
  {
    exr_chunk_info_t info = { 0 };
    if(exr_read_tile_chunk_info(self->file, PART, column, row, 0, 0, &info) != EXR_ERR_SUCCESS
       || !_decode_chunk(self, &info, column * self->columns))
      return FALSE;
  }
  self->first = row * self->rows;
  return TRUE;
}

static gboolean _decode_lines(_exr_t *self, int y)
{
  exr_chunk_info_t info = { 0 };
  if(exr_read_scanline_chunk_info(self->file, PART, self->window.min.y + y, &info) != EXR_ERR_SUCCESS
     || !_decode_chunk(self, &info, 0))
    return FALSE;
  self->first = y - y % self->rows;
  return TRUE;
}

static gboolean _read_row(dt_decoder_t *decoder, int y, void *row, GError **error)
{
  _exr_t *self = (_exr_t *)decoder;
  if(y < self->first || y >= self->first + self->count)
  {
    self->count = 0;
    if(!(self->tiled ? _decode_tiles(self, y / self->rows) : _decode_lines(self, y)))
      return _fail_damaged(self, error);
    self->count = MIN(self->rows, decoder->height - self->first);
  }
  float *out = row;
  const size_t start = (size_t)(y - self->first) * (size_t)decoder->width;
  for(int c = 0; c < decoder->channels; c++)
  {
    const float *plane = _get_plane(self, c) + start;
    for(int x = 0; x < decoder->width; x++) out[(size_t)x * (size_t)decoder->channels + (size_t)c] = plane[x];
  }
  return TRUE;
}

static void _destroy(dt_decoder_t *decoder)
{
  _exr_t *self = (_exr_t *)decoder;
  if(self->has_pipeline) exr_decoding_destroy(self->file, &self->pipeline);
  if(self->file) exr_finish(&self->file);
  g_free(self->block);
  g_free(self);
}

// --- Opening

static const exr_attr_chlist_entry_t *_find_channel(const exr_attr_chlist_t *list, const char *name)
{
  for(int i = 0; i < list->num_channels; i++)
    if(strcmp(list->entries[i].name.str, name) == 0) return &list->entries[i];
  return NULL;
}

static gboolean _check_channel(_exr_t *self, const exr_attr_chlist_entry_t *channel, GError **error)
{
  if(channel->x_sampling != 1 || channel->y_sampling != 1)
    return _fail(
        self, error,
        "this OpenEXR has channels of less than full resolution, which is not supported; convert it to RGB "
        "first");
  if(channel->pixel_type != EXR_PIXEL_HALF && channel->pixel_type != EXR_PIXEL_FLOAT)
    return _fail(self, error,
                 "this OpenEXR has whole numbers where colours should be; convert it to half or float first");
  self->decoder.bits = MAX(self->decoder.bits, channel->pixel_type == EXR_PIXEL_HALF ? 16 : 32);
  return TRUE;
}

static gboolean _choose_channels(_exr_t *self, GError **error)
{
  static const char *const colour[] = { "R", "G", "B" }, *const grey[] = { "Y" };
  const exr_attr_chlist_t *list = NULL;
  if(exr_get_channels(self->file, PART, &list) != EXR_ERR_SUCCESS) return _fail_damaged(self, error);
  const gboolean coloured = _find_channel(list, "R") != NULL;
  const int colours = coloured ? 3 : 1;
  if(!coloured && _find_channel(list, "RY"))
    return _fail(self, error,
                 "this OpenEXR is luminance and chroma, which is not supported; convert it to RGB first");
  for(int c = 0; c < colours; c++)
  {
    const exr_attr_chlist_entry_t *channel = _find_channel(list, coloured ? colour[c] : grey[c]);
    if(!channel)
      return _fail(self, error,
                   "this OpenEXR has no channels R, G and B, nor Y; export the layer that is meant as a "
                   "picture of its "
                   "own");
    if(!_check_channel(self, channel, error)) return FALSE;
    self->names[c] = channel->name.str;
  }
  const exr_attr_chlist_entry_t *alpha = _find_channel(list, "A");
  if(alpha && !_check_channel(self, alpha, error)) return FALSE;
  self->names[colours] = alpha ? alpha->name.str : NULL;
  self->decoder.channels = colours + (alpha ? 1 : 0);
  self->decoder.alpha_associated = self->decoder.alpha_linear = alpha != NULL;
  return TRUE;
}

static gboolean _measure(_exr_t *self, GError **error)
{
  if(exr_get_data_window(self->file, PART, &self->window) != EXR_ERR_SUCCESS)
    return _fail_damaged(self, error);
  const int64_t width = (int64_t)self->window.max.x - self->window.min.x + 1;
  const int64_t height = (int64_t)self->window.max.y - self->window.min.y + 1;
  if(width < 1 || height < 1) return _fail_damaged(self, error);
  if(width > DT_IMAGEIO_MAX_SIDE || height > DT_IMAGEIO_MAX_SIDE)
    return _fail(self, error,
                 "this OpenEXR is more than 1000000 pixels wide or high; cut it into pieces first");
  self->decoder.width = (int)width;
  self->decoder.height = (int)height;
  return TRUE;
}

static gboolean _measure_chunks(_exr_t *self, GError **error)
{
  exr_storage_t storage = EXR_STORAGE_LAST_TYPE;
  int32_t rows = 0;
  uint32_t width = 0, height = 0;
  exr_get_storage(self->file, PART, &storage);
  self->tiled = storage == EXR_STORAGE_TILED;
  if(self->tiled)
    exr_get_tile_descriptor(self->file, PART, &width, &height, &(exr_tile_level_mode_t){ 0 },
                            &(exr_tile_round_mode_t){ 0 });
  else if(storage == EXR_STORAGE_SCANLINE)
    exr_get_scanlines_per_chunk(self->file, PART, &rows);
  else
    return _fail(self, error,
                 "this OpenEXR is a deep picture, which is not supported; flatten it, or convert it first");
  self->rows = self->tiled ? (int)MIN(height, (uint32_t)self->decoder.height) : rows;
  self->columns = self->tiled ? (int)MIN(width, (uint32_t)self->decoder.width) : self->decoder.width;
  return (self->rows > 0 && self->columns > 0) || _fail_damaged(self, error);
}

/** The C library learned to undo DWA late. */
static gboolean _check_compression(_exr_t *self, GError **error)
{
  exr_compression_t compression = EXR_COMPRESSION_NONE;
  int major = 0, minor = 0, patch = 0;
  const char *extra;
  exr_get_compression(self->file, PART, &compression);
  exr_get_library_version(&major, &minor, &patch, &extra);
  if((compression != EXR_COMPRESSION_DWAA && compression != EXR_COMPRESSION_DWAB) || major > 3 || minor > 1)
    return TRUE;
  return _fail(
      self, error,
      "this OpenEXR has DWA compression, which takes version 3.2 of the OpenEXR library; save it again with "
      "ZIP or PIZ");
}

static gboolean _create_block(_exr_t *self, GError **error)
{
  uint64_t chunk = 0;
  const uint64_t block =
      (uint64_t)self->decoder.width * (uint64_t)self->decoder.channels * (uint64_t)self->rows * sizeof(float);
  exr_get_chunk_unpacked_size(self->file, PART, &chunk);
  if(block > MAX_CHUNK || chunk > MAX_CHUNK)
    return _fail(self, error, "the chunks of this OpenEXR are too large; save it again with ZIP compression");
  self->block = g_try_malloc0(block);
  // the library holds a chunk as it is in the file, unpacked, and once or twice in between
  self->decoder.memory = sizeof(*self) + (size_t)block + 4 * (size_t)chunk;
  return self->block
         || _fail(self, error,
                  "there is not enough memory for a chunk of this OpenEXR; save it again "
                  "with ZIP compression");
}

static gboolean _open(_exr_t *self, GError **error)
{
  exr_context_initializer_t init = EXR_DEFAULT_CONTEXT_INITIALIZER;
  init.error_handler_fn = _keep_message;
  init.user_data = self;
  init.read_fn = _read_bytes;
  init.size_fn = _get_size;
  init.max_image_width = init.max_image_height = DT_IMAGEIO_MAX_SIDE;
  // a file whose table of chunks is missing was not finished
  init.flags = EXR_CONTEXT_FLAG_SILENT_HEADER_PARSE | EXR_CONTEXT_FLAG_DISABLE_CHUNK_RECONSTRUCTION;
  if(exr_start_read(&self->file, self->input->name, &init) != EXR_ERR_SUCCESS)
    return _fail_damaged(self, error);
  return _measure(self, error) && _choose_channels(self, error) && _measure_chunks(self, error)
         && _check_compression(self, error) && _create_block(self, error);
}

dt_decoder_t *dt_exr_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  _exr_t *self = g_new0(_exr_t, 1);
  self->decoder.read_row = _read_row;
  self->decoder.destroy = _destroy;
  self->decoder.sample = DT_SAMPLE_F32;
  self->input = input;
  if(!_open(self, error))
  {
    _destroy(&self->decoder);
    return NULL;
  }
  dt_exr_read_attributes(self->file, PART, DT_ROW_COLOURS(self->decoder.channels), metadata);
  return &self->decoder;
}
