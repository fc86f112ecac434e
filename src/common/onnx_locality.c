/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How far an image-to-image network looks, which is what makes tiling exact: a walk from the image
 * inputs to output 0 that keeps, for every tensor and axis, which input pixels each sample can see.
 * Samples come in periods: `period` samples stand for `step` input pixels, and sample
 * `period * m + r` sees the pixels from `step * m + span[r].lo` to `step * m + span[r].hi`. So all
 * arithmetic is in integers, and the phases of an upsampled grid, which see different pixels, are
 * kept apart. What an operator does to them is said in onnx_operators.c.
 */
#include "common/onnx_graph_internal.h"

#include <string.h>

/* --- limits --- */

#define MAX_PERIOD 256             // samples
#define MAX_STEP (1 << 16)         // input pixels, also of the total stride
#define MAX_WORK (8 * 1024 * 1024) // spans computed in one walk; real networks need some 10^5

/* --- small helpers --- */

static void _free_state(void *data)
{
  dt_onnx_state_t *state = data;
  g_free(state->axis[0].span);
  g_free(state->axis[1].span);
  g_free(state);
}

static dt_onnx_state_t *_new_state(dt_onnx_walk_t *walk)
{
  dt_onnx_state_t *state = g_new0(dt_onnx_state_t, 1);
  state->rank = -1;
  g_ptr_array_add(walk->states, state);
  return state;
}

gboolean dt_onnx_refuse(dt_onnx_walk_t *walk, const char *obstacle)
{
  if(!walk->obstacle) walk->obstacle = obstacle;
  return FALSE;
}

