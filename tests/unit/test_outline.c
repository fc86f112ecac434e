/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Outlines of shapes whose area is known, there and back, and as text. */
#include "support.h"

#include "develop/masks/outline.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct _mask_t
{
  int width, height;
  float *values;
} _mask_t;

static _mask_t _new(int width, int height)
{
  return (_mask_t){ width, height, g_new0(float, (size_t)width *(size_t)height) };
}

static dt_outline_t *_trace(const _mask_t *m, const dt_outline_opts_t *opts)
{
  GError *error = NULL;
  dt_outline_t *o = dt_outline_trace(m->values, m->width, m->height, opts, &error);
  assert_no_error(error);
  assert_non_null(o);
  assert_int_equal(o->width, m->width);
  assert_int_equal(o->height, m->height);
  return o;
}

static const dt_outline_path_t *_path(const dt_outline_t *o, guint i)
{
  return g_ptr_array_index(o->paths, i);
}

static guint _segments(const dt_outline_t *o)
{
  guint n = 0;
  for(guint i = 0; i < o->paths->len; i++) n += _path(o, i)->segments->len;
  return n;
}

static double _area(const dt_outline_t *o)
{
  float *fill = g_new(float, (size_t)o->width *(size_t)o->height);
  double sum = 0;
  dt_outline_fill(o, fill);
  for(size_t i = 0; i < (size_t)o->width * (size_t)o->height; i++)
  {
    assert_true(fill[i] >= 0 && fill[i] <= 1);
    sum += (double)fill[i];
  }
  g_free(fill);
  return sum;
}

/* --- shapes --- */

typedef enum _kind_t
{
  DISC,
  BOX,
  STAR
} _kind_t;

typedef struct _shape_t
{
  _kind_t kind;
  double x, y, size, angle, ratio;
  int sides;
  gboolean is_hole;
} _shape_t;

/* The distance to the shape's edge, about, positive inside. */
static double _inside(const _shape_t *s, double x, double y)
{
  const double dx = x - s->x, dy = y - s->y, c = cos(s->angle), d = sin(s->angle);
  const double u = dx * c + dy * d, v = (dy * c - dx * d) / s->ratio;
  if(s->kind == BOX) return MIN(s->size - fabs(u), (s->size - fabs(v)) * s->ratio);
  if(s->kind == DISC)
  {
    const double r = hypot(u, v), k = hypot(u, v / s->ratio);
    return k > 0 ? (s->size - r) * r / k : s->size * s->ratio;
  }
  return s->size * (1 + 0.3 * sin(s->sides * atan2(dy, dx) + s->angle)) - hypot(dx, dy);
}

static void _draw(const _mask_t *m, const _shape_t *shapes, int n, gboolean hard)
{
  for(int y = 0; y < m->height; y++)
    for(int x = 0; x < m->width; x++)
    {
      double d = -1e3;
      for(int i = 0; i < n; i++)
      {
        const double k = _inside(&shapes[i], x + 0.5, y + 0.5);
        d = shapes[i].is_hole ? MIN(d, -k) : MAX(d, k);
      }
      m->values[(size_t)y * (size_t)m->width + (size_t)x] = hard ? d > 0 : (float)CLAMP(d + 0.5, 0, 1);
    }
}

static _shape_t _random_shape(test_random_t *random, const _mask_t *m, gboolean is_hole)
{
  const double side = MIN(m->width, m->height);
  return (_shape_t){ .kind = (_kind_t)test_random_int(random, 0, 2),
                     .x = test_random_range(random, 0.2, 0.8) * m->width,
                     .y = test_random_range(random, 0.2, 0.8) * m->height,
                     .size = test_random_range(random, 0.15, 0.3) * side * (is_hole ? 0.35 : 1),
                     .angle = test_random_range(random, 0, 6.3),
                     .ratio = test_random_range(random, 0.5, 1),
                     .sides = test_random_int(random, 3, 9),
                     .is_hole = is_hole };
}

/* --- agreement --- */

