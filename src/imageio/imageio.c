/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The door of the room: opens a picture as a source of rows, creates one as a sink of rows. Chooses
 * format, profile and depth, and converts between rows and the raw samples of the formats. */
#include "imageio/imageio_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct _reader_t
{
  dt_imageio_reader_t reader; // first: a pointer to the row source is a pointer to this
  dt_input_t *input;
  dt_decoder_t *decoder;
  dt_icc_t *icc;
  void *raw; ///< one row of raw samples
  int next;  ///< the first row that was not read yet
} _reader_t;

typedef struct _sink_t
{
  dt_row_sink_t sink; // first, as above
  char *name;
  int width, height, channels;
  int next;
  dt_sample_t sample;
  gboolean unassociate;
  dt_part_t *part;
  dt_icc_t *icc;
  dt_encoder_t *encoder;
  void *raw;
} _sink_t;

// --- Formats

static dt_imageio_format_t _recognise(const dt_input_t *input)
{
  static const unsigned char png[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
  unsigned char head[8] = { 0 };
  const size_t size = dt_input_read(input, 0, head, sizeof(head));
  if(size >= 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff) return DT_IMAGEIO_JPEG;
  if(size >= 8 && memcmp(head, png, 8) == 0) return DT_IMAGEIO_PNG;
  if(size >= 4
     && (memcmp(head, "II*\0", 4) == 0 || memcmp(head, "MM\0*", 4) == 0 || memcmp(head, "II+\0", 4) == 0
         || memcmp(head, "MM\0+", 4) == 0))
    return DT_IMAGEIO_TIFF;
  return DT_IMAGEIO_UNKNOWN;
}

dt_imageio_format_t dt_imageio_format_for_name(const char *path)
{
  static const struct
  {
    const char *extension;
    dt_imageio_format_t format;
  } known[] = { { ".tif", DT_IMAGEIO_TIFF }, { ".tiff", DT_IMAGEIO_TIFF }, { ".png", DT_IMAGEIO_PNG },
                { ".jpg", DT_IMAGEIO_JPEG }, { ".jpeg", DT_IMAGEIO_JPEG }, { ".jpe", DT_IMAGEIO_JPEG } };
  const char *dot = path ? strrchr(path, '.') : NULL;
  for(size_t i = 0; dot && i < G_N_ELEMENTS(known); i++)
    if(g_ascii_strcasecmp(dot, known[i].extension) == 0) return known[i].format;
  return DT_IMAGEIO_UNKNOWN;
}

gboolean dt_imageio_same_file(const char *a, const char *b)
{
  struct stat one, other;
  return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev
         && one.st_ino == other.st_ino;
}

void dt_metadata_clear(dt_metadata_t *metadata)
{
  g_clear_pointer(&metadata->icc, g_bytes_unref);
  g_clear_pointer(&metadata->exif, g_bytes_unref);
  g_clear_pointer(&metadata->xmp, g_bytes_unref);
  g_clear_pointer(&metadata->iptc, g_bytes_unref);
}

// --- Reading

static gboolean _read(dt_row_source_t *source, int y, int n, float *rows, GError **error)
{
  _reader_t *self = (_reader_t *)source;
  if(y < self->next || n < 0 || y > source->height - n)
  {
    dt_imageio_set_error(error, DT_AI_ERROR_USAGE, self->input->name,
                         "rows %d to %d cannot be read; rows are read once, in order", y, y + n - 1);
    return FALSE;
  }
  const size_t stride = (size_t)source->width * (size_t)source->channels;
  for(int i = 0; i < n; i++)
  {
    self->next = y + i + 1;
    if(!self->decoder->read_row(self->decoder, y + i, self->raw, error)) return FALSE;
    dt_icc_decode(self->icc, self->decoder->sample, source->channels, self->raw, rows + (size_t)i * stride,
                  (size_t)source->width);
  }
  return TRUE;
}

static void _destroy_reader(dt_row_source_t *source)
{
  _reader_t *self = (_reader_t *)source;
  dt_icc_destroy(self->icc);
  if(self->decoder) self->decoder->destroy(self->decoder);
  dt_input_close(self->input);
  dt_metadata_clear(&self->reader.metadata);
  g_free(self->reader.profile_name);
  g_free(self->raw);
  g_free(self);
}

static dt_decoder_t *_create_decoder(_reader_t *self, GError **error)
{
  dt_metadata_t *metadata = &self->reader.metadata;
  switch(self->reader.format)
  {
  case DT_IMAGEIO_TIFF: return dt_tiff_decoder_create(self->input, metadata, error);
  case DT_IMAGEIO_PNG: return dt_png_decoder_create(self->input, metadata, error);
  case DT_IMAGEIO_JPEG: return dt_jpeg_decoder_create(self->input, metadata, error);
  default:
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                         "this is not a TIFF, PNG or JPEG file, or its beginning is damaged; "
                         "convert it to one of these first");
    return NULL;
  }
}

