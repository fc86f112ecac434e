/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Has LibRaw decode a raw, and describes what it left in memory: the samples of the visible area as they were stored,
 * their filter array, and the camera's colours. LibRaw is told to do nothing else. */
#include "imageio/late_library.h"
#include "imageio/raw_read_internal.h"

#include "common/half.h"

#include <string.h>

#define FUNCTIONS                                                                                            \
  F(COLOR)                                                                                                   \
  F(close)                                                                                                   \
  F(init)                                                                                                    \
  F(open_file)                                                                                               \
  F(recycle_datastream)                                                                                      \
  F(set_dataerror_handler)                                                                                   \
  F(strerror)                                                                                                \
  F(unpack)                                                                                                  \
  F(unpack_function_name)                                                                                    \
  F(version)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): it declares */
#define F(name) __typeof__(libraw_##name) *name;
static struct
{
  FUNCTIONS
} _libraw;
#undef F
#define F(name) "libraw_" #name,
static const char *const _names[] = { FUNCTIONS NULL };
#undef F
static dt_late_library_t _library = { .file = DT_LIBRAW_LIBRARY, .names = _names, .functions = &_libraw };

/** No handlers of the library's own for lack of memory and bad data, which print. */
#define SILENT 3

/** TIFF's number for zlib's compression. */
#define COMPRESSION_DEFLATE 8

/** What the samples may take, MiB: enough for any sensor, and in proportion to the file. Only emptiness is packed
 * more tightly than that. */
#define MIN_MEMORY 64
#define MAX_MEMORY 8192
#define MAX_PACKING 256

// --- Failure

static gboolean _fail(const dt_raw_reading_t *reading, GError **error, const char *problem)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, reading->file->input->name, "%s", problem);
  return FALSE;
}

/** Damage that the library goes on after, leaving grey or noise. */
typedef struct _damage_t
{
  int ends;   ///< reads behind the end of the file
  int places; ///< of other damage
} _damage_t;

static void _note_damage(void *data, const char *name, int offset)
{
  _damage_t *damage = data;
  (void)name;
  damage->ends += offset < 0;
  damage->places += offset >= 0;
}

/** Deflated samples need a LibRaw that was built with zlib, and Debian's is not: it calls them damaged. */
static gboolean _is_deflated(const dt_raw_file_t *file)
{
  const double compression = dt_raw_file_number(file, file->picture, DT_TAG_COMPRESSION, 0, 0.0);
  return compression == COMPRESSION_DEFLATE;
}

/** The library's reason with what can be done. */
static gboolean _fail_decoding(const dt_raw_reading_t *reading, int code, GError **error)
{
  const libraw_iparams_t *camera = &reading->data->idata;
  const char *reason = _libraw.strerror(code), *name = reading->file->input->name;
  if(code == LIBRAW_TOO_BIG || code == LIBRAW_UNSUFFICIENT_MEMORY)
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, name,
                         "the samples of this raw would take more memory than its size and this machine "
                         "allow (%s); if it is not damaged, close other programs",
                         reason);
  else if(_is_deflated(reading->file))
    dt_imageio_set_error(
        error, DT_AI_ERROR_INPUT, name,
        "this raw is compressed with deflate, which LibRaw %s as it is installed here cannot read, "
        "or it is damaged (%s); convert it to an uncompressed DNG first",
        _libraw.version(), reason);
  else if(code == LIBRAW_IO_ERROR || code == LIBRAW_DATA_ERROR)
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, name,
                         "this raw is cut off or damaged (%s); copy it again from its source", reason);
  else
    dt_imageio_set_error(
        error, DT_AI_ERROR_INPUT, name,
        "LibRaw %s cannot read this raw%s%.63s%s%.63s (%s); it may be damaged, or of a camera or "
        "compression that is not known yet: convert it to an uncompressed DNG first",
        _libraw.version(), *camera->make ? ", of " : "", camera->make, *camera->model ? " " : "",
        camera->model, reason);
  return FALSE;
}