static int64_t _gcd(int64_t a, int64_t b)
{
  while(b)
  {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static int64_t _lcm(int64_t a, int64_t b)
{
  return a / _gcd(a, b) * b;
}

static gboolean _spend(dt_onnx_walk_t *walk, int64_t work)
{
  walk->work += work;
  return walk->work <= MAX_WORK || dt_onnx_refuse(walk, "makes the network too large to analyse");
}

/* --- axes --- */

static gboolean _init_axis(dt_onnx_walk_t *walk, dt_onnx_axis_t *axis, int64_t period, int64_t step,
                           int64_t extra)
{
  if(period > MAX_PERIOD || step > MAX_STEP || ABS(extra) > DT_ONNX_MAX_REACH)
    return dt_onnx_refuse(walk, "changes the sampling grid too much");
  walk->stride = _lcm(walk->stride, step);
  if(walk->stride > MAX_STEP) return dt_onnx_refuse(walk, "makes the total stride too large");
  if(!_spend(walk, period)) return FALSE;
  *axis = (dt_onnx_axis_t){ (int)period, (int)step, (int)extra, g_new(dt_onnx_span_t, period) };
  // Empty: the union with anything is that thing.
  for(int r = 0; r < period; r++) axis->span[r] = (dt_onnx_span_t){ G_MAXINT32, G_MININT32 };
  return TRUE;
}

typedef struct _reach_t
{
  int64_t lo, hi;
} _reach_t;

static _reach_t _reach_of(const dt_onnx_axis_t *axis, int64_t sample)
{
  const int64_t periods = dt_onnx_floor_div(sample, axis->period);
  const dt_onnx_span_t *span = &axis->span[sample - periods * axis->period];
  return (_reach_t){ periods * axis->step + span->lo, periods * axis->step + span->hi };
}

static gboolean _widen(dt_onnx_walk_t *walk, dt_onnx_axis_t *axis, int r, _reach_t reach)
{
  if(reach.lo < -DT_ONNX_MAX_REACH || reach.hi > DT_ONNX_MAX_REACH || reach.lo > DT_ONNX_MAX_REACH
     || reach.hi < -DT_ONNX_MAX_REACH)
    return dt_onnx_refuse(walk, "sees too far");
  dt_onnx_span_t *span = &axis->span[r];
  span->lo = MIN(span->lo, (int32_t)reach.lo);
  span->hi = MAX(span->hi, (int32_t)reach.hi);
  return TRUE;
}

gboolean dt_onnx_copy_axis(dt_onnx_walk_t *walk, const dt_onnx_axis_t *in, dt_onnx_axis_t *out)
{
  if(!_init_axis(walk, out, in->period, in->step, in->extra)) return FALSE;
  memcpy(out->span, in->span, sizeof(dt_onnx_span_t) * (size_t)in->period);
  return TRUE;
}

// Samples that are made up beyond the first or last one (padding) stand for pixels outside the
// window: whoever reads them must know it reads past the window's border. That is so by itself
// unless something was cropped before.
static void _reach_border(dt_onnx_axis_t *axis, gboolean before, gboolean after)
{
  for(int r = 0; before && r < axis->period; r++) axis->span[r].lo = MIN(axis->span[r].lo, axis->step - 1);
  for(int r = 0; after && r < axis->period; r++)
  {
    const int64_t periods = dt_onnx_floor_div((int64_t)axis->extra + r, axis->period);
    dt_onnx_span_t *span = &axis->span[axis->extra + r - periods * axis->period];
    const int64_t least = CLAMP(-periods * axis->step, -DT_ONNX_MAX_REACH, DT_ONNX_MAX_REACH);
    span->hi = MAX(span->hi, (int32_t)least);
  }
}

static int64_t _window_extra(const dt_onnx_window_t *window, int64_t extra)
{
  const int64_t reach = window->dilation * (window->kernel - 1) + 1;
  const int64_t room = extra + window->before + window->after - reach;
  int64_t count = dt_onnx_floor_div(room, window->stride) + 1;
  if(window->ceil && room - (count - 1) * window->stride > 0) count++;
  // A window that would start in the padding after the end is not placed.
  if(window->ceil && (count - 1) * window->stride >= extra + window->before) count--;
  return count;
}

static gboolean _slide_sample(dt_onnx_walk_t *walk, const dt_onnx_axis_t *in, const dt_onnx_window_t *window,
                              dt_onnx_axis_t *out, int r)
{
  const int64_t first = window->stride * r - window->before;
  // Taps repeat the phases of the period: the first of each sees farthest left, the last right.
  const int64_t skip_from = window->kernel > 2 * in->period ? in->period : window->kernel;
  const int64_t skip_to = MAX(skip_from, window->kernel - in->period);
  for(int64_t tap = 0; tap < window->kernel; tap = tap + 1 == skip_from ? skip_to : tap + 1)
    if(!_widen(walk, out, r, _reach_of(in, first + tap * window->dilation))) return FALSE;
  return TRUE;
}

gboolean dt_onnx_slide(dt_onnx_walk_t *walk, const dt_onnx_axis_t *input, const dt_onnx_window_t *window,
                       dt_onnx_axis_t *out)
{
  const int64_t period = input->period / _gcd(input->period, window->stride);
  const int64_t step = input->step * (window->stride * period / input->period);
  const int64_t extra = _window_extra(window, input->extra);
  if(!_spend(walk, period * MIN(window->kernel, 2 * input->period))) return FALSE;
  if(!_init_axis(walk, out, period, step, extra)) return FALSE;

  dt_onnx_axis_t in = *input;
  in.span = g_memdup2(input->span, sizeof(dt_onnx_span_t) * (size_t)input->period);
  const int64_t last =
      (extra - 1) * window->stride - window->before + window->dilation * (window->kernel - 1);
  _reach_border(&in, window->before > 0, last >= input->extra);
  gboolean ok = TRUE;
  for(int r = 0; ok && r < period; r++) ok = _slide_sample(walk, &in, window, out, r);
  g_free(in.span);
  return ok;
}

gboolean dt_onnx_replicate(dt_onnx_walk_t *walk, const dt_onnx_axis_t *in, int64_t factor,
                           dt_onnx_axis_t *out)
{
  if(!_init_axis(walk, out, in->period * factor, in->step, in->extra * factor)) return FALSE;
  for(int r = 0; r < out->period; r++) out->span[r] = in->span[r / factor];
  return TRUE;
}

gboolean dt_onnx_interpolate(dt_onnx_walk_t *walk, const dt_onnx_axis_t *input, int64_t factor,
                             gboolean centred, dt_onnx_axis_t *out)
{
  if(!_init_axis(walk, out, input->period * factor, input->step, input->extra * factor)) return FALSE;
  dt_onnx_axis_t in = *input;
  in.span = g_memdup2(input->span, sizeof(dt_onnx_span_t) * (size_t)input->period);
  _reach_border(&in, centred, TRUE);
  gboolean ok = TRUE;
  for(int r = 0; ok && r < out->period; r++)
  {
    const int64_t left = r / factor - (centred && r % factor < factor / 2);
    ok = _widen(walk, out, r, _reach_of(&in, left)) && _widen(walk, out, r, _reach_of(&in, left + 1));
  }
  g_free(in.span);
  return ok;
}

gboolean dt_onnx_join_axis(dt_onnx_walk_t *walk, dt_onnx_axis_t *axis, const dt_onnx_axis_t *other)
{
  if((int64_t)axis->step * other->period != (int64_t)other->step * axis->period
     || axis->extra != other->extra)
    return dt_onnx_refuse(walk, "joins images of different sizes");
  const int64_t period = _lcm(axis->period, other->period);
  dt_onnx_axis_t both = { 0 };
  if(!_init_axis(walk, &both, period, axis->step * (period / axis->period), axis->extra)) return FALSE;
  gboolean ok = TRUE;
  for(int r = 0; ok && r < period; r++)
    ok = _widen(walk, &both, r, _reach_of(axis, r)) && _widen(walk, &both, r, _reach_of(other, r));
  g_free(axis->span);
  *axis = both;
  return ok;
}

/* --- inputs of a node --- */

static void _name_state(dt_onnx_walk_t *walk, const dt_onnx_bytes_t *name, dt_onnx_state_t *state)
{
  g_tree_insert(walk->by_name, (void *)name, state);
}

static dt_onnx_state_t *_constant_state(dt_onnx_walk_t *walk, const dt_onnx_constant_t *constant)
{
  dt_onnx_state_t *state = _new_state(walk);
  dt_onnx_tensor_t tensor;
  if(!constant->tensor.size || !dt_onnx_read_tensor(constant->tensor, &tensor)) return state;
  state->tensor = constant->tensor;
  if(tensor.rank > DT_ONNX_MAX_RANK) return state;
  state->rank = tensor.rank;
  memcpy(state->dims, tensor.dims, sizeof(state->dims));
  return state;
}

// Image inputs start the walk: one sample per pixel that sees itself. All must be of one size.
static gboolean _start_image(dt_onnx_walk_t *walk, const dt_onnx_value_t *value, dt_onnx_state_t *state)
{
  state->image = TRUE;
  for(int i = 0; i < 2; i++)
  {
    const int64_t size = MAX(value->dims[2 + i], 0);
    if(size && walk->fixed[i] && size != walk->fixed[i])
      return dt_onnx_refuse(walk, "joins images of different sizes");
    if(size) walk->fixed[i] = size;
    if(!_init_axis(walk, &state->axis[i], 1, 1, 0)) return FALSE;
    state->axis[i].span[0] = (dt_onnx_span_t){ 0, 0 };
  }
  return TRUE;
}

static dt_onnx_state_t *_input_state(dt_onnx_walk_t *walk, const dt_onnx_value_t *value)
{
  dt_onnx_state_t *state = _new_state(walk);
  // A rank-4 input of one pixel is a parameter, not an image.
  if(value->rank == 4 && !(value->dims[2] == 1 && value->dims[3] == 1))
    return _start_image(walk, value, state) ? state : NULL;
  state->rank = value->rank;
  memcpy(state->dims, value->dims, sizeof(state->dims));
  return state;
}

static const dt_onnx_value_t *_find_input(const dt_onnx_graph_t *graph, const dt_onnx_bytes_t *name)
{
  for(guint i = 0; i < graph->inputs->len; i++)
  {
    const dt_onnx_value_t *value = &g_array_index(graph->inputs, dt_onnx_value_t, i);
    if(dt_onnx_equals(*name, value->name)) return value;
  }
  return NULL;
}

// The state of a tensor by name: made by an earlier node, an initialiser, or a graph input.
static dt_onnx_state_t *_state_of(dt_onnx_walk_t *walk, const dt_onnx_bytes_t *name)
{
  dt_onnx_state_t *state = g_tree_lookup(walk->by_name, name);
  if(state) return state;
  const dt_onnx_constant_t *constant = g_tree_lookup(walk->graph->constants_by_name, name);
  const dt_onnx_value_t *value = constant ? NULL : _find_input(walk->graph, name);
  if(constant)
    state = _constant_state(walk, constant);
  else if(value)
    state = _input_state(walk, value);
  if(state)
    _name_state(walk, name, state);
  else
    dt_onnx_refuse(walk, "reads a tensor that is not local");
  return state;
}

const dt_onnx_state_t *dt_onnx_input(dt_onnx_walk_t *walk, guint i)
{
  if(i >= walk->node->inputs) return NULL;
  const dt_onnx_bytes_t *name =
      &g_array_index(walk->graph->node_inputs, dt_onnx_bytes_t, walk->node->first_input + i);
  return name->size ? _state_of(walk, name) : NULL;
}

/* --- the walk --- */

static gboolean _visit(dt_onnx_walk_t *walk)
{
  const dt_onnx_node_t *node = walk->node;
  dt_onnx_state_t *out = _new_state(walk);
  if(!dt_onnx_evaluate(walk, out)) return FALSE;
  // Further outputs (indices, masks, statistics) stay unknown; only Split's are like the first.
  const guint count = dt_onnx_equals(node->op, "Split") ? node->outputs : MIN(node->outputs, 1);
  for(guint i = 0; i < count; i++)
    _name_state(walk, &g_array_index(walk->graph->node_outputs, dt_onnx_bytes_t, node->first_output + i),
                out);
  return TRUE;
}

static GTree *_index_producers(const dt_onnx_graph_t *graph)
{
  GTree *producers = g_tree_new(dt_onnx_compare_bytes);
  for(guint n = 0; n < graph->nodes->len; n++)
  {
    const dt_onnx_node_t *node = &g_array_index(graph->nodes, dt_onnx_node_t, n);
    for(guint i = 0; i < node->outputs; i++)
    {
      dt_onnx_bytes_t *name = &g_array_index(graph->node_outputs, dt_onnx_bytes_t, node->first_output + i);
      if(name->size) g_tree_insert(producers, name, GUINT_TO_POINTER(n + 1));
    }
  }
  return producers;
}

static void _mark_producer(GTree *producers, const dt_onnx_bytes_t *name, gboolean *needed, GArray *pending)
{
  const guint producer = GPOINTER_TO_UINT(g_tree_lookup(producers, name));
  if(!producer || needed[producer - 1]) return;
  needed[producer - 1] = TRUE;
  const guint node = producer - 1;
  g_array_append_val(pending, node);
}

// Marks the nodes that @p name depends on.
static gboolean *_needed_nodes(const dt_onnx_graph_t *graph, const dt_onnx_bytes_t *name)
{
  gboolean *needed = g_new0(gboolean, MAX(graph->nodes->len, 1));
  GTree *producers = _index_producers(graph);
  GArray *pending = g_array_new(FALSE, FALSE, sizeof(guint));
  _mark_producer(producers, name, needed, pending);
  while(pending->len)
  {
    const guint last = g_array_index(pending, guint, pending->len - 1);
    const dt_onnx_node_t *node = &g_array_index(graph->nodes, dt_onnx_node_t, last);
    g_array_set_size(pending, pending->len - 1);
    for(guint i = 0; i < node->inputs; i++)
      _mark_producer(producers, &g_array_index(graph->node_inputs, dt_onnx_bytes_t, node->first_input + i),
                     needed, pending);
  }
  g_array_unref(pending);
  g_tree_unref(producers);
  return needed;
}

// Follows the graph up to @p name; nodes are in an order in which inputs come first.
static const dt_onnx_state_t *_walk_to(dt_onnx_walk_t *walk, const dt_onnx_bytes_t *name)
{
  gboolean *needed = _needed_nodes(walk->graph, name);
  gboolean ok = TRUE;
  for(guint n = 0; ok && n < walk->graph->nodes->len; n++)
  {
    if(!needed[n]) continue;
    walk->node = &g_array_index(walk->graph->nodes, dt_onnx_node_t, n);
    ok = _visit(walk);
  }
  g_free(needed);
  if(!ok) return NULL;
  walk->node = NULL;
  return _state_of(walk, name);
}

/* --- the answer --- */

// Farthest pixel a sample of an output axis sees, from the pixel it lies in.
static int64_t _radius_of(const dt_onnx_axis_t *axis)
{
  int64_t radius = 0;
  for(int r = 0; r < axis->period; r++)
  {
    const int64_t own = (int64_t)r * axis->step / axis->period;
    radius = MAX(radius, MAX(own - axis->span[r].lo, axis->span[r].hi - own));
  }
  return radius;
}

static gboolean _check_output(dt_onnx_walk_t *walk, const dt_onnx_state_t *output)
{
  if(!output->image) return dt_onnx_refuse(walk, "the output does not depend on an image");
  const dt_onnx_axis_t *h = &output->axis[0], *w = &output->axis[1];
  if(h->period % h->step || w->period % w->step)
    return dt_onnx_refuse(walk, "the output is smaller than the input");
  if(h->period / h->step != w->period / w->step)
    return dt_onnx_refuse(walk, "the output has other proportions than the input");
  if(h->extra || w->extra)
    return dt_onnx_refuse(walk, "the size of the output is no multiple of the input's");
  if(walk->fixed[0] % walk->stride || walk->fixed[1] % walk->stride)
    return dt_onnx_refuse(walk, "the fixed size is no multiple of the network's stride");
  return TRUE;
}

// Node and operator names come from the file: printable ASCII survives, the rest becomes '?'.
static void _append_printable(GString *text, dt_onnx_bytes_t bytes, size_t most)
{
  for(size_t i = 0; i < MIN(bytes.size, most); i++)
    g_string_append_c(text, g_ascii_isprint((char)bytes.at[i]) ? (char)bytes.at[i] : '?');
}

static void _explain(const dt_onnx_walk_t *walk, char *reason, size_t size)
{
  GString *text = g_string_new(NULL);
  if(walk->node)
  {
    _append_printable(text, walk->node->op, 24);
    g_string_append(text, " (node ");
    _append_printable(text, walk->node->name, 18);
    g_string_append(text, ") ");
  }
  g_string_append(text, walk->obstacle);
  g_strlcpy(reason, text->str, size);
  g_string_free(text, TRUE);
}

static dt_onnx_locality_t _conclude(dt_onnx_walk_t *walk, const dt_onnx_state_t *output)
{
  dt_onnx_locality_t locality = { 0 };
  if(output && _check_output(walk, output))
  {
    locality.local = TRUE;
    locality.stride = (int)walk->stride;
    locality.radius = (int)MAX(_radius_of(&output->axis[0]), _radius_of(&output->axis[1]));
    locality.scale = output->axis[0].period / output->axis[0].step;
  }
  else
    _explain(walk, locality.reason, sizeof(locality.reason));
  return locality;
}

/* --- the interface --- */

dt_onnx_locality_t dt_onnx_graph_locality(const dt_onnx_graph_t *graph)
{
  dt_onnx_walk_t walk = { .graph = graph,
                          .stride = 1,
                          .states = g_ptr_array_new_with_free_func(_free_state),
                          .by_name = g_tree_new(dt_onnx_compare_bytes) };
  const char *name = g_array_index(graph->outputs, dt_onnx_value_t, 0).name;
  const dt_onnx_bytes_t key = { (const uint8_t *)name, strlen(name) };
  const dt_onnx_state_t *output = NULL;
  // Before operator set 7 broadcasting was spelled otherwise, and functions can redefine anything.
  if(graph->opset < 7)
    dt_onnx_refuse(&walk, "the operator set is too old to be analysed");
  else if(graph->functions)
    dt_onnx_refuse(&walk, "the model defines operators of its own");
  else
    output = _walk_to(&walk, &key);
  const dt_onnx_locality_t locality = _conclude(&walk, output);
  g_tree_unref(walk.by_name);
  g_ptr_array_unref(walk.states);
  return locality;
}
