/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks from logits: the plain resize against the formula, and each step by shapes whose answer is known. */
#include "support.h"

#include "ai/seg_edges.h"

#include <math.h>
#include <string.h>

typedef struct _picture_t
{
  int width, height;
  float *mask;
} _picture_t;

static _picture_t _make(const dt_seg_logits_t *l, const dt_seg_guide_t *guide, const dt_seg_edges_t *edges,
                        int w, int h)
{
  GError *error = NULL;
  _picture_t p = { w, h, g_new(float, (size_t)w *(size_t)h) };
  assert_true(dt_seg_make_mask(l, guide, edges, p.mask, w, h, NULL, &error));
  assert_no_error(error);
  for(size_t i = 0; i < (size_t)w * (size_t)h; i++) assert_true(p.mask[i] >= 0 && p.mask[i] <= 1);
  return p;
}

static double _area(const _picture_t *p)
{
  double sum = 0;
  for(size_t i = 0; i < (size_t)p->width * (size_t)p->height; i++) sum += (double)p->mask[i];
  return sum;
}

/* Pixels that are rather inside. */
static double _count(const _picture_t *p)
{
  double sum = 0;
  for(size_t i = 0; i < (size_t)p->width * (size_t)p->height; i++) sum += p->mask[i] > 0.5f;
  return sum;
}

static double _at(const _picture_t *p, int x, int y)
{
  return (double)p->mask[(size_t)y * (size_t)p->width + (size_t)x];
}

/* A shape as the distance to its outline, positive inside. */
typedef struct _disc_t
{
  double x, y, r;
} _disc_t;

static double _inside(const _disc_t *d, double x, double y)
{
  return d->r - hypot(x - d->x, y - d->y);
}

/* Logits of a disc in a grid of n × n, and of others that are added (r above 0) or cut out (r below 0). */
static dt_seg_logits_t _disc_logits(const _disc_t *discs, int count, int n, double slope)
{
  float *v = g_new(float, (size_t)n *(size_t)n);
  for(int y = 0; y < n; y++)
    for(int x = 0; x < n; x++)
    {
      double d = -1e3;
      for(int i = 0; i < count; i++)
      {
        const _disc_t disc = { discs[i].x, discs[i].y, fabs(discs[i].r) };
        const double k = _inside(&disc, x + 0.5, y + 0.5);
        d = discs[i].r > 0 ? MAX(d, k) : MIN(d, -k);
      }
      v[(size_t)y * (size_t)n + (size_t)x] = (float)CLAMP(d * slope, -20, 20);
    }
  return (dt_seg_logits_t){ v, n, n, n, n };
}

/* --- the plain resize --- */

static double _bilinear(const dt_seg_logits_t *l, double x, double y)
{
  const int right = MIN(l->stride, (int)ceil(l->width)) - 1, low = MIN(l->rows, (int)ceil(l->height)) - 1;
  x = CLAMP(x, 0, right);
  y = CLAMP(y, 0, low);
  const int i = (int)x, k = (int)y, i1 = MIN(i + 1, right), k1 = MIN(k + 1, low);
  const double u = x - i, v = y - k;
  const float *p = l->values;
  const double a = (double)p[k * l->stride + i] * (1 - u) + (double)p[k * l->stride + i1] * u;
  const double b = (double)p[k1 * l->stride + i] * (1 - u) + (double)p[k1 * l->stride + i1] * u;
  return 1 / (1 + exp(-(a * (1 - v) + b * v)));
}

