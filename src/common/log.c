/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Diagnostics by topic: one handler, a mask of topics, and a lock so that lines stay whole. */
#include "common/log.h"

#include <pthread.h>
#include <string.h>

static const struct
{
  const char *name;
  unsigned topics;
} _topics[] = {
  { "ai", DT_LOG_AI },         { "opencl", DT_LOG_OPENCL }, { "perf", DT_LOG_PERF }, { "pipe", DT_LOG_PIPE },
  { "tiling", DT_LOG_TILING }, { "memory", DT_LOG_MEMORY }, { "all", DT_LOG_ALL },
};

static struct
{
  pthread_mutex_t lock;
  dt_log_handler_t handler;
  void *user_data;
  unsigned topics;
} _log = { .lock = PTHREAD_MUTEX_INITIALIZER };

void dt_log_set_handler(dt_log_handler_t handler, void *user_data, unsigned topics)
{
  pthread_mutex_lock(&_log.lock);
  _log.handler = handler;
  _log.user_data = user_data;
  _log.topics = handler ? topics : 0;
  pthread_mutex_unlock(&_log.lock);
}

gboolean dt_log_enabled(unsigned topics)
{
  return (_log.topics & topics) != 0;
}

void dt_log(unsigned topics, const char *format, ...)
{
  if(!dt_log_enabled(topics)) return;
  va_list args;
  va_start(args, format);
  char *line = g_strdup_vprintf(format, args);
  va_end(args);
  pthread_mutex_lock(&_log.lock);
  if(_log.handler) _log.handler(topics, line, _log.user_data);
  pthread_mutex_unlock(&_log.lock);
  g_free(line);
}

unsigned dt_log_topic_from_name(const char *name)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_topics); i++)
    if(strcmp(name, _topics[i].name) == 0) return _topics[i].topics;
  return 0;
}
