/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes one line for each run and counts. */
#include "common/opencl_trace.h"

#include "common/log.h"
#include "common/write_all.h"

#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <pthread.h>
#include <string.h>

typedef struct _counter_t
{
  guint64 runs, failed;
  gint64 busy, waited;
} _counter_t;

struct dt_opencl_trace_t
{
  gint64 opened;
  int devices;
  pthread_mutex_t lock; /* of everything below */
  int fd;               /* -1: no file */
  char *path;
  gboolean broken;      /* it was said that the file cannot be written */
  _counter_t *counters; /* of the devices, then of the CPU */
};

dt_opencl_trace_t *dt_opencl_trace_open(const char *path, int devices, GError **error)
{
  const int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
  if(path && fd < 0)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "The trace \"%s\" cannot be written: %s. Choose another file.", path, g_strerror(errno));
    return NULL;
  }
  dt_opencl_trace_t *trace = g_new0(dt_opencl_trace_t, 1);
  trace->opened = g_get_monotonic_time();
  trace->devices = devices;
  trace->fd = fd;
  trace->path = g_strdup(path);
  trace->counters = g_new0(_counter_t, (gsize)devices + 1);
  pthread_mutex_init(&trace->lock, NULL);
  return trace;
}

gint64 dt_opencl_trace_now(const dt_opencl_trace_t *trace)
{
  return g_get_monotonic_time() - trace->opened;
}

static void _add_text(JsonBuilder *builder, const char *name, const char *text)
{
  json_builder_set_member_name(builder, name);
  char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
  if(valid)
    json_builder_add_string_value(builder, valid);
  else
    json_builder_add_null_value(builder);
  g_free(valid);
}

static void _add_number(JsonBuilder *builder, const char *name, gint64 number)
{
  json_builder_set_member_name(builder, name);
  json_builder_add_int_value(builder, number);
}

static void _add_bool(JsonBuilder *builder, const char *name, gboolean value)
{
  json_builder_set_member_name(builder, name);
  json_builder_add_boolean_value(builder, value);
}

/* The event as one line (transfer full). */
static char *_write_event(const dt_opencl_event_t *event)
{
  JsonBuilder *builder = json_builder_new();
  json_builder_begin_object(builder);
  _add_number(builder, "schema_version", 1);
  _add_number(builder, "run", (gint64)event->run);
  _add_text(builder, "pipe", event->pipe);
  _add_text(builder, "image", event->image);
  json_builder_set_member_name(builder, "device");
  if(event->device >= 0)
    json_builder_add_int_value(builder, event->device);
  else
    json_builder_add_null_value(builder);
  _add_text(builder, "device_name", event->device_name);
  _add_bool(builder, "nested", event->nested);
  _add_number(builder, "begun_us", event->begun);
  _add_number(builder, "waited_us", event->waited);
  _add_number(builder, "ran_us", event->ran);
  _add_number(builder, "held_us", event->held);
  _add_number(builder, "tiles", event->tiles);
  _add_bool(builder, "failed", event->failed);
  _add_text(builder, "reason", event->reason);
  json_builder_end_object(builder);
  JsonNode *root = json_builder_get_root(builder);
  char *line = json_to_string(root, FALSE);
  json_node_unref(root);
  g_object_unref(builder);
  return line;
}

static void _count(dt_opencl_trace_t *trace, const dt_opencl_event_t *event)
{
  const int at = event->device >= 0 && event->device < trace->devices ? event->device : trace->devices;
  _counter_t *counter = &trace->counters[at];
  counter->runs++;
  counter->failed += event->failed ? 1 : 0;
  counter->busy += at < trace->devices ? event->held : event->ran;
  counter->waited += event->waited;
}

/* A full disk ends the trace, not the work. */
static void _print(dt_opencl_trace_t *trace, const dt_opencl_event_t *event)
{
  char *json = _write_event(event), *line = g_strconcat(json, "\n", NULL);
  if(!dt_write_all(trace->fd, line, strlen(line)) && !trace->broken)
  {
    trace->broken = TRUE;
    dt_log(DT_LOG_NOTICE, "The trace \"%s\" is not complete: %s.", trace->path, g_strerror(errno));
  }
  g_free(line);
  g_free(json);
}

static void _say(const dt_opencl_event_t *event)
{
  if(!dt_log_enabled(DT_LOG_OPENCL)) return;
  char *where = event->device < 0 ? g_strdup("CPU")
                                  : g_strdup_printf("device %d '%s'", event->device, event->device_name);
  dt_log(DT_LOG_OPENCL, "[opencl] run %" G_GUINT64_FORMAT " [%s]%s%s on %s: waited %.3f s, ran %.3f s%s%s",
         event->run, event->pipe, event->image ? " " : "", event->image ? event->image : "", where,
         (double)event->waited / 1e6, (double)event->ran / 1e6, event->reason ? "; " : "",
         event->reason ? event->reason : "");
  g_free(where);
}

void dt_opencl_trace_add(dt_opencl_trace_t *trace, const dt_opencl_event_t *event)
{
  pthread_mutex_lock(&trace->lock);
  _count(trace, event);
  if(trace->fd >= 0) _print(trace, event);
  pthread_mutex_unlock(&trace->lock);
  _say(event);
}

static void _summarize(const char *who, int number, const _counter_t *counter)
{
  if(counter->runs == 0)
    dt_log(DT_LOG_OPENCL, "[opencl_summary_statistics] device '%s' id=%d: NOT utilized", who, number);
  else
    dt_log(DT_LOG_OPENCL,
           "[opencl_summary_statistics] device '%s' id=%d: %" G_GUINT64_FORMAT " runs, %" G_GUINT64_FORMAT
           " failed, %.3f s busy, %.3f s waited for",
           who, number, counter->runs, counter->failed, (double)counter->busy / 1e6,
           (double)counter->waited / 1e6);
}

void dt_opencl_trace_close(dt_opencl_trace_t *trace, const char *const *names)
{
  if(!trace) return;
  for(int i = 0; i < trace->devices; i++) _summarize(names[i], i, &trace->counters[i]);
  if(trace->counters[trace->devices].runs) _summarize("CPU", -1, &trace->counters[trace->devices]);
  if(trace->fd >= 0) close(trace->fd);
  pthread_mutex_destroy(&trace->lock);
  g_free(trace->counters);
  g_free(trace->path);
  g_free(trace);
}