static void test_resize(void **state)
{
  (void)state;
  static const int sizes[][2] = {
    { 1, 1 }, { 1, 20000 }, { 20000, 1 }, { 7, 5 }, { 1023, 767 }, { 256, 256 }
  };
  test_random_t random = { 11 };
  for(int run = 0; run < (test_is_long() ? 500 : 50); run++)
  {
    const gboolean given = run < (int)G_N_ELEMENTS(sizes);
    const int w = given ? sizes[run][0] : test_random_int(&random, 1, 600);
    const int h = given ? sizes[run][1] : test_random_int(&random, 1, 400);
    const int stride = test_random_int(&random, 1, 256), rows = test_random_int(&random, 1, 256);
    float *v = g_new(float, (size_t)stride *(size_t)rows);
    for(int i = 0; i < stride * rows; i++) v[i] = (float)test_random_range(&random, -15, 15);
    const double part = run % 2 ? 1 : test_random_range(&random, 0.3, 1);
    const dt_seg_logits_t l = { v, stride, rows, stride * part, run % 3 ? rows : rows * part };
    _picture_t p = _make(&l, NULL, NULL, w, h);
    for(int y = 0; y < h; y++)
      for(int x = 0; x < w; x++)
      {
        const double wanted = _bilinear(&l, (x + 0.5) * l.width / w - 0.5, (y + 0.5) * l.height / h - 0.5);
        if(fabs(_at(&p, x, y) - wanted) > 1e-6)
          fail_msg("run %d, %d×%d: %.9g instead of %.9g at %d,%d", run, w, h, _at(&p, x, y), wanted, x, y);
      }
    g_free(p.mask);
    g_free(v);
  }
}

/* The mean place of what is inside. */
static void _centre(const _picture_t *p, double *x, double *y)
{
  double sum = 0;
  *x = *y = 0;
  for(int v = 0; v < p->height; v++)
    for(int u = 0; u < p->width; u++)
    {
      const double a = _at(p, u, v);
      sum += a;
      *x += a * (u + 0.5);
      *y += a * (v + 0.5);
    }
  *x /= sum;
  *y /= sum;
}

static void test_nothing_moves(void **state)
{
  (void)state;
  const _disc_t disc = { 61.3, 70.9, 25 };
  const dt_seg_logits_t l = _disc_logits(&disc, 1, 128, 0.5);
  /* with all of it going on, too, where it cannot move the centre */
  const dt_seg_edges_t edges[] = { { 0 },
                                   { .holes = -1, .specks = -1, .grow = 1.5, .feather = 2 },
                                   { .feather = 7 } };
  test_random_t random = { 12 };
  for(int run = 0; run < 50; run++)
  {
    const int w = test_random_int(&random, 64, 700), h = test_random_int(&random, 64, 700);
    const dt_seg_edges_t *e = &edges[run % (int)G_N_ELEMENTS(edges)];
    _picture_t p = _make(&l, NULL, e, w, h);
    double x, y;
    _centre(&p, &x, &y);
    if(fabs(x - disc.x * w / 128) > 0.02 || fabs(y - disc.y * h / 128) > 0.02)
      fail_msg("run %d, %d×%d: centre off by %g, %g", run, w, h, x - disc.x * w / 128, y - disc.y * h / 128);
    g_free(p.mask);
  }
  g_free((void *)l.values);
}

/* --- holes and specks --- */

static const _disc_t _holed[] = { { 100, 100, 70 }, { 80, 90, -10 }, { 130, 110, -3 },
                                  { 220, 40, 12 },  { 30, 220, 4 },  { 80, 90, 3 } };

static void _check_point(const _picture_t *p, double x, double y, gboolean inside, const char *what)
{
  const double v = _at(p, (int)(x * p->width / 256), (int)(y * p->height / 256));
  if((v > 0.5) != inside) fail_msg("%s at %g,%g of %d pixels: %g", what, x, y, p->width, v);
}

