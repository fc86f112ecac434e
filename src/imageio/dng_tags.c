/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tags of a DNG, by the DNG Specification 1.4 and TIFF/EP: what the camera was and how its colours are to be read
 * in the first directory; what the samples are in the raw picture's own.
 *
 * What the source says goes along; what would be untrue of the result, or is an offset into the old file, does not. */
#include "imageio/dng_internal.h"
#include "imageio/metadata.h"

#include <math.h>
#include <string.h>

enum
{
  TAG_SUBFILE = 254,
  TAG_WIDTH = 256,
  TAG_HEIGHT = 257,
  TAG_PHOTOMETRIC = 262,
  TAG_MAKE = 271,
  TAG_MODEL = 272,
  TAG_SAMPLE_FORMAT = 339,
  TAG_CFA_DIM = 33421,
  TAG_CFA_PATTERN = 33422,
  TAG_DNG_VERSION = 50706,
  TAG_DNG_BACKWARD = 50707,
  TAG_UNIQUE_MODEL = 50708,
  TAG_CFA_PLANE_COLOUR = 50710,
  TAG_CFA_LAYOUT = 50711,
  TAG_BLACK_DIM = 50713,
  TAG_BLACK = 50714,
  TAG_WHITE = 50717,
  TAG_DEFAULT_SCALE = 50718,
  TAG_CROP_ORIGIN = 50719,
  TAG_CROP_SIZE = 50720,
  TAG_COLOUR_MATRIX = 50721,
  TAG_ANALOG_BALANCE = 50727,
  TAG_NEUTRAL = 50728,
  TAG_NEUTRAL_XY = 50729,
  TAG_BASELINE_EXPOSURE = 50730,
  TAG_BASELINE_NOISE = 50731,
  TAG_BASELINE_SHARPNESS = 50732,
  TAG_GREEN_SPLIT = 50733,
  TAG_LINEAR_LIMIT = 50734,
  TAG_ANTI_ALIAS = 50738,
  TAG_SHADOW_SCALE = 50739,
  TAG_ILLUMINANT = 50778,
  TAG_BEST_QUALITY = 50780,
  TAG_UNIQUE_ID = 50781,
  TAG_ORIGINAL_NAME = 50827,
  TAG_ACTIVE_AREA = 50829,
  TAG_NOISE_REDUCTION = 50935,
  TAG_OPCODES_1 = 51008,
  TAG_OPCODES_2 = 51009,
  TAG_NOISE_PROFILE = 51041,
  TAG_GAIN_TABLE = 52525, ///< the first of DNG 1.6's
};

#define PHOTOMETRIC_CFA 32803
#define PHOTOMETRIC_LINEAR 34892
#define ILLUMINANT_D65 21
/** Denominators. */
#define UNIT_MATRIX 10000
#define UNIT_FINE 1000000

/** XYZ (D65) to linear Rec.709 and Rec.2020, as ColorMatrix wants them. */
static const double _xyz_to_rec709[9] = { 3.2409699, -1.5373832, -0.4986108, -0.9692436, 1.8759675,
                                          0.0415551, 0.0556301,  -0.2039770, 1.0569715 };
static const double _xyz_to_rec2020[9] = { 1.7166512, -0.3556708, -0.2533663, -0.6666844, 1.6164812,
                                           0.0157685, 0.0176399,  -0.0427706, 0.9421031 };

// --- Setting values

void dt_dng_set_bytes(dt_exif_t *directory, uint16_t tag, uint16_t type, const void *bytes, size_t n)
{
  const uint32_t count = (uint32_t)(n / dt_exif_type_size(type));
  dt_exif_set_bytes(directory, DT_IFD_MAIN, tag, type, count, g_bytes_new(bytes, n));
}

/** Takes @p values, words of @p size bytes in native order. */
static void _set_words(dt_exif_t *directory, uint16_t tag, uint16_t type, const uint64_t *values, size_t n,
                       int size)
{
  uint8_t *bytes = g_malloc(n * (size_t)size);
  for(size_t i = 0; i < n; i++)
    dt_exif_put_uint(bytes + i * (size_t)size, size, directory->big_endian, values[i]);
  dt_dng_set_bytes(directory, tag, type, bytes, n * (size_t)size);
  g_free(bytes);
}

