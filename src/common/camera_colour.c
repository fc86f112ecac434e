/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The colours of a sensor under a light: which light it is, what the camera makes of Rec.709 under it, and back. */
#include "common/camera_colour.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* of reciprocal temperatures, which are halved each time */
#define ROUNDS 24

const double dt_camera_d65[3] = { 0.3127 / 0.3290, 1.0, (1.0 - 0.3127 - 0.3290) / 0.3290 };
/* XYZ of the white of ICC's connection space, to which forward matrices lead */
static const double _d50[3] = { 0.9642, 1.0, 0.8249 };
/* light of Rec.709's primaries with the white D65 */
static const double _rec709_to_xyz[3][3] = { { 0.4123907993, 0.3575843394, 0.1804807884 },
                                             { 0.2126390059, 0.7151686788, 0.0721923154 },
                                             { 0.0193308187, 0.1191947798, 0.9505321522 } };
/* XYZ to the sharpened responses that are scaled for another white: K. M. Lam, Metamerism and colour constancy,
 * University of Bradford, 1985; in ICC.1:2022, annex E, as well */
static const double _bradford[3][3] = { { 0.8951, 0.2664, -0.1614 },
                                        { -0.7502, 1.7135, 0.0367 },
                                        { 0.0389, -0.0685, 1.0296 } };

/* Those responses to a light's white beside D65's, of equal luminance: no light that people see by goes beyond. A candle has
 * 1.5, 0.7 and 1/12 of them, the bluest sky 0.9, 1.0 and 1.8. */
static const double _least[3] = { 0.5, 0.5, 1.0 / 16.0 }, _most = 2.0;

/* --- matrices --- */

/* out = a b; out is neither. */
static void _multiply(const double a[][3], int rows, const double b[3][3], double out[][3])
{
  for(int i = 0; i < rows; i++)
    for(int j = 0; j < 3; j++) out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
}

static void _apply(const double m[3][3], const double v[3], double out[3])
{
  for(int i = 0; i < 3; i++) out[i] = m[i][0] * v[0] + m[i][1] * v[1] + m[i][2] * v[2];
}

/* By cofactors; FALSE for one that is (nearly) singular. */
static gboolean _invert(const double m[3][3], double inverse[3][3])
{
  for(int i = 0; i < 3; i++)
    for(int j = 0; j < 3; j++)
    {
      const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
      inverse[i][j] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
    }
  const double det = m[0][0] * inverse[0][0] + m[0][1] * inverse[1][0] + m[0][2] * inverse[2][0];
  if(!(fabs(det) > 1e-9 * fabs(m[0][0] * m[1][1] * m[2][2])) || !isfinite(det)) return FALSE;
  for(int i = 0; i < 9; i++) inverse[i / 3][i % 3] /= det;
  return TRUE;
}

/* Of three rows the inverse, of four the pseudo-inverse. */
static gboolean _pseudo_invert(const double m[4][3], int n, double inverse[3][4])
{
  double gram[3][3] = { 0 }, inner[3][3];
  for(int i = 0; i < 9; i++)
    for(int c = 0; c < n; c++) gram[i / 3][i % 3] += m[c][i / 3] * m[c][i % 3];
  if(!_invert((const double(*)[3])gram, inner)) return FALSE;
  for(int i = 0; i < 3; i++)
    for(int c = 0; c < n; c++)
      inverse[i][c] = inner[i][0] * m[c][0] + inner[i][1] * m[c][1] + inner[i][2] * m[c][2];
  return TRUE;
}

/* From what is seen under the one white to what looks so under the other. */
static void _adapt(const double from[3], const double to[3], double m[3][3])
{
  double scaled[3][3], inverse[3][3], before[3], after[3];
  _apply(_bradford, from, before);
  _apply(_bradford, to, after);
  for(int i = 0; i < 9; i++) scaled[i / 3][i % 3] = _bradford[i / 3][i % 3] * after[i / 3] / before[i / 3];
  _invert(_bradford, inverse);
  _multiply((const double(*)[3])inverse, 3, (const double(*)[3])scaled, m);
}

/* --- the light --- */

/* Correlated colour temperature: C. S. McCamy, Color Research & Application 17 (1992), p. 142. */
static double _get_kelvin(const double white[3])
{
  const double sum = white[0] + white[1] + white[2], x = white[0] / sum, y = white[1] / sum;
  if(y < 0.2) return 25000.0; /* bluer than any light; the formula ends at 0.1858 */
  const double n = (x - 0.3320) / (0.1858 - y);
  return CLAMP(((449.0 * n + 3525.0) * n + 6823.3) * n + 5520.33, 1000.0, 25000.0);
}

/* The part of the second of two lights: linear in reciprocal temperature. */
static double _get_part(const dt_camera_light_t *one, const dt_camera_light_t *other, double kelvin)
{
  const double a = 1.0 / one->kelvin, b = 1.0 / other->kelvin;
  return a == b ? 0.0 : CLAMP((1.0 / kelvin - a) / (b - a), 0.0, 1.0);
}

/* What is known of a light of that temperature: of those two that are nearest to either side of it. */
static void _mix(const dt_camera_colour_t *camera, double kelvin, dt_camera_light_t *mixed)
{
  const dt_camera_light_t *low = NULL, *high = NULL;
  *mixed = camera->light[0];
  for(const dt_camera_light_t *l = camera->light; l < camera->light + camera->lights; l++)
  {
    if(l->kelvin <= kelvin && (!low || l->kelvin > low->kelvin)) low = l;
    if(l->kelvin > kelvin && (!high || l->kelvin < high->kelvin)) high = l;
  }
  if(low || high) *mixed = low ? *low : *high;
  if(!low || !high) return;
  const double part = _get_part(low, high, kelvin);
  mixed->kelvin = kelvin;
  for(int i = 0; i < 12; i++)
    mixed->matrix[i / 3][i % 3] += part * (high->matrix[i / 3][i % 3] - low->matrix[i / 3][i % 3]);
  for(int i = 0; i < 9; i++)
    mixed->forward[i / 3][i % 3] += part * (high->forward[i / 3][i % 3] - low->forward[i / 3][i % 3]);
}