// --- The sensor

/** LibRaw's numbers of the colours of filter arrays that are not 2x2. */
enum
{
  FILTERS_NONE = 0,
  FILTERS_XTRANS = 9,
  FILTERS_LARGEST_CODE = 999, ///< above, the number is the pattern itself, 8 rows by 2 columns
};

/** Fills the mosaic's colours; FALSE when a site is not what it would be with that period. */
static gboolean _read_colours(dt_raw_reading_t *reading, libraw_data_t *data, dt_mosaic_t *m)
{
  const int rows = m->period == 2 ? 8 : m->period;
  // the library counts from its own idea of the visible area; 24 is a multiple of all periods, and more than any shift
  const int down = (reading->top - data->sizes.top_margin) % 24 + 24,
            right = (reading->left - data->sizes.left_margin) % 24 + 24;
  for(int y = 0; y < rows; y++)
    for(int x = 0; x < m->period; x++)
    {
      const int index = _libraw.COLOR(data, y + down, x + right);
      const guint8 colour = (guint8)(index == 3 && data->idata.colors == 3 ? DT_SITE_GREEN : index);
      if(index < 0 || index > 3) return FALSE;
      if(y < m->period)
      {
        reading->index[y][x] = index;
        m->colour[y][x] = colour;
      }
      else if(colour != m->colour[y % m->period][x])
        return FALSE;
    }
  return TRUE;
}

/** Whether there are as many sites of each colour as the kind of sensor has, and of Bayer the greens on a diagonal. */
static gboolean _is_known_pattern(const dt_mosaic_t *m)
{
  static const int expected[][4] = { [DT_SENSOR_BAYER] = { 1, 2, 1, 0 },
                                     [DT_SENSOR_XTRANS] = { 8, 20, 8, 0 },
                                     [DT_SENSOR_FOUR] = { 1, 1, 1, 1 } };
  int counts[4] = { 0 };
  for(int y = 0; y < m->period; y++)
    for(int x = 0; x < m->period; x++) counts[m->colour[y][x]]++;
  const gboolean apart = m->sensor != DT_SENSOR_BAYER || m->colour[0][0] == m->colour[1][1]
                         || m->colour[0][1] == m->colour[1][0];
  return apart && memcmp(counts, expected[m->sensor], sizeof(counts)) == 0;
}

static gboolean _read_sensor(dt_raw_reading_t *reading, libraw_data_t *data, dt_mosaic_t *m, GError **error)
{
  const libraw_iparams_t *camera = &data->idata;
  const gboolean single = data->rawdata.raw_image || data->rawdata.float_image;
  m->sensor = !single                             ? DT_SENSOR_LINEAR
              : camera->filters == FILTERS_XTRANS ? DT_SENSOR_XTRANS
              : camera->colors == 4               ? DT_SENSOR_FOUR
                                                  : DT_SENSOR_BAYER;
  m->period = m->sensor == DT_SENSOR_XTRANS ? 6 : single ? 2 : 1;
  if(data->rawdata.ioparams.fuji_width)
    return _fail(
        reading, error,
        "the sensor of this raw stands on its corner (Super CCD), which is not supported; develop it "
        "with a raw developer first and use denoise on the result");
  const gboolean coded = camera->filters != FILTERS_XTRANS && camera->filters <= FILTERS_LARGEST_CODE;
  const gboolean known = single ? !coded && _read_colours(reading, data, m) && _is_known_pattern(m)
                                : camera->filters == FILTERS_NONE && camera->colors == 3;
  return known
         || _fail(
             reading, error,
             "the colours of this raw's sensor lie in a pattern that is not supported; develop it with a raw "
             "developer first and use denoise on the result");
}

// --- Samples

