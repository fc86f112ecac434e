/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The colour profiles known by name, made by Little CMS when they are asked for: no file has to be
 * installed, and the same bytes come out every time. */
#include "imageio/imageio_internal.h"

#include <lcms2.h>
#include <math.h>
#include <string.h>

// D65 as ITU-R BT.709 and IEC 61966-2-1 give it; ROMM RGB (ISO 22028-2) is a D50 space
#define D65 0.3127, 0.3290
#define D50 0.3457, 0.3585

typedef struct _named_t
{
  const char *name, *description;
  double primaries[8]; ///< x and y of red, green, blue, white
  const dt_curve_t *curve;
} _named_t;

static const _named_t _named[] = {
  { "srgb", "sRGB", { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, D65 }, &dt_curve_srgb },
  { "srgb-linear", "Linear sRGB", { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, D65 }, &dt_curve_linear },
  { "adobergb",
    "Adobe RGB (1998) compatible",
    { 0.64, 0.33, 0.21, 0.71, 0.15, 0.06, D65 },
    &dt_curve_adobergb },
  { "adobergb-linear",
    "Linear Adobe RGB (1998) compatible",
    { 0.64, 0.33, 0.21, 0.71, 0.15, 0.06, D65 },
    &dt_curve_linear },
  { "prophoto",
    "ProPhoto RGB (ROMM)",
    { 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001, D50 },
    &dt_curve_prophoto },
  { "prophoto-linear",
    "Linear ProPhoto RGB (ROMM)",
    { 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001, D50 },
    &dt_curve_linear },
  { "rec2020", "Rec. 2020", { 0.708, 0.292, 0.170, 0.797, 0.131, 0.046, D65 }, &dt_curve_rec2020 },
  { "rec2020-linear",
    "Linear Rec. 2020",
    { 0.708, 0.292, 0.170, 0.797, 0.131, 0.046, D65 },
    &dt_curve_linear },
  { "display-p3", "Display P3", { 0.680, 0.320, 0.265, 0.690, 0.150, 0.060, D65 }, &dt_curve_srgb },
  { "display-p3-linear",
    "Linear Display P3",
    { 0.680, 0.320, 0.265, 0.690, 0.150, 0.060, D65 },
    &dt_curve_linear },
};

const char *const *dt_imageio_profile_names(void)
{
  static const char *const names[] = { "srgb",       "srgb-linear",       "adobergb", "adobergb-linear",
                                       "prophoto",   "prophoto-linear",   "rec2020",  "rec2020-linear",
                                       "display-p3", "display-p3-linear", NULL };
  G_STATIC_ASSERT(G_N_ELEMENTS(names) == G_N_ELEMENTS(_named) + 1);
  return names;
}

static const _named_t *_find_named(const char *name)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_named); i++)
    if(g_ascii_strcasecmp(name, _named[i].name) == 0) return &_named[i];
  return NULL;
}

const char *dt_profile_name_for_cicp(int primaries, int transfer)
{
  const gboolean curved = transfer == 13, linear = transfer == 8;
  const gboolean video = transfer == 1 || transfer == 6 || transfer == 14 || transfer == 15;
  if(primaries == 1) return curved ? "srgb" : linear ? "srgb-linear" : NULL;
  if(primaries == 9) return video ? "rec2020" : linear ? "rec2020-linear" : NULL;
  if(primaries == 12) return curved ? "display-p3" : linear ? "display-p3-linear" : NULL;
  return NULL;
}

// --- Making profiles

static cmsToneCurve *_build_curve(cmsContext context, const dt_curve_t *k)
{
  const double parameters[7] = { k->g, k->a, k->b, k->c, k->d, k->e, k->f };
  const gboolean plain = k->a == 1.0 && k->b == 0.0 && k->d == 0.0 && k->e == 0.0;
  const gboolean no_offsets = k->e == 0.0 && k->f == 0.0;
  return cmsBuildParametricToneCurve(context, plain ? 1 : no_offsets ? 4 : 5, parameters);
}

