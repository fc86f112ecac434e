/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of the fake OpenCL driver share. README.md is the manual.
 */
#ifndef DT_TESTS_FAKE_OPENCL_INTERNAL_H
#define DT_TESTS_FAKE_OPENCL_INTERNAL_H

#include "common/opencl_driver.h"

#define FAKE_EXPORT __attribute__((visibility("default")))

/** The functions, by number. */
typedef enum fake_function_t
{
#define FAKE_ENTRY(name) FAKE_##name,
  DT_OPENCL_FUNCTIONS(FAKE_ENTRY)
#undef FAKE_ENTRY
      FAKE_FUNCTIONS,
} fake_function_t;

/** The function of that name, with or without its `cl`; FAKE_FUNCTIONS: there is none. */
fake_function_t fake_function_find(const char *name);

/** In the place of an error's number, which are negative. */
enum
{
  FAKE_HANGS = 0,
  FAKE_CRASHES = 1,
};

/** What is to go wrong. */
typedef struct fake_rule_t
{
  fake_function_t function; ///< FAKE_FUNCTIONS: any
  cl_device_id device;      ///< NULL: any, and calls on no device count as well
  int from, to;             ///< calls of it, from 1
  int every;                ///< 0, or only each so-manieth
  cl_int code;              ///< or FAKE_HANGS, FAKE_CRASHES
} fake_rule_t;

typedef enum fake_sizes_t
{
  FAKE_SIZES_TRUE,
  FAKE_SIZES_HUGE,
  FAKE_SIZES_ZERO,
  FAKE_SIZES_ENDLESS, ///< texts fill all there is and do not end
} fake_sizes_t;

struct _cl_platform_id
{
  char *name;
  GPtrArray *devices; ///< of cl_device_id
};

struct _cl_device_id
{
  cl_platform_id platform;
  int number; ///< in the script; a part has that of the whole
  char *name, *vendor, *driver, *version, *profile, *extensions;
  char *build_log; ///< its compiler fails with this; NULL: it works
  cl_device_type type;
  guint64 memory, max_alloc;
  cl_uint units;
  gsize group;
  cl_uint pci[4]; ///< domain, bus, device, function
  guint8 uuid[16];
  gboolean available, compiler, little_endian, unified, rounds;
  int sizes;       ///< fake_sizes_t
  int slow, build; ///< ms a kernel runs, a program compiles
  int lost_at;     ///< enqueued command from which on it is lost; 0: never
  int dies_at;     ///< enqueued command that ends all contexts there are; 0: none
  gboolean wrong;  ///< computes wrong numbers
  /* under the lock: */
  int calls[FAKE_FUNCTIONS];
  int total, enqueued;
  int deaths; ///< how often its contexts ended
  gboolean lost;
  guint64 allocated; ///< bytes
  gint64 ready;      ///< when what was enqueued is done, µs of the monotonic clock
};

/** All there is. */
typedef struct fake_world_t
{
  GPtrArray *platforms; ///< of cl_platform_id
  GPtrArray *devices;   ///< of cl_device_id, in the script's order
  GArray *rules;        ///< of fake_rule_t
  int calls[FAKE_FUNCTIONS];
  int total;
} fake_world_t;

/** Reads a script; one with a mistake ends the process. */
fake_world_t *fake_world_read(const char *script);
/** The world in force. Never freed: a call that hangs may still be in it. */
fake_world_t *fake_world(void);

/** Counts the call and does what the script says of it: it may never come back.
 * @param device  on which the call is, or NULL
 * @return CL_SUCCESS to go on, else what to fail with */
cl_int fake_enter(fake_function_t function, cl_device_id device);

void fake_lock(void);
void fake_unlock(void);
void fake_sleep_until(gint64 when);

/* --- objects --- */

typedef enum fake_kind_t
{
  FAKE_CONTEXT,
  FAKE_QUEUE,
  FAKE_PROGRAM,
  FAKE_KERNEL,
  FAKE_BUFFER,
} fake_kind_t;

/** Each begins with this. */
typedef struct fake_object_t
{
  fake_kind_t kind;
  cl_device_id device;
  int deaths; ///< of the device, when the object's context was made
} fake_object_t;

/** Arguments that are kept. */
enum
{
  FAKE_ARGS = 8
};

/** One that is larger than a number is of no kernel that is computed. */
typedef struct fake_arg_t
{
  gsize size; ///< 0: not set
  guint8 bytes[8];
} fake_arg_t;

struct _cl_context
{
  fake_object_t object;
};

struct _cl_command_queue
{
  fake_object_t object;
};

struct _cl_program
{
  fake_object_t object;
  char *source;
  gboolean compiled; ///< made from a binary, or built
  cl_build_status status;
  char *log, *options;
};

struct _cl_kernel
{
  fake_object_t object;
  gboolean counts_up; ///< is the one that is computed
  fake_arg_t args[FAKE_ARGS];
};

struct _cl_mem
{
  fake_object_t object;
  gsize size;
  guint8 *data;
};

/** A new one of @p size bytes, counted.
 * @param parent  whose context it is in; NULL: it is one */
void *fake_object_new(fake_kind_t kind, gsize size, cl_device_id device, const void *parent);
/** Whether the object's context has not ended. */
gboolean fake_object_works(const void *object);
/** The device of a living object of that kind; NULL: it is none. */
cl_device_id fake_object_device(const void *object, fake_kind_t kind);
/** Forgets and frees it, not what it points at. */
void fake_object_free(void *object);

/** Answers a question of clGet…Info(). */
cl_int fake_answer(const void *answer, gsize length, gsize size, void *value, gsize *given);

#endif
