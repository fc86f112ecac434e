/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The green of ratio-corrected demosaicing; src/common/demosaic_bayer.c says how and why. Planes as in demosaic.cl. */
#pragma OPENCL FP_CONTRACT OFF

#define PERIOD 6
#define GREEN 1
#define SMALL 1e-5f
#define TINY 1e-10f
#define REACH_DIRECTION 4
#define REACH_GREEN 5

#define GEOMETRY                                                                                                       \
  const int width, const int height, const int period, const int shift_x, const int shift_y, constant uchar *colours
#define COLOUR(x, y) colours[((y) + shift_y) % period * PERIOD + ((x) + shift_x) % period]

/* What changes fast along a line of sites `step` apart, squared. */
static float _energy(global const float *p, const int step)
{
  const float bend =
      p[-3 * step] + p[3 * step] - p[-step] - p[step] - 3 * (p[-2 * step] + p[2 * step]) + 6 * p[0];
  return bend * bend;
}

/* directions: from 0, where there is least energy down the picture, to 1, where there is least across; low: brightness
 * over 3x3 sites. */
kernel void find_directions(global const float *sites, global float *directions, global float *low, const int width,
                            const int height)
{
  const int x = get_global_id(0), y = get_global_id(1), r = REACH_DIRECTION, w = width;
  if(x < 1 || y < 1 || x >= width - 1 || y >= height - 1) return;
  const size_t i = (size_t)y * width + x;
  global const float *p = sites + i;
  low[i] = p[0] + 0.5f * (p[-w] + p[w] + p[-1] + p[1]) + 0.25f * (p[-w - 1] + p[-w + 1] + p[w - 1] + p[w + 1]);
  if(x < r || y < r || x >= width - r || y >= height - r) return;
  const float down = _energy(p - w, w) + _energy(p, w) + _energy(p + w, w);
  const float across = _energy(p - 1, 1) + _energy(p, 1) + _energy(p + 1, 1);
  directions[i] = (down + TINY) / (down + across + 2 * TINY);
}

/* The direction at a site, or that of its diagonal neighbours where they are surer. */
static float _direction(global const float *d, const int w)
{
  const float around = 0.25f * (d[-w - 1] + d[-w + 1] + d[w - 1] + d[w + 1]);
  return fabs(0.5f - d[0]) < fabs(0.5f - around) ? around : d[0];
}

static float _correct(global const float *p, global const float *low, const int step)
{
  const float here = low[0], there = low[2 * step];
  return p[step] * (1 + (here - there) / (SMALL + fabs(here) + fabs(there)));
}

static float _gradient(global const float *p, const int step)
{
  return SMALL + fabs(p[step] - p[-step]) + fabs(p[0] - p[2 * step]) + fabs(p[step] - p[3 * step])
         + fabs(p[2 * step] - p[4 * step]);
}

static float _interpolate_green(global const float *p, global const float *low, const int step)
{
  const float a = _correct(p, low, -step), b = _correct(p, low, step);
  const float gradient_a = _gradient(p, -step), gradient_b = _gradient(p, step);
  return a + (b - a) * (gradient_a / (gradient_a + gradient_b));
}

kernel void fill_green(global const float *sites, global const float *directions, global const float *low,
                       global float *green, GEOMETRY)
{
  const int x = get_global_id(0), y = get_global_id(1), r = REACH_GREEN;
  if(x < r || y < r || x >= width - r || y >= height - r) return;
  const size_t i = (size_t)y * width + x;
  if(COLOUR(x, y) == GREEN)
  {
    green[i] = sites[i];
    return;
  }
  const float vertical = _interpolate_green(sites + i, low + i, width);
  const float horizontal = _interpolate_green(sites + i, low + i, 1);
  green[i] = vertical + (horizontal - vertical) * _direction(directions + i, width);
}