/* Areas of the holes: 314 (less the island of 28), 28; of the specks: 452, 50, and the island. */
static void test_holes_and_specks(void **state)
{
  (void)state;
  static const struct
  {
    double holes, specks;
    gboolean large_hole, small_hole, large_speck, small_speck, island;
  } cases[] = { { 0, 0, TRUE, TRUE, TRUE, TRUE, TRUE },       { 40, 0, TRUE, FALSE, TRUE, TRUE, TRUE },
                { 320, 0, FALSE, FALSE, TRUE, TRUE, TRUE },   { -1, 0, FALSE, FALSE, TRUE, TRUE, TRUE },
                { 0, 40, TRUE, TRUE, TRUE, TRUE, FALSE },     { 0, 60, TRUE, TRUE, TRUE, FALSE, FALSE },
                { 0, 500, TRUE, TRUE, FALSE, FALSE, FALSE },  { 0, -1, TRUE, TRUE, FALSE, FALSE, FALSE },
                { -1, -1, FALSE, FALSE, FALSE, FALSE, TRUE }, { NAN, NAN, TRUE, TRUE, TRUE, TRUE, TRUE } };
  const dt_seg_logits_t l = _disc_logits(_holed, G_N_ELEMENTS(_holed), 256, 1.5);
  static const int sides[] = { 256, 700, 3000 };
  for(size_t s = 0; s < G_N_ELEMENTS(sides); s++)
    for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    {
      const double unit = pow(sides[s] / 256.0, 2);
      const dt_seg_edges_t e = { .holes = cases[i].holes * unit, .specks = cases[i].specks * unit };
      _picture_t p = _make(&l, NULL, &e, sides[s], sides[s]);
      _check_point(&p, 74, 90, !cases[i].large_hole, "large hole");
      _check_point(&p, 130, 110, !cases[i].small_hole, "small hole");
      _check_point(&p, 220, 40, cases[i].large_speck, "large speck");
      _check_point(&p, 30, 220, cases[i].small_speck, "small speck");
      _check_point(&p, 80, 90, cases[i].island, "island");
      _check_point(&p, 100, 150, TRUE, "disc");
      _check_point(&p, 250, 250, FALSE, "outside");
      g_free(p.mask);
    }
  g_free((void *)l.values);
}

/* No ring is left where a hole was, and far from holes nothing changes, the soft edge included. */
static void test_filling_leaves_no_trace(void **state)
{
  (void)state;
  const dt_seg_logits_t l = _disc_logits(_holed, 3, 256, 1), whole = _disc_logits(_holed, 1, 256, 1);
  const dt_seg_edges_t e = { .holes = -1 };
  _picture_t p = _make(&l, NULL, &e, 256, 256), w = _make(&whole, NULL, NULL, 256, 256);
  for(int i = 0; i < 256 * 256; i++)
    if(fabsf(p.mask[i] - w.mask[i]) > 1e-3f)
      fail_msg("%g instead of %g", (double)p.mask[i], (double)w.mask[i]);
  g_free(p.mask);
  g_free(w.mask);
  g_free((void *)l.values);
  g_free((void *)whole.values);
}

/* A hole next to the outline, where the bridge is weak, gets no stronger than the bridge. */
static void test_a_weak_bridge(void **state)
{
  (void)state;
  float v[20 * 9];
  for(int i = 0; i < 20 * 9; i++) v[i] = i % 20 < 12 ? 6 : -6;
  for(int y = 3; y < 6; y++) v[y * 20 + 10] = -4, v[y * 20 + 11] = 0.5f;
  const dt_seg_logits_t l = { v, 20, 9, 20, 9 };
  const dt_seg_edges_t e = { .holes = 3 };
  _picture_t p = _make(&l, NULL, &e, 20, 9);
  for(int y = 3; y < 6; y++) assert_true(fabs(_at(&p, 10, y) - 0.6224593) < 1e-5);
  for(int y = 0; y < 9; y++) assert_true(_at(&p, 12, y) < 0.01 && _at(&p, 9, y) > 0.99);
  g_free(p.mask);
}

/* Diagonal neighbours hold together inside, and part the outside. */
static void test_connectivity(void **state)
{
  (void)state;
  float v[36];
  for(int i = 0; i < 36; i++) v[i] = -5;
  static const int ring[] = { 8, 13, 15, 20 }; /* a diamond around (2, 2) */
  for(size_t i = 0; i < G_N_ELEMENTS(ring); i++) v[ring[i]] = 5;
  v[35] = 5;
  const dt_seg_logits_t l = { v, 6, 6, 6, 6 };
  const dt_seg_edges_t holes = { .holes = 1 }, specks = { .specks = 3 }, too_small = { .specks = 0.5 };
  _picture_t p = _make(&l, NULL, &holes, 6, 6);
  assert_true(_at(&p, 2, 2) > 0.99 && _at(&p, 1, 1) < 0.01);
  g_free(p.mask);
  p = _make(&l, NULL, &specks, 6, 6);
  assert_true(_at(&p, 2, 1) > 0.99 && _at(&p, 5, 5) < 0.01);
  g_free(p.mask);
  p = _make(&l, NULL, &too_small, 6, 6);
  assert_true(_at(&p, 5, 5) > 0.99);
  g_free(p.mask);
}