void dt_dng_set_shorts(dt_exif_t *directory, uint16_t tag, const int *values, int n)
{
  uint64_t words[DT_MOSAIC_PERIOD * DT_MOSAIC_PERIOD] = { 0 };
  for(int i = 0; i < n; i++) words[i] = (uint64_t)values[i];
  _set_words(directory, tag, DT_TYPE_SHORT, words, (size_t)n, 2);
}

void dt_dng_set_longs(dt_exif_t *directory, uint16_t tag, const uint32_t *values, int n)
{
  uint64_t *words = g_new(uint64_t, n);
  for(int i = 0; i < n; i++) words[i] = values[i];
  _set_words(directory, tag, DT_TYPE_LONG, words, (size_t)n, 4);
  g_free(words);
}

void dt_dng_set_fractions(dt_exif_t *directory, uint16_t tag, uint16_t type, const double *values, int n,
                          int unit)
{
  uint64_t words[18];
  for(int i = 0; i < n; i++)
  {
    words[2 * i] = (uint32_t)(int32_t)lround(CLAMP(values[i] * unit, -2e9, 2e9));
    words[2 * i + 1] = (uint64_t)unit;
  }
  _set_words(directory, tag, type, words, 2 * (size_t)n, 4);
}

void dt_dng_set_doubles(dt_exif_t *directory, uint16_t tag, const double *values, int n)
{
  uint64_t words[6];
  memcpy(words, values, (size_t)n * sizeof(*values));
  _set_words(directory, tag, DT_TYPE_DOUBLE, words, (size_t)n, 8);
}

/** DNG has texts that are more than ASCII as bytes of UTF-8. */
void dt_dng_set_text(dt_exif_t *directory, uint16_t tag, const char *text)
{
  const uint16_t type = g_str_is_ascii(text) ? DT_TYPE_ASCII : DT_TYPE_BYTE;
  dt_dng_set_bytes(directory, tag, type, text, strlen(text) + 1);
}

static void _set_short(dt_exif_t *directory, uint16_t tag, int value)
{
  dt_dng_set_shorts(directory, tag, &value, 1);
}

static void _set_ratio(dt_exif_t *directory, uint16_t tag, double value)
{
  dt_dng_set_fractions(directory, tag, DT_TYPE_RATIONAL, &value, 1, 100);
}

static gboolean _has(const dt_exif_t *directory, uint16_t tag)
{
  return dt_exif_find(directory, DT_IFD_MAIN, tag) != NULL;
}

// --- What a raw says

dt_dng_crop_t dt_dng_get_crop(const dt_raw_t *raw)
{
  const dt_mosaic_t *m = &raw->mosaic;
  const dt_dng_crop_t crop = { raw->crop_x, raw->crop_y, raw->crop_width, raw->crop_height };
  const gboolean inside = crop.x >= 0 && crop.y >= 0 && crop.width > 0 && crop.height > 0 && crop.x < m->width
                          && crop.y < m->height && crop.width <= m->width - crop.x
                          && crop.height <= m->height - crop.y;
  return inside ? crop : (dt_dng_crop_t){ 0, 0, m->width, m->height };
}

void dt_dng_get_neutral(const dt_raw_t *raw, double neutral[3])
{
  double most = 0.0;
  for(int c = 0; c < 3; c++)
  {
    const double n = raw->mosaic.sensor == DT_SENSOR_FOUR ? 1.0 : raw->neutral[c];
    neutral[c] = n > 1e-4 && n < 1e4 ? n : 1.0;
    most = MAX(most, neutral[c]);
  }
  for(int c = 0; c < 3; c++) neutral[c] /= most;
}

/** ColorMatrix: XYZ (D65) to what rows hold. */
static void _get_matrix(const dt_raw_t *raw, double matrix[9])
{
  const gboolean four = raw->mosaic.sensor == DT_SENSOR_FOUR;
  for(int i = 0; i < 9; i++)
    matrix[i] = four ? _xyz_to_rec2020[i] : raw->has_matrix ? raw->matrix[i / 3][i % 3] : _xyz_to_rec709[i];
}

