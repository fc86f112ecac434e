/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes DNG, by its specification 1.4: rows become codes in tiles as they come, and are watched for the previews, for
 * what noise is left and for a fingerprint. Behind the tiles stand the previews and the directories, and the file's
 * first bytes, which say where these are, come last.
 *
 *   header | tiles | preview (JPEG) | thumbnail | EXIF, GPS | raw directory | preview directory | first directory */
#include "imageio/dng_internal.h"
#include "imageio/metadata.h"

#include <string.h>
#include <unistd.h>

enum
{
  TAG_SUBFILE = 254,
  TAG_WIDTH = 256,
  TAG_HEIGHT = 257,
  TAG_BITS = 258,
  TAG_COMPRESSION = 259,
  TAG_PHOTOMETRIC = 262,
  TAG_STRIP_OFFSETS = 273,
  TAG_SAMPLES = 277,
  TAG_STRIP_ROWS = 278,
  TAG_STRIP_SIZES = 279,
  TAG_PLANAR = 284,
  TAG_SUB_DIRECTORIES = 330,
  TAG_SUBSAMPLING = 530,
  TAG_POSITIONING = 531,
  TAG_BLACK_WHITE = 532,
  TAG_PREVIEW_PROGRAM = 50966,
  TAG_PREVIEW_VERSION = 50967,
  TAG_PREVIEW_SPACE = 50970,
  COMPRESSION_NONE = 1,
  COMPRESSION_JPEG = 7,
  PHOTOMETRIC_RGB = 2,
  PHOTOMETRIC_YCBCR = 6,
  SUBFILE_PREVIEW = 1,
  SPACE_SRGB = 2,
};

#define HEADER 8
#define PREVIEW_QUALITY 90
/** Bytes that previews, directories and the table of tiles take at most, beside what the source brings along. */
#define MARGIN ((uint64_t)16 << 20)

/** The sites whose noise is measured: of one colour, evenly spaced. */
typedef struct _lattice_t
{
  int x, y, step;
  dt_noise_estimator_t *estimator;
} _lattice_t;

typedef struct _dng_t
{
  dt_row_sink_t sink;
  const dt_raw_t *raw;
  dt_dng_kind_t kind;
  char *name;
  dt_part_t *part;
  uint64_t position; ///< bytes in the part
  dt_dng_levels_t levels;
  dt_dng_tiles_t *tiles;
  dt_dng_preview_t *preview;
  _lattice_t lattices[3];
  GChecksum *digest;
  dt_exif_t *main, *raw_ifd, *preview_ifd;
  float *scratch; ///< a row of one sample per pixel
  int next;       ///< row
} _dng_t;

static gboolean _fail(const _dng_t *self, GError **error)
{
  dt_part_set_error(self->part, "a DNG ends at 4 GiB; write a TIFF instead", error);
  return FALSE;
}

// --- Rows

static void _measure_noise(const _dng_t *self, int y, const float *row)
{
  for(int c = 0; c < 3; c++)
  {
    const _lattice_t *l = &self->lattices[c];
    if(y % l->step != l->y) continue;
    int n = 0;
    for(int x = l->x; x < self->raw->mosaic.width; x += l->step)
      self->scratch[n++] = row[3 * (size_t)x + (size_t)c];
    dt_noise_estimator_push(l->estimator, self->scratch);
  }
}

static gboolean _write_row(_dng_t *self, int y, const float *row)
{
  const dt_mosaic_t *m = &self->raw->mosaic;
  const size_t samples = (size_t)m->width * DT_DNG_SAMPLES(self->kind);
  uint16_t *codes = dt_dng_tiles_row(self->tiles);
  dt_dng_preview_push(self->preview, y, row);
  _measure_noise(self, y, row);
  if(self->kind == DT_DNG_CFA)
    for(int x = 0; x < m->width; x++) self->scratch[x] = row[3 * x + dt_mosaic_colour(m, x, y)];
  dt_dng_encode(&self->levels, self->kind == DT_DNG_CFA ? self->scratch : row, codes, samples);
  g_checksum_update(self->digest, (const guchar *)codes, (gssize)(samples * sizeof(*codes)));
  return dt_dng_tiles_push(self->tiles);
}

static gboolean _write(dt_row_sink_t *sink, int y, int n, const float *rows, GError **error)
{
  _dng_t *self = (_dng_t *)sink;
  const size_t stride = 3 * (size_t)self->raw->mosaic.width;
  for(int i = 0; i < n; i++)
    if(!_write_row(self, y + i, rows + (size_t)i * stride)) return _fail(self, error);
  self->next = y + n;
  return TRUE;
}