/** Finds the array the library decoded into; samples from pixel to pixel, 0 when there is none. */
static const void *_find_samples(const libraw_rawdata_t *raw, size_t *step, gboolean *is_float)
{
  const struct
  {
    const void *samples;
    size_t step;
    gboolean is_float;
  } arrays[] = { { raw->raw_image, 1, FALSE },    { raw->color3_image, 3, FALSE },
                 { raw->color4_image, 4, FALSE }, { raw->float_image, 1, TRUE },
                 { raw->float3_image, 3, TRUE },  { raw->float4_image, 4, TRUE } };
  for(size_t i = 0; i < G_N_ELEMENTS(arrays); i++)
    if(arrays[i].samples)
    {
      *step = arrays[i].step;
      *is_float = arrays[i].is_float;
      return arrays[i].samples;
    }
  return NULL;
}

/** A DNG's own directory of the raw, if it has the size of what the library decoded. */
static gboolean _match_picture(dt_raw_reading_t *reading, GError **error)
{
  const dt_raw_file_t *file = reading->file;
  if(file->kind != DT_RAW_DNG) return TRUE;
  const double width = dt_raw_file_number(file, file->picture, DT_TAG_WIDTH, 0, 0.0);
  const double height = dt_raw_file_number(file, file->picture, DT_TAG_HEIGHT, 0, 0.0);
  if(width > 65535.0 || height > 65535.0)
    return _fail(
        reading, error,
        "this DNG is more than 65535 pixels wide or high, which LibRaw cannot read; cut it into pieces "
        "first");
  if(width == reading->data->sizes.raw_width && height == reading->data->sizes.raw_height)
    reading->picture = file->picture;
  return TRUE;
}

/** The visible area. Of a DNG the library cuts off a row or column so that filter arrays begin at even places; its own
 * tag says what there is. */
static void _choose_area(dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  const libraw_image_sizes_t *sizes = &reading->data->sizes;
  reading->left = sizes->left_margin;
  reading->top = sizes->top_margin;
  m->width = sizes->width;
  m->height = sizes->height;
  const dt_exif_entry_t *tag = dt_exif_find_in(reading->picture, DT_TAG_ACTIVE_AREA);
  double area[4];
  for(uint32_t i = 0; i < 4; i++) area[i] = dt_exif_entry_number(tag, i, reading->file->big_endian, -1.0);
  if(area[0] < 0.0 || area[1] < 0.0 || area[2] <= area[0] || area[3] <= area[1] || area[2] > sizes->raw_height
     || area[3] > sizes->raw_width)
    return;
  reading->top = (int)area[0];
  reading->left = (int)area[1];
  m->height = (int)area[2] - reading->top;
  m->width = (int)area[3] - reading->left;
}

/** Floating point that came as the integers of the same bits; other floats are not known to come so. */
static gboolean _check_floats(dt_raw_reading_t *reading, dt_mosaic_t *m, GError **error)
{
  const dt_raw_file_t *file = reading->file;
  if(m->is_float || dt_raw_file_number(file, reading->picture, DT_TAG_SAMPLE_FORMAT, 0, 1.0) != 3.0)
    return TRUE;
  reading->is_half = m->is_float = TRUE;
  return dt_raw_file_number(file, reading->picture, DT_TAG_BITS, 0, 0.0) == 16.0
         || _fail(
             reading, error,
             "the floating-point samples of this DNG are of a size that LibRaw does not decode; save it with "
             "16 bits first");
}

static gboolean _read_samples(dt_raw_reading_t *reading, dt_raw_t *raw, GError **error)
{
  const libraw_image_sizes_t *sizes = &reading->data->sizes;
  dt_mosaic_t *m = &raw->mosaic;
  const void *samples = _find_samples(&reading->data->rawdata, &m->step, &m->is_float);
  const size_t size = m->is_float ? sizeof(float) : sizeof(guint16);
  m->stride = sizes->raw_pitch ? sizes->raw_pitch / size : (size_t)sizes->raw_width * m->step;
  _choose_area(reading, m);
  if(!samples || m->width < 1 || m->height < 1 || reading->left + m->width > sizes->raw_width
     || reading->top + m->height > sizes->raw_height || m->stride < (size_t)sizes->raw_width * m->step)
    return _fail(reading, error,
                 "the visible area of this raw does not lie in its picture; copy it again from its source");
  const size_t first = (size_t)reading->top * m->stride + (size_t)reading->left * m->step;
  m->samples = (const char *)samples + first * size;
  raw->memory = m->stride * size * sizes->raw_height;
  return _check_floats(reading, m, error);
}

