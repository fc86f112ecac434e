/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What is known of each operator: the rules that turn what its inputs see into what its output
 * sees, and the list that says which rule holds for which operator. The list has what is local
 * *and* has been seen to give the same bits in a window as in the whole image (ONNX Runtime 1.18
 * and 1.31, CPU). Left off for their bits alone: ConvTranspose above four threads; Elu, Selu, Celu,
 * Softplus, Mish, Log and Sqrt, whose vectorised loop and its remainder differ in the last bit;
 * linear Resize by factors that are no power of two.
 */
#include "common/onnx_graph_internal.h"

#include <string.h>

/* --- limits --- */

#define MAX_WINDOW (1 << 16) // kernel size, stride, dilation and padding of one operator
#define MAX_FACTOR 64        // of Resize and DepthToSpace

/* --- inputs --- */

// The image a rule works on: input 0, while all others are parameters known beforehand.
static const dt_onnx_state_t *_image(dt_onnx_walk_t *walk)
{
  for(guint i = 1; i < walk->node->inputs; i++)
  {
    const dt_onnx_state_t *other = dt_onnx_input(walk, i);
    if(other && other->image)
    {
      dt_onnx_refuse(walk, "takes a parameter from the image");
      return NULL;
    }
  }
  const dt_onnx_state_t *image = dt_onnx_input(walk, 0);
  if(image && image->image) return image;
  dt_onnx_refuse(walk, "has no image for an input");
  return NULL;
}

static gboolean _constant_numbers(const dt_onnx_state_t *state, dt_onnx_numbers_t *numbers)
{
  numbers->count = 0;
  if(!state) return FALSE;
  if(state->tensor.size) return dt_onnx_tensor_numbers(state->tensor, numbers);
  return dt_onnx_attribute_numbers(state->attribute, numbers);
}

static gboolean _is_channel_axis(double axis)
{
  return axis == 1 || axis == -3; // of NCHW
}

/* --- rules, one per kind of operator --- */

static gboolean _copy_image(dt_onnx_walk_t *walk, const dt_onnx_state_t *image, dt_onnx_state_t *out)
{
  out->image = TRUE;
  return dt_onnx_copy_axis(walk, &image->axis[0], &out->axis[0])
         && dt_onnx_copy_axis(walk, &image->axis[1], &out->axis[1]);
}

// Joins @p image into @p out, which may still be empty.
static gboolean _join_image(dt_onnx_walk_t *walk, const dt_onnx_state_t *image, dt_onnx_state_t *out)
{
  if(!out->image) return _copy_image(walk, image, out);
  return dt_onnx_join_axis(walk, &out->axis[0], &image->axis[0])
         && dt_onnx_join_axis(walk, &out->axis[1], &image->axis[1]);
}

// Whether a constant is the same for every pixel when broadcast to an image.
static gboolean _is_uniform(const dt_onnx_state_t *constant)
{
  const int rank = constant->rank;
  if(rank < 0 || rank > 4) return FALSE;
  return (rank < 1 || constant->dims[rank - 1] == 1) && (rank < 2 || constant->dims[rank - 2] == 1);
}

static gboolean _rule_elementwise(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  for(guint i = 0; i < walk->node->inputs; i++)
  {
    const dt_onnx_state_t *input = dt_onnx_input(walk, i);
    if(!input) continue;
    if(input->image && !_join_image(walk, input, out)) return FALSE;
    if(!input->image && !_is_uniform(input))
      return dt_onnx_refuse(walk, "has a constant that may vary over the image");
  }
  return TRUE;
}

static gboolean _rule_per_pixel(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const dt_onnx_state_t *image = _image(walk);
  return image && _copy_image(walk, image, out);
}