// --- Behind the tiles

/** Appends behind zeros that bring the place to a multiple of eight; returns that place, 0 on failure. */
static uint64_t _append(_dng_t *self, const void *data, size_t size)
{
  static const uint8_t zeros[8] = { 0 };
  const uint64_t place = (self->position + 7) & ~(uint64_t)7;
  if(place + size > UINT32_MAX || !dt_part_append(self->part, zeros, (size_t)(place - self->position))
     || !dt_part_append(self->part, data, size))
    return 0;
  self->position = place + size;
  return place;
}

/** Lays out a directory at the end of the file; returns where, 0 on failure. */
static uint64_t _append_directory(_dng_t *self, const dt_exif_t *directory)
{
  GBytes *bytes = dt_exif_layout_directory(directory, (self->position + 7) & ~(uint64_t)7);
  gsize size;
  const void *data = g_bytes_get_data(bytes, &size);
  const uint64_t place = _append(self, data, size);
  g_bytes_unref(bytes);
  return place;
}

static void _set_number(dt_exif_t *directory, uint16_t tag, uint64_t value)
{
  dt_exif_set_number(directory, DT_IFD_MAIN, tag, DT_TYPE_LONG, (uint32_t)value);
}

/** What every picture of one strip and three bytes per pixel says. */
static void _describe_strip(dt_exif_t *directory, const dt_dng_picture_t *picture, uint64_t place,
                            uint64_t size)
{
  _set_number(directory, TAG_SUBFILE, SUBFILE_PREVIEW);
  _set_number(directory, TAG_WIDTH, (uint64_t)picture->width);
  _set_number(directory, TAG_HEIGHT, (uint64_t)picture->height);
  dt_dng_set_shorts(directory, TAG_BITS, (const int[]){ 8, 8, 8 }, 3);
  dt_dng_set_shorts(directory, TAG_SAMPLES, &(int){ 3 }, 1);
  dt_dng_set_shorts(directory, TAG_PLANAR, &(int){ 1 }, 1);
  _set_number(directory, TAG_STRIP_OFFSETS, place);
  _set_number(directory, TAG_STRIP_ROWS, (uint64_t)picture->height);
  _set_number(directory, TAG_STRIP_SIZES, size);
}

static gboolean _append_jpeg(_dng_t *self, const dt_dng_picture_t *picture, GError **error)
{
  const dt_metadata_t metadata = { .orientation = 1 };
  const dt_encode_spec_t spec = { .name = self->name,
                                  .part = self->part,
                                  .width = picture->width,
                                  .height = picture->height,
                                  .channels = DT_ROW_RGB,
                                  .sample = DT_SAMPLE_U8,
                                  .quality = PREVIEW_QUALITY,
                                  .metadata = &metadata };
  dt_encoder_t *encoder = dt_jpeg_encoder_create(&spec, error);
  gboolean done = encoder != NULL;
  for(int y = 0; done && y < picture->height; y++)
    done = encoder->write_row(encoder, picture->pixels + 3 * (size_t)y * (size_t)picture->width, error);
  done = done && encoder->finish(encoder, error);
  if(encoder) encoder->destroy(encoder);
  return done;
}

static gboolean _write_preview(_dng_t *self, GError **error)
{
  static const double black_white[6] = { 0, 255, 128, 255, 128, 255 };
  dt_dng_picture_t picture = dt_dng_preview_render(self->preview, DT_DNG_PREVIEW_SIDE);
  dt_exif_t *ifd = self->preview_ifd;
  const uint64_t place = self->position;
  const gboolean done = _append_jpeg(self, &picture, error);
  // the encoder leaves nothing in the part's buffer
  self->position = dt_part_size(self->part);
  _describe_strip(ifd, &picture, place, self->position - place);
  g_free(picture.pixels);
  dt_dng_set_shorts(ifd, TAG_COMPRESSION, &(int){ COMPRESSION_JPEG }, 1);
  dt_dng_set_shorts(ifd, TAG_PHOTOMETRIC, &(int){ PHOTOMETRIC_YCBCR }, 1);
  dt_dng_set_shorts(ifd, TAG_SUBSAMPLING, (const int[]){ 1, 1 }, 2);
  dt_dng_set_shorts(ifd, TAG_POSITIONING, &(int){ 1 }, 1);
  dt_dng_set_fractions(ifd, TAG_BLACK_WHITE, DT_TYPE_RATIONAL, black_white, 6, 1);
  _set_number(ifd, TAG_PREVIEW_SPACE, SPACE_SRGB);
  return done;
}

