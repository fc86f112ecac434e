/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ICC profiles, read with Little CMS and taken apart.
 *
 * Nearly every photograph has a profile of three curves and a matrix. Those are turned into the
 * curves of common/colour.h (or tables) and one matrix to linear Rec.709, which is faster than a
 * general transform and, unlike one, keeps what lies below 0 and above 1. Everything else goes
 * through a floating-point transform of Little CMS to a linear Rec.709 profile. The intent is
 * relative colorimetric; on the way out perceptual may be chosen.
 *
 * Curves and primaries of the well-known spaces are recognised and replaced by the exact ones, so
 * that a profile that says sRGB with the rounding of its 16-bit numbers is sRGB and its matrix is
 * none. */
#include "imageio/icc_internal.h"

#include <math.h>
#include <string.h>

/** Points at which a curve that has no formula of ours is sampled. */
#define SAMPLED_POINTS 4096
/** How near, in linear light, a curve has to be to a known one: what 16-bit tables and s15Fixed16
 * parameters round. Gamma 2.2 and 563/256 are six times further apart. */
#define CURVE_TOLERANCE 2e-5f
/** How near the matrix has to be to the identity to be left out: s15Fixed16 numbers and slightly
 * different adaptations of the same primaries. */
#define MATRIX_TOLERANCE 5e-4

// --- Small matrices

/** Linear Rec.709 to the D50 connection space: the primaries adapted from D65 with Bradford. */
static const double _rec709_to_pcs[9] = { 0.4360747, 0.3850649, 0.1430804, 0.2225045, 0.7168786,
                                          0.0606169, 0.0139322, 0.0971045, 0.7141733 };

static gboolean _invert(const double m[9], double out[9])
{
  const double c0 = m[4] * m[8] - m[5] * m[7];
  const double c1 = m[5] * m[6] - m[3] * m[8];
  const double c2 = m[3] * m[7] - m[4] * m[6];
  const double det = m[0] * c0 + m[1] * c1 + m[2] * c2;
  if(!(fabs(det) > 1e-9)) return FALSE;
  const double adjugate[9] = { c0, m[2] * m[7] - m[1] * m[8], m[1] * m[5] - m[2] * m[4],
                               c1, m[0] * m[8] - m[2] * m[6], m[2] * m[3] - m[0] * m[5],
                               c2, m[1] * m[6] - m[0] * m[7], m[0] * m[4] - m[1] * m[3] };
  for(int i = 0; i < 9; i++) out[i] = adjugate[i] / det;
  return TRUE;
}

gboolean dt_icc_solve(const double m[9], const double y[3], double x[3])
{
  double inverse[9];
  if(!_invert(m, inverse)) return FALSE;
  for(int r = 0; r < 3; r++)
    x[r] = inverse[3 * r] * y[0] + inverse[3 * r + 1] * y[1] + inverse[3 * r + 2] * y[2];
  return TRUE;
}

static void _multiply(const double a[9], const double b[9], double out[9])
{
  for(int r = 0; r < 3; r++)
    for(int c = 0; c < 3; c++)
      out[3 * r + c] = a[3 * r] * b[c] + a[3 * r + 1] * b[3 + c] + a[3 * r + 2] * b[6 + c];
}

/** Scales the rows so that white is exactly the connection space's, as it is meant to be: grey must
 * not get a tint from the rounding of nine numbers. */
static void _align_white(double m[9])
{
  for(int r = 0; r < 3; r++)
  {
    const double *want = _rec709_to_pcs + 3 * r;
    const double factor = (want[0] + want[1] + want[2]) / (m[3 * r] + m[3 * r + 1] + m[3 * r + 2]);
    if(!(fabs(factor - 1.0) < 5e-3)) continue;
    for(int c = 0; c < 3; c++) m[3 * r + c] *= factor;
  }
}