/* Pieces against flood fill, on noise. */
static int _fill(const float *v, int n, uint8_t *seen, int at, gboolean inside, gboolean *border)
{
  GArray *stack = g_array_new(FALSE, FALSE, sizeof(int));
  int area = 0;
  seen[at] = 1;
  for(g_array_append_val(stack, at); stack->len; area++)
  {
    const int i = g_array_index(stack, int, stack->len - 1), x = i % n, y = i / n;
    g_array_set_size(stack, stack->len - 1);
    if(x == 0 || y == 0 || x == n - 1 || y == n - 1) *border = TRUE;
    for(int dy = -1; dy <= 1; dy++)
      for(int dx = -1; dx <= 1; dx++)
      {
        const int u = x + dx, w = y + dy, k = w * n + u;
        if(u < 0 || w < 0 || u >= n || w >= n || (!inside && dx && dy) || seen[k] || (v[k] > 0) != inside)
          continue;
        seen[k] = 1;
        g_array_append_val(stack, k);
      }
  }
  g_array_unref(stack);
  return area;
}

static void test_pieces_of_noise(void **state)
{
  (void)state;
  test_random_t random = { 13 };
  for(int run = 0; run < (test_is_long() ? 2000 : 200); run++)
  {
    const int n = test_random_int(&random, 1, 30), limit = test_random_int(&random, 1, 12);
    const double bias = test_random_range(&random, -1, 1);
    float *v = g_new(float, n *n);
    for(int i = 0; i < n * n; i++) v[i] = (float)(test_random_range(&random, -2, 2) + bias);
    const dt_seg_logits_t l = { v, n, n, n, n };
    const dt_seg_edges_t holes = { .holes = limit }, specks = { .specks = limit };
    _picture_t filled = _make(&l, NULL, &holes, n, n), cleaned = _make(&l, NULL, &specks, n, n);
    for(int i = 0; i < n * n; i++)
    {
      uint8_t *seen = g_new0(uint8_t, n * n);
      gboolean border = FALSE;
      const gboolean inside = v[i] > 0;
      const int area = _fill(v, n, seen, i, inside, &border);
      assert_int_equal(filled.mask[i] > 0.5f, inside || (!border && area <= limit));
      assert_int_equal(cleaned.mask[i] > 0.5f, inside && area > limit);
      g_free(seen);
    }
    g_free(filled.mask);
    g_free(cleaned.mask);
    g_free(v);
  }
}

/* --- growing --- */

static void test_grow(void **state)
{
  (void)state;
  static const double by[] = { 0.3, 0.5, 1, 2.25, 5, 12, 30, -0.4, -1, -3.5, -10, -25 };
  static const int sides[] = { 128, 400, 1000 };
  for(size_t s = 0; s < G_N_ELEMENTS(sides); s++)
    for(size_t i = 0; i < G_N_ELEMENTS(by); i++)
    {
      const double unit = sides[s] / 128.0;
      const _disc_t disc = { 63.7, 64.4, 30 };
      const dt_seg_logits_t l = _disc_logits(&disc, 1, 128, 3);
      const dt_seg_edges_t e = { .grow = by[i] };
      _picture_t p = _make(&l, NULL, &e, sides[s], sides[s]), q = _make(&l, NULL, NULL, sides[s], sides[s]);
      const double grown = sqrt(_count(&p) / G_PI) - sqrt(_count(&q) / G_PI);
      const double soft = sqrt(_area(&p) / G_PI) - sqrt(_area(&q) / G_PI);
      if(fabs(grown - by[i]) > 0.1 || fabs(soft - by[i]) > 0.1)
        fail_msg("%d: grown by %g, %g instead of %g", sides[s], grown, soft, by[i]);
      /* in every direction */
      for(int k = 0; k < 360; k += 7)
      {
        const double a = k * G_PI / 180, r = 30 * unit + by[i], cx = disc.x * unit, cy = disc.y * unit;
        assert_true(_at(&p, (int)(cx + (r - 1.2) * cos(a)), (int)(cy + (r - 1.2) * sin(a))) > 0.5);
        assert_true(_at(&p, (int)(cx + (r + 1.2) * cos(a)), (int)(cy + (r + 1.2) * sin(a))) < 0.5);
      }
      g_free(p.mask);
      g_free(q.mask);
      g_free((void *)l.values);
    }
}