static gboolean _write_thumbnail(_dng_t *self)
{
  dt_dng_picture_t picture = dt_dng_preview_render(self->preview, DT_DNG_THUMBNAIL_SIDE);
  const size_t size = 3 * (size_t)picture.width * (size_t)picture.height;
  const uint64_t place = _append(self, picture.pixels, size);
  g_free(picture.pixels);
  _describe_strip(self->main, &picture, place, size);
  dt_dng_set_shorts(self->main, TAG_COMPRESSION, &(int){ COMPRESSION_NONE }, 1);
  dt_dng_set_shorts(self->main, TAG_PHOTOMETRIC, &(int){ PHOTOMETRIC_RGB }, 1);
  return place != 0;
}

static gboolean _write_exif(_dng_t *self)
{
  dt_exif_layout_t layout;
  GBytes *bytes = dt_exif_layout_for_tiff(self->main, (self->position + 7) & ~(uint64_t)7, FALSE, &layout);
  if(!bytes) return TRUE;
  gsize size;
  const void *data = g_bytes_get_data(bytes, &size);
  const uint64_t place = _append(self, data, size);
  g_bytes_unref(bytes);
  if(layout.exif) _set_number(self->main, DT_TAG_EXIF_IFD, layout.exif);
  if(layout.gps) _set_number(self->main, DT_TAG_GPS_IFD, layout.gps);
  return place != 0;
}

static void _finish_measures(_dng_t *self)
{
  dt_dng_measured_t measured = { .has_noise = TRUE };
  gsize size = sizeof(measured.id);
  g_checksum_get_digest(self->digest, measured.id, &size);
  for(int c = 0; c < 3; c++)
    measured.has_noise &= dt_noise_estimator_get(self->lattices[c].estimator, &measured.noise[c]);
  dt_dng_add_measured(self->main, self->raw_ifd, &measured);
  dt_dng_tiles_describe(self->tiles, self->raw_ifd);
}

/** All directories, the first one last; then the header, which points to it. */
static gboolean _write_directories(_dng_t *self)
{
  const gboolean big_endian = G_BYTE_ORDER == G_BIG_ENDIAN;
  uint8_t header[HEADER] = { big_endian ? 'M' : 'I', big_endian ? 'M' : 'I' };
  _finish_measures(self);
  if(!_write_thumbnail(self) || !_write_exif(self)) return FALSE;
  const uint64_t raw = _append_directory(self, self->raw_ifd);
  const uint64_t preview = _append_directory(self, self->preview_ifd);
  dt_dng_set_longs(self->main, TAG_SUB_DIRECTORIES, (const uint32_t[]){ (uint32_t)raw, (uint32_t)preview },
                   2);
  const uint64_t main = raw && preview ? _append_directory(self, self->main) : 0;
  dt_exif_put_uint(header + 2, 2, big_endian, 42);
  dt_exif_put_uint(header + 4, 4, big_endian, main);
  return main && dt_part_flush(self->part) && dt_part_write(self->part, 0, header, sizeof(header));
}

// --- The sink

static void _free_sink(_dng_t *self)
{
  dt_dng_tiles_destroy(self->tiles); // writes to the part no more
  dt_part_abandon(self->part);
  dt_dng_preview_destroy(self->preview);
  for(int c = 0; c < 3; c++) dt_noise_estimator_free(self->lattices[c].estimator);
  if(self->digest) g_checksum_free(self->digest);
  dt_exif_destroy(self->main);
  dt_exif_destroy(self->raw_ifd);
  dt_exif_destroy(self->preview_ifd);
  g_free(self->scratch);
  g_free(self->name);
  g_free(self);
}

static void _abandon(dt_row_sink_t *sink)
{
  _free_sink((_dng_t *)sink);
}

static gboolean _finish(dt_row_sink_t *sink, GError **error)
{
  _dng_t *self = (_dng_t *)sink;
  const int height = self->raw->mosaic.height;
  gboolean done = self->next == height;
  if(!done)
    dt_imageio_set_error(error, DT_AI_ERROR_FAILED, self->name,
                         "only %d of %d rows were written; the output was discarded", self->next, height);
  if(done)
  {
    self->position = dt_dng_tiles_finish(self->tiles);
    done = (self->position || _fail(self, error)) && _write_preview(self, error)
           && (_write_directories(self) || _fail(self, error));
  }
  if(done) done = dt_part_commit(g_steal_pointer(&self->part), error);
  _free_sink(self);
  return done;
}