static gboolean _is_identity(const double m[9])
{
  for(int i = 0; i < 9; i++)
    if(!(fabs(m[i] - (i % 4 == 0 ? 1.0 : 0.0)) < MATRIX_TOLERANCE)) return FALSE;
  return TRUE;
}

// --- Curves

static gboolean _is_near(const dt_trc_t *trc, const dt_curve_t *known)
{
  enum
  {
    POINTS = 256
  };
  float x[POINTS], y[POINTS];
  for(int i = 0; i < POINTS; i++) x[i] = (float)i / (POINTS - 1);
  dt_trc_decode(trc, x, y, POINTS);
  dt_curve_decode(known, x, x, POINTS);
  for(int i = 0; i < POINTS; i++)
    if(!(fabsf(x[i] - y[i]) < CURVE_TOLERANCE)) return FALSE;
  return TRUE;
}

/** Replaces a curve that is one of the known ones but for rounding. */
static void _snap_curve(dt_trc_t *trc)
{
  static const dt_curve_t gamma_18 = { .g = 1.8, .a = 1.0 }, gamma_22 = { .g = 2.2, .a = 1.0 };
  const dt_curve_t *const known[] = { &dt_curve_srgb,     &dt_curve_linear,  &dt_curve_adobergb,
                                      &dt_curve_prophoto, &dt_curve_rec2020, &gamma_18,
                                      &gamma_22 };
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(_is_near(trc, known[i]))
    {
      g_clear_pointer(&trc->table, g_free);
      trc->size = 0;
      trc->curve = *known[i];
      return;
    }
}

static gboolean _is_invertible(const dt_curve_t *k)
{
  return k->g >= 0.1 && k->g <= 10.0 && k->a > 1e-3 && k->a < 100.0 && k->b >= 0.0 && k->b < 10.0
         && k->d >= 0.0 && k->d < 1.0 && (k->d == 0.0 || k->c > 1e-6) && fabs(k->e) < 0.5 && fabs(k->f) < 0.5;
}

/** Takes over a parametric curve of a profile if it behaves well. */
static gboolean _read_parametric(const cmsToneCurve *tone, dt_curve_t *k)
{
  const double *p = cmsGetToneCurveParams(tone);
  const int type = cmsGetToneCurveParametricType(tone);
  if(!p) return FALSE;
  if(type == 1)
    *k = (dt_curve_t){ .g = p[0], .a = 1.0 };
  else if(type == 4)
    *k = (dt_curve_t){ .g = p[0], .a = p[1], .b = p[2], .c = p[3], .d = p[4] };
  else if(type == 5)
    *k = (dt_curve_t){ p[0], p[1], p[2], p[3], p[4], p[5], p[6] };
  else
    return FALSE;
  return _is_invertible(k);
}

static gboolean _is_rising(const float *table, int size)
{
  for(int i = 1; i < size; i++)
    if(!(table[i] >= table[i - 1])) return FALSE;
  return table[size - 1] > table[0];
}

static gboolean _read_table(const cmsToneCurve *tone, dt_trc_t *trc)
{
  const gboolean tabulated = cmsGetToneCurveParametricType(tone) == 0;
  const cmsUInt32Number entries = cmsGetToneCurveEstimatedTableEntries(tone);
  const cmsUInt16Number *values = cmsGetToneCurveEstimatedTable(tone);
  const int size = tabulated && entries >= 2 ? (int)MIN(entries, 65536u) : SAMPLED_POINTS;
  trc->table = g_new(float, size);
  trc->size = size;
  for(int i = 0; i < size; i++)
    trc->table[i] = tabulated && entries >= 2 && values
                        ? (float)values[i] / 65535.0f
                        : cmsEvalToneCurveFloat(tone, (float)i / (float)(size - 1));
  return _is_rising(trc->table, size);
}