static void test_random_shapes(void **state)
{
  (void)state;
  test_random_t random = { 41 };
  const int runs = test_is_long() ? 1000 : 100;
  double worst = 1, mean = 0, segments[2] = { 0 };
  for(int run = 0; run < runs; run++)
  {
    _mask_t m = _new(test_random_int(&random, 300, 500), test_random_int(&random, 300, 500));
    _shape_t shapes[8];
    for(int i = 0; i < 8; i++) shapes[i] = _random_shape(&random, &m, i >= 3);
    _draw(&m, shapes, 8, run % 2);
    dt_outline_t *o = _trace(&m, NULL);
    const double iou = dt_outline_iou(o, m.values, 0.5);
    /* pixels that the outline passes may go either way: of a thousand shapes four have so much outline for their area
     * that 0.993 to 0.9945 is what they reach */
    if(iou < (run < 100 ? 0.995 : 0.99)) fail_msg("run %d: IoU %.5f", run, iou);
    worst = fmin(worst, iou);
    mean += iou / runs;
    segments[run % 2] += _segments(o) * 2.0 / runs;
    dt_outline_free(o);
    g_free(m.values);
  }
  print_message("IoU %.5f on average, %.5f at worst, with %.1f segments, %.1f in black and white\n", mean,
                worst, segments[0], segments[1]);
  assert_true(mean > 0.9975);
}

/* A soft disc is met to a hundredth of a pixel, by few curves. */
static void test_disc(void **state)
{
  (void)state;
  for(double r = 3; r < 90; r *= 1.7)
  {
    _mask_t m = _new(200, 190);
    const _shape_t disc = { .kind = DISC, .x = 100.3, .y = 95.8, .size = r, .ratio = 1 };
    const dt_outline_opts_t round = { .smooth = 1.3 };
    _draw(&m, &disc, 1, FALSE);
    dt_outline_t *o = _trace(&m, &round);
    const double radius = sqrt(_area(o) / G_PI);
    if(fabs(radius - r) > 0.05) fail_msg("radius %g instead of %g", radius, r);
    assert_int_equal(o->paths->len, 1);
    assert_false(_path(o, 0)->is_hole);
    dt_outline_free(o);
    g_free(m.values);
  }
}

static void test_nesting(void **state)
{
  (void)state;
  _mask_t m = _new(300, 300);
  _shape_t rings[5];
  for(int i = 0; i < 5; i++)
    rings[i] =
        (_shape_t){ .kind = DISC, .x = 150, .y = 150, .size = 120 - 25 * i, .ratio = 1, .is_hole = i % 2 };
  _draw(&m, rings, 5, FALSE);
  dt_outline_t *o = _trace(&m, NULL);
  assert_int_equal(o->paths->len, 5);
  double area = 0;
  for(guint i = 0; i < 5; i++)
  {
    assert_int_equal(_path(o, i)->is_hole, i % 2);
    area += (i % 2 ? -1 : 1) * G_PI * rings[i].size * rings[i].size;
  }
  assert_true(fabs(_area(o) - area) < area * 0.002);
  dt_outline_free(o);
  g_free(m.values);
}

/* Empty, full, of one pixel, and cut by the border: the border is met exactly. */
static void test_borders(void **state)
{
  (void)state;
  static const int sizes[][2] = { { 1, 1 }, { 1, 20 }, { 20, 1 }, { 33, 17 }, { 2, 2 } };
  const dt_outline_opts_t all = { .specks = -1 };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    _mask_t m = _new(sizes[i][0], sizes[i][1]);
    const int n = m.width * m.height;
    dt_outline_t *o = _trace(&m, &all);
    assert_int_equal(o->paths->len, 0);
    assert_true(dt_outline_iou(o, m.values, 0.5) == 1);
    dt_outline_free(o);
    for(int k = 0; k < n; k++) m.values[k] = 1;
    o = _trace(&m, &all);
    assert_int_equal(o->paths->len, 1);
    assert_int_equal(_segments(o), 4);
    assert_true(_area(o) == n);
    dt_outline_free(o);
    g_free(m.values);
  }
  _mask_t m = _new(100, 80);
  const _shape_t disc = { .kind = DISC, .x = 0, .y = 80, .size = 50, .ratio = 1 };
  _draw(&m, &disc, 1, FALSE);
  dt_outline_t *o = _trace(&m, NULL);
  assert_true(fabs(_area(o) - G_PI * 2500 / 4) < 8);
  assert_true(_segments(o) <= 5);
  dt_outline_free(o);
  g_free(m.values);
}