// --- Creating

static gboolean _refuse(GError **error, const char *path, dt_ai_error_t code, const char *reason)
{
  dt_imageio_set_error(error, code, path, "%s", reason);
  return FALSE;
}

gboolean dt_dng_can_create(const char *path, const dt_raw_t *raw, const dt_dng_opts_t *opts, GError **error)
{
  const dt_mosaic_t *m = &raw->mosaic;
  const gboolean cfa = opts->kind == DT_DNG_CFA;
  if(m->width < 1 || m->height < 1 || m->width > DT_IMAGEIO_MAX_SIDE || m->height > DT_IMAGEIO_MAX_SIDE)
    return _refuse(error, path, DT_AI_ERROR_USAGE, "a DNG has from 1 to 1000000 pixels on each side");
  if(cfa && (m->sensor == DT_SENSOR_LINEAR || m->sensor == DT_SENSOR_FOUR))
    return _refuse(
        error, path, DT_AI_ERROR_USAGE,
        m->sensor == DT_SENSOR_LINEAR
            ? "this camera has no filter array to write the result behind; use --output-kind linear"
            : "the result has three colours and the filter array four; use --output-kind linear");
  const uint64_t pixels = (uint64_t)m->width * (uint64_t)m->height;
  // edges of tiles, and what lossless JPEG adds to samples it cannot shrink
  const uint64_t stored = pixels * 2 * DT_DNG_SAMPLES(opts->kind);
  if(stored + stored / 16 + MARGIN + (raw->xmp ? g_bytes_get_size(raw->xmp) : 0) > UINT32_MAX)
    return _refuse(error, path, DT_AI_ERROR_USAGE,
                   "the picture is too large for a DNG, which ends at 4 GiB; write a TIFF instead");
  return TRUE;
}

/** Sites of each colour at even distances: of a file without a filter array every pixel is one. */
static size_t _create_estimators(_dng_t *self)
{
  const dt_mosaic_t *m = &self->raw->mosaic;
  size_t memory = 0;
  for(int c = 0; c < 3; c++)
  {
    _lattice_t *l = &self->lattices[c];
    l->step = self->kind == DT_DNG_CFA ? m->period : 1;
    for(int i = l->step * l->step - 1; i >= 0 && l->step > 1; i--)
      if(m->colour[i / l->step][i % l->step] == c)
      {
        l->x = i % l->step;
        l->y = i / l->step;
      }
    const int width = (m->width - l->x + l->step - 1) / l->step;
    l->estimator = dt_noise_estimator_new(MAX(width, 1));
    memory += dt_noise_estimator_memory(l->estimator);
  }
  return memory;
}

/** What the source brings along, which is laid out in memory at the end. */
static size_t _count_bytes(const dt_exif_t *exif)
{
  size_t size = 0;
  for(int i = 0; i < DT_IFD_COUNT; i++)
    for(guint k = 0; k < exif->ifds[i]->len; k++)
      size += 64 + 2 * g_bytes_get_size(g_array_index(exif->ifds[i], dt_exif_entry_t, k).value);
  return size;
}

/** With the levels by which the settings of a history count: the codes here are others. */
static dt_provenance_t _tell_levels(const dt_mosaic_t *m, const dt_provenance_t *provenance)
{
  dt_provenance_t told = *provenance;
  const gboolean is_original = m->original_white <= m->original_black;
  told.black = (double)(is_original ? m->black[0][0] : m->original_black);
  told.white = (double)(is_original ? m->white[0][0] : m->original_white);
  return told;
}

/** The packet, stamped (transfer full), or NULL. */
static GBytes *_make_xmp(const _dng_t *self, const dt_dng_opts_t *opts, GString *note)
{
  dt_provenance_t told;
  if(opts->provenance) told = _tell_levels(&self->raw->mosaic, opts->provenance);
  const dt_dng_crop_t crop = dt_dng_get_crop(self->raw);
  const dt_metadata_t metadata = { .xmp = self->raw->xmp,
                                   .exif = self->raw->exif ? dt_exif_to_bytes(self->raw->exif) : NULL,
                                   .orientation = 1 };
  const dt_encode_spec_t spec = { .name = self->name,
                                  .width = crop.width,
                                  .height = crop.height,
                                  .metadata = &metadata,
                                  .provenance = opts->provenance ? &told : NULL,
                                  .note = note };
  GBytes *xmp = dt_metadata_make_xmp(&spec, DT_IMAGEIO_MAX_BLOB);
  if(metadata.exif) g_bytes_unref(metadata.exif);
  return xmp;
}