/* Of a mask that is wider than high the distance is the same in both directions. */
static void test_grow_unequal(void **state)
{
  (void)state;
  const _disc_t disc = { 64, 64, 20 };
  const dt_seg_logits_t l = _disc_logits(&disc, 1, 128, 3);
  const dt_seg_edges_t e = { .grow = 40 };
  _picture_t p = _make(&l, NULL, &e, 3000, 1000);
  assert_true(_at(&p, 1500 + 469 + 36, 500) > 0.5 && _at(&p, 1500 + 469 + 44, 500) < 0.5);
  assert_true(_at(&p, 1500, 500 + 156 + 36) > 0.5 && _at(&p, 1500, 500 + 156 + 44) < 0.5);
  g_free(p.mask);
  g_free((void *)l.values);
}

/* Nothing and everything stay; more growth is more everywhere. */
static void test_grow_is_monotonic(void **state)
{
  (void)state;
  float *v = g_new(float, 64 * 64);
  test_random_t random = { 14 };
  const dt_seg_logits_t l = { v, 64, 64, 64, 64 };
  for(int sign = -1; sign <= 1; sign += 2)
  {
    for(int i = 0; i < 64 * 64; i++) v[i] = (float)sign * 2;
    const dt_seg_edges_t e = { .grow = -5.0 * sign };
    _picture_t p = _make(&l, NULL, &e, 50, 60);
    assert_true(fabs(_at(&p, 25, 30) - (sign > 0 ? 0.880797 : 0.119203)) < 1e-5);
    g_free(p.mask);
  }
  for(int i = 0; i < 64 * 64; i++) v[i] = (float)test_random_range(&random, -4, 2);
  _picture_t before = { 0 };
  for(double by = -6; by <= 6; by += 1.5)
  {
    const dt_seg_edges_t e = { .grow = by };
    _picture_t p = _make(&l, NULL, &e, 100, 90);
    for(int i = 0; before.mask && i < 9000; i++) assert_true(p.mask[i] >= before.mask[i] - 1e-6f);
    g_free(before.mask);
    before = p;
  }
  g_free(before.mask);
  g_free(v);
}

/* --- the guide --- */

static double _smooth_step(double x)
{
  x = CLAMP(x, 0, 1);
  return x * x * (3 - 2 * x);
}

/* A photograph of a true mask: two textures, mixed, and noise. */
static dt_seg_guide_t _photograph(const float *truth, int w, int h, uint64_t seed)
{
  static const double front[] = { 0.75, 0.5, 0.25 }, back[] = { 0.2, 0.35, 0.45 };
  test_random_t random = { seed };
  uint8_t *rgb = g_new(uint8_t, 3 * (size_t)w * (size_t)h);
  for(int y = 0; y < h; y++)
    for(int x = 0; x < w; x++)
      for(int c = 0; c < 3; c++)
      {
        const size_t i = (size_t)y * (size_t)w + (size_t)x;
        const double a = (double)truth[i], wave = 0.05 * sin(x * 0.07 + c) + 0.04 * sin(y * 0.11 - x * 0.02);
        const double v =
            a * (front[c] + wave) + (1 - a) * (back[c] - wave) + test_random_range(&random, -0.02, 0.02);
        rgb[3 * i + (size_t)c] = (uint8_t)(CLAMP(v, 0, 1) * 255 + 0.5);
      }
  return (dt_seg_guide_t){ rgb, 3 * (size_t)w, w, h };
}

