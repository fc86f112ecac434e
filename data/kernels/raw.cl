/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on raws: one float for each site, or four for each pixel. */
#pragma OPENCL FP_CONTRACT OFF

/* No period of a filter array is longer: rows of tables are this far apart. */
#define PERIOD 6

/* out = (in - black) * factor, by the place of the value at (x, y) of the picture in tables of so many rows and columns;
 * with largest above 0 not beyond ± that, and what is no number becomes 0. */
kernel void sites(global const float *in, global float *out, const int width, const int height, const int from_x,
                  const int from_y, const int rows, const int columns, constant float *black, constant float *factor,
                  const float largest)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const int place = (from_y + y) % rows * PERIOD + (from_x + x) % columns;
  const size_t at = (size_t)y * width + x;
  float value = (in[at] - black[place]) * factor[place];
  if(largest > 0) value = isnan(value) ? 0 : fabs(value) > largest ? copysign(largest, value) : value;
  out[at] = value;
}

/* --- highlights: src/iop/highlights.c says what it is about --- */

#define DARKEST 0.03f

typedef struct
{
  float value[4], room[4], weight[4]; // sums, by colour
} hints_t;

/* levels: for each of four colours where it begins to be full, then 1 / how far it is from there to the level */
static float _fullness(constant float *levels, const int colour, const float value)
{
  const float t = clamp((value - levels[colour]) * levels[4 + colour], 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}

static void _listen(hints_t *hints, constant float *levels, const int colour, const float value, const float full)
{
  const float share = clamp(value / full, DARKEST, 1.0f), weight = share * share;
  hints->value[colour] += weight * value;
  hints->room[colour] += weight * (1 - _fullness(levels, colour, value));
  hints->weight[colour] += weight;
}

static float _raise(const hints_t *hints, constant float *levels, const float highest, const int own, const float value)
{
  float sum = 0, total = 0, none = 1, white = highest, means = 0, colours = 0;
  for(int c = 0; c < 4; c++)
  {
    if(c == own || hints->weight[c] == 0) continue;
    const float mean = hints->value[c] / hints->weight[c], room = hints->room[c] / hints->weight[c];
    sum += room * mean;
    total += room;
    none *= 1 - room;
    white = max(white, mean);
    means += mean;
    colours += 1;
  }
  const float guess = max((sum + none * white) / (total + none), means / colours);
  return value + _fullness(levels, own, value) * max(0.0f, guess - value);
}

/* The input is in_width x in_height values from (in_x, in_y) of the picture on, the output those from (out_x, out_y) on;
 * colours of sites are in rows of PERIOD. */
kernel void highlights_sites(global const float *in, global float *out, const int width, const int height,
                             constant float *levels, const float highest, const int in_width, const int in_height,
                             const int in_x, const int in_y, const int out_x, const int out_y, const int period,
                             constant uchar *colours)
{
  const int i = get_global_id(0), k = get_global_id(1);
  if(i >= width || k >= height) return;
  const int x = out_x - in_x + i, y = out_y - in_y + k;
  const int own = colours[(out_y + k) % period * PERIOD + (out_x + i) % period];
  global const float *site = in + (size_t)y * in_width + x;
  const float value = *site;
  hints_t hints = { { 0 }, { 0 }, { 0 } };
  bool alone = true;
  if(value > levels[own])
    for(int v = max(-1, -y); v <= min(1, in_height - 1 - y); v++)
      for(int u = max(-1, -x); u <= min(1, in_width - 1 - x); u++)
      {
        const int colour = colours[(in_y + y + v) % period * PERIOD + (in_x + x + u) % period];
        if(colour == own) continue;
        _listen(&hints, levels, colour, site[(long)v * in_width + u], value);
        alone = false;
      }
  out[(size_t)k * width + i] = alone ? value : _raise(&hints, levels, highest, own, value);
}

kernel void highlights_pixels(global const float4 *in, global float4 *out, const int width, const int height,
                              constant float *levels, const float highest)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[(size_t)y * width + x];
  const float from[3] = { pixel.x, pixel.y, pixel.z };
  float to[3];
  for(int own = 0; own < 3; own++)
  {
    hints_t hints = { { 0 }, { 0 }, { 0 } };
    to[own] = from[own];
    if(from[own] <= levels[own]) continue;
    for(int c = 0; c < 3; c++)
      if(c != own) _listen(&hints, levels, c, from[c], from[own]);
    to[own] = _raise(&hints, levels, highest, own, from[own]);
  }
  out[(size_t)y * width + x] = (float4)(to[0], to[1], to[2], pixel.w);
}

/* Values are cut but for a fourth channel. */
kernel void highlights_clip(global const float *in, global float *out, const int width, const int height,
                            const int channels, const float level)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const size_t at = (size_t)y * width + x;
  out[at] = channels == 4 && x % 4 == 3 ? in[at] : min(in[at], level);
}
