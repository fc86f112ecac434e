/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the reader of .onnx files (onnx_graph.c), the walk through the network (onnx_locality.c) and
 * the rules for its operators (onnx_operators.c) share. Nothing here owns bytes of the model: all
 * slices are borrowed from whoever called dt_onnx_graph_parse().
 */
#ifndef DT_COMMON_ONNX_GRAPH_INTERNAL_H
#define DT_COMMON_ONNX_GRAPH_INTERNAL_H

#include "common/onnx_graph.h"

/** Dimensions of a tensor, as many as dt_onnx_value_t has room for. */
#define DT_ONNX_MAX_RANK 8
/** A constant whose values matter (scales, pads, axes) has no more of them. */
#define DT_ONNX_MAX_NUMBERS 64
/** Input pixels a sample may see to one side. */
#define DT_ONNX_MAX_REACH (1 << 20)

/* --- the graph, onnx_graph.c --- */

/** A slice of the model. */
typedef struct dt_onnx_bytes_t
{
  const uint8_t *at;
  size_t size;
} dt_onnx_bytes_t;

typedef struct dt_onnx_node_t
{
  dt_onnx_bytes_t message; ///< the whole NodeProto; attributes are found in it when needed
  dt_onnx_bytes_t name, op, domain;
  guint first_input, inputs;   ///< range in node_inputs
  guint first_output, outputs; ///< range in node_outputs
  gboolean subgraph;           ///< has an attribute that holds a graph
} dt_onnx_node_t;

typedef struct dt_onnx_constant_t
{
  dt_onnx_bytes_t name;
  dt_onnx_bytes_t tensor; ///< the TensorProto; empty for a sparse initialiser
} dt_onnx_constant_t;

typedef struct dt_onnx_tensor_t
{
  dt_onnx_bytes_t name, raw;
  int type, rank; ///< rank may exceed DT_ONNX_MAX_RANK; then dims holds the first ones
  int64_t dims[DT_ONNX_MAX_RANK];
  uint64_t elements; ///< product of all dims, saturating
  uint64_t payload;  ///< bytes of all data fields
  gboolean has_raw, external;
} dt_onnx_tensor_t;

typedef struct dt_onnx_attribute_t
{
  dt_onnx_bytes_t message, name, text, tensor;
  int64_t integer;
} dt_onnx_attribute_t;

/** A list of numbers being collected; count is -1 once there were too many. */
typedef struct dt_onnx_numbers_t
{
  double value[DT_ONNX_MAX_NUMBERS];
  int count;
} dt_onnx_numbers_t;

struct dt_onnx_graph_t
{
  GArray *nodes;                      ///< dt_onnx_node_t, of the main graph
  GArray *node_inputs, *node_outputs; ///< dt_onnx_bytes_t
  GArray *constants;                  ///< dt_onnx_constant_t
  GArray *inputs, *outputs;           ///< dt_onnx_value_t
  GTree *constants_by_name;           ///< dt_onnx_bytes_t * -> dt_onnx_constant_t *
  int64_t opset;
  gboolean external, functions;
  char *custom_domain;
};

/** Whether @p bytes are exactly @p text. */
gboolean dt_onnx_equals(dt_onnx_bytes_t bytes, const char *text);
/** A total order of dt_onnx_bytes_t for lookup trees; not alphabetical. */
int dt_onnx_compare_bytes(const void *a, const void *b);
gboolean dt_onnx_is_default_domain(dt_onnx_bytes_t domain);

/** Reads the TensorProto @p in without its values; FALSE when it is malformed. */
gboolean dt_onnx_read_tensor(dt_onnx_bytes_t in, dt_onnx_tensor_t *tensor);
/** The values of the TensorProto @p message; FALSE when they are not all at hand as numbers. */
gboolean dt_onnx_tensor_numbers(dt_onnx_bytes_t message, dt_onnx_numbers_t *numbers);
/** The values of the AttributeProto @p message, whichever type they have; FALSE for none. */
gboolean dt_onnx_attribute_numbers(dt_onnx_bytes_t message, dt_onnx_numbers_t *numbers);