static gboolean _assume_profile(_reader_t *self, const char *name, GError **error)
{
  GBytes *icc = dt_profile_load(name, DT_ROW_COLOURS(self->decoder->channels), error);
  if(!icc) return FALSE;
  g_clear_pointer(&self->reader.metadata.icc, g_bytes_unref);
  self->reader.metadata.icc = icc;
  return TRUE;
}

/** Makes the conversion ready; a profile that came with the file can be overruled, so say how. */
static gboolean _prepare_colour(_reader_t *self, const char *assumed, GError **error)
{
  GError *reason = NULL;
  if(assumed && !_assume_profile(self, assumed, error)) return FALSE;
  self->icc = dt_icc_create(self->reader.metadata.icc, DT_ROW_COLOURS(self->decoder->channels), &reason);
  if(self->icc && dt_icc_prepare_decode(self->icc, self->decoder->sample, &reason))
  {
    self->reader.profile_name = g_strdup_printf(
        "%s%s", dt_icc_name(self->icc), self->reader.metadata.icc ? "" : " (assumed: the file names none)");
    return TRUE;
  }
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, assumed ? assumed : self->input->name, "%s; %s",
                       reason->message,
                       assumed ? "choose another profile with --assume-profile"
                               : "ignore it with --assume-profile srgb, or name the right one");
  g_clear_error(&reason);
  return FALSE;
}

static gboolean _check_size(const _reader_t *self, GError **error)
{
  const dt_decoder_t *decoder = self->decoder;
  if(decoder->width <= DT_IMAGEIO_MAX_SIDE && decoder->height <= DT_IMAGEIO_MAX_SIDE) return TRUE;
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                       "the picture is %d by %d pixels, more than the %d a side that are "
                       "supported; cut it into pieces first",
                       decoder->width, decoder->height, DT_IMAGEIO_MAX_SIDE);
  return FALSE;
}

static gboolean _fill_reader(_reader_t *self, const char *assumed, GError **error)
{
  self->reader.format = _recognise(self->input);
  self->decoder = _create_decoder(self, error);
  if(!self->decoder || !_check_size(self, error) || !_prepare_colour(self, assumed, error)) return FALSE;
  const dt_decoder_t *decoder = self->decoder;
  const size_t raw = (size_t)decoder->width * (size_t)decoder->channels * dt_sample_size(decoder->sample);
  self->raw = g_malloc(raw);
  self->reader.bits = decoder->bits;
  self->reader.is_float = decoder->sample >= DT_SAMPLE_F16;
  self->reader.alpha_associated = decoder->alpha_associated;
  self->reader.source = (dt_row_source_t){
    .width = decoder->width,
    .height = decoder->height,
    .channels = decoder->channels,
    .space = DT_ROW_LINEAR_REC709,
    .memory = sizeof(*self) + raw + decoder->memory + dt_icc_memory(self->icc),
    .read = _read,
    .destroy = _destroy_reader,
  };
  return TRUE;
}

dt_imageio_reader_t *dt_imageio_open(const char *path, const char *assume_profile, GError **error)
{
  dt_input_t *input = dt_input_open(path, error);
  if(!input) return NULL;
  _reader_t *self = g_new0(_reader_t, 1);
  self->input = input;
  self->reader.metadata.orientation = 1;
  if(_fill_reader(self, assume_profile, error)) return &self->reader;
  _destroy_reader(&self->reader.source);
  return NULL;
}

// --- Writing