/* A mask of a pixel has an outline: specks go, but not when they are all there is. */
static void test_nothing_but_specks(void **state)
{
  (void)state;
  _mask_t one = _new(1, 1), m = _new(40, 30);
  one.values[0] = 1;
  m.values[12 * 40 + 9] = 1;
  const _mask_t *masks[] = { &one, &m };
  const dt_outline_opts_t wanted = { .specks = 3 };
  for(int i = 0; i < 2; i++)
  {
    dt_outline_t *o = _trace(masks[i], NULL), *none = _trace(masks[i], &wanted);
    assert_int_equal(o->paths->len, 1);
    assert_true(_area(o) > 0.05 && _area(o) <= 1);
    assert_int_equal(none->paths->len, 0);
    dt_outline_free(o);
    dt_outline_free(none);
  }
  /* beside something larger it is a speck */
  for(int i = 0; i < 4; i++) m.values[20 * 40 + 20 + i] = 1;
  dt_outline_t *o = _trace(&m, NULL);
  assert_int_equal(o->paths->len, 1);
  dt_outline_free(o);
  g_free(one.values);
  g_free(m.values);
}

static void test_options(void **state)
{
  (void)state;
  _mask_t m = _new(120, 100);
  const _shape_t shapes[] = { { .kind = BOX, .x = 50, .y = 50, .size = 30, .ratio = 1, .angle = 0.3 },
                              { .kind = DISC, .x = 105, .y = 20, .size = 3, .ratio = 1 } };
  _draw(&m, shapes, 2, FALSE);
  const dt_outline_opts_t clean = { .specks = 40 }, polygons = { .smooth = -1, .specks = 40 },
                          rough = { .tolerance = 2 };
  dt_outline_t *o = _trace(&m, NULL);
  assert_int_equal(o->paths->len, 2);
  dt_outline_free(o);
  /* a box has four sides */
  o = _trace(&m, &clean);
  assert_int_equal(o->paths->len, 1);
  assert_true(_segments(o) >= 4 && _segments(o) <= 8);
  dt_outline_free(o);
  o = _trace(&m, &polygons);
  for(guint i = 0; i < _segments(o); i++)
  {
    const GArray *segments = _path(o, 0)->segments;
    const dt_outline_segment_t *s = &g_array_index(segments, dt_outline_segment_t, i);
    const dt_outline_point_t a =
        g_array_index(segments, dt_outline_segment_t, (i + segments->len - 1) % segments->len).end;
    assert_true(fabs((s->end.x - a.x) / 3 + a.x - s->control1.x) < 1e-9);
  }
  dt_outline_free(o);
  o = _trace(&m, &rough);
  assert_true(dt_outline_iou(o, m.values, 0.5) > 0.9);
  dt_outline_free(o);
  /* two pixels between 0.25 and 0.75 of an edge that is four wide */
  for(int y = 0; y < m.height; y++)
    for(int x = 0; x < m.width; x++)
      m.values[y * m.width + x] = (float)CLAMP(_inside(&shapes[0], x + 0.5, y + 0.5) / 4 + 0.5, 0, 1);
  double area[2];
  for(int i = 0; i < 2; i++)
  {
    const dt_outline_opts_t threshold = { .threshold = i ? 0.75 : 0.25, .specks = 40 };
    o = _trace(&m, &threshold);
    area[i] = _area(o);
    dt_outline_free(o);
  }
  assert_true(fabs(area[0] - area[1] - 2 * 240) < 12);
  g_free(m.values);
}