static double _iou(const _picture_t *p, const float *truth)
{
  int both = 0, any = 0;
  for(int i = 0; i < p->width * p->height; i++)
  {
    both += p->mask[i] > 0.5f && truth[i] > 0.5f;
    any += p->mask[i] > 0.5f || truth[i] > 0.5f;
  }
  return (double)both / any;
}

/* A coarse disc, wrong by up to half a logit and blurred over two, over a sharp one. */
static void test_guided_follows_an_edge(void **state)
{
  (void)state;
  static const int sizes[][2] = { { 900, 700 }, { 1280, 1280 }, { 640, 960 } };
  for(size_t s = 0; s < G_N_ELEMENTS(sizes); s++)
  {
    const int w = sizes[s][0], h = sizes[s][1];
    const _disc_t disc = { w * 0.48, h * 0.52, MIN(w, h) * 0.3 };
    float *truth = g_new(float, (size_t)w *(size_t)h);
    for(int y = 0; y < h; y++)
      for(int x = 0; x < w; x++)
        truth[y * w + x] = (float)_smooth_step(_inside(&disc, x + 0.5, y + 0.5) / 2 + 0.5);
    const dt_seg_guide_t guide = _photograph(truth, w, h, 20 + s);
    float *v = g_new(float, 128 * 128);
    const double cell = MAX(w, h) / 128.0;
    for(int y = 0; y < 128; y++)
      for(int x = 0; x < 128; x++)
      {
        const double wrong = 0.5 * cell * sin(x * 0.35) * cos(y * 0.3);
        v[y * 128 + x] = (float)((_inside(&disc, (x + 0.5) * cell, (y + 0.5) * cell) + wrong) / cell * 1.5);
      }
    const dt_seg_logits_t l = { v, 128, 128, w / cell, h / cell };
    const dt_seg_edges_t e = { .guided = TRUE };
    _picture_t p = _make(&l, &guide, &e, w, h), plain = _make(&l, NULL, &e, w, h);
    double haze = 0, plain_haze = 0;
    int n = 0;
    for(int y = 0; y < h; y++)
      for(int x = 0; x < w; x++)
      {
        const double d = _inside(&disc, x + 0.5, y + 0.5);
        if(fabs(d) < 3 || fabs(d) > 12) continue;
        haze += fabs(_at(&p, x, y) - (d > 0));
        plain_haze += fabs(_at(&plain, x, y) - (d > 0));
        n++;
      }
    print_message("%d×%d: IoU %.4f, without the guide %.4f; haze %.4f and %.4f\n", w, h, _iou(&p, truth),
                  _iou(&plain, truth), haze / n, plain_haze / n);
    assert_true(_iou(&p, truth) >= 0.99);
    assert_true(haze / n < 0.04 && haze < plain_haze / 5);
    g_free(p.mask);
    g_free(plain.mask);
    g_free(v);
    g_free((void *)guide.rgb);
    g_free(truth);
  }
}

/* Strands that get thinner and let through light, beyond the edge that the network saw. */
static void test_guided_keeps_hair(void **state)
{
  (void)state;
  const int w = 1024, h = 768;
  float *truth = g_new(float, (size_t)w *(size_t)h), *v = g_new(float, 128 * 128);
  for(int y = 0; y < h; y++)
    for(int x = 0; x < w; x++)
    {
      const double beyond = (x - 500) / 14.0, strand = 0.5 + 0.5 * sin(y * 0.9 + 3 * sin(x * 0.02));
      truth[y * w + x] = (float)(beyond <= 0 ? 1 : CLAMP((1 - beyond) * strand, 0, 1));
    }
  for(int y = 0; y < 128; y++)
    for(int x = 0; x < 128; x++) v[y * 128 + x] = (float)(505 - (x + 0.5) * 8) / 4;
  const dt_seg_logits_t l = { v, 128, 128, 128, 96 };
  const dt_seg_guide_t guide = _photograph(truth, w, h, 30);
  const dt_seg_edges_t e = { .guided = TRUE };
  _picture_t p = _make(&l, &guide, &e, w, h), plain = _make(&l, NULL, &e, w, h);
  double off = 0, off_plain = 0;
  int n = 0, soft = 0, truly_soft = 0;
  for(int y = 0; y < h; y++)
    for(int x = 495; x < 520; x++, n++)
    {
      const double t = (double)truth[y * w + x];
      off += fabs(_at(&p, x, y) - t);
      off_plain += fabs(_at(&plain, x, y) - t);
      soft += _at(&p, x, y) > 0.2 && _at(&p, x, y) < 0.8;
      truly_soft += t > 0.2 && t < 0.8;
    }
  print_message("hair: off by %.3f, without the guide %.3f; soft %d of %d\n", off / n, off_plain / n, soft,
                truly_soft);
  assert_true(off / n < 0.1 && off < off_plain / 2);
  assert_true(soft > truly_soft * 3 / 4);
  g_free(p.mask);
  g_free(plain.mask);
  g_free(v);
  g_free(truth);
  g_free((void *)guide.rgb);
}

