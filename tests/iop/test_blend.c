/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks: colours against Oklab in doubles, objects, feathers, rectangles, and a device. */
#include "iop.h"
#include "pocl.h"

#include "common/errors.h"
#include "develop/blend.h"
#include "iop/affine.h"

#include <math.h>
#include <string.h>

/* A piece whose output has the size of its input. */
static dt_iop_piece_t _piece_of(const char *module, int channels, int width, int height, double scale)
{
  return (dt_iop_piece_t){ .module = dt_iop_find(module),
                           .enabled = TRUE,
                           .channels_in = channels,
                           .channels_out = channels,
                           .in_width = width,
                           .in_height = height,
                           .out_width = width,
                           .out_height = height,
                           .in_scale = scale,
                           .out_scale = scale };
}

static dt_iop_piece_t _piece(int width, int height, double scale)
{
  return _piece_of("exposure", 4, width, height, scale);
}

static dt_blend_params_t _params(const char *const *settings)
{
  dt_blend_params_t *standard = dt_iop_standard_params(&dt_blend_table), params = *standard;
  for(; settings && *settings; settings++)
  {
    char **words = g_strsplit(*settings, "=", 2);
    const dt_iop_param_t *param = dt_iop_find_param(&dt_blend_table, words[0]);
    GError *error = NULL;
    assert_non_null(param);
    dt_iop_set_param(&dt_blend_table, param, &params, words[1], &error);
    assert_no_error(error);
    g_strfreev(words);
  }
  g_free(standard);
  return params;
}

static dt_blend_t *_blend(const dt_iop_piece_t *piece, const char *const *settings,
                          const dt_blend_object_t *object)
{
  const dt_blend_params_t params = _params(settings);
  GError *error = NULL;
  dt_blend_t *blend = dt_blend_new(piece, &params, object, &error);
  assert_no_error(error);
  return blend;
}

/* All of the picture (g_free()). */
static float *_run(const dt_blend_t *blend, const dt_iop_piece_t *piece, const float *in,
                   const float *processed)
{
  const dt_iop_roi_t roi = { 0, 0, piece->in_width, piece->in_height, piece->in_scale };
  float *out = g_new(float, (gsize)piece->channels_in *(gsize)roi.width *(gsize)roi.height);
  GError *error = NULL;
  dt_blend_process(blend, in, &roi, processed, &roi, out, &roi, &error);
  assert_no_error(error);
  return out;
}

/* The mask itself: what black becomes that is made white. Ranges look at @p colours, as the module's output where they
 * are of the output; NULL: there are no ranges. */
static float *_mask(const dt_iop_piece_t *piece, const char *const *settings, const dt_blend_object_t *object,
                    const float *colours)
{
  const gsize n = (gsize)piece->in_width * (gsize)piece->in_height;
  float *in = g_new0(float, 4 * n), *processed = g_new(float, 4 * n), *mask = g_new(float, n);
  dt_blend_t *blend = _blend(piece, settings, object);
  for(gsize i = 0; i < n; i++)
    for(int c = 0; c < 4; c++)
    {
      if(colours) in[4 * i + (gsize)c] = colours[4 * i + (gsize)c];
      processed[4 * i + (gsize)c] = 1;
    }
  for(gsize i = 0; i < n; i++) in[4 * i + 3] = 0;
  float *out = _run(blend, piece, in, processed);
  for(gsize i = 0; i < n; i++) mask[i] = out[4 * i + 3];
  g_free(out);
  g_free(in);
  g_free(processed);
  dt_blend_free(blend);
  return mask;
}

/* --- parameters --- */