/* Noise of all kinds, NaN included: closed, bounded, filled as it was. */
static void test_noise(void **state)
{
  (void)state;
  test_random_t random = { 42 };
  for(int run = 0; run < (test_is_long() ? 2000 : 200); run++)
  {
    _mask_t m = _new(test_random_int(&random, 1, 40), test_random_int(&random, 1, 40));
    for(int i = 0; i < m.width * m.height; i++)
    {
      m.values[i] = (float)test_random_range(&random, 0, 1);
      if(run % 3 == 0) m.values[i] = m.values[i] > 0.5f;
      if(run % 5 == 0 && i % 17 == 0) m.values[i] = i % 2 ? NAN : INFINITY;
    }
    const dt_outline_opts_t exact = { .tolerance = 1e-6, .smooth = -1, .specks = -1 },
                            usual = { .specks = -1 };
    dt_outline_t *o = _trace(&m, &usual), *p = _trace(&m, &exact);
    for(guint i = 0; i < o->paths->len; i++)
      for(guint k = 0; k < _path(o, i)->segments->len; k++)
      {
        const dt_outline_point_t at = g_array_index(_path(o, i)->segments, dt_outline_segment_t, k).end;
        assert_true(at.x >= 0 && at.y >= 0 && at.x <= m.width && at.y <= m.height);
      }
    _area(o);
    _area(p);
    dt_outline_free(o);
    dt_outline_free(p);
    g_free(m.values);
  }
}

/* Every centre of a pixel lies on the side that the mask has it on. */
static void test_polygons_are_exact(void **state)
{
  (void)state;
  test_random_t random = { 43 };
  for(int run = 0; run < 50; run++)
  {
    _mask_t m = _new(64, 48), big = _new(64 * 8, 48 * 8);
    for(int i = 0; i < 64 * 48; i++) m.values[i] = (float)test_random_range(&random, 0, 1);
    const dt_outline_opts_t exact = { .tolerance = 1e-9, .smooth = -1, .specks = -1 };
    dt_outline_t *o = _trace(&m, &exact);
    /* seen through a magnifying glass */
    o->width *= 8;
    o->height *= 8;
    for(guint i = 0; i < o->paths->len; i++)
      for(guint k = 0; k < _path(o, i)->segments->len; k++)
      {
        double *v = (double *)&g_array_index(_path(o, i)->segments, dt_outline_segment_t, k);
        for(int c = 0; c < 6; c++) v[c] *= 8;
      }
    dt_outline_fill(o, big.values);
    for(int y = 0; y < 48; y++)
      for(int x = 0; x < 64; x++)
      {
        const float v = m.values[y * 64 + x];
        if(fabsf(v - 0.5f) < 0.2f) continue;
        double sum = 0;
        for(int k = 0; k < 4; k++) sum += (double)big.values[(8 * y + 3 + k / 2) * 512 + 8 * x + 3 + k % 2];
        assert_int_equal(sum > 2, v > 0.5f);
      }
    dt_outline_free(o);
    g_free(m.values);
    g_free(big.values);
  }
}

/* --- the fill, against shapes that are easy to cover --- */

static dt_outline_t *_from_text(const char *text)
{
  GError *error = NULL;
  dt_outline_t *o = dt_outline_from_json(text, &error);
  assert_no_error(error);
  return o;
}

#define LINE(x0, y0, x1, y1) "[" #x0 "," #y0 "," #x1 "," #y1 "," #x1 "," #y1 "]"

static void test_fill(void **state)
{
  (void)state;
  float fill[16];
  /* a triangle, half of the picture; another one the same way around inside it, which is a hole all the same */
  dt_outline_t *o = _from_text("{\"schema_version\":1,\"width\":4,\"height\":4,\"paths\":[{\"points\":[" LINE(
      0, 0, 4, 0) "," LINE(4, 0, 0, 4) "," LINE(0, 4, 0, 0) "]}]}");
  dt_outline_fill(o, fill);
  for(int i = 0; i < 16; i++)
    assert_true(fabsf(fill[i] - (i % 4 + i / 4 < 3 ? 1 : i % 4 + i / 4 == 3 ? 0.5f : 0)) < 1e-6f);
  dt_outline_free(o);
  /* far beyond the picture on all sides, with a hole that runs the same way */
  o = _from_text("{\"schema_version\":1,\"width\":4,\"height\":4,\"paths\":[{\"points\":[" LINE(-9, -9, 99, -9) "," LINE(
      99, -9, 99,
      99) "," LINE(99, 99, -9,
                   99) "," LINE(-9, 99, -9,
                                -9) "]},{\"hole\":true,\"points\":[" LINE(1, 1, 3,
                                                                          1) "," LINE(3, 1, 3,
                                                                                      2.5) "," LINE(3, 2.5, 1,
                                                                                                    2.5) "," LINE(1,
                                                                                                                  2.5,
                                                                                                                  1,
                                                                                                                  1) "]}]}");
  dt_outline_fill(o, fill);
  for(int i = 0; i < 16; i++)
  {
    const int x = i % 4, y = i / 4;
    const float wanted = x < 1 || x > 2 || y < 1 || y > 2 ? 1 : y == 2 ? 0.5f : 0;
    assert_true(fabsf(fill[i] - wanted) < 1e-6f);
  }
  dt_outline_free(o);
}

