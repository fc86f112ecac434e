/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Black and white of every site. A DNG says them itself, more exactly than LibRaw passes them on; of all others LibRaw
 * knows a black of the picture, one of each colour, and a pattern, which add up. */
#include "imageio/raw_read_internal.h"

#include "common/log.h"

#include <math.h>

enum
{
  TAG_BLACK_REPEAT = 50713,
  TAG_BLACK_DELTA_H = 50715,
  TAG_BLACK_DELTA_V = 50716,
};

/** Black levels in a pattern of @c rows × @c columns sites with @c samples each. */
typedef struct _pattern_t
{
  int rows, columns, samples;
  double (*get)(const dt_raw_reading_t *reading, int i);
} _pattern_t;

/** Mean of the pattern over all sites that are @p y, @p x of the mosaic's own period. */
static double _average(const dt_raw_reading_t *reading, const _pattern_t *pattern, int period, int y, int x,
                       int sample)
{
  double sum = 0.0;
  for(int i = 0; i < pattern->rows; i++)
    for(int j = 0; j < pattern->columns; j++)
    {
      const int row = (y + i * period) % pattern->rows, column = (x + j * period) % pattern->columns;
      sum += pattern->get(reading, (row * pattern->columns + column) * pattern->samples + sample);
    }
  return sum / (pattern->rows * pattern->columns);
}

/** Levels stand in rows of this many: of sites, or with DT_SENSOR_LINEAR of colours. */
static int _columns(const dt_mosaic_t *m)
{
  return m->sensor == DT_SENSOR_LINEAR ? 3 : m->period;
}

static int _count_levels(const dt_mosaic_t *m)
{
  return _columns(m) * m->period;
}

static float *_black(dt_mosaic_t *m, int i)
{
  return &m->black[i / _columns(m)][i % _columns(m)];
}

static float *_white(dt_mosaic_t *m, int i)
{
  return &m->white[i / _columns(m)][i % _columns(m)];
}

static void _fill_pattern(const dt_raw_reading_t *reading, const _pattern_t *pattern, dt_mosaic_t *m)
{
  const gboolean linear = m->sensor == DT_SENSOR_LINEAR;
  for(int i = 0; i < _count_levels(m); i++)
  {
    const int y = i / _columns(m), x = i % _columns(m);
    *_black(m, i) += (float)_average(reading, pattern, m->period, y, linear ? 0 : x,
                                     linear ? MIN(x, pattern->samples - 1) : 0);
  }
  if(m->period % pattern->rows || m->period % pattern->columns)
    dt_log(DT_LOG_PIPE, "%s: a black level of %d x %d sites is averaged", reading->file->input->name,
           pattern->columns, pattern->rows);
}

// --- As a DNG says it

static double _get_dng_black(const dt_raw_reading_t *reading, int i)
{
  return dt_raw_file_number(reading->file, reading->picture, DT_TAG_BLACK_LEVEL, (uint32_t)i, 0.0);
}

/** Mean of what is to be added to rows or columns. */
static double _get_delta(const dt_raw_reading_t *reading, uint16_t tag)
{
  const dt_exif_entry_t *entry = dt_exif_find_in(reading->picture, tag);
  double sum = 0.0;
  for(uint32_t i = 0; entry && i < entry->count; i++)
    sum += dt_exif_entry_number(entry, i, reading->file->big_endian, 0.0);
  return entry ? sum / entry->count : 0.0;
}

static gboolean _read_dng_black(const dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  const dt_exif_entry_t *entry = dt_exif_find_in(reading->picture, DT_TAG_BLACK_LEVEL);
  const int rows = (int)dt_raw_file_number(reading->file, reading->picture, TAG_BLACK_REPEAT, 0, 1.0);
  const int columns = (int)dt_raw_file_number(reading->file, reading->picture, TAG_BLACK_REPEAT, 1, 1.0);
  if(entry
     && (rows < 1 || columns < 1 || rows > 64 || columns > 64 || entry->count % (uint32_t)(rows * columns)))
    return FALSE;
  if(!entry) return TRUE;
  const _pattern_t pattern = { .rows = rows,
                               .columns = columns,
                               .samples = (int)(entry->count / (uint32_t)(rows * columns)),
                               .get = _get_dng_black };
  const double delta = _get_delta(reading, TAG_BLACK_DELTA_H) + _get_delta(reading, TAG_BLACK_DELTA_V);
  _fill_pattern(reading, &pattern, m);
  for(int i = 0; i < _count_levels(m); i++) *_black(m, i) += (float)delta;
  return TRUE;
}

/** The largest number that the file's samples can hold: where white is when nobody says. */
static double _get_top(const dt_raw_reading_t *reading, const dt_mosaic_t *m)
{
  const double bits = reading->picture
                          ? dt_raw_file_number(reading->file, reading->picture, DT_TAG_BITS, 0, 16.0)
                          : reading->data->color.raw_bps;
  return m->is_float ? 1.0 : exp2(bits >= 1.0 && bits <= 16.0 ? bits : 16.0) - 1.0;
}