static gboolean _write(dt_row_sink_t *sink, int y, int n, const float *rows, GError **error)
{
  _sink_t *self = (_sink_t *)sink;
  if(y != self->next || n < 0 || n > self->height - y)
  {
    dt_imageio_set_error(error, DT_AI_ERROR_USAGE, self->name,
                         "rows %d to %d cannot be written; row %d is next", y, y + n - 1, self->next);
    return FALSE;
  }
  const size_t stride = (size_t)self->width * (size_t)self->channels;
  for(int i = 0; i < n; i++)
  {
    dt_icc_encode(self->icc, self->sample, self->channels, self->unassociate, rows + (size_t)i * stride,
                  self->raw, (size_t)self->width);
    if(!self->encoder->write_row(self->encoder, self->raw, error)) return FALSE;
  }
  self->next = y + n;
  return TRUE;
}

static void _free_sink(_sink_t *self)
{
  if(self->encoder) self->encoder->destroy(self->encoder);
  dt_part_abandon(self->part);
  dt_icc_destroy(self->icc);
  g_free(self->raw);
  g_free(self->name);
  g_free(self);
}

static void _abandon(dt_row_sink_t *sink)
{
  _free_sink((_sink_t *)sink);
}

static gboolean _finish(dt_row_sink_t *sink, GError **error)
{
  _sink_t *self = (_sink_t *)sink;
  gboolean done = self->next == self->height;
  if(!done)
    dt_imageio_set_error(error, DT_AI_ERROR_FAILED, self->name,
                         "only %d of %d rows were written; the output was discarded", self->next,
                         self->height);
  done = done && self->encoder->finish(self->encoder, error);
  self->encoder->destroy(g_steal_pointer(&self->encoder)); // lets go of the part
  if(done) done = dt_part_commit(g_steal_pointer(&self->part), error);
  _free_sink(self);
  return done;
}

/** What can be told from the arguments alone. */
static gboolean _check_arguments(const char *path, int width, int height, int channels,
                                 const dt_imageio_write_opts_t *opts, GError **error)
{
  const char *problem = NULL;
  if(width < 1 || height < 1 || width > DT_IMAGEIO_MAX_SIDE || height > DT_IMAGEIO_MAX_SIDE)
    problem = "the picture's size is outside 1 to 1000000 pixels a side; choose another size";
  else if(channels < DT_ROW_GREY || channels > DT_ROW_RGBA)
    problem = "a picture has one to four channels";
  else if(opts->format == DT_IMAGEIO_UNKNOWN)
    problem = "the format is not known from the name; use .tif, .png or .jpg";
  else if(opts->bits != 8 && opts->bits != 16 && opts->bits != 32)
    problem = "the depth is not one of 8, 16 and 32 bits";
  else if(opts->format == DT_IMAGEIO_PNG && opts->bits == 32)
    problem = "PNG holds 8 or 16 bits; choose one of these, or TIFF";
  else if(opts->format == DT_IMAGEIO_JPEG && opts->bits != 8)
    problem = "JPEG holds 8 bits only; choose that, or TIFF or PNG";
  else if(opts->format == DT_IMAGEIO_JPEG && DT_ROW_HAS_ALPHA(channels))
    problem = "JPEG cannot hold transparency; choose TIFF or PNG";
  else if(opts->format == DT_IMAGEIO_JPEG && (width > 65500 || height > 65500))
    problem = "JPEG holds 65500 pixels a side at most; choose TIFF or PNG";
  else if(opts->quality < 0 || opts->quality > 100)
    problem = "the quality is not between 1 and 100";
  if(problem) dt_imageio_set_error(error, DT_AI_ERROR_USAGE, path, "%s", problem);
  return !problem;
}

/** The profile to write with, as bytes to embed; NULL stands for sRGB where the format can say so
 * in a shorter way. */