/* Triangles anywhere: the covered area is what is left of them within the picture, counted by points. */
static void test_fill_triangles(void **state)
{
  (void)state;
  test_random_t random = { 44 };
  for(int run = 0; run < 300; run++)
  {
    double v[6];
    for(int i = 0; i < 6; i++) v[i] = test_random_range(&random, -6, 14);
    char *text = g_strdup_printf("{\"schema_version\":1,\"width\":8,\"height\":8,\"paths\":[{\"points\":["
                                 "[%.3f,%.3f,%.3f,%.3f,%.3f,%.3f],[%.3f,%.3f,%.3f,%.3f,%.3f,%.3f],"
                                 "[%.3f,%.3f,%.3f,%.3f,%.3f,%.3f]]}]}",
                                 v[4], v[5], v[0], v[1], v[0], v[1], v[0], v[1], v[2], v[3], v[2], v[3], v[2],
                                 v[3], v[4], v[5], v[4], v[5]);
    dt_outline_t *o = _from_text(text);
    float fill[64];
    dt_outline_fill(o, fill);
    for(int i = 0; i < 64; i++)
    {
      int hits = 0;
      for(int k = 0; k < 400; k++)
      {
        const double x = i % 8 + (k % 20 + 0.5) / 20, y = i / 8 + (k / 20 + 0.5) / 20;
        const double a = (v[2] - v[0]) * (y - v[1]) - (v[3] - v[1]) * (x - v[0]);
        const double b = (v[4] - v[2]) * (y - v[3]) - (v[5] - v[3]) * (x - v[2]);
        const double c = (v[0] - v[4]) * (y - v[5]) - (v[1] - v[5]) * (x - v[4]);
        hits += (a > 0 && b > 0 && c > 0) || (a < 0 && b < 0 && c < 0);
      }
      if(fabs((double)fill[i] - hits / 400.0) > 0.04)
        fail_msg("run %d, pixel %d: %g, %g", run, i, (double)fill[i], hits / 400.0);
    }
    dt_outline_free(o);
    g_free(text);
  }
}

/* --- text --- */

static void test_json_round_trip(void **state)
{
  (void)state;
  test_random_t random = { 45 };
  setlocale(LC_ALL, ""); /* a comma in numbers must not get in */
  for(int run = 0; run < 20; run++)
  {
    _mask_t m = _new(300, 260);
    _shape_t shapes[6];
    for(int i = 0; i < 6; i++) shapes[i] = _random_shape(&random, &m, i >= 3);
    _draw(&m, shapes, 6, FALSE);
    dt_outline_t *o = _trace(&m, NULL);
    char *text = dt_outline_to_json(o);
    dt_outline_t *p = _from_text(text);
    char *again = dt_outline_to_json(p);
    assert_string_equal(text, again);
    assert_int_equal(p->paths->len, o->paths->len);
    for(guint i = 0; i < o->paths->len; i++) assert_int_equal(_path(o, i)->is_hole, _path(p, i)->is_hole);
    dt_outline_fill(o, m.values);
    assert_true(dt_outline_iou(p, m.values, 0.49999) > 0.9999);
    g_free(again);
    g_free(text);
    dt_outline_free(o);
    dt_outline_free(p);
    g_free(m.values);
  }
}

#define BEGIN "{\"schema_version\":1,\"width\":9,\"height\":9,\"paths\":"