/** Steps through a node's attributes; @p rest starts as the node's message. */
gboolean dt_onnx_next_attribute(dt_onnx_bytes_t *rest, dt_onnx_attribute_t *attribute);
/** The value of attribute @p name, or @p fallback when @p node has none. */
int64_t dt_onnx_integer_attribute(const dt_onnx_node_t *node, const char *name, int64_t fallback);
dt_onnx_bytes_t dt_onnx_text_attribute(const dt_onnx_node_t *node, const char *name, const char *fallback);
/** The values of attribute @p name; FALSE, and an empty list, when @p node has none. */
gboolean dt_onnx_integers_attribute(const dt_onnx_node_t *node, const char *name, dt_onnx_numbers_t *numbers);
gboolean dt_onnx_floats_attribute(const dt_onnx_node_t *node, const char *name, dt_onnx_numbers_t *numbers);

/* --- what a tensor depends on, onnx_locality.c --- */

typedef struct dt_onnx_span_t
{
  int32_t lo, hi; ///< first and last input pixel, relative to the start of the sample's period
} dt_onnx_span_t;

typedef struct dt_onnx_axis_t
{
  int period;           ///< samples in which the pattern of spans repeats …
  int step;             ///< … and how many input pixels they stand for
  int extra;            ///< samples beyond period * pixels / step, negative without padding
  dt_onnx_span_t *span; ///< one per sample of the period
} dt_onnx_axis_t;

/** A tensor: an image with axes H and W, or a constant (whatever does not depend on an image). */
typedef struct dt_onnx_state_t
{
  gboolean image;
  dt_onnx_axis_t axis[2];
  int rank; ///< of a constant, -1 unknown
  int64_t dims[DT_ONNX_MAX_RANK];
  dt_onnx_bytes_t tensor;    ///< TensorProto with a constant's values, if at hand
  dt_onnx_bytes_t attribute; ///< or the AttributeProto with them
} dt_onnx_state_t;

typedef struct dt_onnx_walk_t
{
  const dt_onnx_graph_t *graph;
  const dt_onnx_node_t *node; ///< the one being looked at
  const char *obstacle;       ///< why the answer is no
  GPtrArray *states;          ///< owns every dt_onnx_state_t
  GTree *by_name;             ///< dt_onnx_bytes_t * -> dt_onnx_state_t *
  int64_t stride;             ///< least common multiple of all steps so far
  int64_t work;               ///< spans computed so far
  int64_t fixed[2];           ///< height and width of the image inputs, 0 when open
} dt_onnx_walk_t;

/** A sliding window along one axis: convolution, pooling, padding, cropping. */
typedef struct dt_onnx_window_t
{
  int64_t kernel, stride, dilation, before, after;
  gboolean ceil; ///< the last window may hang over the end
} dt_onnx_window_t;

/** Ends the walk at the current node; the first @p obstacle counts. @return FALSE */
gboolean dt_onnx_refuse(dt_onnx_walk_t *walk, const char *obstacle);
/** Input @p i of the current node; NULL when it was left out, or refused as unknown. */
const dt_onnx_state_t *dt_onnx_input(dt_onnx_walk_t *walk, guint i);

/** a / b, rounded down; @p b > 0. */
static inline int64_t dt_onnx_floor_div(int64_t a, int64_t b)
{
  return a / b - (a % b < 0);
}

/* What operators do to an axis. @p out is overwritten; all return FALSE once the walk is refused. */

gboolean dt_onnx_copy_axis(dt_onnx_walk_t *walk, const dt_onnx_axis_t *in, dt_onnx_axis_t *out);
gboolean dt_onnx_slide(dt_onnx_walk_t *walk, const dt_onnx_axis_t *input, const dt_onnx_window_t *window,
                       dt_onnx_axis_t *out);
/** Every sample becomes @p factor samples that see the same. */
gboolean dt_onnx_replicate(dt_onnx_walk_t *walk, const dt_onnx_axis_t *in, int64_t factor,
                           dt_onnx_axis_t *out);
/** Every sample becomes @p factor samples between two neighbours; the ends are held. @p centred:
 * samples are pixel centres, so that the first half of them looks to the left. */
gboolean dt_onnx_interpolate(dt_onnx_walk_t *walk, const dt_onnx_axis_t *input, int64_t factor,
                             gboolean centred, dt_onnx_axis_t *out);
/** Widens @p axis to see what @p other sees as well; both must be the same grid. */
gboolean dt_onnx_join_axis(dt_onnx_walk_t *walk, dt_onnx_axis_t *axis, const dt_onnx_axis_t *other);

/* --- one operator, onnx_operators.c --- */

/** Derives the state @p out of the current node's first output from those of its inputs; FALSE once
 * the walk is refused. */
gboolean dt_onnx_evaluate(dt_onnx_walk_t *walk, dt_onnx_state_t *out);

#endif
