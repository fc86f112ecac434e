/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace.h"

#include "support.h"

#include <json-glib/json-glib.h>

static test_trace_line_t _read_line(const char *text)
{
  JsonNode *root = json_from_string(text, NULL);
  assert_non_null(root);
  JsonObject *o = json_node_get_object(root);
  assert_int_equal(json_object_get_int_member(o, "schema_version"), 1);
  test_trace_line_t line = { .pipe = (int)dt_opencl_pipe_from_name(json_object_get_string_member(o, "pipe")),
                             .device = json_object_get_null_member(o, "device")
                                           ? -1
                                           : (int)json_object_get_int_member(o, "device"),
                             .nested = json_object_get_boolean_member(o, "nested"),
                             .begun = json_object_get_int_member(o, "begun_us") };
  line.ended = line.begun + json_object_get_int_member(o, "ran_us");
  line.left = line.begun + json_object_get_int_member(o, "held_us");
  assert_true(line.left <= line.ended);
  assert_true(json_object_get_int_member(o, "waited_us") >= 0);
  assert_true(line.device >= 0 || !json_object_get_null_member(o, "reason"));
  json_node_unref(root);
  return line;
}

test_trace_line_t *test_trace_read(const char *path, int *n)
{
  char *text = NULL;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  char **rows = g_strsplit(g_strchomp(text), "\n", -1);
  *n = (int)g_strv_length(rows);
  test_trace_line_t *lines = g_new(test_trace_line_t, *n + 1);
  for(int i = 0; i < *n; i++) lines[i] = _read_line(rows[i]);
  g_strfreev(rows);
  g_free(text);
  return lines;
}

static gboolean _overlap(const test_trace_line_t *a, const test_trace_line_t *b)
{
  return a->begun < b->ended && b->begun < a->ended;
}

/* What its device failed goes on without it, and the device may serve others meanwhile. */
static gboolean _share(const test_trace_line_t *a, const test_trace_line_t *b)
{
  return a->device >= 0 && a->device == b->device && a->begun < b->left && b->begun < a->left;
}

void test_trace_check(const test_trace_line_t *lines, int n)
{
  for(int i = 0; i < n; i++)
  {
    const test_trace_line_t *a = &lines[i];
    assert_true(a->pipe < DT_OPENCL_PIPES);
    for(int j = 0; j < i; j++)
    {
      const test_trace_line_t *b = &lines[j];
      if(a->nested || b->nested) continue;
      assert_false(_share(a, b));
      assert_false(_overlap(a, b) && a->pipe == b->pipe
                   && (a->pipe == DT_OPENCL_FULL || a->pipe == DT_OPENCL_PREVIEW));
    }
  }
}