static void _read_dng_white(const dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  const double first =
      dt_raw_file_number(reading->file, reading->picture, DT_TAG_WHITE_LEVEL, 0, _get_top(reading, m));
  for(int i = 0; i < _count_levels(m); i++)
  {
    const uint32_t sample = m->sensor == DT_SENSOR_LINEAR ? (uint32_t)i : 0;
    *_white(m, i) =
        (float)dt_raw_file_number(reading->file, reading->picture, DT_TAG_WHITE_LEVEL, sample, first);
  }
}

// --- As LibRaw says it

static double _get_black(const dt_raw_reading_t *reading, int i)
{
  return reading->data->color.cblack[6 + i];
}

static void _add_black_pattern(const dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  const unsigned rows = reading->data->color.cblack[4], columns = reading->data->color.cblack[5];
  if(rows < 1 || columns < 1 || rows > LIBRAW_CBLACK_SIZE || columns > (LIBRAW_CBLACK_SIZE - 6) / rows)
    return;
  const _pattern_t pattern = { .rows = (int)rows, .columns = (int)columns, .samples = 1, .get = _get_black };
  _fill_pattern(reading, &pattern, m);
}

/** Whether LibRaw left black to be measured. */
static gboolean _is_black_unknown(const dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  double sum = 0.0;
  for(int i = 0; i < _count_levels(m); i++) sum += (double)*_black(m, i);
  return sum == 0.0 && reading->data->rawdata.raw_image && !m->is_float && m->sensor != DT_SENSOR_LINEAR;
}

/** Adds up the samples of a rectangle that no light reaches: @p area is top, left, bottom, right. */
static void _add_masked(const dt_raw_reading_t *reading, const dt_mosaic_t *m, const int area[4],
                        double sums[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD],
                        double counts[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD])
{
  const libraw_image_sizes_t *sizes = &reading->data->sizes;
  const int p = m->period, bottom = MIN(area[2], sizes->raw_height), right = MIN(area[3], sizes->raw_width);
  for(int y = MAX(area[0], 0); y < bottom; y++)
    for(int x = MAX(area[1], 0); x < right; x++)
    {
      // the pattern begins with the visible area; 6 times anything keeps the remainder positive
      const int row = (y - sizes->top_margin + 6 * 65536) % p,
                column = (x - sizes->left_margin + 6 * 65536) % p;
      sums[row][column] += reading->data->rawdata.raw_image[(size_t)y * m->stride + (size_t)x];
      counts[row][column] += 1.0;
    }
}

static void _measure_black(const dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  double sums[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD] = { 0 }, counts[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD] = { 0 };
  for(int i = 0; i < 8; i++) _add_masked(reading, m, reading->data->sizes.mask[i], sums, counts);
  for(int i = 0; i < _count_levels(m); i++)
  {
    const int y = i / m->period, x = i % m->period;
    const double mean = counts[y][x] > 0.0 ? sums[y][x] / counts[y][x] : 0.0;
    if(mean < (double)*_white(m, i) / 2.0) *_black(m, i) = (float)mean;
  }
}

static void _read_library_levels(const dt_raw_reading_t *reading, dt_mosaic_t *m)
{
  const libraw_colordata_t *color = &reading->data->color;
  for(int i = 0; i < _count_levels(m); i++)
  {
    const int index = m->sensor == DT_SENSOR_LINEAR ? i : reading->index[i / m->period][i % m->period];
    *_black(m, i) = (float)color->black + (float)color->cblack[index];
    *_white(m, i) = (float)color->maximum;
  }
  _add_black_pattern(reading, m);
  if(_is_black_unknown(reading, m)) _measure_black(reading, m);
}

// --- Sense

static gboolean _fail(const dt_raw_reading_t *reading, GError **error, float black, float white)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, reading->file->input->name,
                       "the levels of this raw make no sense (black %g, white %g); copy it again from its "
                       "source, or convert it to DNG with another program first",
                       (double)black, (double)white);
  return FALSE;
}

/** White below black, or beyond what samples can hold: then it is where they end, if black leaves room for that. */
static gboolean _check_levels(const dt_raw_reading_t *reading, dt_mosaic_t *m, GError **error)
{
  const float top = (float)_get_top(reading, m);
  gboolean corrected = FALSE;
  for(int i = 0; i < _count_levels(m); i++)
  {
    const float black = *_black(m, i), white = *_white(m, i);
    if(!isfinite(black) || (black < 0.0f && !m->is_float)) return _fail(reading, error, black, white);
    if(white > black && isfinite(white) && (m->is_float || white <= 65535.0f)) continue;
    if(black >= top) return _fail(reading, error, black, white);
    *_white(m, i) = top;
    corrected = TRUE;
  }
  if(corrected)
    dt_log(DT_LOG_PIPE, "%s: its white level makes no sense; %g is used", reading->file->input->name,
           (double)top);
  return TRUE;
}

gboolean dt_raw_read_levels(const dt_raw_reading_t *reading, dt_mosaic_t *mosaic, GError **error)
{
  if(reading->picture && _read_dng_black(reading, mosaic))
    _read_dng_white(reading, mosaic);
  else
    _read_library_levels(reading, mosaic);
  return _check_levels(reading, mosaic, error);
}