/** Reads one curve of a profile; FALSE when it is missing or cannot be inverted. */
static gboolean _read_trc(cmsHPROFILE profile, cmsTagSignature tag, dt_trc_t *trc)
{
  const cmsToneCurve *tone = cmsReadTag(profile, tag);
  if(!tone) return FALSE;
  if(!_read_parametric(tone, &trc->curve) && !_read_table(tone, trc)) return FALSE;
  _snap_curve(trc);
  return TRUE;
}

// --- Taking a profile apart

static gboolean _has_tables(cmsHPROFILE profile)
{
  const cmsTagSignature tags[] = { cmsSigAToB0Tag, cmsSigAToB1Tag, cmsSigDToB0Tag, cmsSigDToB1Tag };
  for(size_t i = 0; i < G_N_ELEMENTS(tags); i++)
    if(cmsIsTag(profile, tags[i])) return TRUE;
  return FALSE;
}

static gboolean _read_matrix(cmsHPROFILE profile, dt_icc_t *icc)
{
  const cmsTagSignature tags[3] = { cmsSigRedColorantTag, cmsSigGreenColorantTag, cmsSigBlueColorantTag };
  double colorants[9], from_pcs[9];
  for(int i = 0; i < 3; i++)
  {
    const cmsCIEXYZ *xyz = cmsReadTag(profile, tags[i]);
    if(!xyz) return FALSE;
    colorants[i] = xyz->X;
    colorants[3 + i] = xyz->Y;
    colorants[6 + i] = xyz->Z;
  }
  _align_white(colorants);
  if(!_invert(_rec709_to_pcs, from_pcs)) return FALSE;
  _multiply(from_pcs, colorants, icc->to_rec709);
  icc->is_rec709 = _is_identity(icc->to_rec709);
  return _invert(icc->to_rec709, icc->from_rec709);
}

/** Reads three curves and a matrix, or a grey curve; FALSE when the profile is of another build. */
static gboolean _read_shaper(cmsHPROFILE profile, dt_icc_t *icc)
{
  const cmsTagSignature rgb[3] = { cmsSigRedTRCTag, cmsSigGreenTRCTag, cmsSigBlueTRCTag };
  if(cmsGetPCS(profile) != cmsSigXYZData || _has_tables(profile)) return FALSE;
  if(cmsGetColorSpace(profile) == cmsSigGrayData) return _read_trc(profile, cmsSigGrayTRCTag, &icc->trc[0]);
  if(icc->colours == 1) return _read_trc(profile, cmsSigGreenTRCTag, &icc->trc[0]);
  for(int i = 0; i < 3; i++)
    if(!_read_trc(profile, rgb[i], &icc->trc[i])) return FALSE;
  return _read_matrix(profile, icc);
}

static void _clear_curves(dt_icc_t *icc)
{
  for(int i = 0; i < 3; i++)
  {
    g_free(icc->trc[i].table);
    icc->trc[i] = (dt_trc_t){ .curve = dt_curve_linear };
  }
}

static gboolean _is_same_formula(const dt_curve_t *a, const dt_curve_t *b)
{
  return a->g == b->g && a->a == b->a && a->b == b->b && a->c == b->c && a->d == b->d && a->e == b->e
         && a->f == b->f;
}

static gboolean _is_same_curve(const dt_trc_t *a, const dt_trc_t *b)
{
  if(a->size != b->size) return FALSE;
  if(!a->size) return _is_same_formula(&a->curve, &b->curve);
  return memcmp(a->table, b->table, (size_t)a->size * sizeof(float)) == 0;
}

// --- Opening

static void _keep_message(cmsContext context, cmsUInt32Number code, const char *text)
{
  dt_icc_t *icc = cmsGetContextUserData(context);
  (void)code;
  if(icc && !icc->message) icc->message = g_strdup(text);
}

static void _set_error(GError **error, const dt_icc_t *icc, const char *what)
{
  if(icc->message)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s (%s)", what, icc->message);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s", what);
}