static gboolean _choose_profile(_sink_t *self, const dt_imageio_write_opts_t *opts, GBytes **icc,
                                GError **error)
{
  const int colours = DT_ROW_COLOURS(self->channels);
  GError *reason = NULL;
  GBytes *source = NULL;
  *icc = NULL;
  if(opts->profile)
    source = dt_profile_load(opts->profile, colours, &reason);
  else if(opts->metadata && opts->metadata->icc)
    source = g_bytes_ref(opts->metadata->icc);
  if(!reason) self->icc = dt_icc_create(source, colours, &reason);
  if(self->icc && dt_icc_prepare_encode(self->icc, &reason))
  {
    if(source || opts->format != DT_IMAGEIO_PNG) *icc = dt_profile_for_colours(source, colours);
    g_clear_pointer(&source, g_bytes_unref);
    return TRUE;
  }
  dt_imageio_set_error(error, opts->profile ? DT_AI_ERROR_USAGE : DT_AI_ERROR_INPUT,
                       opts->profile ? opts->profile : self->name, "%s; choose another profile with --icc",
                       reason->message);
  g_clear_error(&reason);
  g_clear_pointer(&source, g_bytes_unref);
  return FALSE;
}

static dt_encoder_t *_create_encoder(dt_imageio_format_t format, const dt_encode_spec_t *spec, GError **error)
{
  if(format == DT_IMAGEIO_TIFF) return dt_tiff_encoder_create(spec, error);
  if(format == DT_IMAGEIO_PNG) return dt_png_encoder_create(spec, error);
  return dt_jpeg_encoder_create(spec, error);
}

static gboolean _fill_sink(_sink_t *self, const char *path, const dt_imageio_write_opts_t *opts,
                           GError **error)
{
  dt_metadata_t metadata = { .orientation = 1 };
  GBytes *icc = NULL;
  if(!_choose_profile(self, opts, &icc, error)) return FALSE;
  self->part = dt_part_create(path, opts->overwrite, error);
  if(self->part)
  {
    if(opts->metadata) metadata = *opts->metadata;
    metadata.icc = icc;
    GString *note = g_string_new(NULL);
    const dt_encode_spec_t spec = { .name = path,
                                    .part = self->part,
                                    .width = self->width,
                                    .height = self->height,
                                    .channels = self->channels,
                                    .sample = self->sample,
                                    .alpha_associated = opts->alpha_associated,
                                    .compression = opts->compression,
                                    .quality = opts->quality ? opts->quality : 95,
                                    .metadata = &metadata,
                                    .note = note };
    self->encoder = _create_encoder(opts->format, &spec, error);
    char *text = g_string_free(note, note->len == 0);
    if(opts->note)
      *opts->note = text;
    else
      g_free(text);
  }
  g_clear_pointer(&icc, g_bytes_unref);
  return self->encoder != NULL;
}

dt_row_sink_t *dt_imageio_create(const char *path, int width, int height, int channels,
                                 const dt_imageio_write_opts_t *opts, GError **error)
{
  static const dt_imageio_write_opts_t defaults = { 0 };
  dt_imageio_write_opts_t chosen = opts ? *opts : defaults;
  if(chosen.format == DT_IMAGEIO_UNKNOWN) chosen.format = dt_imageio_format_for_name(path);
  if(chosen.bits == 0) chosen.bits = chosen.format == DT_IMAGEIO_TIFF ? 16 : 8;
  if(!_check_arguments(path, width, height, channels, &chosen, error)) return NULL;

  _sink_t *self = g_new0(_sink_t, 1);
  self->name = g_strdup(path);
  self->width = width;
  self->height = height;
  self->channels = channels;
  self->sample = chosen.bits == 8 ? DT_SAMPLE_U8 : chosen.bits == 16 ? DT_SAMPLE_U16 : DT_SAMPLE_F32;
  // PNG knows straight alpha only
  self->unassociate = chosen.alpha_associated && chosen.format == DT_IMAGEIO_PNG;
  if(chosen.note) *chosen.note = NULL;
  if(!_fill_sink(self, path, &chosen, error))
  {
    if(chosen.note) g_clear_pointer(chosen.note, g_free);
    _free_sink(self);
    return NULL;
  }
  const size_t raw = (size_t)width * (size_t)channels * dt_sample_size(self->sample);
  self->raw = g_malloc(raw);
  self->sink = (dt_row_sink_t){
    .memory = sizeof(*self) + raw + self->encoder->memory + dt_icc_memory(self->icc),
    .write = _write,
    .finish = _finish,
    .abandon = _abandon,
  };
  return &self->sink;
}