void dt_dng_get_rec709(const dt_raw_t *raw, float matrix[9])
{
  dt_raw_t rec2020 = { .has_matrix = TRUE };
  for(int i = 0; i < 9; i++) rec2020.matrix[i / 3][i % 3] = _xyz_to_rec2020[i];
  dt_raw_camera_to_rec709(raw->mosaic.sensor == DT_SENSOR_FOUR ? &rec2020 : raw, matrix);
}

// --- What comes from the source

/** Tags that a source may add: DNG's, and the makers' own; but not those that describe how its samples were stored, that
 * are offsets into it, or that are this file's to say. */
static gboolean _may_pass(uint16_t tag)
{
  static const uint16_t kept_back[][2] = {
    { 0, 0x6fff },    { 32768, 50705 }, { 50706, 50717 }, { 50719, 50720 }, { 50730, 50730 },
    { 50781, 50781 }, { 50828, 50830 }, { 50933, 50933 }, { 50935, 50935 }, { 50966, 50975 },
    { 51041, 51041 }, { 51089, 51091 }, { 51105, 51105 }, { 51111, 51112 }, { 52526, 52528 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(kept_back); i++)
    if(tag >= kept_back[i][0] && tag <= kept_back[i][1]) return FALSE;
  return TRUE;
}

/** Adds what is not there yet of @p entries, which may be NULL and are in the directory's byte order. */
static void _add_entries(dt_exif_t *directory, const GArray *entries)
{
  for(guint i = 0; entries && i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    const size_t unit = dt_exif_type_size(entry->type);
    if(unit && entry->count > 0 && g_bytes_get_size(entry->value) == entry->count * unit
       && _may_pass(entry->tag) && !_has(directory, entry->tag))
      dt_exif_set_bytes(directory, DT_IFD_MAIN, entry->tag, entry->type, entry->count,
                        g_bytes_ref(entry->value));
  }
}

static void _add_note(GString *note, const char *sentence)
{
  g_string_append_printf(note, "%s%s", note->len ? " " : "", sentence);
}

// --- The first directory

/** Removes what a source says of how its colours are to be read: matrices, calibration, lights and profiles go together. */
static void _drop_colour(dt_exif_t *main)
{
  static const uint16_t ranges[][2] = { { 50721, 50727 }, { 50778, 50779 }, { 50931, 50932 },
                                        { 50936, 50942 }, { 50964, 50965 }, { 50981, 50982 },
                                        { 51107, 51110 }, { 52529, 52538 } };
  for(size_t i = 0; i < G_N_ELEMENTS(ranges); i++)
    for(unsigned tag = ranges[i][0]; tag <= ranges[i][1]; tag++)
      dt_exif_remove(main, DT_IFD_MAIN, (uint16_t)tag);
}

/** How colours are to be read, where the source has not said so itself, or says what cannot be. */
static void _set_colour(dt_exif_t *main, const dt_raw_t *raw, GString *note)
{
  double matrix[9], neutral[3];
  const double balance[3] = { 1.0, 1.0, 1.0 };
  const gboolean unknown = !raw->has_matrix && raw->mosaic.sensor != DT_SENSOR_FOUR;
  _get_matrix(raw, matrix);
  dt_dng_get_neutral(raw, neutral);
  if(unknown)
    _add_note(note, "The colours of this camera are not known; the DNG says they are those of sRGB.");
  if(!_has(main, TAG_COLOUR_MATRIX) || unknown)
  {
    _drop_colour(main);
    dt_dng_set_fractions(main, TAG_COLOUR_MATRIX, DT_TYPE_SRATIONAL, matrix, 9, UNIT_MATRIX);
    _set_short(main, TAG_ILLUMINANT, ILLUMINANT_D65);
  }
  if(!raw->has_neutral) dt_exif_remove(main, DT_IFD_MAIN, TAG_NEUTRAL_XY);
  if(!raw->has_neutral || (!_has(main, TAG_NEUTRAL) && !_has(main, TAG_NEUTRAL_XY)))
    dt_dng_set_fractions(main, TAG_NEUTRAL, DT_TYPE_RATIONAL, neutral, 3, UNIT_FINE);
  if(!_has(main, TAG_ANALOG_BALANCE))
    dt_dng_set_fractions(main, TAG_ANALOG_BALANCE, DT_TYPE_RATIONAL, balance, 3, 1);
}

static void _set_baselines(dt_exif_t *main, const dt_raw_t *raw)
{
  static const uint16_t ones[] = { TAG_BASELINE_NOISE, TAG_BASELINE_SHARPNESS, TAG_LINEAR_LIMIT,
                                   TAG_SHADOW_SCALE };
  const double exposure = isfinite(raw->baseline_exposure) ? CLAMP(raw->baseline_exposure, -32.0, 32.0) : 0.0;
  dt_dng_set_fractions(main, TAG_BASELINE_EXPOSURE, DT_TYPE_SRATIONAL, &exposure, 1, 100);
  for(size_t i = 0; i < G_N_ELEMENTS(ones); i++)
    if(!_has(main, ones[i])) _set_ratio(main, ones[i], 1.0);
}

static void _set_names(dt_exif_t *main, const dt_raw_t *raw)
{
  char *both = g_strconcat(raw->make ? raw->make : "", " ", raw->model ? raw->model : "", NULL);
  g_strstrip(both);
  if(raw->make && *raw->make) dt_dng_set_text(main, TAG_MAKE, raw->make);
  if(raw->model && *raw->model) dt_dng_set_text(main, TAG_MODEL, raw->model);
  const char *unique = raw->unique_model && *raw->unique_model ? raw->unique_model : *both ? both : "unknown";
  char *ascii = g_str_to_ascii(unique, "C");
  dt_dng_set_text(main, TAG_UNIQUE_MODEL, ascii);
  /* a DNG says itself what it was made from */
  if(raw->name && *raw->name && !_has(main, TAG_ORIGINAL_NAME))
    dt_dng_set_text(main, TAG_ORIGINAL_NAME, raw->name);
  g_free(ascii);
  g_free(both);
}

dt_exif_t *dt_dng_main_tags(const dt_raw_t *raw, const dt_dng_opts_t *opts, GBytes *xmp, GString *note)
{
  const dt_dng_crop_t crop = dt_dng_get_crop(raw);
  const int orientation = raw->orientation >= 1 && raw->orientation <= 8 ? raw->orientation : 1;
  const dt_exif_facts_t facts = { .width = (uint32_t)crop.width,
                                  .height = (uint32_t)crop.height,
                                  .orientation = orientation,
                                  .software = opts->software };
  dt_exif_t *main = dt_exif_copy(raw->exif);
  dt_exif_correct(main, &facts);
  dt_exif_set_number(main, DT_IFD_MAIN, DT_TAG_ORIENTATION, DT_TYPE_SHORT, (uint32_t)orientation);
  dt_exif_remove(main, DT_IFD_MAIN, DT_TAG_ICC);       // it would be the thumbnail's
  dt_exif_remove(main, DT_IFD_MAIN, DT_TAG_PHOTOSHOP); // it may hold previews
  dt_exif_remove(main, DT_IFD_MAIN, DT_TAG_XMP);
  if(raw->mosaic.sensor != DT_SENSOR_FOUR) _add_entries(main, raw->dng_tags);
  _set_names(main, raw);
  _set_colour(main, raw, note);
  _set_baselines(main, raw);
  gsize size = 0;
  const void *data = xmp ? g_bytes_get_data(xmp, &size) : NULL;
  if(size) dt_dng_set_bytes(main, DT_TAG_XMP, DT_TYPE_BYTE, data, size);
  return main;
}

// --- The raw picture's directory

static void _set_pattern(dt_exif_t *raw_ifd, const dt_mosaic_t *m)
{
  static const uint8_t planes[3] = { 0, 1, 2 };
  uint8_t pattern[DT_MOSAIC_PERIOD * DT_MOSAIC_PERIOD];
  const int period = m->period, dim[2] = { period, period };
  for(int i = 0; i < period * period; i++) pattern[i] = m->colour[i / period][i % period];
  dt_dng_set_shorts(raw_ifd, TAG_CFA_DIM, dim, 2);
  dt_dng_set_bytes(raw_ifd, TAG_CFA_PATTERN, DT_TYPE_BYTE, pattern, (size_t)(period * period));
  dt_dng_set_bytes(raw_ifd, TAG_CFA_PLANE_COLOUR, DT_TYPE_BYTE, planes, 3);
  _set_short(raw_ifd, TAG_CFA_LAYOUT, 1);
  if(m->sensor == DT_SENSOR_BAYER) dt_dng_set_longs(raw_ifd, TAG_GREEN_SPLIT, &(uint32_t){ 0 }, 1);
}

/** BlackLevelRepeatDim is 1 × 1 unless it is told; told so, it leads RawTherapee 5.9 astray, which for X-Trans wants one
 * value for each site. */
static void _set_levels(dt_exif_t *raw_ifd, const dt_dng_levels_t *levels, const dt_mosaic_t *m, int samples)
{
  const int black = (int)levels->black, white = (int)(levels->black + levels->scale);
  const gboolean sites = samples == 1 && m->sensor == DT_SENSOR_XTRANS;
  int blacks[DT_MOSAIC_PERIOD * DT_MOSAIC_PERIOD];
  for(size_t i = 0; i < G_N_ELEMENTS(blacks); i++) blacks[i] = black;
  if(sites) dt_dng_set_shorts(raw_ifd, TAG_BLACK_DIM, (const int[]){ m->period, m->period }, 2);
  dt_dng_set_shorts(raw_ifd, TAG_BLACK, blacks, sites ? m->period * m->period : samples);
  dt_dng_set_shorts(raw_ifd, TAG_WHITE, (const int[]){ white, white, white }, samples);
  if(levels->half) dt_dng_set_shorts(raw_ifd, TAG_SAMPLE_FORMAT, (const int[]){ 3, 3, 3 }, samples);
}

static void _set_areas(dt_exif_t *raw_ifd, const dt_raw_t *raw)
{
  const uint32_t size[2] = { (uint32_t)raw->mosaic.width, (uint32_t)raw->mosaic.height };
  const dt_dng_crop_t crop = dt_dng_get_crop(raw);
  const uint32_t origin[2] = { (uint32_t)crop.x, (uint32_t)crop.y };
  const uint32_t extent[2] = { (uint32_t)crop.width, (uint32_t)crop.height };
  const double scale[2] = { 1.0, 1.0 };
  dt_dng_set_longs(raw_ifd, TAG_WIDTH, &size[0], 1);
  dt_dng_set_longs(raw_ifd, TAG_HEIGHT, &size[1], 1);
  dt_dng_set_longs(raw_ifd, TAG_ACTIVE_AREA, (const uint32_t[]){ 0, 0, size[1], size[0] }, 4);
  dt_dng_set_longs(raw_ifd, TAG_CROP_ORIGIN, origin, 2);
  dt_dng_set_longs(raw_ifd, TAG_CROP_SIZE, extent, 2);
  if(!_has(raw_ifd, TAG_DEFAULT_SCALE))
    dt_dng_set_fractions(raw_ifd, TAG_DEFAULT_SCALE, DT_TYPE_RATIONAL, scale, 2, 1);
  if(!_has(raw_ifd, TAG_BEST_QUALITY)) _set_ratio(raw_ifd, TAG_BEST_QUALITY, 1.0);
  if(!_has(raw_ifd, TAG_ANTI_ALIAS)) _set_ratio(raw_ifd, TAG_ANTI_ALIAS, 1.0);
}

/** From 0 to 1; 0/0 is for what is not known. */
static void _set_noise_reduction(dt_exif_t *raw_ifd, const dt_provenance_t *provenance)
{
  const double part = provenance ? CLAMP(provenance->strength / 100.0, 0.0, 1.0) : 0.0;
  dt_dng_set_fractions(raw_ifd, TAG_NOISE_REDUCTION, DT_TYPE_RATIONAL, &part, 1, provenance ? 100 : 0);
}

/** Opcode list 1 is for codes and places as the source stored them, masked borders included; list 2 for samples behind
 * the filter array. */
static void _drop_opcodes(dt_exif_t *raw_ifd, gboolean cfa, GString *note)
{
  const gboolean has_first = _has(raw_ifd, TAG_OPCODES_1), has_second = _has(raw_ifd, TAG_OPCODES_2);
  dt_exif_remove(raw_ifd, DT_IFD_MAIN, TAG_OPCODES_1);
  if(!cfa) dt_exif_remove(raw_ifd, DT_IFD_MAIN, TAG_OPCODES_2);
  if(!cfa && (has_first || has_second))
    _add_note(
        note,
        "Corrections that the source asks for before demosaicking (opcode lists 1 and 2) do not apply to a "
        "demosaicked picture and were left out. With --output-kind cfa list 2 is kept.");
  else if(has_first)
    _add_note(note,
              "Corrections that the source asks for on the samples as it stored them (opcode list 1) do not "
              "apply to the result and were left out.");
}

dt_exif_t *dt_dng_raw_tags(const dt_raw_t *raw, const dt_dng_opts_t *opts, const dt_dng_levels_t *levels,
                           GString *note)
{
  dt_exif_t *raw_ifd = dt_exif_create();
  raw_ifd->big_endian = raw->exif ? raw->exif->big_endian : FALSE;
  const gboolean cfa = opts->kind == DT_DNG_CFA;
  _add_entries(raw_ifd, raw->raw_tags);
  _drop_opcodes(raw_ifd, cfa, note);
  if(cfa) _set_pattern(raw_ifd, &raw->mosaic);
  dt_dng_set_longs(raw_ifd, TAG_SUBFILE, &(uint32_t){ 0 }, 1);
  _set_short(raw_ifd, TAG_PHOTOMETRIC, cfa ? PHOTOMETRIC_CFA : PHOTOMETRIC_LINEAR);
  _set_levels(raw_ifd, levels, &raw->mosaic, DT_DNG_SAMPLES(opts->kind));
  _set_areas(raw_ifd, raw);
  _set_noise_reduction(raw_ifd, opts->provenance);
  return raw_ifd;
}

/** Whether the first directory has tags of DNG 1.6; entries are sorted. */
static gboolean _ends_with_new(const dt_exif_t *directory)
{
  const GArray *entries = directory->ifds[DT_IFD_MAIN];
  return entries->len > 0 && g_array_index(entries, dt_exif_entry_t, entries->len - 1).tag >= TAG_GAIN_TABLE;
}

/** Lowest versions that know everything in the file: 1.1 is the first that reads lossless JPEG of 16 bits, 1.4 the first
 * with floating point; 1.6 has tags that older readers may leave aside. */
static void _set_versions(dt_exif_t *main, const dt_exif_t *raw_ifd)
{
  const gboolean is_new = _ends_with_new(main) || _ends_with_new(raw_ifd);
  const uint8_t version[4] = { 1, is_new ? 6 : 4, 0, 0 };
  const uint8_t backward[4] = { 1, _has(raw_ifd, TAG_SAMPLE_FORMAT) ? 4 : 1, 0, 0 };
  dt_dng_set_bytes(main, TAG_DNG_VERSION, DT_TYPE_BYTE, version, 4);
  dt_dng_set_bytes(main, TAG_DNG_BACKWARD, DT_TYPE_BYTE, backward, 4);
}

void dt_dng_add_measured(dt_exif_t *main, dt_exif_t *raw, const dt_dng_measured_t *measured)
{
  double profile[6];
  dt_dng_set_bytes(main, TAG_UNIQUE_ID, DT_TYPE_BYTE, measured->id, sizeof(measured->id));
  for(int c = 0; c < 3; c++)
  {
    profile[2 * c] = MAX(measured->noise[c].scale, 1e-12); // DNG has it above 0
    profile[2 * c + 1] = measured->noise[c].offset;
  }
  _set_versions(main, raw);
  if(measured->has_noise) dt_dng_set_doubles(raw, TAG_NOISE_PROFILE, profile, 6);
}