/** Takes the place of the library's half floats with floats of the visible area; the library is done with. */
static void _widen(dt_raw_held_t *held)
{
  dt_raw_t *raw = &held->raw;
  dt_mosaic_t *m = &raw->mosaic;
  const size_t step = m->step == 1 ? 1 : 3, row = (size_t)m->width * step;
  float *wide = g_new(float, row *(size_t)m->height);
  for(size_t y = 0; y < (size_t)m->height; y++)
    for(size_t x = 0; x < (size_t)m->width; x++)
      dt_half_to_float((const uint16_t *)m->samples + y * m->stride + x * m->step, wide + y * row + x * step,
                       step);
  held->release(held->decoder);
  held->decoder = wide;
  held->release = g_free;
  m->samples = wide;
  m->stride = row;
  m->step = step;
  raw->memory = row * (size_t)m->height * sizeof(float);
}

// --- What is known about them

/** Takes a rectangle of the visible area to be shown, when it is one. */
static void _take_crop(dt_raw_t *raw, double x, double y, double width, double height)
{
  if(!(x >= 0.0 && y >= 0.0 && width >= 0.5 && height >= 0.5 && x + width < raw->mosaic.width + 1.0
       && y + height < raw->mosaic.height + 1.0))
    return;
  raw->crop_x = MIN((int)(x + 0.5), raw->mosaic.width - 1);
  raw->crop_y = MIN((int)(y + 0.5), raw->mosaic.height - 1);
  raw->crop_width = MIN(MAX((int)(width + 0.5), 1), raw->mosaic.width - raw->crop_x);
  raw->crop_height = MIN(MAX((int)(height + 0.5), 1), raw->mosaic.height - raw->crop_y);
}

static void _read_camera_crop(const dt_raw_reading_t *reading, dt_raw_t *raw)
{
  const libraw_image_sizes_t *sizes = &reading->data->sizes;
#if LIBRAW_VERSION >= LIBRAW_MAKE_VERSION(0, 21, 0)
  const libraw_raw_inset_crop_t *crop = &sizes->raw_inset_crops[0];
#else
  const libraw_raw_inset_crop_t *crop = &sizes->raw_inset_crop;
#endif
  // a small part is a mode of the camera's that others show whole
  if(crop->cwidth >= sizes->width / 2 && crop->cheight >= sizes->height / 2)
    _take_crop(raw, crop->cleft - sizes->left_margin, crop->ctop - sizes->top_margin, crop->cwidth,
               crop->cheight);
}

static void _read_crop(const dt_raw_reading_t *reading, dt_raw_t *raw)
{
  raw->crop_width = raw->mosaic.width;
  raw->crop_height = raw->mosaic.height;
  const dt_raw_file_t *file = reading->file;
  if(file->kind != DT_RAW_DNG)
    _read_camera_crop(reading, raw);
  else if(reading->picture)
    _take_crop(raw, dt_raw_file_number(file, reading->picture, DT_TAG_CROP_ORIGIN, 0, 0.0),
               dt_raw_file_number(file, reading->picture, DT_TAG_CROP_ORIGIN, 1, 0.0),
               dt_raw_file_number(file, reading->picture, DT_TAG_CROP_SIZE, 0, raw->crop_width),
               dt_raw_file_number(file, reading->picture, DT_TAG_CROP_SIZE, 1, raw->crop_height));
}

