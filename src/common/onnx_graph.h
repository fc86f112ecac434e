/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What can be learnt from an .onnx file without running it.
 *
 * A small reader of the ONNX protobuf: operators, attributes, tensor names and shapes. It never
 * executes anything, never follows a file reference and survives any input. From the graph it
 * derives the two numbers that make tiling exact: the total stride of the network and the radius
 * of its receptive field.
 */
#ifndef DT_COMMON_ONNX_GRAPH_H
#define DT_COMMON_ONNX_GRAPH_H

#include "common/errors.h"

#include <stdint.h>

/** How far a pixel of an image-to-image network looks. All numbers in input pixels.
 *
 * They hold for windows whose origin and size are multiples of `stride`. Of such a window's result
 * every pixel that lies at least `radius` input pixels from the window's border has the same bits
 * as in the result of any larger window; where the border is the image's own, the pixels next to it
 * are the same as well. */
typedef struct dt_onnx_locality_t
{
  gboolean local;  ///< TRUE when every operator on the way is on the whitelist of local ones
  int stride;      ///< tile origins on multiples of this see the same sampling grid (local only)
  int radius;      ///< receptive field radius, the largest of all four sides (local only)
  int scale;       ///< output pixels per input pixel and side: 1, 2, 3, 4 … (local only)
  char reason[96]; ///< when not local: the operator that stood in the way, for people; else ""
} dt_onnx_locality_t;

/** One graph input or output. */
typedef struct dt_onnx_value_t
{
  char *name;
  int elem_type;    ///< ONNX TensorProto.DataType: 1 float, 10 float16, …; 0 unknown
  int rank;         ///< number of dimensions, -1 unknown
  int64_t dims[8];  ///< -1 for a symbolic or unknown dimension
  char *symbols[8]; ///< the symbol of a symbolic dimension, or NULL
} dt_onnx_value_t;

typedef struct dt_onnx_graph_t dt_onnx_graph_t;

/** Parses a model held in memory.
 *
 * @param data  the bytes of the .onnx file; borrowed until dt_onnx_graph_destroy()
 * @param size  their number
 * @return the graph (transfer full), or NULL with @p error DT_AI_ERROR_NO_MODEL when the bytes are
 *         not a well-formed ONNX model, promise tensors larger than their data, or exceed the
 *         reader's limits (2 GiB, 100000 nodes, 8 levels of subgraphs, 8 dimensions)
 * Thread-safe; the result is immutable. */
dt_onnx_graph_t *dt_onnx_graph_parse(const void *data, size_t size, GError **error);

/** Frees @p graph; NULL is fine. */
void dt_onnx_graph_destroy(dt_onnx_graph_t *graph);

/** The real inputs (initialisers are not inputs) and the outputs, in file order; owned by graph. */
const dt_onnx_value_t *dt_onnx_graph_inputs(const dt_onnx_graph_t *graph, int *count);
const dt_onnx_value_t *dt_onnx_graph_outputs(const dt_onnx_graph_t *graph, int *count);

/** Version of the default operator set ("" or "ai.onnx"); 0 when absent. */
int64_t dt_onnx_graph_opset(const dt_onnx_graph_t *graph);

/** Whether any tensor's data lives outside the file (which this program refuses to follow). */
gboolean dt_onnx_graph_has_external_data(const dt_onnx_graph_t *graph);

/** The domain of the operators that every ONNX Runtime brings beside the standard ones. */
#define DT_ONNX_RUNTIME_DOMAIN "com.microsoft"

/** The first operator domain in use that is neither the standard one ("" or "ai.onnx") nor the runtime's; where
 * there is none but the runtime's, that; else NULL.
 *
 * Subgraphs and functions are looked through as well. Owned by @p graph. */
const char *dt_onnx_graph_custom_domain(const dt_onnx_graph_t *graph);

/** Derives stride, radius and scale from the image inputs (rank 4) to output 0.
 *
 * Walks the graph with exact receptive-field intervals. Local are, for NCHW images: Conv, pooling,
 * DepthToSpace, SpaceToDepth, Resize by whole factors (nearest, where that repeats pixels; linear
 * by powers of two), Pad, Concat, Split, Slice and reductions along the channels, element-wise
 * operators with constants that are the same for every pixel, and a few more. Everything else
 * (global pooling, normalisation, attention, data-dependent shapes, …) makes the answer local =
 * FALSE with the reason, and so does what is local but gives other last bits in a window than in
 * the whole image, such as ConvTranspose. Other inputs than rank-4 ones, and those of one pixel,
 * count as parameters that are the same for all windows. Never fails. */
dt_onnx_locality_t dt_onnx_graph_locality(const dt_onnx_graph_t *graph);

#endif
