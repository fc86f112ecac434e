/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all methods of demosaicing begin and end with; src/common/demosaic.c and demosaic_follow.c say why.
 *
 * Planes are width x height with a margin of MARGIN on all sides; rows of `colours` are PERIOD apart, and the filter
 * array is in the phase that (shift_x, shift_y) says. */
#pragma OPENCL FP_CONTRACT OFF

#define PERIOD 6
#define MARGIN 12
#define NEAREST 3
#define LARGEST 65504.0f
#define RED 0
#define GREEN 1
#define BLUE 2

#define GEOMETRY                                                                                                       \
  const int width, const int height, const int period, const int shift_x, const int shift_y, constant uchar *colours
#define COLOUR(x, y) colours[((y) + shift_y) % period * PERIOD + ((x) + shift_x) % period]

/* --- sites --- */

static float _sample(global const float *in, const int columns, const int x, const int y)
{
  const float v = in[(size_t)y * columns + x];
  return isnan(v) ? 0.0f : fabs(v) > LARGEST ? copysign(LARGEST, v) : v;
}

static int _mirror(const int i, const int n)
{
  const int period = max(1, 2 * (n - 1)), at = ((i % period) + period) % period;
  return n == 1 ? 0 : min(at, period - at);
}

/* The mean of the sites of a colour next to (x, y) of the picture, which is columns x rows. */
static float _estimate(global const float *in, const int columns, const int rows, const int colour, const int x,
                       const int y, const int period, const int shift_x, const int shift_y, constant uchar *colours)
{
  float sum = 0, weights = 0;
  for(int r = 1; r <= NEAREST && weights == 0; r++)
    for(int v = max(0, y - r); v <= min(rows - 1, y + r); v++)
      for(int u = max(0, x - r); u <= min(columns - 1, x + r); u++)
        if(COLOUR(u, v) == colour)
        {
          const float weight = (r + 1 - abs(u - x)) * (r + 1 - abs(v - y));
          sum += weight * _sample(in, columns, u, v);
          weights += weight;
        }
  return weights > 0 ? sum / weights : _sample(in, columns, x, y);
}

/* The sites, and beyond the edges what could have been there. */
kernel void fill_sites(global const float *in, global float *sites, GEOMETRY)
{
  const int i = get_global_id(0), k = get_global_id(1);
  if(i >= width || k >= height) return;
  const int columns = width - 2 * MARGIN, rows = height - 2 * MARGIN, x = i - MARGIN, y = k - MARGIN;
  const int u = _mirror(x, columns), v = _mirror(y, rows), colour = COLOUR(i, k);
  const bool same = (x == u && y == v) || COLOUR(u, v) == colour;
  sites[(size_t)k * width + i] =
      same ? _sample(in, columns, u, v)
           : _estimate(in, columns, rows, colour, u, v, period, shift_x, shift_y, colours);
}

/* --- the plain method --- */

/* Of one colour at (x, y) of the planes: the mean of its nearest sites. */
static float _average(global const float *site, const int colour, const int x, const int y, const int width,
                      const int period, const int shift_x, const int shift_y, constant uchar *colours)
{
  float total = 0, sum = 0;
  int r = -1;
  while(total == 0 && r < NEAREST)
  {
    r++;
    for(int v = -r; v <= r; v++)
      for(int u = -r; u <= r; u++)
        if(COLOUR(x + u, y + v) == colour) total += (r + 1 - abs(u)) * (r + 1 - abs(v));
  }
  for(int v = -r; v <= r; v++)
    for(int u = -r; u <= r; u++)
      if(COLOUR(x + u, y + v) == colour)
        sum += (r + 1 - abs(u)) * (r + 1 - abs(v)) / total * site[v * width + u];
  return sum;
}