/** Matrix and neutral of a camera that the library knows. */
static void _read_colour(const libraw_data_t *data, dt_raw_t *raw)
{
  float ignored[12];
  for(int i = 0; i < 12; i++) raw->matrix[i / 3][i % 3] = (double)data->color.cam_xyz[i / 3][i % 3];
  raw->has_matrix = TRUE;
  raw->has_matrix = dt_raw_colours_to_rec709(raw, ignored);
  const float *factors = data->color.cam_mul;
  raw->has_neutral = TRUE;
  for(int c = 0; c < 4; c++)
  {
    const double factor = (double)factors[c == 3 && dt_raw_colours(raw) == 3 ? DT_SITE_GREEN : c];
    raw->neutral[c] = (double)factors[DT_SITE_GREEN] / factor;
    if(!(factor > 0.0) || !(raw->neutral[c] > 1e-3) || !(raw->neutral[c] < 1e3)) raw->has_neutral = FALSE;
  }
}

/** EXIF's orientation of the library's three bits: mirrored across, mirrored down, then turned over the diagonal. */
static int _get_orientation(int flip)
{
  static const int orientations[8] = { 1, 2, 4, 3, 5, 8, 6, 7 };
  return flip >= 0 && flip < 8 ? orientations[flip] : 1;
}

static char *_describe(const dt_raw_reading_t *reading, const dt_raw_t *raw)
{
  static const char *const kinds[] = { "Bayer", "X-Trans", "four colours", "linear RGB" };
  const dt_mosaic_t *m = &raw->mosaic;
  const libraw_iparams_t *camera = &reading->data->idata;
  GString *words = g_string_new(kinds[m->sensor]);
  if(m->period == 2)
  {
    g_string_append_c(words, ' ');
    for(int i = 0; i < 4; i++) g_string_append_c(words, camera->cdesc[MIN(m->colour[i / 2][i % 2], 3)]);
  }
  const double bits = reading->picture
                          ? dt_raw_file_number(reading->file, reading->picture, DT_TAG_BITS, 0, 0.0)
                          : reading->data->color.raw_bps;
  if(bits > 0.0) g_string_append_printf(words, ", %g bits%s", bits, m->is_float ? " floating point" : "");
  g_string_append_printf(words, ", %.63s %.63s, LibRaw %s", camera->make, camera->model, _libraw.version());
  char *valid = g_utf8_make_valid(words->str, (gssize)words->len);
  g_string_free(words, TRUE);
  return valid;
}

static gboolean _describe_raw(dt_raw_reading_t *reading, libraw_data_t *data, dt_raw_t *raw, GError **error)
{
  if(!_match_picture(reading, error) || !_read_samples(reading, raw, error)
     || !_read_sensor(reading, data, &raw->mosaic, error)
     || !dt_raw_read_levels(reading, &raw->mosaic, error))
    return FALSE;
  _read_crop(reading, raw);
  _read_colour(data, raw);
  raw->iso =
      data->other.iso_speed > 0.0f && data->other.iso_speed < 1e8f ? (double)data->other.iso_speed : 0.0;
  raw->orientation = _get_orientation(data->sizes.flip);
  raw->make =
      g_utf8_make_valid(data->idata.make, (gssize)strnlen(data->idata.make, sizeof(data->idata.make)));
  raw->model =
      g_utf8_make_valid(data->idata.model, (gssize)strnlen(data->idata.model, sizeof(data->idata.model)));
  raw->decoder = _describe(reading, raw);
  return TRUE;
}

// --- Decoding

