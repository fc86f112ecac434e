/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The colours of a sensor: from the tags of a DNG, and on to Rec.709. The formulas are those of the DNG specification
 * (chapter 6, "Mapping Camera Color Space to CIE XYZ Space"). */
#include "imageio/raw_internal.h"

#include <math.h>
#include <string.h>

/** XYZ of D65 (x 0.3127, y 0.3290), and of light of Rec.709 primaries with that white. */
static const double _d65[3] = { 0.3127 / 0.3290, 1.0, (1.0 - 0.3127 - 0.3290) / 0.3290 };
static const double _rec709_to_xyz[3][3] = { { 0.4123907993, 0.3575843394, 0.1804807884 },
                                             { 0.2126390059, 0.7151686788, 0.0721923154 },
                                             { 0.0193308187, 0.1191947798, 0.9505321522 } };

int dt_raw_colours(const dt_raw_t *raw)
{
  return raw->mosaic.sensor == DT_SENSOR_FOUR ? 4 : 3;
}

// --- Neutral

/** Takes a response to white when it is one: green becomes 1. */
static gboolean _take_neutral(dt_raw_t *raw, const double response[4])
{
  double neutral[4] = { 1.0, 1.0, 1.0, 1.0 };
  for(int c = 0; c < dt_raw_colours(raw); c++)
  {
    neutral[c] = response[c] / response[DT_SITE_GREEN];
    if(!(response[c] > 0.0) || !(neutral[c] > 1e-3) || !(neutral[c] < 1e3)) return FALSE;
  }
  memcpy(raw->neutral, neutral, sizeof(neutral));
  return TRUE;
}

/** The camera's response to a light. */
static gboolean _take_white(dt_raw_t *raw, const double xyz[3])
{
  double response[4] = { 0.0 };
  for(int c = 0; c < 4; c++)
    for(int k = 0; k < 3; k++) response[c] += raw->matrix[c][k] * xyz[k];
  return raw->has_matrix && _take_neutral(raw, response);
}

void dt_raw_complete_neutral(dt_raw_t *raw)
{
  static const double even[4] = { 1.0, 1.0, 1.0, 1.0 };
  if(!raw->has_neutral && !_take_white(raw, _d65)) memcpy(raw->neutral, even, sizeof(even));
}

// --- Tags of a DNG

static double _number(const dt_raw_t *raw, uint16_t tag, int i, double otherwise)
{
  return dt_exif_entry_number(dt_exif_find_in(raw->dng_tags, tag), (uint32_t)i, raw->exif->big_endian,
                              otherwise);
}

static gboolean _has_values(const dt_raw_t *raw, uint16_t tag, int count)
{
  const dt_exif_entry_t *entry = dt_exif_find_in(raw->dng_tags, tag);
  return entry && entry->count == (uint32_t)count;
}

/** How far a light of EXIF's LightSource is from D65, in reciprocal megakelvin; of those unknown, far. */
static double _distance_from_d65(int light)
{
  static const struct
  {
    int light;
    double kelvin;
  } known[] = { { 1, 5500 },  { 2, 4150 },  { 3, 2850 },  { 4, 5500 },  { 9, 5500 },
                { 10, 6500 }, { 11, 7500 }, { 12, 6430 }, { 13, 5000 }, { 14, 4150 },
                { 15, 3450 }, { 17, 2856 }, { 18, 4874 }, { 19, 6774 }, { 20, 5503 },
                { 21, 6504 }, { 22, 7504 }, { 23, 5003 }, { 24, 3200 } };
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(known[i].light == light) return fabs(1e6 / known[i].kelvin - 1e6 / 6504.0);
  return 1e6;
}

/** Of up to three matrices, the one for the light that is nearest to D65: 0 to 2, or -1 when there is none. */
static int _choose_matrix(const dt_raw_t *raw)
{
  static const uint16_t tags[3][2] = { { DT_TAG_COLOR_MATRIX_1, DT_TAG_ILLUMINANT_1 },
                                       { DT_TAG_COLOR_MATRIX_2, DT_TAG_ILLUMINANT_2 },
                                       { DT_TAG_COLOR_MATRIX_3, DT_TAG_ILLUMINANT_3 } };
  int best = -1;
  double least = HUGE_VAL;
  for(int i = 0; i < 3; i++)
  {
    const double distance = _distance_from_d65((int)_number(raw, tags[i][1], 0, 0.0));
    if(!_has_values(raw, tags[i][0], 3 * dt_raw_colours(raw)) || distance >= least) continue;
    best = i;
    least = distance;
  }
  return best;
}

/** matrix = analog balance × camera calibration × colour matrix. */
static void _read_matrix(dt_raw_t *raw, int which)
{
  static const uint16_t matrices[] = { DT_TAG_COLOR_MATRIX_1, DT_TAG_COLOR_MATRIX_2, DT_TAG_COLOR_MATRIX_3 };
  static const uint16_t corrections[] = { DT_TAG_CALIBRATION_1, DT_TAG_CALIBRATION_2, DT_TAG_CALIBRATION_3 };
  const int n = dt_raw_colours(raw);
  const gboolean calibrated = _has_values(raw, corrections[which], n * n),
                 balanced = _has_values(raw, DT_TAG_ANALOG_BALANCE, n);
  memset(raw->matrix, 0, sizeof(raw->matrix));
  for(int c = 0; c < n; c++)
    for(int k = 0; k < 3; k++)
    {
      for(int j = 0; j < n; j++)
        raw->matrix[c][k] += (calibrated ? _number(raw, corrections[which], c * n + j, 0.0) : c == j)
                             * _number(raw, matrices[which], j * 3 + k, 0.0);
      raw->matrix[c][k] *= balanced ? _number(raw, DT_TAG_ANALOG_BALANCE, c, 1.0) : 1.0;
    }
}

