/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What OpenCL devices are called: which one a word names, and which one it may have meant.
 *
 * A device has up to four names, tried in this order: its own; platform and name, as newer priority strings write it; the
 * same without what Mesa puts in brackets; its identity. They are compared by ASCII letters and digits alone, lower-cased.
 * Only common/opencl_priority.c needs this. A table does not change; threads may share it.
 */
#ifndef DT_COMMON_OPENCL_NAMES_H
#define DT_COMMON_OPENCL_NAMES_H

#include "common/opencl_priority.h"

G_BEGIN_DECLS

typedef struct dt_opencl_name_table_t dt_opencl_name_table_t;

/** @param devices  @p n of them; they outlive the table */
dt_opencl_name_table_t *dt_opencl_name_table_new(const dt_opencl_names_t *devices, int n);
void dt_opencl_name_table_free(dt_opencl_name_table_t *table);

/** The first device that @p word names, or -1.
 * @param word  in its canonical form
 * @param twin  receives the next device of the same name, or -1 */
int dt_opencl_name_find(const dt_opencl_name_table_t *table, const char *word, int *twin);
/** The device whose name holds @p word, is part of it or differs little from it; -1: none, or several. */
int dt_opencl_name_guess(const dt_opencl_name_table_t *table, const char *word);

G_END_DECLS

#endif
