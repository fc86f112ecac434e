/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a camera's colours to those of Rec.709, by the matrix that DNG's ColorMatrix holds. */
#include "imageio/raw.h"

#include <math.h>
#include <string.h>

/** Linear Rec.709 to XYZ (D65), IEC 61966-2-1. */
static const double _rec709_to_xyz[3][3] = { { 0.4123908, 0.3575843, 0.1804808 },
                                             { 0.2126390, 0.7151687, 0.0721923 },
                                             { 0.0193308, 0.1191948, 0.9505322 } };

/** Inverts by cofactors; FALSE when that cannot be done with any sense. */
static gboolean _invert(const double m[3][3], float out[9])
{
  double cofactors[3][3];
  for(int i = 0; i < 3; i++)
    for(int k = 0; k < 3; k++)
      cofactors[i][k] = m[(i + 1) % 3][(k + 1) % 3] * m[(i + 2) % 3][(k + 2) % 3]
                        - m[(i + 1) % 3][(k + 2) % 3] * m[(i + 2) % 3][(k + 1) % 3];
  const double det = m[0][0] * cofactors[0][0] + m[0][1] * cofactors[0][1] + m[0][2] * cofactors[0][2];
  if(!(fabs(det) > 1e-6)) return FALSE;
  for(int i = 0; i < 9; i++) out[i] = (float)(cofactors[i % 3][i / 3] / det);
  for(int i = 0; i < 9; i++)
    if(!(fabsf(out[i]) < 1e3f)) return FALSE;
  return TRUE;
}

gboolean dt_raw_camera_to_rec709(const dt_raw_t *raw, float matrix[9])
{
  static const float unit[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
  double m[3][3] = { { 0.0 } };
  for(int i = 0; i < 3; i++)
  {
    double sum = 0.0;
    for(int k = 0; k < 3; k++)
      for(int j = 0; j < 3; j++) m[i][k] += raw->matrix[i][j] * _rec709_to_xyz[j][k];
    for(int k = 0; k < 3; k++) sum += m[i][k];
    for(int k = 0; k < 3; k++) m[i][k] /= sum; // white, once balanced, is white
  }
  if(raw->has_matrix && _invert((const double(*)[3])m, matrix)) return TRUE;
  memcpy(matrix, unit, sizeof(unit));
  return FALSE;
}
