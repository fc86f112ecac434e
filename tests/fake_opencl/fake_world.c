/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state behind all calls: the script in force, counts, objects that live. One lock guards it; nothing sleeps or copies
 * under it. */
#include "fake.h"
#include "fake_opencl.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t _lock = PTHREAD_MUTEX_INITIALIZER;
static fake_world_t *_world;
static GPtrArray *_worlds;   /* all there were: devices that hang or were given out stay valid */
static GHashTable *_objects; /* of fake_object_t */

void fake_lock(void)
{
  pthread_mutex_lock(&_lock);
}

void fake_unlock(void)
{
  pthread_mutex_unlock(&_lock);
}

/* --- the script in force --- */

static char *_read_environment(void)
{
  const char *text = g_getenv("FAKE_OPENCL");
  char *script = NULL;
  if(!text || *text != '@') return g_strdup(text ? text : "");
  if(!g_file_get_contents(text + 1, &script, NULL, NULL)) g_error("fake_opencl: %s cannot be read", text + 1);
  return script;
}

/* Under the lock. */
static void _start(const char *script)
{
  char *own = script ? NULL : _read_environment();
  if(!_worlds) _worlds = g_ptr_array_new();
  if(!_objects) _objects = g_hash_table_new(NULL, NULL);
  _world = fake_world_read(script ? script : own);
  g_ptr_array_add(_worlds, _world);
  g_free(own);
}

static fake_world_t *_get_world(void)
{
  if(!_world) _start(NULL);
  return _world;
}

fake_world_t *fake_world(void)
{
  fake_lock();
  fake_world_t *world = _get_world();
  fake_unlock();
  return world;
}

FAKE_EXPORT void fake_opencl_script(const char *script);
void fake_opencl_script(const char *script)
{
  fake_lock();
  _start(script);
  fake_unlock();
}

/* --- calls --- */

static const char *const _names[] = {
#define FAKE_NAME(name) #name,
  DT_OPENCL_FUNCTIONS(FAKE_NAME)
#undef FAKE_NAME
};

fake_function_t fake_function_find(const char *name)
{
  if(g_str_has_prefix(name, "cl")) name += 2;
  for(size_t i = 0; i < G_N_ELEMENTS(_names); i++)
    if(strcmp(name, _names[i]) == 0) return (fake_function_t)i;
  return FAKE_FUNCTIONS;
}

/* Waits for a signal that nobody gives. */
static void _hang(void) G_GNUC_NORETURN;
static void _hang(void)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&lock);
  for(;;) pthread_cond_wait(&never, &lock);
}

static gboolean _is_release(fake_function_t function)
{
  return g_str_has_prefix(_names[function], "Release");
}

static gboolean _is_enqueue(fake_function_t function)
{
  return g_str_has_prefix(_names[function], "Enqueue");
}

/* A lost device fails at everything but being asked and being tidied up. */
static cl_int _count_on_device(fake_function_t function, cl_device_id device)
{
  device->calls[function]++;
  device->total++;
  if(_is_enqueue(function))
  {
    device->enqueued++;
    if(device->lost_at && device->enqueued >= device->lost_at) device->lost = TRUE;
    if(device->enqueued == device->dies_at) device->deaths++;
  }
  const gboolean asks = function == FAKE_GetDeviceInfo || function == FAKE_GetProgramBuildInfo;
  return device->lost && !asks && !_is_release(function) ? CL_DEVICE_NOT_AVAILABLE : CL_SUCCESS;
}

static const fake_rule_t *_find_rule(const fake_world_t *world, fake_function_t function, cl_device_id device)
{
  for(guint i = 0; i < world->rules->len; i++)
  {
    const fake_rule_t *rule = &g_array_index(world->rules, fake_rule_t, i);
    const gboolean any = rule->function == FAKE_FUNCTIONS;
    if((!any && rule->function != function) || (rule->device && rule->device != device)) continue;
    const int *calls = rule->device ? device->calls : world->calls;
    const int total = rule->device ? device->total : world->total, nth = any ? total : calls[function];
    if(nth >= rule->from && nth <= rule->to && (!rule->every || nth % rule->every == 0)) return rule;
  }
  return NULL;
}

cl_int fake_enter(fake_function_t function, cl_device_id device)
{
  fake_lock();
  fake_world_t *world = _get_world();
  world->calls[function]++;
  world->total++;
  const cl_int lost = device ? _count_on_device(function, device) : CL_SUCCESS;
  const fake_rule_t *rule = _find_rule(world, function, device);
  const cl_int code = rule ? rule->code : lost;
  fake_unlock();
  if(rule && rule->code == FAKE_HANGS) _hang();
  if(rule && rule->code == FAKE_CRASHES) abort();
  return code;
}

FAKE_EXPORT int fake_opencl_calls(const char *function);
int fake_opencl_calls(const char *function)
{
  const fake_function_t which = fake_function_find(function);
  fake_lock();
  const int n = which < FAKE_FUNCTIONS ? _get_world()->calls[which] : -1;
  fake_unlock();
  return n;
}

FAKE_EXPORT int fake_opencl_device_calls(int device, const char *function);
int fake_opencl_device_calls(int device, const char *function)
{
  const fake_function_t which = fake_function_find(function);
  fake_lock();
  const GPtrArray *devices = _get_world()->devices;
  const gboolean known = device >= 0 && (guint)device < devices->len && which < FAKE_FUNCTIONS;
  const int n = known ? ((cl_device_id)devices->pdata[device])->calls[which] : -1;
  fake_unlock();
  return n;
}

void fake_sleep_until(gint64 when)
{
  const gint64 left = when - g_get_monotonic_time();
  if(left > 0) g_usleep((gulong)left);
}

/* --- objects --- */

void *fake_object_new(fake_kind_t kind, gsize size, cl_device_id device, const void *parent)
{
  fake_object_t *object = g_malloc0(size);
  object->kind = kind;
  object->device = device;
  fake_lock();
  (void)_get_world();
  object->deaths = parent ? ((const fake_object_t *)parent)->deaths : device->deaths;
  g_hash_table_add(_objects, object);
  fake_unlock();
  return object;
}

cl_device_id fake_object_device(const void *object, fake_kind_t kind)
{
  fake_lock();
  (void)_get_world();
  const fake_object_t *known = g_hash_table_contains(_objects, object) ? object : NULL;
  cl_device_id device = known && known->kind == kind ? known->device : NULL;
  fake_unlock();
  return device;
}

gboolean fake_object_works(const void *object)
{
  const fake_object_t *known = object;
  fake_lock();
  const gboolean works = known->deaths == known->device->deaths;
  fake_unlock();
  return works;
}

void fake_object_free(void *object)
{
  fake_lock();
  g_hash_table_remove(_objects, object);
  fake_unlock();
  g_free(object);
}

FAKE_EXPORT int fake_opencl_live_objects(void);
int fake_opencl_live_objects(void)
{
  fake_lock();
  (void)_get_world();
  const int n = (int)g_hash_table_size(_objects);
  fake_unlock();
  return n;
}

cl_int fake_answer(const void *answer, gsize length, gsize size, void *value, gsize *given)
{
  if(value && size < length) return CL_INVALID_VALUE;
  if(value && length) memcpy(value, answer, length);
  if(given) *given = length;
  return CL_SUCCESS;
}