static void test_json_refused(void **state)
{
  (void)state;
  static const char *const texts[] = {
    "",
    "[]",
    "null",
    "{",
    "{\"schema_version\":2,\"width\":9,\"height\":9,\"paths\":[]}",
    "{\"schema_version\":1,\"width\":0,\"height\":9,\"paths\":[]}",
    "{\"schema_version\":1,\"width\":9.5,\"height\":9,\"paths\":[]}",
    "{\"schema_version\":1,\"width\":\"9\",\"height\":9,\"paths\":[]}",
    "{\"schema_version\":1,\"width\":99999999,\"height\":9,\"paths\":[]}",
    "{\"schema_version\":1,\"width\":1000000,\"height\":1000000,\"paths\":[]}",
    "{\"schema_version\":1,\"width\":9,\"height\":9}",
    BEGIN "{}}",
    BEGIN "[1]}",
    BEGIN "[{}]}",
    BEGIN "[{\"points\":[]}]}",
    BEGIN "[{\"points\":[1]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5]]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5,6,7]]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5,\"6\"]]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5,null]]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5,1e999]]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5,NaN]]}]}",
    BEGIN "[{\"points\":[[1,2,3,4,5,1e8]]}]}",
    BEGIN "[{\"hole\":1,\"points\":[[1,2,3,4,5,6]]}]}",
    BEGIN "[[[[[[[[[[[[]]]]]]]]]]]]}",
  };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++)
  {
    GError *error = NULL;
    if(dt_outline_from_json(texts[i], &error)) fail_msg("taken: %s", texts[i]);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
    g_clear_error(&error);
  }
  /* the parser also takes comments, in which a quotation mark quotes nothing */
  static const char *const beginnings[] = { "", "{\"paths\":/*\"*/" };
  for(size_t k = 0; k < G_N_ELEMENTS(beginnings); k++)
  {
    GString *deep = g_string_new(beginnings[k]);
    for(int i = 0; i < 1000000; i++) g_string_append_c(deep, '[');
    assert_null(dt_outline_from_json(deep->str, NULL));
    g_string_free(deep, TRUE);
  }
  dt_outline_t *o = _from_text(BEGIN "[],\"more\":{\"a\":[1]}}");
  assert_int_equal(o->paths->len, 0);
  dt_outline_free(o);
}

static void test_svg(void **state)
{
  (void)state;
  dt_outline_t *o =
      _from_text(BEGIN "[{\"points\":[[8,1,9,2.25,8.5,3],[5,5,3,4,1,1.004]]},{\"hole\":true,\"points\":"
                       "[[1,1,2,1,3,1],[3,2,3,3,3,4],[2,3,1.5,1.75,1,1]]}]}");
  char *svg = dt_outline_to_svg(o);
  assert_string_equal(
      svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\" viewBox=\"0 0 9 9\">\n"
           "<path fill-rule=\"evenodd\" d=\"M1 1c7 0 8 1.25 7.5 2-3.5 2-5.5 1-7.5-2zM1 1l2 0 0 3"
           "c-1-1-1.5-2.25-2-3z\"/>\n</svg>\n");
  g_free(svg);
  dt_outline_free(o);
}

/* The noise of every other pixel has no outline that anybody wants. */
static void test_too_many(void **state)
{
  (void)state;
  _mask_t m = _new(3000, 3000);
  for(int i = 0; i < 9000000; i++) m.values[i] = (i % 3000 + i / 3000) % 2;
  GError *error = NULL;
  assert_null(dt_outline_trace(m.values, m.width, m.height, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
  g_free(m.values);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_shapes),
    cmocka_unit_test(test_disc),
    cmocka_unit_test(test_nesting),
    cmocka_unit_test(test_borders),
    cmocka_unit_test(test_nothing_but_specks),
    cmocka_unit_test(test_options),
    cmocka_unit_test(test_noise),
    cmocka_unit_test(test_polygons_are_exact),
    cmocka_unit_test(test_fill),
    cmocka_unit_test(test_fill_triangles),
    cmocka_unit_test(test_json_round_trip),
    cmocka_unit_test(test_json_refused),
    cmocka_unit_test(test_svg),
    cmocka_unit_test(test_too_many),
  };
  return cmocka_run_group_tests_name("outline", tests, NULL, NULL);
}