static const char *_name_space(cmsColorSpaceSignature space)
{
  switch(space)
  {
  case cmsSigCmykData: return "CMYK";
  case cmsSigLabData: return "Lab";
  case cmsSigXYZData: return "XYZ";
  case cmsSigRgbData: return "RGB";
  case cmsSigGrayData: return "grey";
  default: return "another colour space";
  }
}

static gboolean _check_kind(dt_icc_t *icc, GError **error)
{
  const cmsColorSpaceSignature space = cmsGetColorSpace(icc->profile);
  const cmsProfileClassSignature kind = cmsGetDeviceClass(icc->profile);
  if(!(space == cmsSigRgbData || (icc->colours == 1 && space == cmsSigGrayData)))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "the colour profile is for %s pictures, but this picture is %s", _name_space(space),
                icc->colours == 3 ? "RGB" : "grey");
    return FALSE;
  }
  if(kind == cmsSigInputClass || kind == cmsSigDisplayClass || kind == cmsSigOutputClass
     || kind == cmsSigColorSpaceClass)
    return TRUE;
  _set_error(error, icc, "the colour profile does not describe a picture's colours");
  return FALSE;
}

static void _read_name(dt_icc_t *icc)
{
  char text[128] = "";
  cmsGetProfileInfoASCII(icc->profile, cmsInfoDescription, "en", "US", text, sizeof(text));
  g_strstrip(text);
  for(char *c = text; *c; c++)
    if(!g_ascii_isprint(*c)) *c = '?';
  icc->name = g_strdup(*text ? text : "unnamed profile");
}

static gboolean _is_icc(GBytes *profile)
{
  gsize size;
  const guint8 *bytes = g_bytes_get_data(profile, &size);
  return size >= 132 && size <= G_MAXUINT32 && memcmp(bytes + 36, "acsp", 4) == 0;
}

static gboolean _open_profile(dt_icc_t *icc, GBytes *profile, GError **error)
{
  gsize size;
  const void *bytes = g_bytes_get_data(profile, &size);
  icc->context = cmsCreateContext(NULL, icc);
  cmsSetLogErrorHandlerTHR(icc->context, _keep_message);
  if(_is_icc(profile)) icc->profile = cmsOpenProfileFromMemTHR(icc->context, bytes, (cmsUInt32Number)size);
  if(!icc->profile)
  {
    _set_error(error, icc, "the colour profile is damaged");
    return FALSE;
  }
  if(!_check_kind(icc, error)) return FALSE;
  _read_name(icc);
  if(_read_shaper(icc->profile, icc)) return TRUE;
  _clear_curves(icc);
  icc->is_general = TRUE;
  return TRUE;
}

static dt_icc_t *_create_srgb(int colours)
{
  dt_icc_t *icc = g_new0(dt_icc_t, 1);
  icc->colours = colours;
  icc->name = g_strdup("sRGB");
  icc->is_rec709 = TRUE;
  icc->one_curve = TRUE;
  for(int i = 0; i < 3; i++) icc->trc[i].curve = dt_curve_srgb;
  return icc;
}

dt_icc_t *dt_icc_create(GBytes *profile, int colours, GError **error)
{
  dt_icc_t *icc = _create_srgb(colours);
  if(!profile) return icc;
  g_clear_pointer(&icc->name, g_free);
  icc->is_rec709 = colours == 1;
  if(!_open_profile(icc, profile, error))
  {
    dt_icc_destroy(icc);
    return NULL;
  }
  icc->one_curve =
      colours == 1
      || (_is_same_curve(&icc->trc[0], &icc->trc[1]) && _is_same_curve(&icc->trc[0], &icc->trc[2]));
  return icc;
}

void dt_icc_destroy(dt_icc_t *icc)
{
  if(!icc) return;
  if(icc->decode) cmsDeleteTransform(icc->decode);
  if(icc->encode) cmsDeleteTransform(icc->encode);
  if(icc->profile) cmsCloseProfile(icc->profile);
  if(icc->context) cmsDeleteContext(icc->context);
  _clear_curves(icc);
  g_free(icc->luts);
  g_free(icc->message);
  g_free(icc->name);
  g_free(icc);
}