static void test_parameters(void **state)
{
  (void)state;
  dt_blend_params_t params = _params(NULL);
  dt_blend_object_t object = { NULL };
  GError *error = NULL;
  assert_true(dt_blend_is_neutral(&params, NULL));
  assert_false(dt_blend_is_neutral(&params, &object));
  params = _params((const char *[]){ "feather=5", "range_of=output", NULL });
  assert_true(dt_blend_is_neutral(&params, NULL));
  static const char *const settings[] = { "opacity=0.5", "invert=true", "lightness_full_to=1.9",
                                          "hue_full_from=10", "chroma_full_from=0.2" };
  for(size_t i = 0; i < G_N_ELEMENTS(settings); i++)
  {
    params = _params((const char *[]){ settings[i], NULL });
    assert_false(dt_blend_is_neutral(&params, NULL));
  }
  assert_false(dt_iop_set_param(&dt_blend_table, dt_iop_find_param(&dt_blend_table, "opacity"), &params,
                                "1.1", &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  assert_non_null(strstr(error->message, "blend.opacity"));
  g_clear_error(&error);
}

static void _check_refused(const dt_iop_piece_t *piece, const char *const *settings, const char *words)
{
  const dt_blend_params_t params = _params(settings);
  GError *error = NULL;
  assert_null(dt_blend_new(piece, &params, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  if(!strstr(error->message, words)) fail_msg("%s", error->message);
  g_clear_error(&error);
}

static void test_refused(void **state)
{
  (void)state;
  dt_iop_piece_t piece = _piece(10, 10, 1);
  _check_refused(&piece, (const char *[]){ "lightness_from=0.5", NULL }, "lightness");
  _check_refused(&piece, (const char *[]){ "chroma_to=0.5", NULL }, "chroma");
  _check_refused(&piece,
                 (const char *[]){ "hue_from=10", "hue_full_from=20", "hue_full_to=15", "hue_to=30", NULL },
                 "hue");
  piece.out_width = 9;
  _check_refused(&piece, NULL, "exposure cannot");
  piece = _piece(10, 10, 1);
  piece.channels_in = 1;
  _check_refused(&piece, NULL, "exposure cannot");
  piece.channels_out = 1;
  _check_refused(&piece, (const char *[]){ "chroma_full_from=0.1", NULL }, "no ranges");
  for(int channels = 1; channels <= 4; channels += 3)
  {
    piece = _piece_of("highlights", channels, 10, 10, 1);
    _check_refused(&piece, (const char *[]){ "lightness_full_from=0.5", NULL },
                   "highlights works on the single");
    _check_refused(&piece, (const char *[]){ "hue_full_to=20", NULL }, "no ranges");
  }
  piece = _piece(10, 10, 1);
  piece.module = dt_iop_find("clipping");
  _check_refused(&piece, NULL, "clipping cannot");
}

/* Which parameters a module's mask takes. */
static void test_names(void **state)
{
  (void)state;
  static const struct
  {
    const char *module, *name, *words; /* NULL: it does */
  } cases[] = { { "exposure", "opacity", NULL },
                { "exposure", "hue_to", NULL },
                { "exposure", "nosuch", "no blending parameter \"nosuch\" (of exposure)" },
                { "temperature", "opacity", NULL },
                { "temperature", "feather", NULL },
                { "highlights", "range_of", NULL },
                { "temperature", "lightness_from", "temperature works on the single samples" },
                { "highlights", "hue_to", "no ranges" },
                { "demosaic", "opacity", "demosaic cannot" } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GError *error = NULL;
    const dt_iop_param_t *param = dt_blend_find_param(dt_iop_find(cases[i].module), cases[i].name, &error);
    if(!cases[i].words)
    {
      assert_no_error(error);
      assert_string_equal(param->name, cases[i].name);
      continue;
    }
    assert_null(param);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
    if(!strstr(error->message, cases[i].words)) fail_msg("%s", error->message);
    g_clear_error(&error);
  }
}

static void _check_even(const char *const *settings, const dt_blend_object_t *object, gboolean even,
                        double wanted)
{
  const dt_iop_piece_t piece = _piece(4, 4, 1);
  dt_blend_t *blend = _blend(&piece, settings, object);
  float strength = -1;
  assert_int_equal(dt_blend_is_even(blend, &strength), even);
  if(even) assert_true(fabs((double)strength - wanted) < 1e-6);
  dt_blend_free(blend);
}

static void test_even(void **state)
{
  (void)state;
  const float plane = 0.5f;
  const dt_blend_object_t object = { &plane, 1, 1, dt_iop_affine_identity };
  _check_even((const char *[]){ "opacity=0.3", NULL }, NULL, TRUE, 0.3);
  _check_even((const char *[]){ "opacity=0.3", "invert=true", NULL }, NULL, TRUE, 0);
  _check_even((const char *[]){ "opacity=0.3", NULL }, &object, FALSE, 0);
  _check_even((const char *[]){ "chroma_full_from=0.1", NULL }, NULL, FALSE, 0);
}

/* --- mixing --- */

static void test_formula(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  test_photo_t a, b;
  test_photo_init(&a, &random, DT_SENSOR_LINEAR, 0, TRUE, 31, 17);
  test_photo_init(&b, &random, DT_SENSOR_LINEAR, 0, TRUE, 31, 17);
  const dt_iop_piece_t piece = _piece(31, 17, 1), sites = _piece_of("highlights", 1, 4 * 31, 17, 1);
  static const char *const opacities[] = { "opacity=0", "opacity=0.3", "opacity=1" };
  for(int k = 0; k < 3; k++)
  {
    const double opacity = k == 0 ? 0 : k == 1 ? 0.3 : 1;
    dt_blend_t *blend = _blend(&piece, (const char *[]){ opacities[k], NULL }, NULL);
    float *out = _run(blend, &piece, a.pixels, b.pixels);
    for(int i = 0; i < 31 * 17 * 4; i++)
      assert_true(fabs(out[i] - (a.pixels[i] + (b.pixels[i] - (double)a.pixels[i]) * opacity))
                  <= (k == 1 ? 1e-6 : 0));
    /* four times as many sites are mixed as the pixels' channels */
    dt_blend_t *of_sites = _blend(&sites, (const char *[]){ opacities[k], NULL }, NULL);
    float *again = _run(of_sites, &sites, a.pixels, b.pixels);
    assert_memory_equal(again, out, sizeof(float) * 31 * 17 * 4);
    g_free(again);
    dt_blend_free(of_sites);
    g_free(out);
    dt_blend_free(blend);
  }
  test_photo_clear(&a);
  test_photo_clear(&b);
}

/* --- ranges, against Oklab as it was published --- */

static void _multiply(const double a[3][3], const double b[3][3], double out[3][3])
{
  for(int i = 0; i < 3; i++)
    for(int j = 0; j < 3; j++) out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
}

/* Linear Rec.2020 to lightness, chroma and hue; greys are made grey by the cone responses to white. */
static void _oklch(const float *rgb, double lch[3])
{
  static const double to_xyz[3][3] = { { 0.6369580483012914, 0.14461690358620832, 0.1688809751641721 },
                                       { 0.2627002120112671, 0.6779980715188708, 0.05930171646986196 },
                                       { 0.0, 0.028072693049087428, 1.060985057710791 } };
  static const double to_lms[3][3] = { { 0.8189330101, 0.3618667424, -0.1288597137 },
                                       { 0.0329845436, 0.9293118715, 0.0361456387 },
                                       { 0.0482003018, 0.2643662691, 0.6338517070 } };
  static const double to_lab[3][3] = { { 0.2104542553, 0.7936177850, -0.0040720468 },
                                       { 1.9779984951, -2.4285922050, 0.4505937099 },
                                       { 0.0259040371, 0.7827717662, -0.8086757660 } };
  double m[3][3], lms[3], lab[3];
  _multiply(to_lms, to_xyz, m);
  for(int i = 0; i < 3; i++)
    lms[i] = cbrt((m[i][0] * rgb[0] + m[i][1] * rgb[1] + m[i][2] * rgb[2]) / (m[i][0] + m[i][1] + m[i][2]));
  for(int i = 0; i < 3; i++) lab[i] = to_lab[i][0] * lms[0] + to_lab[i][1] * lms[1] + to_lab[i][2] * lms[2];
  lch[0] = lab[0];
  lch[1] = hypot(lab[1], lab[2]);
  lch[2] = atan2(lab[2], lab[1]) * 180 / G_PI;
  if(lch[2] < 0) lch[2] += 360;
}

static double _trapezoid(double x, double a, double b, double c, double d)
{
  return x < a ? 0 : x < b ? (x - a) / (b - a) : x <= c ? 1 : x < d ? (d - x) / (d - c) : 0;
}

#define COLOURS 4000

static float *_colours(void)
{
  test_random_t random = { 2 };
  float *colours = g_new(float, COLOURS * 4);
  for(int i = 0; i < COLOURS * 4; i++)
    colours[i] = (float)(test_random_range(&random, -0.05, 1) * (i % 7 == 0 ? 6 : i % 5 == 0 ? 0.02 : 1));
  for(int i = 0; i < 40; i++) colours[i] = i / 4 == i % 4 ? 1.0f : 0.0f; /* primaries and black */
  return colours;
}

static void test_lightness_and_chroma(void **state)
{
  (void)state;
  const dt_iop_piece_t piece = _piece(COLOURS / 40, 40, 1);
  float *colours = _colours();
  float *light = _mask(&piece,
                       (const char *[]){ "lightness_from=0.2", "lightness_full_from=0.5",
                                         "lightness_full_to=0.7", "lightness_to=1.2", NULL },
                       NULL, colours);
  float *open =
      _mask(&piece, (const char *[]){ "lightness_from=0.5", "lightness_full_from=0.9", NULL }, NULL, colours);
  float *strong =
      _mask(&piece, (const char *[]){ "chroma_full_to=0.1", "chroma_to=0.3", NULL }, NULL, colours);
  for(int i = 0; i < COLOURS; i++)
  {
    double lch[3];
    _oklch(colours + 4 * i, lch);
    assert_true(fabs(light[i] - _trapezoid(lch[0], 0.2, 0.5, 0.7, 1.2)) < 1e-5);
    assert_true(fabs(open[i] - _trapezoid(lch[0], 0.5, 0.9, 1e9, 1e9)) < 1e-5);
    assert_true(fabs(strong[i] - _trapezoid(lch[1], -1, 0, 0.1, 0.3)) < 1e-5);
  }
  g_free(light);
  g_free(open);
  g_free(strong);
  g_free(colours);
}

static void test_hue(void **state)
{
  (void)state;
  const dt_iop_piece_t piece = _piece(COLOURS / 40, 40, 1);
  float *colours = _colours();
  float *blue = _mask(
      &piece, (const char *[]){ "hue_from=200", "hue_full_from=240", "hue_full_to=280", "hue_to=320", NULL },
      NULL, colours);
  float *red = _mask(
      &piece, (const char *[]){ "hue_from=300", "hue_full_from=350", "hue_full_to=40", "hue_to=100", NULL },
      NULL, colours);
  for(int i = 0; i < COLOURS; i++)
  {
    double lch[3];
    _oklch(colours + 4 * i, lch);
    const double way = lch[2] < 300 ? lch[2] + 360 : lch[2], seen = MIN(lch[1] / 0.02, 1);
    assert_true(fabs(blue[i] - seen * _trapezoid(lch[2], 200, 240, 280, 320)) < 2e-5);
    assert_true(fabs(red[i] - seen * _trapezoid(way, 300, 350, 400, 460)) < 2e-5);
  }
  g_free(blue);
  g_free(red);
  g_free(colours);
}

/* The primaries of sRGB have published places: red 0.628, 0.258, 29.2; green 0.866, 0.295, 142.5; blue 0.452, 0.313,
 * 264.1; all three are told apart, and from white, by steps. */
static void test_steps(void **state)
{
  (void)state;
  static const float colours[] = { 0.6274f, 0.0691f, 0.0164f, 0, 0.3293f, 0.9195f, 0.0880f, 0,
                                   0.0433f, 0.0114f, 0.8956f, 0, 0.8f,    0.8f,    0.8f,    0 };
  static const char *const steps[][4] = {
    { "hue_from=28.7", "hue_full_from=28.7", "hue_full_to=29.7", "hue_to=29.7" },
    { "hue_from=142", "hue_full_from=142", "hue_full_to=143", "hue_to=143" },
    { "hue_from=263.6", "hue_full_from=263.6", "hue_full_to=264.6", "hue_to=264.6" },
    { "chroma_from=0", "chroma_full_from=0", "chroma_full_to=0.001", "chroma_to=0.001" },
    { "lightness_from=0.624", "lightness_full_from=0.624", "lightness_full_to=0.632", "lightness_to=0.632" },
    { "lightness_from=0.862", "lightness_full_from=0.862", "lightness_full_to=0.87", "lightness_to=0.87" },
    { "chroma_from=0.309", "chroma_full_from=0.309", "chroma_full_to=0.317", "chroma_to=0.317" },
  };
  static const int which[] = { 0, 1, 2, 3, 0, 1, 2 };
  const dt_iop_piece_t piece = _piece(4, 1, 1);
  for(size_t k = 0; k < G_N_ELEMENTS(steps); k++)
  {
    float *mask = _mask(&piece, (const char *[]){ steps[k][0], steps[k][1], steps[k][2], steps[k][3], NULL },
                        NULL, colours);
    for(int i = 0; i < 4; i++)
      if(mask[i] != (i == which[k] ? 1.0f : 0.0f))
        fail_msg("range %zu, colour %d: %g", k, i, (double)mask[i]);
    g_free(mask);
  }
}

/* Of the input or of the output, and never anything but a number. */
static void test_source_and_extremes(void **state)
{
  (void)state;
  static const float dark[] = { 0, 0, 0, 0, 1e30f, -1e30f, 1e-30f, 0, -3e-39f, 3e-39f, 0, 0 },
                     light[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
  const dt_iop_piece_t piece = _piece(3, 1, 1);
  dt_blend_t *of_input = _blend(&piece, (const char *[]){ "lightness_full_from=0.5", NULL, NULL }, NULL);
  dt_blend_t *of_output =
      _blend(&piece, (const char *[]){ "lightness_full_from=0.5", "range_of=output", NULL }, NULL);
  dt_blend_t *all = _blend(&piece,
                           (const char *[]){ "lightness_full_from=0.5", "chroma_full_from=0.1",
                                             "hue_full_from=10", "invert=true", NULL },
                           NULL);
  float *a = _run(of_input, &piece, dark, light), *b = _run(of_output, &piece, dark, light),
        *c = _run(all, &piece, dark, light);
  assert_true(a[0] == 0 && b[0] == 1);
  for(int i = 0; i < 12; i++) assert_true(isfinite(a[i]) && isfinite(b[i]) && isfinite(c[i]));
  g_free(a);
  g_free(b);
  g_free(c);
  dt_blend_free(of_input);
  dt_blend_free(of_output);
  dt_blend_free(all);
}

/* --- objects --- */

static test_photo_t _random_photo(test_random_t *random, int width, int height)
{
  test_photo_t photo;
  test_photo_init(&photo, random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
  for(int i = 0; i < width * height * 4; i++) photo.pixels[i] = (float)test_random_range(random, 0, 1);
  return photo;
}

/* The first channel of @p pixels (g_free()). */
static float *_channel(const float *pixels, int n)
{
  float *plane = g_new(float, n);
  for(int i = 0; i < n; i++) plane[i] = pixels[4 * i];
  return plane;
}

/* A mask that is the upright picture itself falls on that picture, after it was turned anyhow and before. */
static void test_object_place(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  for(int o = 1; o <= 8; o++)
  {
    test_photo_t photo = _random_photo(&random, 29, 22);
    photo.image.crop_x = 3;
    photo.image.crop_y = 2;
    photo.image.crop_width = 24;
    photo.image.crop_height = 17;
    photo.image.orientation = o;
    dt_iop_piece_t upright = test_piece_new(&photo, "clipping", NULL, 4, 29, 22, 1.0);
    float *shown = test_piece_run(&upright, photo.pixels);
    dt_blend_object_t object = { NULL, upright.out_width, upright.out_height,
                                 dt_blend_to_photo(&photo.image, &dt_iop_affine_identity) };
    float *plane = _channel(shown, object.width * object.height);
    object.plane = plane;
    dt_iop_piece_t before = _piece(29, 22, 1);
    float *mask = _mask(&before, NULL, &object, NULL);
    for(int y = 2; y < 19; y++)
      for(int x = 3; x < 27; x++)
        assert_true(fabsf(mask[y * 29 + x] - photo.pixels[4 * (y * 29 + x)]) < 1e-5f);
    g_free(mask);

    dt_iop_piece_t turned = test_piece_new(
        &photo, "clipping", (const char *[]){ "flip=90", "left=0.2", "bottom=0.7", NULL }, 4, 29, 22, 1.0);
    dt_iop_affine_t map;
    turned.module->origin(&turned, &map);
    object.to_photo = dt_blend_to_photo(&photo.image, &map);
    dt_iop_piece_t after = _piece(turned.out_width, turned.out_height, 1);
    mask = _mask(&after, NULL, &object, NULL);
    float *out = test_piece_run(&turned, photo.pixels);
    for(int i = 0; i < turned.out_width * turned.out_height; i++)
      assert_true(fabsf(mask[i] - out[4 * i]) < 1e-5f);
    g_free(out);
    g_free(mask);
    g_free(plane);
    g_free(shown);
    test_piece_clear(&turned);
    test_piece_clear(&upright);
    test_photo_clear(&photo);
  }
}

/* Bilinear between the middles of the mask's pixels, whatever its size; strengths beyond 0 and 1 are cut off. */
static void test_object_size(void **state)
{
  (void)state;
  static const float plane[] = { 0, 0.2f, 1, 0.6f, 2, -1 };
  const dt_iop_piece_t piece = _piece(30, 20, 1);
  const dt_iop_image_t image = {
    .width = 30, .height = 20, .crop_width = 30, .crop_height = 20, .orientation = 1
  };
  const dt_blend_object_t object = { plane, 3, 2, dt_blend_to_photo(&image, &dt_iop_affine_identity) };
  float *mask = _mask(&piece, NULL, &object, NULL);
  for(int y = 0; y < 20; y++)
    for(int x = 0; x < 30; x++)
    {
      const double u = CLAMP((x + 0.5) / 10 - 0.5, 0, 2), v = CLAMP((y + 0.5) / 10 - 0.5, 0, 1);
      const int i = MIN((int)u, 1);
      const double top = plane[i] + (plane[i + 1] - plane[i]) * (u - i);
      const double low = plane[3 + i] + (plane[4 + i] - plane[3 + i]) * (u - i);
      assert_true(fabs(mask[y * 30 + x] - CLAMP(top + (low - top) * v, 0, 1)) < 1e-6);
    }
  g_free(mask);
}

/* --- feather --- */

static void test_feather(void **state)
{
  (void)state;
  test_random_t random = { 4 };
  const dt_iop_piece_t piece = _piece(41, 33, 0.5);
  const dt_iop_image_t image = { .crop_width = 41, .crop_height = 33, .orientation = 1 };
  float plane[41 * 33];
  for(int i = 0; i < 41 * 33; i++) plane[i] = (float)test_random_range(&random, 0, 1);
  const dt_blend_object_t object = { plane, 41, 33, dt_blend_to_photo(&image, &dt_iop_affine_identity) };
  /* 10 pixels of the full size are 5 of these, and sigma is half of it */
  float *mask = _mask(&piece, (const char *[]){ "feather=10", NULL }, &object, NULL);
  float *inverted = _mask(&piece, (const char *[]){ "feather=10", "invert=true", NULL }, &object, NULL);
  for(int y = 0; y < 33; y++)
    for(int x = 0; x < 41; x++)
    {
      double sum = 0, weight = 0;
      for(int j = -8; j <= 8; j++)
        for(int i = -8; i <= 8; i++)
        {
          const double w = exp(-0.5 * (i * i + j * j) / 6.25);
          sum += w * plane[CLAMP(y + j, 0, 32) * 41 + CLAMP(x + i, 0, 40)];
          weight += w;
        }
      assert_true(fabs(mask[y * 41 + x] - sum / weight) < 1e-5);
      assert_true(fabs(inverted[y * 41 + x] - (1 - sum / weight)) < 1e-5);
    }
  g_free(mask);
  g_free(inverted);
}

/* --- rectangles and devices --- */

static float *_cut(const float *whole, int width, int channels, const dt_iop_roi_t *roi)
{
  const int n = channels * roi->width;
  float *part = g_new(float, (gsize)n *(gsize)roi->height);
  for(int y = 0; y < roi->height; y++)
    memcpy(part + y * n, whole + channels * ((roi->y + y) * width + roi->x), sizeof(float) * (size_t)n);
  return part;
}

typedef struct _job_t
{
  const dt_blend_t *blend;
  const float *in, *processed;
  dt_iop_roi_t need, out;
  gsize pixel; ///< bytes
  gboolean in_place;
  float *result;
} _job_t;

static gsize _bytes(const _job_t *job, const dt_iop_roi_t *roi)
{
  return job->pixel * (gsize)roi->width * (gsize)roi->height;
}

static gboolean _work(dt_opencl_queue_t *queue, void *data, GError **error)
{
  _job_t *job = data;
  cl_mem in = dt_opencl_buffer_new(queue, _bytes(job, &job->need), job->in, error);
  cl_mem processed = in ? dt_opencl_buffer_new(queue, _bytes(job, &job->need), job->processed, error) : NULL;
  cl_mem out = job->in_place ? processed
               : processed   ? dt_opencl_buffer_new(queue, _bytes(job, &job->out), NULL, error)
                             : NULL;
  const gboolean fine =
      out
      && dt_blend_process_cl(job->blend, queue, in, &job->need, processed, &job->need, out, &job->out, error)
      && dt_opencl_buffer_read(queue, out, _bytes(job, &job->out), job->result, error);
  dt_opencl_buffer_free(queue, in);
  dt_opencl_buffer_free(queue, processed);
  if(!job->in_place) dt_opencl_buffer_free(queue, out);
  return fine;
}

static void _compute_cl(_job_t *job)
{
  GError *error = NULL;
  dt_opencl_run_t *run =
      dt_opencl_run_begin(test_iop_cl, &(dt_opencl_run_opts_t){ .pipe = DT_OPENCL_EXPORT }, &error);
  assert_no_error(error);
  dt_opencl_run_perform(run, _work, job, NULL, &error);
  assert_no_error(error);
  dt_opencl_run_end(run);
}

static void _compute(_job_t *job)
{
  GError *error = NULL;
  float *copy = job->in_place ? g_memdup2(job->processed, _bytes(job, &job->need)) : NULL;
  dt_blend_process(job->blend, job->in, &job->need, copy ? copy : job->processed, &job->need,
                   copy ? copy : job->result, &job->out, &error);
  assert_no_error(error);
  if(copy) memcpy(job->result, copy, _bytes(job, &job->out));
  g_free(copy);
}

/* A rectangle is that part of @p whole: to the last bit here, within 1e-4 there. */
static void _check(const dt_blend_t *blend, const dt_iop_piece_t *piece, const float *in,
                   const float *processed, const float *whole, const dt_iop_roi_t *roi, gboolean there)
{
  const int channels = piece->channels_in;
  _job_t job = { .blend = blend, .out = *roi, .pixel = (gsize)channels * sizeof(float) };
  dt_blend_need(blend, roi, &job.need);
  assert_true(job.need.x >= 0 && job.need.y >= 0 && job.need.x + job.need.width <= piece->in_width
              && job.need.y + job.need.height <= piece->in_height);
  float *part_in = _cut(in, piece->in_width, channels, &job.need);
  float *part = _cut(processed, piece->in_width, channels, &job.need);
  float *wanted = _cut(whole, piece->in_width, channels, roi);
  job.in = part_in;
  job.processed = part;
  job.in_place = memcmp(&job.need, roi, sizeof(*roi)) == 0;
  job.result = g_malloc0(_bytes(&job, roi));
  if(there)
    _compute_cl(&job);
  else
    _compute(&job);
  for(int i = 0; i < channels * roi->width * roi->height; i++)
    if(!(fabs((double)job.result[i] - (double)wanted[i]) <= (there ? 1e-4 : 0)))
      fail_msg("%s: %g instead of %g at %d of %d x %d", there ? "device" : "rectangle", (double)job.result[i],
               (double)wanted[i], i / channels, roi->width, roi->height);
  g_free(part_in);
  g_free(part);
  g_free(wanted);
  g_free(job.result);
}

static const char *const _settings[][10] = {
  { "opacity=0.7" },
  { "feather=12", "lightness_from=0.4", "lightness_full_from=0.4" },
  { "hue_from=330", "hue_full_from=330", "hue_full_to=60", "hue_to=60", "invert=true" },
  { "hue_from=100", "hue_full_from=150", "hue_full_to=250", "hue_to=250", "chroma_full_from=0.05",
    "feather=3" },
  { "chroma_from=0.08", "chroma_full_from=0.08", "range_of=output", "feather=40", "opacity=0.9" },
  { "feather=0.3" },
};

static const char *const _settings_of_sites[][10] = {
  { "opacity=0.7" }, { "feather=12", "invert=true" }, { "feather=40", "opacity=0.9" }, { NULL }
};

static void _check_sizes(int channels, uint64_t seed)
{
  static const double scales[] = { 1, 0.5, 0.23 };
  test_random_t random = { seed };
  for(int i = 0; i < 30; i++)
  {
    const int width = i ? test_random_int(&random, 1, 90) : 1,
              height = i ? test_random_int(&random, 1, 70) : 1;
    const dt_iop_piece_t piece =
        _piece_of(channels == 1 ? "highlights" : "exposure", channels, width, height, scales[i % 3]);
    test_photo_t a = _random_photo(&random, width, height), b = _random_photo(&random, width, height);
    const int w = test_random_int(&random, 1, 50), h = test_random_int(&random, 1, 50);
    test_photo_t mask = _random_photo(&random, w, h);
    const dt_iop_affine_t map = { 1.1 / width, 0.3 / width, -0.1, -0.2 / height, 0.9 / height, 0.2 };
    const dt_blend_object_t object = { mask.pixels, w, h, map };
    dt_blend_t *blend =
        _blend(&piece, channels == 1 ? _settings_of_sites[i % 4] : _settings[i % 6], i % 5 ? &object : NULL);
    const dt_iop_roi_t all = { 0, 0, width, height, scales[i % 3] };
    float *whole = _run(blend, &piece, a.pixels, b.pixels);
    for(int k = 0; k < 6; k++)
    {
      dt_iop_roi_t roi = all;
      roi.width = test_random_int(&random, 1, width);
      roi.height = test_random_int(&random, 1, height);
      roi.x = test_random_int(&random, 0, width - roi.width);
      roi.y = test_random_int(&random, 0, height - roi.height);
      if(k == 0) roi = all;
      _check(blend, &piece, a.pixels, b.pixels, whole, &roi, FALSE);
      if(test_iop_cl && k < 3) _check(blend, &piece, a.pixels, b.pixels, whole, &roi, TRUE);
    }
    assert_true(dt_blend_memory(blend, &all) >= (gsize)width * (gsize)height * 4);
    g_free(whole);
    dt_blend_free(blend);
    test_photo_clear(&a);
    test_photo_clear(&b);
    test_photo_clear(&mask);
  }
}

static void test_rectangles_and_device(void **state)
{
  (void)state;
  _check_sizes(4, 5);
}

static void test_sites(void **state)
{
  (void)state;
  _check_sizes(1, 6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parameters),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_even),
    cmocka_unit_test(test_formula),
    cmocka_unit_test(test_lightness_and_chroma),
    cmocka_unit_test(test_hue),
    cmocka_unit_test(test_steps),
    cmocka_unit_test(test_source_and_extremes),
    cmocka_unit_test(test_object_place),
    cmocka_unit_test(test_object_size),
    cmocka_unit_test(test_feather),
    cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_sites),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