static gboolean _rule_batch_normalization(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  if(dt_onnx_integer_attribute(walk->node, "training_mode", 0))
    return dt_onnx_refuse(walk, "is in training mode");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_dropout(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  dt_onnx_numbers_t training;
  const dt_onnx_state_t *mode = dt_onnx_input(walk, 2);
  if(mode && !(_constant_numbers(mode, &training) && training.count == 1 && !training.value[0]))
    return dt_onnx_refuse(walk, "may be in training mode");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_concat(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  if(!_is_channel_axis((double)dt_onnx_integer_attribute(walk->node, "axis", 0)))
    return dt_onnx_refuse(walk, "works along another axis than channels");
  for(guint i = 0; i < walk->node->inputs; i++)
  {
    const dt_onnx_state_t *input = dt_onnx_input(walk, i);
    if(!input || !input->image) return dt_onnx_refuse(walk, "adds a constant plane to an image");
    if(!_join_image(walk, input, out)) return FALSE;
  }
  return TRUE;
}

// Split, Softmax and the like: fine along the channels, and there only.
static gboolean _rule_channel_axis(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  if(!_is_channel_axis((double)dt_onnx_integer_attribute(walk->node, "axis", 0)))
    return dt_onnx_refuse(walk, "works along another axis than channels");
  // Until operator set 13 Softmax took all axes from `axis` on as one.
  if(walk->graph->opset < 13 && !dt_onnx_equals(walk->node->op, "Split"))
    return dt_onnx_refuse(walk, "works along more than the channels");
  return _rule_per_pixel(walk, out);
}

// The `axes` of Slice and the reductions: an attribute once, an input since.
static gboolean _only_channel_axes(dt_onnx_walk_t *walk, guint input)
{
  dt_onnx_numbers_t axes;
  if(!dt_onnx_integers_attribute(walk->node, "axes", &axes)
     && !_constant_numbers(dt_onnx_input(walk, input), &axes))
    return FALSE;
  for(int i = 0; i < axes.count; i++)
    if(!_is_channel_axis(axes.value[i])) return FALSE;
  return axes.count > 0;
}

static gboolean _rule_slice(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  if(!_only_channel_axes(walk, 3)) return dt_onnx_refuse(walk, "slices more than the channels");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_reduce(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  if(!_only_channel_axes(walk, 1) || !dt_onnx_integer_attribute(walk->node, "keepdims", 1))
    return dt_onnx_refuse(walk, "reduces more than the channels");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_quantize(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const dt_onnx_state_t *scale = dt_onnx_input(walk, 1);
  const gboolean one = scale && (scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1));
  if(!one && !_is_channel_axis((double)dt_onnx_integer_attribute(walk->node, "axis", 1)))
    return dt_onnx_refuse(walk, "quantizes along another axis than channels");
  return _rule_per_pixel(walk, out);
}

static gboolean _window_in_bounds(const dt_onnx_window_t *window)
{
  return window->kernel >= 1 && window->kernel <= MAX_WINDOW && window->stride >= 1
         && window->stride <= MAX_WINDOW && window->dilation >= 1 && window->dilation <= MAX_WINDOW
         && ABS(window->before) <= MAX_WINDOW && ABS(window->after) <= MAX_WINDOW;
}

static int64_t _clamped(double value)
{
  return value >= -2.0 * DT_ONNX_MAX_REACH && value <= 2.0 * DT_ONNX_MAX_REACH ? (int64_t)value
                                                                               : 2 * DT_ONNX_MAX_REACH;
}

// Fills one member of both windows from a list of two, or of four for pads.
static gboolean _read_pair(const dt_onnx_node_t *node, const char *name, int64_t pair[2])
{
  dt_onnx_numbers_t numbers;
  if(!dt_onnx_integers_attribute(node, name, &numbers)) return TRUE;
  if(numbers.count != 2) return FALSE;
  pair[0] = _clamped(numbers.value[0]);
  pair[1] = _clamped(numbers.value[1]);
  return TRUE;
}

static gboolean _read_pads(const dt_onnx_node_t *node, dt_onnx_window_t window[2])
{
  dt_onnx_numbers_t pads;
  if(!dt_onnx_integers_attribute(node, "pads", &pads)) return TRUE;
  if(pads.count != 4) return FALSE;
  for(int i = 0; i < 2; i++)
  {
    window[i].before = _clamped(pads.value[i]);
    window[i].after = _clamped(pads.value[2 + i]);
    if(window[i].before < 0 || window[i].after < 0) return FALSE;
  }
  return TRUE;
}

// auto_pad SAME: as many output samples as steps begin within the input, the padding split evenly
// and an odd one at the end (UPPER) or the beginning (LOWER).
static void _pad_same(const dt_onnx_axis_t *axis, dt_onnx_window_t *window, gboolean upper)
{
  const int64_t count = -dt_onnx_floor_div(-(int64_t)axis->extra, window->stride);
  const int64_t pad = MAX(0, (count - 1) * window->stride + window->kernel - axis->extra);
  window->before = upper ? pad / 2 : pad - pad / 2;
  window->after = pad - window->before;
}

static gboolean _read_padding(const dt_onnx_node_t *node, const dt_onnx_state_t *image,
                              dt_onnx_window_t window[2])
{
  const dt_onnx_bytes_t how = dt_onnx_text_attribute(node, "auto_pad", "NOTSET");
  const gboolean upper = dt_onnx_equals(how, "SAME_UPPER");
  if(dt_onnx_equals(how, "VALID")) return TRUE;
  if(dt_onnx_equals(how, "NOTSET")) return _read_pads(node, window);
  // Runtimes disagree on what SAME means for dilated kernels.
  if(window[0].dilation != 1 || window[1].dilation != 1) return FALSE;
  if(!upper && !dt_onnx_equals(how, "SAME_LOWER")) return FALSE;
  for(int i = 0; i < 2; i++) _pad_same(&image->axis[i], &window[i], upper);
  return TRUE;
}

// Convolution and pooling share their attributes; @p kernel comes in as the weights' size.
static gboolean _slide_image(dt_onnx_walk_t *walk, int64_t kernel[2], dt_onnx_state_t *out)
{
  const dt_onnx_node_t *node = walk->node;
  const dt_onnx_state_t *image = _image(walk);
  if(!image) return FALSE;
  int64_t strides[2] = { 1, 1 }, dilations[2] = { 1, 1 };
  if(!_read_pair(node, "kernel_shape", kernel) || !_read_pair(node, "strides", strides)
     || !_read_pair(node, "dilations", dilations))
    return dt_onnx_refuse(walk, "is not two-dimensional");
  const gboolean ceil = dt_onnx_integer_attribute(node, "ceil_mode", 0) != 0;
  dt_onnx_window_t window[2];
  for(int i = 0; i < 2; i++)
    window[i] = (dt_onnx_window_t){ kernel[i], strides[i], dilations[i], 0, 0, ceil };
  if(!_window_in_bounds(&window[0]) || !_window_in_bounds(&window[1]) || !_read_padding(node, image, window)
     || !_window_in_bounds(&window[0]) || !_window_in_bounds(&window[1]))
    return dt_onnx_refuse(walk, "has a window that cannot be followed");
  out->image = TRUE;
  return dt_onnx_slide(walk, &image->axis[0], &window[0], &out->axis[0])
         && dt_onnx_slide(walk, &image->axis[1], &window[1], &out->axis[1]);
}

static gboolean _rule_pool(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  int64_t kernel[2] = { 0, 0 };
  return _slide_image(walk, kernel, out);
}

static gboolean _convolve(dt_onnx_walk_t *walk, guint weight_input, dt_onnx_state_t *out)
{
  const dt_onnx_state_t *weight = dt_onnx_input(walk, weight_input);
  int64_t kernel[2] = { 0, 0 };
  if(weight && weight->rank == 4)
  {
    kernel[0] = MIN(weight->dims[2], DT_ONNX_MAX_REACH);
    kernel[1] = MIN(weight->dims[3], DT_ONNX_MAX_REACH);
  }
  return _slide_image(walk, kernel, out);
}

static gboolean _rule_conv(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  return _convolve(walk, 1, out);
}

static gboolean _rule_quantized_conv(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  return _convolve(walk, 3, out);
}

static gboolean _replicate_image(dt_onnx_walk_t *walk, const int64_t factor[2], dt_onnx_state_t *out)
{
  const dt_onnx_state_t *image = _image(walk);
  out->image = TRUE;
  return image && dt_onnx_replicate(walk, &image->axis[0], factor[0], &out->axis[0])
         && dt_onnx_replicate(walk, &image->axis[1], factor[1], &out->axis[1]);
}

static gboolean _rule_depth_to_space(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const int64_t block = dt_onnx_integer_attribute(walk->node, "blocksize", 0);
  if(block < 1 || block > MAX_FACTOR) return dt_onnx_refuse(walk, "has no usable block size");
  const int64_t factor[2] = { block, block };
  return _replicate_image(walk, factor, out);
}

static gboolean _rule_space_to_depth(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const int64_t block = dt_onnx_integer_attribute(walk->node, "blocksize", 0);
  const dt_onnx_state_t *image = _image(walk);
  if(!image) return FALSE;
  if(block < 1 || block > MAX_FACTOR) return dt_onnx_refuse(walk, "has no usable block size");
  if(image->axis[0].extra % block || image->axis[1].extra % block)
    return dt_onnx_refuse(walk, "does not divide the image evenly");
  const dt_onnx_window_t window = { block, block, 1, 0, 0, FALSE };
  out->image = TRUE;
  return dt_onnx_slide(walk, &image->axis[0], &window, &out->axis[0])
         && dt_onnx_slide(walk, &image->axis[1], &window, &out->axis[1]);
}

// Samples along an axis when the model's image size is fixed, 0 when it is open.
static int64_t _axis_length(const dt_onnx_walk_t *walk, const dt_onnx_axis_t *axis, int i)
{
  if(!walk->fixed[i] || walk->fixed[i] % axis->step) return 0;
  return axis->period * (walk->fixed[i] / axis->step) + axis->extra;
}

// The factors of Resize or Upsample, from scales or, in models of fixed size, from sizes.
static gboolean _resize_factors(dt_onnx_walk_t *walk, const dt_onnx_state_t *image, double factor[2])
{
  const guint scales_at = walk->graph->opset >= 11 ? 2 : 1;
  dt_onnx_numbers_t list;
  if(!dt_onnx_floats_attribute(walk->node, "scales", &list))
    _constant_numbers(dt_onnx_input(walk, scales_at), &list);
  if(list.count == 4 && list.value[0] == 1 && list.value[1] == 1)
  {
    factor[0] = list.value[2];
    factor[1] = list.value[3];
    return TRUE;
  }
  if(list.count > 0 || !_constant_numbers(dt_onnx_input(walk, 3), &list) || list.count != 4) return FALSE;
  for(int i = 0; i < 2; i++)
  {
    const int64_t length = _axis_length(walk, &image->axis[i], i);
    if(length < 1) return FALSE;
    factor[i] = list.value[2 + i] / (double)length;
  }
  return TRUE;
}

// Which ways of choosing the nearest sample amount to repeating every sample `factor` times.
static gboolean _nearest_replicates(const dt_onnx_walk_t *walk, int64_t factor)
{
  if(factor == 1 || walk->graph->opset < 11) return TRUE;
  const dt_onnx_bytes_t where =
      dt_onnx_text_attribute(walk->node, "coordinate_transformation_mode", "half_pixel");
  const dt_onnx_bytes_t which = dt_onnx_text_attribute(walk->node, "nearest_mode", "round_prefer_floor");
  const gboolean floors = dt_onnx_equals(which, "floor");
  const gboolean prefers_floor = dt_onnx_equals(which, "round_prefer_floor");
  if(dt_onnx_equals(where, "asymmetric")) return floors || (prefers_floor && factor == 2);
  if(dt_onnx_equals(where, "tf_half_pixel_for_nn")) return floors;
  if(!dt_onnx_equals(where, "half_pixel") && !dt_onnx_equals(where, "pytorch_half_pixel")) return FALSE;
  return prefers_floor || dt_onnx_equals(which, "round_prefer_ceil");
}

static gboolean _resize_linear(dt_onnx_walk_t *walk, const dt_onnx_state_t *image, const int64_t factor[2],
                               dt_onnx_state_t *out)
{
  const dt_onnx_bytes_t where = dt_onnx_text_attribute(
      walk->node, "coordinate_transformation_mode", walk->graph->opset >= 11 ? "half_pixel" : "asymmetric");
  const gboolean asymmetric = dt_onnx_equals(where, "asymmetric");
  if(!asymmetric && !dt_onnx_equals(where, "half_pixel") && !dt_onnx_equals(where, "pytorch_half_pixel"))
    return dt_onnx_refuse(walk, "depends on the size of the image");
  out->image = TRUE;
  for(int i = 0; i < 2; i++)
  {
    // Only powers of two have exact weights, the same wherever the window lies.
    if(factor[i] & (factor[i] - 1)) return dt_onnx_refuse(walk, "is linear, by no power of two");
    if(!dt_onnx_interpolate(walk, &image->axis[i], factor[i], !asymmetric, &out->axis[i])) return FALSE;
  }
  return TRUE;
}

static gboolean _rule_resize(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const dt_onnx_state_t *image = _image(walk);
  double scale[2];
  int64_t factor[2];
  if(!image) return FALSE;
  if(!_resize_factors(walk, image, scale)) return dt_onnx_refuse(walk, "resizes by an unknown factor");
  for(int i = 0; i < 2; i++)
  {
    factor[i] = _clamped(scale[i]);
    if(factor[i] < 1 || factor[i] > MAX_FACTOR || (double)factor[i] != scale[i])
      return dt_onnx_refuse(walk, "resizes by no whole factor");
  }
  const dt_onnx_bytes_t mode = dt_onnx_text_attribute(walk->node, "mode", "nearest");
  if(dt_onnx_equals(mode, "linear")) return _resize_linear(walk, image, factor, out);
  if(!dt_onnx_equals(mode, "nearest") || !_nearest_replicates(walk, factor[0])
     || !_nearest_replicates(walk, factor[1]))
    return dt_onnx_refuse(walk, "does more than repeat pixels");
  return _replicate_image(walk, factor, out);
}

static gboolean _pad_amounts(dt_onnx_walk_t *walk, dt_onnx_numbers_t *pads)
{
  if(!dt_onnx_integers_attribute(walk->node, "pads", pads)
     && !_constant_numbers(dt_onnx_input(walk, 1), pads))
    return FALSE;
  // Without `axes`, the pads before all four axes, then those after; none to the batch.
  return pads->count == 8 && pads->value[0] == 0 && pads->value[4] == 0 && !dt_onnx_input(walk, 3);
}

static gboolean _rule_pad(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const dt_onnx_state_t *image = _image(walk);
  const dt_onnx_bytes_t mode = dt_onnx_text_attribute(walk->node, "mode", "constant");
  dt_onnx_numbers_t pads;
  if(!image) return FALSE;
  if(!dt_onnx_equals(mode, "constant") && !dt_onnx_equals(mode, "reflect") && !dt_onnx_equals(mode, "edge"))
    return dt_onnx_refuse(walk, "brings in the opposite border");
  if(!_pad_amounts(walk, &pads)) return dt_onnx_refuse(walk, "pads by an unknown amount");
  out->image = TRUE;
  for(int i = 0; i < 2; i++)
  {
    const dt_onnx_window_t window = { .kernel = 1,
                                      .stride = 1,
                                      .dilation = 1,
                                      .before = _clamped(pads.value[2 + i]),
                                      .after = _clamped(pads.value[6 + i]) };
    if(!_window_in_bounds(&window)) return dt_onnx_refuse(walk, "pads by too much");
    if(!dt_onnx_slide(walk, &image->axis[i], &window, &out->axis[i])) return FALSE;
  }
  return TRUE;
}

/* --- the list --- */

typedef gboolean (*_rule_t)(dt_onnx_walk_t *walk, dt_onnx_state_t *out);

// Operators of one rule, and the attributes they may have: an attribute this list does not know
// could mean anything, so it ends the walk like an unknown operator.
typedef struct _operators_t
{
  const char *names;
  _rule_t rule;
  const char *attributes;
} _operators_t;

static const _operators_t _local_operators[] = {
  { "Relu Sigmoid Tanh Erf Abs Neg Exp Sign Floor Ceil Round Identity PRelu HardSwish Not "
    "Add Sub Mul Div Pow Min Max Sum Mean Where And Or Xor Equal Less Greater LessOrEqual "
    "GreaterOrEqual",
    _rule_elementwise, "" },
  { "LeakyRelu ThresholdedRelu HardSigmoid", _rule_elementwise, "alpha beta" },
  { "Clip", _rule_elementwise, "min max" },
  { "Gelu", _rule_elementwise, "approximate" },
  { "Cast", _rule_elementwise, "to saturate" },
  { "Dropout", _rule_dropout, "ratio seed" },
  { "BatchNormalization", _rule_batch_normalization, "epsilon momentum training_mode" },
  { "Concat", _rule_concat, "axis" },
  { "Split", _rule_channel_axis, "axis split num_outputs" },
  { "Softmax", _rule_channel_axis, "axis" },
  { "Slice", _rule_slice, "axes starts ends" },
  { "ReduceMean ReduceSum ReduceMax ReduceMin", _rule_reduce, "axes keepdims noop_with_empty_axes" },
  { "QuantizeLinear DequantizeLinear", _rule_quantize, "axis saturate" },
  { "Conv", _rule_conv, "auto_pad dilations group kernel_shape pads strides" },
  { "QLinearConv", _rule_quantized_conv, "auto_pad dilations group kernel_shape pads strides" },
  { "MaxPool AveragePool", _rule_pool,
    "auto_pad ceil_mode count_include_pad dilations kernel_shape pads storage_order strides" },
  { "DepthToSpace", _rule_depth_to_space, "blocksize mode" },
  { "SpaceToDepth", _rule_space_to_depth, "blocksize" },
  { "Resize", _rule_resize,
    "mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside "
    "extrapolation_value" },
  { "Upsample", _rule_resize, "mode scales" },
  { "Pad", _rule_pad, "mode pads value" },
};

// Operators that would be local, were their last bits not a matter of where the window lies.
static const char _inexact_operators[] = "ConvTranspose Elu Selu Celu Softplus Mish Log Sqrt";

// Operators that give something else every time.
static const char _random_operators[] =
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli";

// Position of @p word in a list separated by spaces, -1 if it is not there.
static int _word_index(const char *list, dt_onnx_bytes_t word)
{
  for(int i = 0; *list; i++)
  {
    const size_t length = strcspn(list, " ");
    if(length == word.size && memcmp(list, word.at, length) == 0) return i;
    list += length + (list[length] == ' ');
  }
  return -1;
}

static const _operators_t *_find_operators(dt_onnx_bytes_t op)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_local_operators); i++)
    if(_word_index(_local_operators[i].names, op) >= 0) return &_local_operators[i];
  return NULL;
}

