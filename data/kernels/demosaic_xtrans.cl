/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The green of X-Trans, directed by homogeneity; src/common/demosaic_xtrans.c says how and why. Planes as in
 * demosaic.cl. */
#pragma OPENCL FP_CONTRACT OFF

#define PERIOD 6
#define COLOURS 3
#define DIRECTIONS 4
#define RADIUS 2
#define SIDE 5
#define SITES 25
#define BLUR 2
#define RED 0
#define GREEN 1
#define BLUE 2
#define TINY 1e-9f

#define GEOMETRY                                                                                                       \
  const int width, const int height, const int period, const int shift_x, const int shift_y, constant uchar *colours
#define COLOUR(x, y) colours[((y) + shift_y) % period * PERIOD + ((x) + shift_x) % period]

static float _weigh_sites(global const float *site, global const float *weights, const int width)
{
  float sum = 0;
  for(int i = 0; i < SITES; i++) sum += weights[i] * site[(i / SIDE - RADIUS) * width + i % SIDE - RADIUS];
  return sum;
}

/* The picture of one direction; weights: [direction][y][x of the period][colour][site]. */
kernel void interpolate(global const float *sites, global const float *weights, const int direction, global float *red,
                        global float *green, global float *blue, GEOMETRY)
{
  const int x = get_global_id(0), y = get_global_id(1), r = RADIUS;
  if(x < r || y < r || x >= width - r || y >= height - r) return;
  const size_t i = (size_t)y * width + x;
  const int place = (direction * PERIOD + (y + shift_y) % PERIOD) * PERIOD + (x + shift_x) % PERIOD;
  const int own = COLOUR(x, y);
  global const float *here = weights + place * COLOURS * SITES;
  red[i] = own == RED ? sites[i] : _weigh_sites(sites + i, here + RED * SITES, width);
  green[i] = own == GREEN ? sites[i] : _weigh_sites(sites + i, here + GREEN * SITES, width);
  blue[i] = own == BLUE ? sites[i] : _weigh_sites(sites + i, here + BLUE * SITES, width);
}

static float _bend(global const float *p, const int step)
{
  return 2 * p[0] - p[-step] - p[step];
}

/* How much the picture of a direction bends along it, in brightness and in both differences of colour. */
kernel void measure_energy(global const float *red_in, global const float *green_in, global const float *blue_in,
                           const int direction, global float *energy, const int width, const int height)
{
  const int x = get_global_id(0), y = get_global_id(1), r = RADIUS + 1;
  if(x < r || y < r || x >= width - r || y >= height - r) return;
  const size_t i = (size_t)y * width + x;
  const int step = direction == 0 ? 1 : direction == 1 ? width : direction == 2 ? width + 1 : 1 - width;
  const float red = _bend(red_in + i, step), green = _bend(green_in + i, step), blue = _bend(blue_in + i, step);
  const float bright = 0.5f * green + 0.25f * (red + blue);
  energy[i] = bright * bright + (red - green) * (red - green) + (blue - green) * (blue - green);
}

/* What a direction counts: the less, the more its picture bends all around. */
static float _weigh_direction(global const float *energy, const int width)
{
  float sum = TINY;
  for(int u = -BLUR; u <= BLUR; u++)
  {
    float column = 0;
    for(int v = -BLUR; v <= BLUR; v++) column += energy[v * width + u];
    sum += column;
  }
  return 1 / sum;
}

/* Green not much outside the range of green sites around (x, y). */
static float _limit(const float green, global const float *site, const int x, const int y, GEOMETRY)
{
  float least = FLT_MAX, most = -FLT_MAX;
  for(int v = -1; v <= 1; v++)
    for(int u = -1; u <= 1; u++)
      if(COLOUR(x + u, y + v) == GREEN)
      {
        least = min(least, site[v * width + u]);
        most = max(most, site[v * width + u]);
      }
  const float more = 0.5f * (most - least);
  return most >= least ? clamp(green, least - more, most + more) : green;
}

/* The mean of the directions' greens, by the squares of what they count. */
kernel void mix_directions(global const float *sites, global const float *green0, global const float *green1,
                           global const float *green2, global const float *green3, global const float *energy0,
                           global const float *energy1, global const float *energy2, global const float *energy3,
                           global float *green, GEOMETRY)
{
  const int x = get_global_id(0), y = get_global_id(1), r = RADIUS + 1 + BLUR;
  if(x < r || y < r || x >= width - r || y >= height - r) return;
  const size_t i = (size_t)y * width + x;
  if(COLOUR(x, y) == GREEN)
  {
    green[i] = sites[i];
    return;
  }
  const float greens[DIRECTIONS] = { green0[i], green1[i], green2[i], green3[i] };
  const float weights[DIRECTIONS] = { _weigh_direction(energy0 + i, width), _weigh_direction(energy1 + i, width),
                                      _weigh_direction(energy2 + i, width), _weigh_direction(energy3 + i, width) };
  const float most = max(max(weights[0], weights[1]), max(weights[2], weights[3]));
  float total = 0, sum = 0;
  for(int d = 0; d < DIRECTIONS; d++)
  {
    const float share = weights[d] / most, weight = share * share;
    total += weight;
    sum += weight * greens[d];
  }
  green[i] = _limit(sum / total, sites + i, x, y, width, height, period, shift_x, shift_y, colours);
}
