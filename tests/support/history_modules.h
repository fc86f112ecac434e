/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Modules for tests of the history: the real exposure, and some that do nothing but have parameters of every type.
 */
#ifndef DT_TESTS_HISTORY_MODULES_H
#define DT_TESTS_HISTORY_MODULES_H

#include "iop/iop.h"

typedef struct test_grade_t
{
  float tint, wide;
  int steps;
  gboolean smooth;
  int kind;
} test_grade_t;

static const char *const _test_kinds[] = { "plain", "rich", "very-rich", NULL };

static const dt_iop_param_t _test_grade_params[] = {
  { "tint", DT_IOP_FLOAT, G_STRUCT_OFFSET(test_grade_t, tint), -1, 1, 0.25, NULL, "", "a number" },
  { "wide", DT_IOP_FLOAT, G_STRUCT_OFFSET(test_grade_t, wide), -1e30, 1e30, 0, NULL, "", "any number" },
  { "steps", DT_IOP_INT, G_STRUCT_OFFSET(test_grade_t, steps), 1, 9, 3, NULL, "", "a whole number" },
  { "smooth", DT_IOP_BOOL, G_STRUCT_OFFSET(test_grade_t, smooth), 0, 1, 1, NULL, "", "yes or no" },
  { "kind", DT_IOP_ENUM, G_STRUCT_OFFSET(test_grade_t, kind), 0, 2, 1, _test_kinds, "", "one of three" },
  { NULL },
};

/* off unless switched on */
static const dt_iop_module_t _test_grade = { .name = "grade",
                                             .title = "grade",
                                             .version = 3,
                                             .params_size = sizeof(test_grade_t),
                                             .params = _test_grade_params };
static const dt_iop_module_t _test_bare = {
  .name = "bare", .title = "bare", .version = 1, .flags = DT_IOP_ON | DT_IOP_NO_BLEND
};
static const dt_iop_module_t _test_firm = { .name = "firm",
                                            .title = "firm",
                                            .version = 3,
                                            .flags = DT_IOP_ALWAYS,
                                            .params_size = sizeof(test_grade_t),
                                            .params = _test_grade_params };
static const dt_iop_module_t _test_pipe = {
  .name = "pipe", .title = "pipe", .version = 1, .flags = DT_IOP_ON | DT_IOP_HIDDEN
};

extern const dt_iop_module_t dt_iop_exposure;
static const dt_iop_module_t *const test_history_modules[] = { &_test_bare, &dt_iop_exposure, &_test_grade,
                                                               &_test_firm, &_test_pipe,      NULL };

#endif