/* The output is out_width x out_height pixels, the first at (from_x, from_y) of the planes; it has so many colours. */
kernel void interpolate_plainly(global const float *sites, const int n_colours, global float4 *out, const int out_width,
                                const int out_height, const int from_x, const int from_y, GEOMETRY)
{
  const int i = get_global_id(0), k = get_global_id(1);
  if(i >= out_width || k >= out_height) return;
  const int x = from_x + i, y = from_y + k;
  global const float *site = sites + (size_t)y * width + x;
  float pixel[4] = { 0 };
  for(int c = 0; c < n_colours; c++)
    pixel[c] = _average(site, c, x, y, width, period, shift_x, shift_y, colours);
  pixel[COLOUR(x, y)] = *site;
  out[(size_t)k * out_width + i] = (float4)(pixel[0], pixel[1], pixel[2], pixel[3]);
}

/* --- colours that follow one another --- */

#define REACH_GREEN 1
#define REACH_COLOURS 2
#define SMALL 1e-3f
#define DARK 0.02f
#define STEEPEST 1.5f

/* `colour` at (x, y) of the planes, where guide is known, from its sites no further than r; known: it is something there
 * already. guide and values stand on the place. */
static float _follow(global const float *guide, global const float *values, const int colour, const int r,
                     const bool known, const int x, const int y, const int width, const int period, const int shift_x,
                     const int shift_y, constant uchar *colours)
{
  float first_guide = 0, first_value = 0, guides = 0, sums = 0, total = 0;
  bool first = true;
  for(int dy = -r; dy <= r; dy++)
    for(int dx = -r; dx <= r; dx++)
    {
      if(COLOUR(x + dx, y + dy) != colour) continue;
      const float g = guide[dy * width + dx], c = values[dy * width + dx];
      first_guide = first ? g : first_guide;
      first_value = first ? c : first_value;
      first = false;
      const float unlike = fabs(g - guide[0]) + (known ? fabs(c - values[0]) : 0);
      const float weight = (r + 1 - abs(dx)) * (r + 1 - abs(dy)) / (SMALL + unlike);
      guides += weight * (g - first_guide);
      sums += weight * (c - first_value);
      total += weight;
    }
  if(first) return guide[0];
  const float around = first_guide + guides / total, mean = first_value + sums / total;
  const float slope = (DARK + fabs(mean)) / (DARK + fabs(around));
  return mean + min(slope, STEEPEST) * (guide[0] - around);
}

/* Red and blue from sites, where green is known everywhere. */
kernel void follow_green(global const float *sites, global const float *green, global float *red, global float *blue,
                         GEOMETRY)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x < MARGIN - REACH_GREEN || y < MARGIN - REACH_GREEN || x >= width - MARGIN + REACH_GREEN
     || y >= height - MARGIN + REACH_GREEN)
    return;
  const size_t i = (size_t)y * width + x;
  const int own = COLOUR(x, y);
  red[i] = own == RED ? sites[i]
                      : _follow(green + i, sites + i, RED, REACH_COLOURS, false, x, y, width, period, shift_x, shift_y,
                                colours);
  blue[i] = own == BLUE ? sites[i]
                        : _follow(green + i, sites + i, BLUE, REACH_COLOURS, false, x, y, width, period, shift_x,
                                  shift_y, colours);
}

/* Green once more, where it was not seen; and the pixels of the output, the first at (from_x, from_y) of the planes. */
kernel void lead_green(global const float *sites, global const float *red, global const float *green,
                       global const float *blue, global float4 *out, const int out_width, const int out_height,
                       const int from_x, const int from_y, GEOMETRY)
{
  const int i = get_global_id(0), k = get_global_id(1);
  if(i >= out_width || k >= out_height) return;
  const int x = from_x + i, y = from_y + k, own = COLOUR(x, y);
  const size_t at = (size_t)y * width + x;
  const float led = own == GREEN ? sites[at]
                                 : _follow((own == RED ? red : blue) + at, green + at, GREEN, REACH_GREEN, true, x, y,
                                           width, period, shift_x, shift_y, colours);
  out[(size_t)k * out_width + i] = (float4)(red[at], led, blue[at], 0);
}