static gboolean _attributes_known(const dt_onnx_node_t *node, const char *list)
{
  unsigned seen = 0;
  dt_onnx_bytes_t rest = node->message;
  dt_onnx_attribute_t attribute;
  while(dt_onnx_next_attribute(&rest, &attribute))
  {
    const int i = _word_index(list, attribute.name);
    if(i < 0 || seen & 1u << i) return FALSE; // given twice, either could count
    seen |= 1u << i;
  }
  return TRUE;
}

/* --- one node --- */

// What a Constant node holds is a tensor, or numbers right in an attribute.
static void _read_constant_node(const dt_onnx_node_t *node, dt_onnx_state_t *out)
{
  dt_onnx_attribute_t attribute;
  dt_onnx_tensor_t tensor;
  dt_onnx_bytes_t rest = node->message;
  if(!dt_onnx_next_attribute(&rest, &attribute)) return;
  if(dt_onnx_equals(attribute.name, "value") && dt_onnx_read_tensor(attribute.tensor, &tensor))
  {
    out->tensor = attribute.tensor;
    if(tensor.rank > DT_ONNX_MAX_RANK) return;
    out->rank = tensor.rank;
    memcpy(out->dims, tensor.dims, sizeof(out->dims));
  }
  else if(dt_onnx_equals(attribute.name, "value_float") || dt_onnx_equals(attribute.name, "value_int"))
  {
    out->attribute = attribute.message;
    out->rank = 0;
  }
  else if(dt_onnx_equals(attribute.name, "value_floats") || dt_onnx_equals(attribute.name, "value_ints"))
    out->attribute = attribute.message;
}