/* Where the photograph says nothing the coarse mask stays. */
static void test_guided_by_nothing(void **state)
{
  (void)state;
  const _disc_t disc = { 60, 66, 30 };
  const dt_seg_logits_t l = _disc_logits(&disc, 1, 128, 0.7);
  uint8_t *grey = g_malloc(512 * 400 * 3);
  test_random_t random = { 15 };
  for(int i = 0; i < 512 * 400 * 3; i++) grey[i] = (uint8_t)test_random_int(&random, 126, 130);
  const dt_seg_guide_t guide = { grey, (size_t)512 * 3, 512, 400 };
  const dt_seg_edges_t e = { .guided = TRUE };
  _picture_t p = _make(&l, &guide, &e, 512, 400), plain = _make(&l, NULL, NULL, 512, 400);
  for(int i = 0; i < 512 * 400; i++) assert_true(fabsf(p.mask[i] - plain.mask[i]) < 0.02f);
  g_free(p.mask);
  g_free(plain.mask);
  g_free(grey);
  g_free((void *)l.values);
}

/* --- the blur --- */

/* Of a straight edge: the integral of the Gaussian. An edge in the middle of a pixel is soft already. */
static void test_feather(void **state)
{
  (void)state;
  static const double sigmas[] = { 0.5, 1, 2.4, 2.6, 3.7, 5, 11, 40 };
  float v[64];
  for(int i = 0; i < 64; i++) v[i] = i < 32 ? 90 : -90;
  const dt_seg_logits_t across = { v, 64, 1, 64, 1 }, down = { v, 1, 64, 1, 64 };
  for(size_t i = 0; i < G_N_ELEMENTS(sigmas); i++)
  {
    const dt_seg_edges_t e = { .feather = sigmas[i] };
    _picture_t p = _make(&across, NULL, &e, 641, 31), q = _make(&down, NULL, &e, 31, 641);
    double worst = 0;
    for(int k = 0; k < 641; k++)
    {
      const double wanted = 0.5 * erfc((k + 0.5 - 320.5) / sqrt(2 * (sigmas[i] * sigmas[i] + 1.0 / 6)));
      worst = fmax(worst, fabs(_at(&p, k, 15) - wanted));
      worst = fmax(worst, fabs(_at(&q, 15, k) - wanted));
      if(k) assert_true(_at(&p, k, 15) <= _at(&p, k - 1, 15) + 1e-6);
    }
    if(worst > 0.01) fail_msg("sigma %g: off by %g", sigmas[i], worst);
    g_free(p.mask);
    g_free(q.mask);
  }
}

/* --- all of it --- */

