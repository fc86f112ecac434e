/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The colours of a sensor, from the tags of a DNG: chapter 6 of its specification, "Mapping Camera Color Space to CIE XYZ
 * Space". */
#include "imageio/raw_internal.h"

#include <math.h>
#include <string.h>

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
  dt_camera_colour_t colour;
  double response[4];
  dt_raw_get_colour(raw, &colour);
  if(colour.lights == 0) return FALSE;
  dt_camera_get_response(&colour, xyz, response);
  return _take_neutral(raw, response);
}

void dt_raw_complete_neutral(dt_raw_t *raw)
{
  static const double even[4] = { 1.0, 1.0, 1.0, 1.0 };
  if(!raw->has_neutral && !_take_white(raw, dt_camera_d65)) memcpy(raw->neutral, even, sizeof(even));
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

/** What each of three matrices is told by. */
static const struct
{
  uint16_t matrix, light, calibration, forward;
} _tags[DT_CAMERA_LIGHTS] = {
  { DT_TAG_COLOR_MATRIX_1, DT_TAG_ILLUMINANT_1, DT_TAG_CALIBRATION_1, DT_TAG_FORWARD_MATRIX_1 },
  { DT_TAG_COLOR_MATRIX_2, DT_TAG_ILLUMINANT_2, DT_TAG_CALIBRATION_2, DT_TAG_FORWARD_MATRIX_2 },
  { DT_TAG_COLOR_MATRIX_3, DT_TAG_ILLUMINANT_3, DT_TAG_CALIBRATION_3, DT_TAG_FORWARD_MATRIX_3 },
};

/** The temperature of a light of EXIF's LightSource, 0: not known. */
static double _get_kelvin(int light)
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
    if(known[i].light == light) return known[i].kelvin;
  return 0.0;
}

/** matrix = analog balance × camera calibration × colour matrix. FALSE when there is none. */
static gboolean _read_matrix(const dt_raw_t *raw, int which, double matrix[4][3])
{
  const int n = dt_raw_colours(raw);
  const gboolean calibrated = _has_values(raw, _tags[which].calibration, n * n),
                 balanced = _has_values(raw, DT_TAG_ANALOG_BALANCE, n);
  memset(matrix, 0, 4 * sizeof(*matrix));
  if(!_has_values(raw, _tags[which].matrix, 3 * n)) return FALSE;
  for(int c = 0; c < n; c++)
    for(int k = 0; k < 3; k++)
    {
      for(int j = 0; j < n; j++)
        matrix[c][k] += (calibrated ? _number(raw, _tags[which].calibration, c * n + j, 0.0) : c == j)
                        * _number(raw, _tags[which].matrix, j * 3 + k, 0.0);
      matrix[c][k] *= balanced ? _number(raw, DT_TAG_ANALOG_BALANCE, c, 1.0) : 1.0;
    }
  return TRUE;
}

/** The forward matrix, where it is for the colours as the balance alone makes them: a calibration that mixes them comes
 * between the two. */
static gboolean _read_forward(const dt_raw_t *raw, int which, double forward[3][3])
{
  const gboolean calibrated = _has_values(raw, _tags[which].calibration, 9);
  gboolean fine = dt_raw_colours(raw) == 3 && _has_values(raw, _tags[which].forward, 9);
  for(int i = 0; i < 9 && fine; i++)
  {
    forward[i / 3][i % 3] = _number(raw, _tags[which].forward, i, 0.0);
    fine = !calibrated || i % 4 == 0 || _number(raw, _tags[which].calibration, i, 0.0) == 0.0;
  }
  return fine;
}

/** Whether the file says anything itself. */
static gboolean _has_matrices(const dt_raw_t *raw)
{
  for(int i = 0; i < DT_CAMERA_LIGHTS; i++)
    if(_has_values(raw, _tags[i].matrix, 3 * dt_raw_colours(raw))) return TRUE;
  return FALSE;
}

static gboolean _makes_sense(const dt_raw_t *raw, const dt_camera_light_t *light)
{
  const dt_camera_colour_t alone = { .colours = dt_raw_colours(raw), .lights = 1, .light = { *light } };
  float ignored[12];
  return dt_camera_to_rec709(&alone, raw->neutral, ignored);
}

/** What is known under one light. FALSE when nothing is, or nonsense. */
static gboolean _read_light(const dt_raw_t *raw, int which, dt_camera_light_t *light)
{
  *light = (dt_camera_light_t){ .kelvin = _get_kelvin((int)_number(raw, _tags[which].light, 0, 0.0)) };
  if(!_read_matrix(raw, which, light->matrix) || !_makes_sense(raw, light)) return FALSE;
  light->has_forward = _read_forward(raw, which, light->forward);
  light->has_forward = light->has_forward && _makes_sense(raw, light);
  return TRUE;
}

/** How far a light is from D65, in reciprocal megakelvin; of those unknown, far. */
static double _get_distance(const dt_camera_light_t *light)
{
  return light->kelvin > 0.0 ? fabs(1e6 / light->kelvin - 1e6 / 6504.0) : 1e6;
}

/** All lights; of those whose temperature is not known only one that stands alone. The matrix is that of the one nearest to
 * D65. */
static void _read_lights(dt_raw_t *raw)
{
  dt_camera_light_t lights[DT_CAMERA_LIGHTS], *nearest = NULL;
  dt_camera_colour_t *colour = &raw->colour;
  for(int i = 0; i < DT_CAMERA_LIGHTS; i++)
    if(_read_light(raw, i, &lights[i]))
    {
      if(!nearest || _get_distance(&lights[i]) < _get_distance(nearest)) nearest = &lights[i];
      if(lights[i].kelvin > 0.0) colour->light[colour->lights++] = lights[i];
    }
  raw->has_matrix = nearest != NULL;
  if(!nearest) return;
  memcpy(raw->matrix, nearest->matrix, sizeof(raw->matrix));
  if(colour->lights == 0) colour->light[colour->lights++] = *nearest;
  gboolean forward = TRUE;
  for(int i = 0; i < colour->lights; i++) forward = forward && colour->light[i].has_forward;
  for(int i = 0; i < colour->lights; i++) colour->light[i].has_forward = forward;
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
  if(!raw->dng_tags) return;
  if(_has_matrices(raw)) _read_lights(raw);
  raw->has_neutral = FALSE;
  _read_neutral(raw);
  const double stops = _number(raw, DT_TAG_BASELINE_EXPOSURE, 0, 0.0);
  raw->baseline_exposure = fabs(stops) < 32.0 ? stops : 0.0;
}

// --- To Rec.709

void dt_raw_get_colour(const dt_raw_t *raw, dt_camera_colour_t *colour)
{
  *colour = raw->colour;
  colour->colours = dt_raw_colours(raw);
  if(colour->lights > 0 || !raw->has_matrix) return;
  colour->lights = 1;
  memcpy(colour->light[0].matrix, raw->matrix, sizeof(raw->matrix));
}

gboolean dt_raw_colours_to_rec709(const dt_raw_t *raw, float *matrix)
{
  dt_camera_colour_t colour;
  dt_raw_get_colour(raw, &colour);
  return dt_camera_to_rec709(&colour, raw->neutral, matrix);
}

gboolean dt_raw_camera_to_rec709(const dt_raw_t *raw, float matrix[9])
{
  if(dt_raw_colours(raw) == 3) return dt_raw_colours_to_rec709(raw, matrix);
  for(int i = 0; i < 9; i++) matrix[i] = i % 4 == 0 ? 1.0f : 0.0f;
  return FALSE;
}