// The shape two constants have together, unknown if either is.
static void _broadcast(dt_onnx_state_t *out, const dt_onnx_state_t *other)
{
  if(out->rank < 0 || other->rank < 0)
  {
    out->rank = -1;
    return;
  }
  const dt_onnx_state_t longer = out->rank >= other->rank ? *out : *other;
  const dt_onnx_state_t *shorter = out->rank >= other->rank ? other : out;
  int64_t dims[DT_ONNX_MAX_RANK];
  memcpy(dims, longer.dims, sizeof(dims));
  for(int i = 1; i <= shorter->rank; i++)
    if(dims[longer.rank - i] == 1) dims[longer.rank - i] = shorter->dims[shorter->rank - i];
  out->rank = longer.rank;
  memcpy(out->dims, dims, sizeof(dims));
}

// A node that sees constants only is one itself; its shape matters, its values only if copied.
static void _fold(dt_onnx_walk_t *walk, const _operators_t *row, dt_onnx_state_t *out)
{
  const dt_onnx_state_t *first = dt_onnx_input(walk, 0);
  if(dt_onnx_equals(walk->node->op, "Constant")) _read_constant_node(walk->node, out);
  if(!first || !row) return;
  if(dt_onnx_equals(walk->node->op, "Identity") || row->rule == _rule_quantize)
  {
    *out = *first;
    if(row->rule == _rule_quantize) out->tensor = out->attribute = (dt_onnx_bytes_t){ 0 };
  }
  else if(row->rule == _rule_elementwise)
  {
    out->rank = 0;
    for(guint i = 0; i < walk->node->inputs; i++)
      if(dt_onnx_input(walk, i)) _broadcast(out, dt_onnx_input(walk, i));
  }
}