/** What the library would do beyond decoding is switched off, and its memory limited. */
static void _set_options(libraw_data_t *data, const dt_raw_file_t *file)
{
  const uint64_t limit = CLAMP(file->input->size / ((1u << 20) / MAX_PACKING), MIN_MEMORY, MAX_MEMORY);
#if LIBRAW_VERSION >= LIBRAW_MAKE_VERSION(0, 21, 0)
  data->rawparams.options &= ~(unsigned)LIBRAW_RAWOPTIONS_CONVERTFLOAT_TO_INT;
  data->rawparams.max_raw_memory_mb = (unsigned)limit;
#else
  data->params.raw_processing_options &= ~(unsigned)LIBRAW_PROCESSING_CONVERTFLOAT_TO_INT;
  data->params.max_raw_memory_mb = (unsigned)limit;
  // nothing in the note of a DNG is wanted, and a damaged one would be the end
  if(file->kind == DT_RAW_DNG) data->params.raw_processing_options |= LIBRAW_PROCESSING_SKIP_MAKERNOTES;
#endif
}

/** The library opens files by name. Of the standard input there is only a descriptor. */
static int _open(libraw_data_t *data, const dt_input_t *input)
{
  char name[64];
  g_snprintf(name, sizeof(name), "/proc/self/fd/%d", input->fd);
  const int code = _libraw.open_file(data, name);
  return code == LIBRAW_IO_ERROR ? _libraw.open_file(data, input->name) : code;
}

/** What can be told before the samples are decoded. */
static gboolean _check_colours(const dt_raw_reading_t *reading, GError **error)
{
  const int colours = reading->data->idata.colors;
  if(colours == 1)
    return _fail(reading, error,
                 "this raw is of a monochrome sensor, which has no colours to restore; develop it with a raw "
                 "developer and use denoise on the result");
  return colours == 3 || colours == 4
         || _fail(reading, error,
                  "this raw has an unusual number of colours, which is not supported; develop it with a raw "
                  "developer "
                  "first and use denoise on the result");
}

/** Where samples are not packed, the library also calls those damaged that are above its idea of white. */
static gboolean _is_damaged(libraw_data_t *data, const _damage_t *damage)
{
  const char *decoder = _libraw.unpack_function_name(data);
  return damage->ends || (damage->places && g_strcmp0(decoder, "unpacked_load_raw()") != 0);
}

static gboolean _decode(libraw_data_t *data, dt_raw_held_t *held, const dt_raw_file_t *file, GError **error)
{
  dt_raw_reading_t reading = { .file = file, .data = data };
  _damage_t damage = { 0 };
  _libraw.set_dataerror_handler(data, _note_damage, &damage);
  _set_options(data, file);
  int code = _open(data, file->input);
  if(code == LIBRAW_SUCCESS && !_check_colours(&reading, error)) return FALSE;
  damage = (_damage_t){ 0 }; // of metadata
  if(code == LIBRAW_SUCCESS) code = _libraw.unpack(data);
  if(code != LIBRAW_SUCCESS) return _fail_decoding(&reading, code, error);
  if(_is_damaged(data, &damage)) return _fail_decoding(&reading, LIBRAW_DATA_ERROR, error);
  _libraw.recycle_datastream(data);
  _libraw.set_dataerror_handler(data, NULL, NULL);
  if(!_describe_raw(&reading, data, &held->raw, error)) return FALSE;
  if(reading.is_half) _widen(held);
  return TRUE;
}

static void _release(void *decoder)
{
  _libraw.close(decoder);
}

gboolean dt_raw_decode(dt_raw_held_t *held, const dt_raw_file_t *file, GError **error)
{
  if(!dt_late_library_load(&_library))
  {
    dt_imageio_set_error(error, DT_AI_ERROR_USAGE, file->input->name,
                         "raws are read with LibRaw, and its library %s is not here or too old; install it",
                         _library.file);
    return FALSE;
  }
  libraw_data_t *data = _libraw.init(SILENT);
  if(!data)
  {
    dt_imageio_set_error(error, DT_AI_ERROR_MEMORY, file->input->name,
                         "there is not enough memory to open this raw; close other programs");
    return FALSE;
  }
  held->decoder = data;
  held->release = _release;
  return _decode(data, held, file, error);
}
