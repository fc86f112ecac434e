/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The door of the room: opens a picture as a source of rows, creates one as a sink of rows. Chooses
 * format, profile and depth, and converts between rows and the raw samples of the formats. */
#include "imageio/metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
  dt_sample_t sample;   ///< as the encoder wants its rows
  gboolean unassociate; ///< encoded colours are to be divided by alpha
  int scale_colours;    ///< linear ones are to be multiplied by alpha (1) or divided (-1)
  dt_part_t *part;
  dt_icc_t *icc;
  dt_encoder_t *encoder;
  void *raw;
  float *scaled;  ///< a row with its colours scaled by alpha, or NULL
  float *precise; ///< an encoded row before it is dithered, or NULL
} _sink_t;

// --- Files

static gboolean _stat(const char *path, struct stat *status)
{
  const gboolean stream = strcmp(path, DT_IMAGEIO_STREAM) == 0;
  return (stream ? fstat(STDIN_FILENO, status) : stat(path, status)) == 0;
}

gboolean dt_imageio_same_file(const char *a, const char *b)
{
  struct stat one, other;
  return _stat(a, &one) && _stat(b, &other) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
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
  const dt_format_t *format = dt_format_get(self->reader.format);
  if(format && format->open) return format->open(self->input, &self->reader.metadata, error);
  if(format)
    dt_imageio_set_error(
        error, DT_AI_ERROR_INPUT, self->input->name,
        "this build cannot read %s; build it with %s, or convert the file to TIFF, PNG or JPEG", format->name,
        format->library);
  else
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                         "this is not a TIFF, PNG or JPEG file nor another picture that is known, or its "
                         "beginning is damaged; convert it to one of these first");
  return NULL;
}