const char *dt_icc_name(const dt_icc_t *icc)
{
  return icc->name;
}

// --- Transforms of Little CMS, for profiles of another build

/** The rows' side of a transform: linear Rec.709, or linear luminance. */
static cmsHPROFILE _create_rows_profile(const dt_icc_t *icc)
{
  const dt_curve_t *linear = &dt_curve_linear;
  const double rec709[8] = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 };
  GBytes *bytes = dt_profile_generate("rows", icc->colours == 3 ? rec709 : NULL, linear);
  if(!bytes) return NULL;
  gsize size;
  const void *data = g_bytes_get_data(bytes, &size);
  cmsHPROFILE rows = cmsOpenProfileFromMemTHR(icc->context, data, (cmsUInt32Number)size);
  g_bytes_unref(bytes);
  return rows;
}

static cmsHTRANSFORM _create_transform(const dt_icc_t *icc, gboolean decode)
{
  const cmsUInt32Number format = icc->colours == 3 ? TYPE_RGB_FLT : TYPE_GRAY_FLT;
  const cmsUInt32Number flags = cmsFLAGS_NOCACHE | cmsFLAGS_NOOPTIMIZE;
  const cmsUInt32Number intent =
      decode || icc->intent == DT_IMAGEIO_RELATIVE ? INTENT_RELATIVE_COLORIMETRIC : INTENT_PERCEPTUAL;
  cmsHPROFILE rows = _create_rows_profile(icc);
  if(!rows) return NULL;
  cmsHTRANSFORM transform = cmsCreateTransformTHR(icc->context, decode ? icc->profile : rows, format,
                                                  decode ? rows : icc->profile, format, intent, flags);
  cmsCloseProfile(rows);
  return transform;
}

/** The general way needs as many channels in the profile as in the picture. */
static gboolean _has_own_channels(const dt_icc_t *icc)
{
  return (int)cmsChannelsOf(cmsGetColorSpace(icc->profile)) == icc->colours;
}

gboolean dt_icc_prepare_decode(dt_icc_t *icc, dt_sample_t sample, GError **error)
{
  if(!icc->is_general)
  {
    dt_icc_fill_luts(icc, sample);
    return TRUE;
  }
  if(!icc->decode && _has_own_channels(icc)) icc->decode = _create_transform(icc, TRUE);
  if(!icc->decode) _set_error(error, icc, "the colour profile is damaged or incomplete");
  return icc->decode != NULL;
}

void dt_icc_set_intent(dt_icc_t *icc, dt_imageio_intent_t intent)
{
  icc->intent = intent;
}

gboolean dt_icc_prepare_encode(dt_icc_t *icc, GError **error)
{
  if(!icc->is_general) return TRUE;
  if(!icc->encode && _has_own_channels(icc)) icc->encode = _create_transform(icc, FALSE);
  if(!icc->encode) _set_error(error, icc, "the colour profile can be read with but not written with");
  return icc->encode != NULL;
}

// --- Grey pictures

GBytes *dt_profile_for_colours(GBytes *profile, int colours)
{
  if(!profile) return dt_profile_load("srgb", colours, NULL);
  GError *ignored = NULL;
  dt_icc_t *icc = colours == 1 ? dt_icc_create(profile, 1, &ignored) : NULL;
  g_clear_error(&ignored);
  GBytes *grey = NULL;
  if(icc && !icc->is_general && !icc->trc[0].size && cmsGetColorSpace(icc->profile) == cmsSigRgbData)
    grey = dt_profile_generate(icc->name, NULL, &icc->trc[0].curve);
  dt_icc_destroy(icc);
  return grey ? grey : g_bytes_ref(profile);
}