// Whether the current node reads an image; FALSE in @p ok when it reads something unknown.
static gboolean _reads_image(dt_onnx_walk_t *walk, gboolean *ok)
{
  gboolean image = FALSE;
  *ok = TRUE;
  for(guint i = 0; i < walk->node->inputs; i++)
  {
    const dt_onnx_state_t *input = dt_onnx_input(walk, i);
    image |= input && input->image;
  }
  *ok = walk->obstacle == NULL;
  return image;
}

static gboolean _evaluate_constant(dt_onnx_walk_t *walk, const _operators_t *row, dt_onnx_state_t *out)
{
  if(_word_index(_random_operators, walk->node->op) >= 0) return dt_onnx_refuse(walk, "makes random numbers");
  _fold(walk, row, out);
  return TRUE;
}

gboolean dt_onnx_evaluate(dt_onnx_walk_t *walk, dt_onnx_state_t *out)
{
  const dt_onnx_node_t *node = walk->node;
  gboolean ok;
  const gboolean image = _reads_image(walk, &ok);
  if(!ok) return FALSE;
  if(!dt_onnx_is_default_domain(node->domain)) return dt_onnx_refuse(walk, "is no standard operator");
  if(node->subgraph) return dt_onnx_refuse(walk, "runs a graph of its own");
  const _operators_t *row = _find_operators(node->op);
  if(!image) return _evaluate_constant(walk, row, out);
  if(_word_index(_inexact_operators, node->op) >= 0)
    return dt_onnx_refuse(walk, "gives other last bits in a tile");
  if(!row) return dt_onnx_refuse(walk, "is not on the list of local operators");
  if(!_attributes_known(node, row->attributes))
    return dt_onnx_refuse(walk, "has an attribute that is not known");
  return row->rule(walk, out);
}