/** Laying out once in vain tells what will not fit, while there is still somebody to tell. */
static void _note_lost(const _dng_t *self, GString *note)
{
  dt_exif_layout_t layout;
  GBytes *bytes = dt_exif_layout_for_tiff(self->main, HEADER, FALSE, &layout);
  if(bytes) g_bytes_unref(bytes);
  if(layout.lost_maker_note)
    g_string_append_printf(
        note, "%sThe camera's maker note depends on the byte order of its file and was left out.",
        note->len ? " " : "");
}

static void _prepare_tags(_dng_t *self, const dt_dng_opts_t *opts)
{
  GString *note = g_string_new(NULL);
  GBytes *xmp = _make_xmp(self, opts, note);
  self->main = dt_dng_main_tags(self->raw, opts, xmp, note);
  self->raw_ifd = dt_dng_raw_tags(self->raw, opts, &self->levels, note);
  self->preview_ifd = dt_exif_create();
  if(opts->software) dt_dng_set_text(self->preview_ifd, TAG_PREVIEW_PROGRAM, opts->software);
  if(opts->provenance && opts->provenance->version)
    dt_dng_set_text(self->preview_ifd, TAG_PREVIEW_VERSION, opts->provenance->version);
  _note_lost(self, note);
  if(xmp) g_bytes_unref(xmp);
  char *text = g_string_free(note, note->len == 0);
  if(opts->note)
    *opts->note = text;
  else
    g_free(text);
}

static void _prepare(_dng_t *self, const dt_dng_opts_t *opts, int tile)
{
  const dt_mosaic_t *m = &self->raw->mosaic;
  static const uint8_t header[HEADER] = { 0 };
  dt_part_append(self->part, header, sizeof(header));
  const dt_dng_tiles_spec_t spec = { .width = m->width,
                                     .height = m->height,
                                     .samples = DT_DNG_SAMPLES(self->kind),
                                     .tile = tile,
                                     .half = opts->half,
                                     .compress = !opts->uncompressed,
                                     .threads = opts->threads,
                                     .part = self->part,
                                     .position = HEADER };
  self->levels = dt_dng_choose_levels(m, opts->kind, opts->half);
  self->tiles = dt_dng_tiles_create(&spec);
  self->preview = dt_dng_preview_create(self->raw);
  self->digest = g_checksum_new(G_CHECKSUM_MD5);
  self->scratch = g_new(float, m->width);
  _prepare_tags(self, opts);
  self->sink.memory = sizeof(*self) + _create_estimators(self) + dt_dng_tiles_memory(self->tiles)
                      + dt_dng_preview_memory(self->preview) + (size_t)m->width * sizeof(float)
                      + _count_bytes(self->main) + _count_bytes(self->raw_ifd);
}

dt_row_sink_t *dt_dng_create_tiled(const char *path, const dt_raw_t *raw, const dt_dng_opts_t *opts, int tile,
                                   GError **error)
{
  if(!dt_dng_can_create(path, raw, opts, error)) return NULL;
  const gboolean stream = strcmp(path, DT_IMAGEIO_STREAM) == 0;
  dt_part_t *part = stream ? dt_part_create_stream(opts->stream ? opts->stream : STDOUT_FILENO,
                                                   "standard output", FALSE, error)
                           : dt_part_create(path, opts->overwrite, error);
  if(!part) return NULL;
  _dng_t *self = g_new0(_dng_t, 1);
  self->sink.write = _write;
  self->sink.finish = _finish;
  self->sink.abandon = _abandon;
  self->raw = raw;
  self->kind = opts->kind;
  self->name = g_strdup(path);
  self->part = part;
  _prepare(self, opts, tile);
  return &self->sink;
}

dt_row_sink_t *dt_dng_create(const char *path, const dt_raw_t *raw, const dt_dng_opts_t *opts, GError **error)
{
  return dt_dng_create_tiled(path, raw, opts, DT_DNG_TILE, error);
}