void dt_camera_get_response(const dt_camera_colour_t *camera, const double white[3], double response[4])
{
  dt_camera_light_t light;
  _mix(camera, _get_kelvin(white), &light);
  for(int c = 0; c < 4; c++)
    response[c] =
        light.matrix[c][0] * white[0] + light.matrix[c][1] * white[1] + light.matrix[c][2] * white[2];
}

/* Moves a white towards D65 until it is one that a light might have. */
static void _limit_white(double white[3])
{
  double here[3], there[3], t = 1.0;
  const double y = white[1];
  for(int i = 0; i < 3; i++) white[i] = y > 1e-6 ? white[i] / y : dt_camera_d65[i];
  _apply(_bradford, dt_camera_d65, here);
  _apply(_bradford, white, there);
  for(int i = 0; i < 3; i++)
  {
    const double change = there[i] - here[i];
    if(change > 0.0) t = MIN(t, (_most - 1.0) * here[i] / change);
    if(change < 0.0) t = MIN(t, (1.0 - _least[i]) * here[i] / -change);
  }
  for(int i = 0; i < 3; i++) white[i] = dt_camera_d65[i] + t * (white[i] - dt_camera_d65[i]);
}

/* The light in which the camera answers like that. */
static gboolean _find_white(const dt_camera_light_t *light, int colours, const double neutral[4],
                            double white[3])
{
  double inverse[3][4];
  gboolean fine = TRUE;
  if(!_pseudo_invert(light->matrix, colours, inverse)) return FALSE;
  memset(white, 0, 3 * sizeof(*white));
  for(int c = 0; c < colours; c++)
  {
    fine = fine && neutral[c] > 0.0 && isfinite(neutral[c]);
    for(int k = 0; k < 3; k++) white[k] += inverse[k][c] * neutral[c];
  }
  if(fine)
    _limit_white(white);
  else
    memcpy(white, dt_camera_d65, sizeof(dt_camera_d65));
  return TRUE;
}

/* White and what is known in its light, which depend on each other. */
static gboolean _find_light(const dt_camera_colour_t *camera, const double neutral[4],
                            dt_camera_light_t *light, double white[3])
{
  double mired = 200.0;
  for(int i = 0; i < ROUNDS && camera->lights > 1; i++)
  {
    _mix(camera, 1e6 / mired, light);
    if(!_find_white(light, camera->colours, neutral, white)) return FALSE;
    mired = (mired + 1e6 / _get_kelvin(white)) / 2.0;
  }
  _mix(camera, 1e6 / mired, light);
  return _find_white(light, camera->colours, neutral, white);
}

/* --- to Rec.709 --- */

/* A row of the result: floats whose sum is 1 as nearly as they can say. */
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

/* Scales rows until white is 1 of each. FALSE when there is no white. */
static gboolean _normalise(double *rows, int n, int columns, int stride)
{
  for(int i = 0; i < n; i++, rows += stride)
  {
    double sum = 0.0;
    for(int j = 0; j < columns; j++) sum += rows[j];
    if(!(sum > 1e-6) || !isfinite(sum)) return FALSE;
    for(int j = 0; j < columns; j++) rows[j] /= sum;
  }
  return TRUE;
}

/* By way of XYZ under D50. */
static gboolean _go_forward(const dt_camera_light_t *light, double result[3][4])
{
  double adapted[3][3], m[3][3], inverse[3][3];
  _adapt(_d50, dt_camera_d65, adapted);
  _multiply((const double(*)[3])adapted, 3, light->forward, m);
  _invert(_rec709_to_xyz, inverse);
  _multiply((const double(*)[3])inverse, 3, (const double(*)[3])m, adapted);
  for(int i = 0; i < 9; i++) result[i / 3][i % 3] = adapted[i / 3][i % 3];
  return _normalise(result[0], 3, 3, 4);
}

/* Back from what the camera makes of Rec.709 under that white. */
static gboolean _go_back(const dt_camera_light_t *light, int colours, const double white[3],
                         double result[3][4])
{
  double adapted[3][3], light_of_primaries[3][3], responses[4][3];
  _adapt(dt_camera_d65, white, adapted);
  _multiply((const double(*)[3])adapted, 3, _rec709_to_xyz, light_of_primaries);
  _multiply(light->matrix, colours, (const double(*)[3])light_of_primaries, responses);
  return _normalise(responses[0], colours, 3, 3)
         && _pseudo_invert((const double(*)[3])responses, colours, result);
}

gboolean dt_camera_to_rec709(const dt_camera_colour_t *camera, const double neutral[4], float *matrix)
{
  const int n = camera->colours;
  dt_camera_light_t light;
  double white[3], result[3][4];
  gboolean known = camera->lights > 0 && _find_light(camera, neutral, &light, white);
  if(known)
    known = light.has_forward && n == 3 ? _go_forward(&light, result) : _go_back(&light, n, white, result);
  for(int i = 0; i < 3 * n && !known; i++) matrix[i] = i / n == i % n ? 1.0f : 0.0f;
  for(int i = 0; i < 3 && known; i++) _round_row(result[i], n, matrix + (ptrdiff_t)i * n);
  return known;
}