static void _read_neutral(dt_raw_t *raw)
{
  const int n = dt_raw_colours(raw);
  if(_has_values(raw, DT_TAG_AS_SHOT_NEUTRAL, n))
  {
    double response[4] = { 0.0 };
    for(int c = 0; c < n; c++) response[c] = _number(raw, DT_TAG_AS_SHOT_NEUTRAL, c, 0.0);
    raw->has_neutral = _take_neutral(raw, response);
  }
  const double x = _number(raw, DT_TAG_AS_SHOT_WHITE, 0, 0.0), y = _number(raw, DT_TAG_AS_SHOT_WHITE, 1, 0.0);
  if(raw->has_neutral || !(y > 0.0)) return;
  const double white[3] = { x / y, 1.0, (1.0 - x - y) / y };
  raw->has_neutral = _take_white(raw, white);
}

void dt_raw_read_dng_colour(dt_raw_t *raw)
{
  const int which = raw->dng_tags ? _choose_matrix(raw) : -1;
  float ignored[12];
  if(!raw->dng_tags) return;
  if(which >= 0)
  {
    _read_matrix(raw, which);
    raw->has_matrix = TRUE;
  }
  if(raw->has_matrix) raw->has_matrix = dt_raw_colours_to_rec709(raw, ignored);
  raw->has_neutral = FALSE;
  _read_neutral(raw);
  const double stops = _number(raw, DT_TAG_BASELINE_EXPOSURE, 0, 0.0);
  raw->baseline_exposure = fabs(stops) < 32.0 ? stops : 0.0;
}

// --- To Rec.709

/** The camera's colours for linear Rec.709, balanced: white becomes 1 of each. FALSE when there is no white. */
static gboolean _make_forward(const dt_raw_t *raw, int n, double forward[4][3])
{
  for(int c = 0; c < n; c++)
  {
    double sum = 0.0;
    for(int j = 0; j < 3; j++)
    {
      forward[c][j] = 0.0;
      for(int k = 0; k < 3; k++) forward[c][j] += raw->matrix[c][k] * _rec709_to_xyz[k][j];
      sum += forward[c][j];
    }
    if(!(sum > 1e-6) || !isfinite(sum)) return FALSE;
    for(int j = 0; j < 3; j++) forward[c][j] /= sum;
  }
  return TRUE;
}

/** Inverts a symmetric matrix by its cofactors; FALSE for one that is (nearly) singular. */
static gboolean _invert(const double m[3][3], double inverse[3][3])
{
  for(int i = 0; i < 3; i++)
    for(int j = 0; j < 3; j++)
    {
      const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
      inverse[i][j] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
    }
  const double det = m[0][0] * inverse[0][0] + m[0][1] * inverse[1][0] + m[0][2] * inverse[2][0];
  if(!(fabs(det) > 1e-9 * fabs(m[0][0] * m[1][1] * m[2][2]))) return FALSE;
  for(int i = 0; i < 9; i++) inverse[i / 3][i % 3] /= det;
  return TRUE;
}

/** A row of the result: floats whose sum is 1 as nearly as they can say. */
static void _round_row(const double *row, int n, float *out)
{
  double sum = 0.0;
  int largest = 0;
  for(int c = 0; c < n; c++)
  {
    out[c] = (float)row[c];
    sum += (double)out[c];
    if(fabs(row[c]) > fabs(row[largest])) largest = c;
  }
  out[largest] += (float)(1.0 - sum);
}

/** Fills the matrix with what changes nothing; of four colours the fourth is left out. */
static gboolean _make_unit(int n, float *matrix)
{
  for(int i = 0; i < 3 * n; i++) matrix[i] = i / n == i % n ? 1.0f : 0.0f;
  return FALSE;
}

gboolean dt_raw_colours_to_rec709(const dt_raw_t *raw, float *matrix)
{
  const int n = dt_raw_colours(raw);
  double forward[4][3], gram[3][3] = { 0 }, inverse[3][3];
  if(!raw->has_matrix || !_make_forward(raw, n, forward)) return _make_unit(n, matrix);
  for(int i = 0; i < 9; i++)
    for(int c = 0; c < n; c++) gram[i / 3][i % 3] += forward[c][i / 3] * forward[c][i % 3];
  if(!_invert((const double(*)[3])gram, inverse)) return _make_unit(n, matrix);
  for(int i = 0; i < 3; i++)
  {
    double row[4] = { 0.0 };
    for(int c = 0; c < n; c++)
      for(int k = 0; k < 3; k++) row[c] += inverse[i][k] * forward[c][k];
    _round_row(row, n, matrix + (ptrdiff_t)i * n);
  }
  return TRUE;
}

gboolean dt_raw_camera_to_rec709(const dt_raw_t *raw, float matrix[9])
{
  return dt_raw_colours(raw) == 3 ? dt_raw_colours_to_rec709(raw, matrix) : _make_unit(3, matrix);
}
