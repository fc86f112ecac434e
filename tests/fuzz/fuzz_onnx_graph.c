/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Fuzz target: arbitrary bytes as an .onnx file, through everything the reader offers.
 *
 * Built with -fsanitize=fuzzer. The input is copied to a block of its exact size, so that reading
 * one byte too far is seen, and every result is summed up, so that every byte of it is read.
 */
#include "common/onnx_graph.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t _sum_values(const dt_onnx_value_t *values, int count)
{
  size_t sum = 0;
  for(int i = 0; i < count; i++)
  {
    sum += strlen(values[i].name);
    for(int d = 0; d < values[i].rank; d++)
      sum += (size_t)values[i].dims[d] + (values[i].symbols[d] ? strlen(values[i].symbols[d]) : 0);
  }
  return sum;
}

static size_t _sum_graph(const dt_onnx_graph_t *graph)
{
  int inputs, outputs;
  const dt_onnx_value_t *in = dt_onnx_graph_inputs(graph, &inputs);
  const dt_onnx_value_t *out = dt_onnx_graph_outputs(graph, &outputs);
  const char *domain = dt_onnx_graph_custom_domain(graph);
  const dt_onnx_locality_t locality = dt_onnx_graph_locality(graph);
  if(locality.local && (locality.stride < 1 || locality.radius < 0 || locality.scale < 1)) abort();
  if(locality.local == (locality.reason[0] != 0)) abort();
  return _sum_values(in, inputs) + _sum_values(out, outputs) + (domain ? strlen(domain) : 0)
         + (size_t)dt_onnx_graph_opset(graph) + (size_t)dt_onnx_graph_has_external_data(graph)
         + strlen(locality.reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  uint8_t *exact = malloc(size ? size : 1);
  if(!exact) return 0;
  if(size) memcpy(exact, data, size);
  GError *error = NULL;
  dt_onnx_graph_t *graph = dt_onnx_graph_parse(exact, size, &error);
  if((graph == NULL) != (error != NULL)) abort();
  volatile size_t sum = graph ? _sum_graph(graph) : 0;
  (void)sum;
  dt_onnx_graph_destroy(graph);
  g_clear_error(&error);
  free(exact);
  return 0;
}