static void test_any_sizes_and_threads(void **state)
{
  (void)state;
  static const int sizes[][2] = { { 1, 1 }, { 1, 20000 }, { 20000, 1 }, { 2, 3 }, { 5000, 3 }, { 333, 777 } };
  test_random_t random = { 16 };
  for(int run = 0; run < (test_is_long() ? 300 : 40); run++)
  {
    const gboolean given = run < (int)G_N_ELEMENTS(sizes);
    const int w = given ? sizes[run][0] : test_random_int(&random, 1, 300);
    const int h = given ? sizes[run][1] : test_random_int(&random, 1, 300);
    const int gw = run % 2 ? w : test_random_int(&random, 1, 400),
              gh = run % 2 ? h : test_random_int(&random, 1, 50);
    const int n = test_random_int(&random, 1, 64);
    float *v = g_new(float, n *n);
    for(int i = 0; i < n * n; i++) v[i] = (float)test_random_range(&random, -9, 9);
    if(run % 5 == 0) v[0] = INFINITY, v[n * n - 1] = -INFINITY;
    uint8_t *rgb = g_malloc(3 * (size_t)gw * (size_t)gh);
    for(size_t i = 0; i < 3 * (size_t)gw * (size_t)gh; i++) rgb[i] = (uint8_t)test_random(&random);
    const dt_seg_logits_t l = { v, n, n, n * test_random_range(&random, 0.1, 1), n };
    const dt_seg_guide_t guide = { rgb, 3 * (size_t)gw, gw, gh };
    dt_seg_edges_t e = { .guided = test_random_int(&random, 0, 2) > 0,
                         .holes = test_random_int(&random, -1, 50),
                         .specks = test_random_int(&random, -1, 50),
                         .grow = test_random_range(&random, -9, 9),
                         .feather = run % 3 ? test_random_range(&random, 0, 20) : 0,
                         .radius = test_random_int(&random, 0, 40),
                         .threads = 1 };
    _picture_t one = _make(&l, &guide, &e, w, h);
    e.threads = 7;
    _picture_t many = _make(&l, &guide, &e, w, h);
    assert_memory_equal(one.mask, many.mask, (size_t)w * (size_t)h * sizeof(float));
    g_free(one.mask);
    g_free(many.mask);
    g_free(rgb);
    g_free(v);
  }
}

static void test_failures(void **state)
{
  (void)state;
  float v[16] = { 1, 2, 3 }, mask[100];
  const dt_seg_logits_t l = { v, 4, 4, 2, 4 };
  GError *error = NULL;
  v[3] = NAN; /* in what the picture does not cover */
  assert_true(dt_seg_make_mask(&l, NULL, NULL, mask, 10, 10, NULL, &error));
  v[5] = NAN;
  assert_false(dt_seg_make_mask(&l, NULL, NULL, mask, 10, 10, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_FAILED));
  g_clear_error(&error);
  v[5] = 0;
  const dt_seg_logits_t nothing = { v, 4, 4, NAN, 4 };
  assert_false(dt_seg_make_mask(&nothing, NULL, NULL, mask, 10, 10, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_FAILED));
  g_clear_error(&error);
  GCancellable *cancellable = g_cancellable_new();
  g_cancellable_cancel(cancellable);
  const dt_seg_edges_t all = { .holes = -1, .specks = -1, .grow = 2, .feather = 3 };
  for(int i = 0; i < 2; i++)
  {
    assert_false(dt_seg_make_mask(&l, NULL, i ? &all : NULL, mask, 10, 10, cancellable, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
    g_clear_error(&error);
  }
  g_object_unref(cancellable);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_resize),
    cmocka_unit_test(test_nothing_moves),
    cmocka_unit_test(test_holes_and_specks),
    cmocka_unit_test(test_filling_leaves_no_trace),
    cmocka_unit_test(test_a_weak_bridge),
    cmocka_unit_test(test_connectivity),
    cmocka_unit_test(test_pieces_of_noise),
    cmocka_unit_test(test_grow),
    cmocka_unit_test(test_grow_unequal),
    cmocka_unit_test(test_grow_is_monotonic),
    cmocka_unit_test(test_guided_follows_an_edge),
    cmocka_unit_test(test_guided_keeps_hair),
    cmocka_unit_test(test_guided_by_nothing),
    cmocka_unit_test(test_feather),
    cmocka_unit_test(test_any_sizes_and_threads),
    cmocka_unit_test(test_failures),
  };
  return cmocka_run_group_tests_name("seg_edges", tests, NULL, NULL);
}