static void _write_text(cmsContext context, cmsHPROFILE profile, cmsTagSignature tag, const char *text)
{
  cmsMLU *mlu = cmsMLUalloc(context, 1);
  if(!mlu) return;
  if(cmsMLUsetASCII(mlu, "en", "US", text)) cmsWriteTag(profile, tag, mlu);
  cmsMLUfree(mlu);
}

static cmsHPROFILE _build_profile(cmsContext context, const double *p, cmsToneCurve *curve)
{
  if(!p) return cmsCreateGrayProfileTHR(context, cmsD50_xyY(), curve);
  const cmsCIExyY white = { p[6], p[7], 1.0 };
  const cmsCIExyYTRIPLE primaries = { { p[0], p[1], 1.0 }, { p[2], p[3], 1.0 }, { p[4], p[5], 1.0 } };
  cmsToneCurve *curves[3] = { curve, curve, curve };
  return cmsCreateRGBProfileTHR(context, &white, &primaries, curves);
}

/** Little CMS dates a profile with the present; equal profiles shall be equal bytes. */
static void _set_fixed_date(guint8 *profile)
{
  static const guint8 date[12] = { 0x07, 0xe8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0 }; // 2024-01-01
  memcpy(profile + 24, date, sizeof(date));
}

static GBytes *_save_profile(cmsHPROFILE profile)
{
  cmsUInt32Number size = 0;
  if(!cmsSaveProfileToMem(profile, NULL, &size) || size < 128) return NULL;
  guint8 *bytes = g_malloc(size);
  if(!cmsSaveProfileToMem(profile, bytes, &size))
  {
    g_free(bytes);
    return NULL;
  }
  _set_fixed_date(bytes);
  return g_bytes_new_take(bytes, size);
}

GBytes *dt_profile_generate(const char *description, const double primaries[8], const dt_curve_t *curve)
{
  GBytes *bytes = NULL;
  cmsContext context = cmsCreateContext(NULL, NULL);
  cmsToneCurve *tone = _build_curve(context, curve);
  cmsHPROFILE profile = tone ? _build_profile(context, primaries, tone) : NULL;
  if(profile)
  {
    cmsSetProfileVersion(profile, 4.2);
    cmsSetHeaderRenderingIntent(profile, INTENT_RELATIVE_COLORIMETRIC);
    _write_text(context, profile, cmsSigProfileDescriptionTag, description);
    _write_text(context, profile, cmsSigCopyrightTag, "No copyright, use freely");
    bytes = _save_profile(profile);
    cmsCloseProfile(profile);
  }
  if(tone) cmsFreeToneCurve(tone);
  cmsDeleteContext(context);
  return bytes;
}

// --- Finding profiles

static GBytes *_load_file(const char *path, GError **error)
{
  GError *reason = NULL;
  dt_input_t *input = dt_input_open(path, &reason);
  GBytes *bytes = input ? dt_input_read_bytes(input, 0, (size_t)MIN(input->size, G_MAXSIZE)) : NULL;
  if(!bytes)
  {
    char *names = g_strjoinv(", ", (char **)dt_imageio_profile_names());
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s; a colour profile is one of %s, or the name of an ICC file",
                reason ? reason->message : "the file is too large for a profile", names);
    g_free(names);
  }
  g_clear_error(&reason);
  dt_input_close(input);
  return bytes;
}

GBytes *dt_profile_load(const char *name, int colours, GError **error)
{
  const _named_t *named = _find_named(name);
  if(!named) return _load_file(name, error);
  GBytes *bytes =
      dt_profile_generate(named->description, colours == 3 ? named->primaries : NULL, named->curve);
  if(!bytes)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                "the colour profile %s cannot be made; Little CMS is short of memory", name);
  return bytes;
}