static gboolean _assume_profile(_reader_t *self, const char *name, GError **error)
{
  GBytes *icc = dt_profile_load(name, DT_ROW_COLOURS(self->decoder->channels), error);
  if(!icc) return FALSE;
  g_clear_pointer(&self->reader.metadata.icc, g_bytes_unref);
  self->reader.metadata.icc = icc;
  memset(self->reader.metadata.chromaticities, 0, sizeof(self->reader.metadata.chromaticities));
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
  self->reader.format = dt_format_recognise(self->input);
  self->decoder = _create_decoder(self, error);
  if(!self->decoder || !_check_size(self, error) || !_prepare_colour(self, assumed, error)) return FALSE;
  const dt_decoder_t *decoder = self->decoder;
  const size_t raw = (size_t)decoder->width * (size_t)decoder->channels * dt_sample_size(decoder->sample);
  self->raw = g_malloc(raw);
  self->reader.bits = decoder->bits;
  self->reader.is_float = decoder->sample >= DT_SAMPLE_F16;
  self->reader.alpha_associated = decoder->alpha_associated;
  self->reader.alpha_linear = decoder->alpha_linear;
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

void dt_imageio_set_untouched(dt_imageio_reader_t *reader)
{
  dt_icc_set_untouched(((_reader_t *)reader)->icc);
}

// --- Writing

/** A row whose colours are multiplied by alpha, or divided: formats differ in which of the two they hold. */
static const float *_scale_colours(const _sink_t *self, const float *row)
{
  if(!self->scaled) return row;
  const int channels = self->channels;
  float *p = memcpy(self->scaled, row, (size_t)self->width * (size_t)channels * sizeof(float));
  for(const float *end = p + (size_t)self->width * (size_t)channels; p < end; p += channels)
  {
    const float alpha = p[channels - 1];
    const float factor = self->scale_colours > 0 ? alpha : alpha > 0.0f ? 1.0f / alpha : 1.0f;
    for(int c = 0; c < channels - 1; c++) p[c] *= factor;
  }
  return self->scaled;
}

static void _encode_row(const _sink_t *self, int y, const float *row)
{
  const float *linear = _scale_colours(self, row);
  dt_icc_encode(self->icc, self->precise ? DT_SAMPLE_F32 : self->sample, self->channels, self->unassociate,
                linear, self->precise ? self->precise : self->raw, (size_t)self->width);
  if(self->precise) dt_dither_row(self->precise, self->raw, self->width, self->channels, y);
}

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
    _encode_row(self, y + i, rows + (size_t)i * stride);
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
  g_free(self->scaled);
  g_free(self->precise);
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

/** What PNG, JPEG and PFM cannot hold. */
static const char *_find_limit(int width, int height, int channels, const dt_imageio_write_opts_t *opts)
{
  const gboolean jpeg = opts->format == DT_IMAGEIO_JPEG, pfm = opts->format == DT_IMAGEIO_PFM;
  if(opts->format == DT_IMAGEIO_PNG && opts->bits == 32)
    return "PNG holds 8 or 16 bits; choose one of these, or TIFF";
  if(jpeg && opts->bits != 8) return "JPEG holds 8 bits only; choose that, or TIFF or PNG";
  if(jpeg && DT_ROW_HAS_ALPHA(channels)) return "JPEG cannot hold transparency; choose TIFF or PNG";
  if(jpeg && (width > 65500 || height > 65500))
    return "JPEG holds 65500 pixels a side at most; choose TIFF or PNG";
  if(pfm && opts->bits != 32) return "PFM holds 32-bit floating point only; choose that, or another format";
  if(pfm && DT_ROW_HAS_ALPHA(channels)) return "PFM cannot hold transparency; choose TIFF or OpenEXR";
  if(opts->format == DT_IMAGEIO_EXR && opts->bits == 8)
    return "OpenEXR holds 16-bit (half) or 32-bit floating point; choose one of these, or another format";
  return NULL;
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
    problem =
        "the format is not known from the name; use .tif, .png or .jpg, for floating point .exr or .pfm";
  else if(opts->bits != 8 && opts->bits != 16 && opts->bits != 32)
    problem = "the depth is not one of 8, 16 and 32 bits";
  else if(opts->quality < 0 || opts->quality > 100)
    problem = "the quality is not between 1 and 100";
  else
    problem = _find_limit(width, height, channels, opts);
  if(problem) dt_imageio_set_error(error, DT_AI_ERROR_USAGE, path, "%s", problem);
  return !problem;
}

static gboolean _check_format(const char *path, dt_imageio_format_t wanted, GError **error)
{
  const dt_format_t *format = dt_format_get(wanted);
  if(!format || format->create) return TRUE; // an unknown one is told with the other arguments
  if(format->writable)
    dt_imageio_set_error(error, DT_AI_ERROR_USAGE, path,
                         "this build cannot write %s; build it with %s, or choose TIFF", format->name,
                         format->library);
  else
    dt_imageio_set_error(error, DT_AI_ERROR_USAGE, path,
                         "%s is read but not written; use .tif, .png, .jpg, .exr or .pfm", format->name);
  return FALSE;
}

/** The profile's bytes where a format or the caller wants a certain one; NULL: sRGB. */
static GBytes *_load_profile(const _sink_t *self, const dt_imageio_write_opts_t *opts, GError **reason)
{
  const int colours = DT_ROW_COLOURS(self->channels);
  if(opts->profile) return dt_profile_load(opts->profile, colours, reason);
  if(opts->format == DT_IMAGEIO_PFM) return dt_profile_load("srgb-linear", colours, reason);
  return opts->metadata && opts->metadata->icc ? g_bytes_ref(opts->metadata->icc) : NULL;
}

/** The profile to write with, as bytes to embed; NULL stands for sRGB where the format can say so
 * in a shorter way. */
static gboolean _choose_profile(_sink_t *self, const dt_imageio_write_opts_t *opts, GBytes **icc,
                                GError **error)
{
  const int colours = DT_ROW_COLOURS(self->channels);
  GError *reason = NULL;
  GBytes *source = _load_profile(self, opts, &reason);
  *icc = NULL;
  if(!reason) self->icc = dt_icc_create(source, colours, &reason);
  if(self->icc && opts->untouched) dt_icc_set_untouched(self->icc);
  if(self->icc) dt_icc_set_intent(self->icc, opts->intent);
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

/** OpenEXR is linear light, of whatever primaries. */
static gboolean _choose_chromaticities(_sink_t *self, const dt_imageio_write_opts_t *opts, double out[8],
                                       GError **error)
{
  static const double rec709[8] = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 };
  if(opts->format != DT_IMAGEIO_EXR) return TRUE;
  const double *known = opts->metadata && !opts->profile ? opts->metadata->chromaticities : NULL;
  if(dt_icc_get_chromaticities(self->icc, out))
  {
    if(known && known[7] > 0.0) memcpy(out, known, 8 * sizeof(double));
    return TRUE;
  }
  if(opts->profile && !dt_icc_is_linear(self->icc))
  {
    dt_imageio_set_error(error, DT_AI_ERROR_USAGE, opts->profile,
                         "OpenEXR holds linear light, and this profile is not linear; choose one such as "
                         "rec2020-linear");
    return FALSE;
  }
  memcpy(out, rec709, sizeof(rec709));
  GBytes *linear = dt_profile_load("srgb-linear", DT_ROW_COLOURS(self->channels), error);
  dt_icc_destroy(self->icc);
  self->icc = linear ? dt_icc_create(linear, DT_ROW_COLOURS(self->channels), error) : NULL;
  g_clear_pointer(&linear, g_bytes_unref);
  return self->icc && dt_icc_prepare_encode(self->icc, error);
}

static void _create_encoder(_sink_t *self, const dt_imageio_write_opts_t *opts, const dt_encode_spec_t *spec,
                            GError **error)
{
  self->encoder = dt_format_get(opts->format)->create(spec, error);
  if(spec->provenance && opts->format == DT_IMAGEIO_PFM)
    dt_metadata_note(spec, "This format has no place for a record of what was done to the picture.");
  char *text = g_string_free(spec->note, spec->note->len == 0);
  if(opts->note)
    *opts->note = text;
  else
    g_free(text);
}

static dt_part_t *_create_part(const char *path, const dt_imageio_write_opts_t *opts, GError **error)
{
  if(strcmp(path, DT_IMAGEIO_STREAM) != 0) return dt_part_create(path, opts->overwrite, error);
  return dt_part_create_stream(opts->stream ? opts->stream : STDOUT_FILENO, "standard output",
                               dt_format_get(opts->format)->in_order, error);
}

static gboolean _fill_sink(_sink_t *self, const char *path, const dt_imageio_write_opts_t *opts,
                           GError **error)
{
  dt_metadata_t metadata = { .orientation = 1 };
  GBytes *icc = NULL;
  double chromaticities[8];
  const gboolean known =
      _choose_profile(self, opts, &icc, error) && _choose_chromaticities(self, opts, chromaticities, error);
  if(known) self->part = _create_part(path, opts, error);
  if(self->part)
  {
    if(opts->metadata) metadata = *opts->metadata;
    metadata.icc = icc;
    const gboolean half = opts->format == DT_IMAGEIO_EXR && opts->bits == 16;
    const dt_encode_spec_t spec = { .name = path,
                                    .part = self->part,
                                    .width = self->width,
                                    .height = self->height,
                                    .channels = self->channels,
                                    .sample = half ? DT_SAMPLE_F16 : self->sample,
                                    .alpha_associated = opts->alpha_associated && !self->scale_colours,
                                    .chromaticities = self->channels < DT_ROW_RGB ? NULL : chromaticities,
                                    .compression = opts->compression,
                                    .quality = opts->quality ? opts->quality : 95,
                                    .metadata = &metadata,
                                    .provenance = opts->provenance,
                                    .note = g_string_new(NULL) };
    _create_encoder(self, opts, &spec, error);
  }
  g_clear_pointer(&icc, g_bytes_unref);
  return self->encoder != NULL;
}

/** What the rows have to go through, and the buffers for it. Returns the bytes of these. */
static size_t _prepare_rows(_sink_t *self, const dt_imageio_write_opts_t *opts)
{
  const gboolean floats = opts->bits == 32 || opts->format == DT_IMAGEIO_EXR;
  const size_t samples = (size_t)self->width * (size_t)self->channels;
  self->sample = opts->bits == 8 ? DT_SAMPLE_U8 : floats ? DT_SAMPLE_F32 : DT_SAMPLE_U16;
  if(DT_ROW_HAS_ALPHA(self->channels) && opts->format == DT_IMAGEIO_EXR && !opts->alpha_associated)
    self->scale_colours = 1;
  else if(DT_ROW_HAS_ALPHA(self->channels) && opts->format != DT_IMAGEIO_EXR && opts->alpha_associated)
    self->scale_colours = opts->alpha_linear ? -1 : 0;
  // PNG knows straight alpha only
  self->unassociate = opts->alpha_associated && opts->format == DT_IMAGEIO_PNG && !self->scale_colours;
  if(self->scale_colours) self->scaled = g_new(float, samples);
  if(opts->dither && self->sample == DT_SAMPLE_U8) self->precise = g_new(float, samples);
  self->raw = g_malloc(samples * dt_sample_size(self->sample));
  return samples
         * (dt_sample_size(self->sample)
            + ((self->scaled ? 1 : 0) + (self->precise ? 1 : 0)) * sizeof(float));
}

int dt_imageio_standard_bits(dt_imageio_format_t format)
{
  if(format == DT_IMAGEIO_PFM) return 32;
  return format == DT_IMAGEIO_TIFF || format == DT_IMAGEIO_EXR ? 16 : 8;
}

/** The options with what the name and the format decide. */
static dt_imageio_write_opts_t _complete(const char *path, const dt_imageio_write_opts_t *opts)
{
  static const dt_imageio_write_opts_t defaults = { 0 };
  dt_imageio_write_opts_t chosen = opts ? *opts : defaults;
  if(chosen.format == DT_IMAGEIO_UNKNOWN) chosen.format = dt_imageio_format_for_name(path);
  if(chosen.bits == 0) chosen.bits = dt_imageio_standard_bits(chosen.format);
  return chosen;
}

gboolean dt_imageio_can_create(const char *path, int width, int height, int channels,
                               const dt_imageio_write_opts_t *opts, GError **error)
{
  const dt_imageio_write_opts_t chosen = _complete(path, opts);
  return _check_format(path, chosen.format, error)
         && _check_arguments(path, width, height, channels, &chosen, error);
}

dt_row_sink_t *dt_imageio_create(const char *path, int width, int height, int channels,
                                 const dt_imageio_write_opts_t *opts, GError **error)
{
  if(!dt_imageio_can_create(path, width, height, channels, opts, error)) return NULL;
  const dt_imageio_write_opts_t chosen = _complete(path, opts);

  _sink_t *self = g_new0(_sink_t, 1);
  self->name = g_strdup(path);
  self->width = width;
  self->height = height;
  self->channels = channels;
  if(chosen.note) *chosen.note = NULL;
  const size_t rows = _prepare_rows(self, &chosen);
  if(!_fill_sink(self, path, &chosen, error))
  {
    if(chosen.note) g_clear_pointer(chosen.note, g_free);
    _free_sink(self);
    return NULL;
  }
  self->sink = (dt_row_sink_t){
    .memory = sizeof(*self) + rows + self->encoder->memory + dt_icc_memory(self->icc),
    .write = _write,
    .finish = _finish,
    .abandon = _abandon,
  };
  return &self->sink;
}
