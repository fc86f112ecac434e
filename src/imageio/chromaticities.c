/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The primaries and the white that an ICC profile was made of, for a format that stores those instead. */
#include "imageio/icc_internal.h"

#include <math.h>
#include <string.h>

/** Profiles store numbers to 1/65536, people give chromaticities to four digits. */
#define DIGITS 10000.0
#define NEARNESS 0.2

/** @p value, or the number of four digits that it is but for a profile's rounding. */
static double _snap(double value)
{
  const double scaled = value * DIGITS, whole = floor(scaled + 0.5);
  return fabs(scaled - whole) < NEARNESS ? whole / DIGITS : value;
}

static gboolean _is_linear(const dt_curve_t *c)
{
  const dt_curve_t *l = &dt_curve_linear;
  return c->g == l->g && c->a == l->a && c->b == l->b && c->c == l->c && c->d == l->d && c->e == l->e
         && c->f == l->f;
}

gboolean dt_icc_is_linear(const dt_icc_t *icc)
{
  if(icc->is_general) return FALSE;
  for(int i = 0; i < (icc->one_curve ? 1 : 3); i++)
    if(icc->trc[i].size || !_is_linear(&icc->trc[i].curve)) return FALSE;
  return TRUE;
}

/** Solves chad × xyz = D50 for the white before adaptation. */
static gboolean _find_white(cmsHPROFILE profile, double xyz[3], double to_pcs[9])
{
  const double *chad = cmsReadTag(profile, cmsSigChromaticAdaptationTag);
  const cmsCIEXYZ *d50 = cmsD50_XYZ();
  if(!chad) return FALSE;
  memcpy(to_pcs, chad, 9 * sizeof(double));
  return dt_icc_solve(chad, (const double[3]){ d50->X, d50->Y, d50->Z }, xyz);
}

static void _put_xy(const double xyz[3], double *xy)
{
  const double sum = xyz[0] + xyz[1] + xyz[2];
  xy[0] = _snap(xyz[0] / sum);
  xy[1] = _snap(xyz[1] / sum);
}

/** A profile that does not say how it was adapted has its primaries as they are beside D50. */
static gboolean _read(cmsHPROFILE profile, double out[8])
{
  static const cmsTagSignature tags[3] = { cmsSigRedColorantTag, cmsSigGreenColorantTag,
                                           cmsSigBlueColorantTag };
  double to_pcs[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
  double xyz[3] = { cmsD50_XYZ()->X, cmsD50_XYZ()->Y, cmsD50_XYZ()->Z };
  if(cmsIsTag(profile, cmsSigChromaticAdaptationTag) && !_find_white(profile, xyz, to_pcs)) return FALSE;
  _put_xy(xyz, out + 6);
  for(int i = 0; i < 3; i++)
  {
    const cmsCIEXYZ *colorant = cmsReadTag(profile, tags[i]);
    if(!colorant || !dt_icc_solve(to_pcs, (const double[3]){ colorant->X, colorant->Y, colorant->Z }, xyz))
      return FALSE;
    _put_xy(xyz, out + 2 * i);
  }
  return TRUE;
}

gboolean dt_icc_get_chromaticities(const dt_icc_t *icc, double out[8])
{
  if(icc->colours != 3 || !icc->profile || !dt_icc_is_linear(icc)) return FALSE;
  if(!_read(icc->profile, out)) return FALSE;
  for(int i = 0; i < 8; i++)
    if(!isfinite(out[i])) return FALSE;
  return TRUE;
}
