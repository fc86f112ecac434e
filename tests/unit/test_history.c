/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history stack: what counts, what is undone, what is not understood, and what the hash sees of it. */
#include "support.h"

#include "common/errors.h"
#include "develop/history.h"
#include "history_modules.h"

#include <string.h>

static dt_history_t *_new(void)
{
  return dt_history_create(test_history_modules);
}

static void _set(dt_history_t *h, const char *setting)
{
  GError *error = NULL;
  const gboolean done = dt_history_set(h, setting, NULL, &error);
  assert_no_error(error);
  assert_true(done);
}

static void _refuse(dt_history_t *h, const char *setting, const char *words)
{
  GError *error = NULL;
  dt_history_t *before = dt_history_copy(h);
  assert_false(dt_history_set(h, setting, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  if(!strstr(error->message, words)) fail_msg("\"%s\" does not say \"%s\"", error->message, words);
  assert_true(dt_history_equal(h, before));
  dt_history_free(before);
  g_error_free(error);
}

static test_grade_t _grade(const dt_history_t *h)
{
  test_grade_t *p = dt_history_params(h, &_test_grade), copy = *p;
  g_free(p);
  return copy;
}

static char *_get(const dt_history_t *h, const dt_iop_module_t *module, const char *name)
{
  void *params = dt_history_params(h, module);
  char *text = dt_iop_get_param(dt_iop_find_param(module, name), params);
  g_free(params);
  return text;
}

static void _expect(const dt_history_t *h, const dt_iop_module_t *module, const char *name, const char *want)
{
  char *text = _get(h, module, name);
  assert_string_equal(text, want);
  g_free(text);
}

/* One remark that holds these words. */
static void _expect_remark(const GPtrArray *remarks, const char *words)
{
  guint found = 0;
  for(guint i = 0; i < remarks->len; i++) found += strstr(remarks->pdata[i], words) != NULL;
  if(found != 1) fail_msg("%u remarks of %u say \"%s\"", found, remarks->len, words);
}

/* --- what counts --- */

static void _test_empty_is_standard(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  const test_grade_t p = _grade(h);
  assert_true(p.tint == 0.25f && p.steps == 3 && p.smooth && p.kind == 1);
  assert_true(dt_history_is_enabled(h, &dt_iop_exposure));
  assert_false(dt_history_is_enabled(h, &_test_grade));
  assert_null(dt_history_params(h, &_test_bare));
  assert_null(dt_history_blend(h, &_test_grade));
  assert_false(dt_history_undo(h) || dt_history_redo(h));
  dt_history_free(h);
  dt_history_free(NULL);
}

static void _test_registered_modules(void **state)
{
  (void)state;
  dt_history_t *h = dt_history_create(NULL);
  assert_ptr_equal(h->modules, dt_iop_modules);
  _set(h, "exposure.exposure=-1.5");
  _expect(h, &dt_iop_exposure, "exposure", "-1.5");
  _expect(h, &dt_iop_exposure, "black", "0");
  dt_history_free(h);
}

static void _test_last_item_wins(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  test_grade_t *p = dt_iop_standard_params(&_test_grade);
  for(int i = 1; i <= 5; i++)
  {
    p->steps = i;
    dt_history_append(h, &_test_grade, i % 2 == 1, p);
    dt_history_append(h, &_test_bare, FALSE, NULL);
  }
  assert_int_equal(h->items->len, 10);
  assert_int_equal(_grade(h).steps, 5);
  assert_true(dt_history_is_enabled(h, &_test_grade));
  assert_false(dt_history_is_enabled(h, &_test_bare));
  assert_true(dt_history_undo(h) && dt_history_undo(h));
  assert_int_equal(_grade(h).steps, 4);
  assert_false(dt_history_is_enabled(h, &_test_grade));
  assert_true(dt_history_redo(h) && dt_history_redo(h));
  assert_false(dt_history_redo(h));
  assert_int_equal(_grade(h).steps, 5);
  g_free(p);
  dt_history_free(h);
}

static void _test_doing_after_undoing(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  _set(h, "grade.steps=2");
  _set(h, "exposure.exposure=1");
  _set(h, "grade.steps=4");
  assert_int_equal(h->items->len, 3);
  dt_history_undo(h);
  dt_history_undo(h);
  _set(h, "bare=off");
  assert_int_equal(h->items->len, 2);
  assert_false(dt_history_redo(h));
  assert_int_equal(_grade(h).steps, 2);
  _expect(h, &dt_iop_exposure, "exposure", "0");
  dt_history_free(h);
}

/* --- settings --- */

static void _test_settings(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  _set(h, " grade.tint = -0.5 ");
  _set(h, "grade.kind=Very-Rich");
  _set(h, "grade.smooth=no");
  _set(h, "grade.blend.opacity=0.5");
  _set(h, "grade.blend.mask=a b.png");
  assert_int_equal(h->items->len, 1); /* one module after another is one item */
  const test_grade_t p = _grade(h);
  assert_true(p.tint == -0.5f && p.kind == 2 && !p.smooth && p.steps == 3);
  assert_true(dt_history_is_enabled(h, &_test_grade));
  const GArray *blend = dt_history_blend(h, &_test_grade);
  assert_string_equal(dt_history_get_value(blend, "opacity"), "0.5");
  assert_string_equal(dt_history_get_value(blend, "mask"), "a b.png");
  assert_null(dt_history_get_value(blend, "blend.mask"));
  _set(h, "exposure=off");
  assert_false(dt_history_is_enabled(h, &dt_iop_exposure));
  _set(h, "exposure.black=0.01");
  assert_true(dt_history_is_enabled(h, &dt_iop_exposure));
  _set(h, "grade=OFF");
  assert_false(dt_history_is_enabled(h, &_test_grade));
  assert_true(_grade(h).tint == -0.5f
              && dt_history_blend(h, &_test_grade)); /* kept for when it is on again */
  assert_int_equal(h->items->len, 3);
  dt_history_free(h);
}

/* Off is something else than the standard, which is on for raws. */
static void _test_hash_of_standard(void **state)
{
  (void)state;
  dt_history_t *none = dt_history_create(NULL), *off = dt_history_create(NULL), *on = dt_history_create(NULL);
  const dt_iop_module_t *sigmoid = dt_iop_find("sigmoid");
  _set(off, "sigmoid=off");
  _set(on, "sigmoid=on");
  assert_true(dt_history_has(off, sigmoid) && !dt_history_has(none, sigmoid));
  assert_true(dt_history_hash(none, NULL) != dt_history_hash(off, NULL));
  assert_true(dt_history_hash(on, NULL) != dt_history_hash(off, NULL));
  dt_history_free(none);
  dt_history_free(off);
  dt_history_free(on);
}

/* Masks of modules for raws have no colours to look at. */
static void _test_masks_of_raws(void **state)
{
  (void)state;
  dt_history_t *h = dt_history_create(NULL);
  _set(h, "temperature.blend.opacity=0.5");
  _set(h, "highlights.blend.mask=sky.png");
  _set(h, "highlights.blend.feather=5");
  _refuse(h, "highlights.blend.lightness_from=0.5", "no ranges of lightness");
  _refuse(h, "temperature.blend.hue_to=100", "no ranges of lightness");
  _refuse(h, "demosaic.blend.opacity=0.5", "cannot be blended");
  dt_history_free(h);
}

static void _test_append_keeps_blending(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  _set(h, "grade.blend.opacity=0.25");
  test_grade_t *p = dt_iop_standard_params(&_test_grade);
  p->steps = 7;
  dt_history_append(h, &_test_grade, TRUE, p);
  assert_int_equal(h->items->len, 2);
  assert_string_equal(dt_history_get_value(dt_history_blend(h, &_test_grade), "opacity"), "0.25");
  assert_int_equal(_grade(h).steps, 7);
  g_free(p);
  dt_history_free(h);
}

static void _test_refused_settings(void **state)
{
  (void)state;
  static const char *const refused[][2] = {
    { "", "no setting" },
    { "grade", "no setting" },
    { "grade.steps", "no setting" },
    { "=1", "no setting" },
    { ".steps=1", "no setting" },
    { "grade.=1", "no setting" },
    { "grade.blend.=1", "no setting" },
    { "gra de.steps=1", "no setting" },
    { "grade.st<eps=1", "no setting" },
    { "grade.tint=0.1\n", "no setting" },
    { "grade.blend.note=\x1b[2J", "no setting" },
    { "grade.blend.note=\xff", "no setting" },
    { "grade.blend.note=\xef\xbf\xbf", "no setting" },
    { "grade=maybe", "no setting" },
    { "nosuch.steps=1", "no module \"nosuch\"" },
    { "nosuch=on", "no module \"nosuch\"" },
    { "pipe=off", "belongs to the pipe" },
    { "grade.nosuch=1", "no parameter \"nosuch\"" },
    { "grade.steps=10", "from 1 to 9" },
    { "grade.steps=2.5", "whole number" },
    { "grade.tint=nan", "from -1 to 1" },
    { "grade.tint=", "from -1 to 1" },
    { "grade.kind=poor", "very-rich" },
    { "grade.smooth=2", "true or false" },
    { "bare.steps=1", "no parameter" },
    { "bare.blend.opacity=1", "cannot be blended" },
    { "bare.blend.mask=a.png", "cannot be blended" },
    { "grade.blend.nosuch=1", "no blending parameter \"nosuch\"" },
    { "grade.blend.range.low=1", "no blending parameter \"range.low\"" },
    { "grade.blend.opacity=1.5", "from 0 to 1" },
    { "grade.blend.invert=perhaps", "true or false" },
  };
  dt_history_t *h = _new();
  _set(h, "grade.steps=2");
  for(guint i = 0; i < G_N_ELEMENTS(refused); i++) _refuse(h, refused[i][0], refused[i][1]);
  dt_history_free(h);
}

/* --- what is not understood --- */

static void _test_kept_as_text(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  static const char *const settings[] = { "nosuch.deep=1",      "nosuch.blend.opacity=2",
                                          "grade.extra=7",      "grade.steps=99",
                                          "grade.tint=0.5",     "grade.blend.opacity=7",
                                          "grade.blend.later=1" };
  for(guint i = 0; i < G_N_ELEMENTS(settings); i++)
    assert_true(dt_history_set(h, settings[i], remarks, NULL));
  assert_int_equal(remarks->len, 6);
  assert_false(dt_history_set(h, "nonsense", remarks, NULL));
  g_ptr_array_unref(remarks);
  assert_int_equal(h->items->len, 2);
  const dt_history_item_t *unknown = dt_history_find(h, "nosuch"), *grade = dt_history_find(h, "grade");
  assert_string_equal(dt_history_get_value(unknown->params, "deep"), "1");
  assert_string_equal(dt_history_get_value(unknown->blend, "opacity"), "2");
  assert_string_equal(dt_history_get_value(grade->params, "steps"), "99");
  assert_string_equal(dt_history_get_value(grade->params, "extra"), "7");
  assert_string_equal(dt_history_get_value(grade->blend, "opacity"), "7");
  assert_true(_grade(h).steps == 3 && _grade(h).tint == 0.5f); /* the standard one, and the good one */
  test_grade_t *p = dt_iop_standard_params(&_test_grade);
  dt_history_append(h, &_test_grade, TRUE, p);
  g_free(p);
  assert_string_equal(dt_history_get_value(dt_history_find(h, "grade")->params, "extra"), "7");
  remarks = dt_history_check(h);
  _expect_remark(remarks, "item 1 (nosuch): There is no module");
  _expect_remark(remarks, "item 2 (grade): grade has no parameter \"extra\"");
  _expect_remark(remarks, "item 2 (grade): grade.steps is");
  _expect_remark(remarks, "item 3 (grade): grade has no parameter \"extra\"");
  _expect_remark(remarks, "item 2 (grade): blend.opacity is a number from 0 to 1");
  _expect_remark(remarks, "item 3 (grade): There is no blending parameter \"later\"");
  assert_int_equal(remarks->len, 8);
  g_ptr_array_unref(remarks);
  dt_history_free(h);
}

static void _test_versions(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  for(int version = 1; version <= 5; version++)
  {
    dt_history_item_t *item = dt_history_item_new("grade", version % 5, version != 4);
    char text[2] = { (char)('0' + version), 0 };
    dt_history_set_value(item->params, "steps", text);
    dt_history_push(h, item);
  }
  assert_int_equal(_grade(h).steps, 3); /* 4 is newer, and 0 means that it could not be read */
  assert_true(dt_history_is_enabled(h, &_test_grade));
  assert_int_equal(dt_history_find(h, "grade")->version, 3);
  GPtrArray *remarks = dt_history_check(h);
  _expect_remark(remarks, "item 4 (grade): it is of version 4, and this program knows 3");
  _expect_remark(remarks, "item 5 (grade): its version is not known");
  assert_int_equal(remarks->len, 2);
  g_ptr_array_unref(remarks);
  /* what is done now goes on from what counts, and leaves the newer ones alone */
  _set(h, "grade.tint=1");
  assert_int_equal(h->items->len, 6);
  assert_true(_grade(h).steps == 3 && _grade(h).tint == 1);
  dt_history_free(h);
}

static void _test_items_that_cannot_count(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  dt_history_push(h, dt_history_item_new("pipe", 1, FALSE));
  dt_history_item_t *item = dt_history_item_new("bare", 1, TRUE);
  dt_history_set_value(item->blend, "opacity", "0.5");
  dt_history_push(h, item);
  dt_history_push(h, dt_history_item_new("", 1, TRUE));
  assert_true(dt_history_is_enabled(h, &_test_pipe));
  assert_null(dt_history_blend(h, &_test_bare));
  GPtrArray *remarks = dt_history_check(h);
  _expect_remark(remarks, "item 1 (pipe): The module \"pipe\" belongs to the pipe");
  _expect_remark(remarks, "item 2 (bare): bare cannot be blended");
  _expect_remark(remarks, "item 3 (): There is no module \"\"");
  g_ptr_array_unref(remarks);
  dt_history_free(h);
}

/* What is always on is so, with its parameters, whatever the history says; and that is said. */
static void _test_always_on(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  assert_true(dt_history_is_enabled(h, &_test_firm));
  _refuse(h, "firm=off", "firm cannot be switched off");
  _set(h, "firm=on");
  assert_true(dt_history_set(h, "firm=off", remarks, NULL));
  _expect_remark(remarks, "firm: firm cannot be switched off. It is kept but not used.");
  g_ptr_array_unref(remarks);
  assert_true(dt_history_is_enabled(h, &_test_firm));
  assert_false(dt_history_find(h, "firm")->enabled); /* kept */
  const guint64 before = dt_history_hash(h, NULL);
  dt_history_item_t *item = dt_history_item_copy(dt_history_find(h, "firm"));
  dt_history_set_value(item->params, "steps", "7");
  dt_history_set_value(item->params, "tint", "7");
  dt_history_push(h, item);
  assert_true(dt_history_hash(h, NULL) != before);
  remarks = dt_history_check(h);
  _expect_remark(remarks, "item 1 (firm): firm cannot be switched off. It is kept but not used.");
  _expect_remark(remarks, "item 2 (firm): firm cannot be switched off. It is kept but not used.");
  _expect_remark(remarks, "item 2 (firm): firm.tint is");
  assert_int_equal(remarks->len, 3);
  g_ptr_array_unref(remarks);
  dt_history_free(h);
}

static void _test_remarks_are_fit_to_print(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  char *longer = g_strnfill(5000, 'x');
  dt_history_push(h, dt_history_item_new("evil\x1b[2J", 1, TRUE));
  dt_history_push(h, dt_history_item_new(longer, 1, TRUE));
  GPtrArray *remarks = dt_history_check(h);
  assert_int_equal(remarks->len, 2);
  assert_null(strchr(remarks->pdata[0], 0x1b));
  assert_true(strlen(remarks->pdata[1]) < 1000);
  g_ptr_array_unref(remarks);
  g_free(longer);
  dt_history_free(h);
}

/* --- the hash --- */

static void _test_hash(void **state)
{
  (void)state;
  dt_history_t *h = _new(), *other = _new();
  const guint64 standard = dt_history_hash(h, NULL), before = dt_history_hash(h, &dt_iop_exposure);
  _set(h, "grade.steps=4");
  assert_true(dt_history_hash(h, NULL) != standard);
  assert_true(dt_history_hash(h, &_test_grade) != standard);
  assert_true(dt_history_hash(h, &dt_iop_exposure) == before); /* what comes before does not change */
  _set(h, "exposure.exposure=1");
  assert_true(dt_history_hash(h, &dt_iop_exposure) != before);
  /* the same in another way */
  _set(other, "exposure.exposure=2");
  _set(other, "grade.steps=04.0");
  _set(other, "exposure.exposure=1.000");
  assert_false(dt_history_equal(h, other));
  assert_true(dt_history_hash(h, NULL) == dt_history_hash(other, NULL));
  dt_history_undo(other);
  assert_true(dt_history_hash(h, NULL) != dt_history_hash(other, NULL));
  dt_history_undo(other);
  dt_history_undo(other);
  assert_true(dt_history_hash(other, NULL) == standard);
  dt_history_free(h);
  dt_history_free(other);
}

static void _test_hash_of_what_is_off(void **state)
{
  (void)state;
  dt_history_t *h = _new();
  const guint64 standard = dt_history_hash(h, NULL);
  _set(h, "grade.steps=4");
  _set(h, "grade=off");
  assert_true(dt_history_hash(h, NULL) == standard);
  _set(h, "grade=on");
  const guint64 on = dt_history_hash(h, NULL);
  assert_true(on != standard);
  _set(h, "grade.blend.opacity=1");
  _set(h, "grade.blend.invert=true");
  const guint64 blended = dt_history_hash(h, NULL);
  assert_true(blended != on);
  dt_history_t *other = _new();
  _set(other, "grade.steps=4");
  _set(other, "grade.blend.invert=true");
  _set(other, "grade.blend.opacity=1");
  assert_true(dt_history_hash(other, NULL) == blended); /* in whatever order */
  dt_history_push(other, dt_history_item_new("nosuch", 1, TRUE));
  assert_true(dt_history_hash(other, NULL) == blended);
  dt_history_free(h);
  dt_history_free(other);
}

/* --- any history --- */

/* One that can be used, or hardly. */
static void _do_something(test_random_t *random, dt_history_t *h)
{
  static const char *const settings[] = {
    "grade.steps=%d", "exposure.exposure=%d",   "grade.wide=-1e-%d", "nosuch.x=%d",
    "grade.extra=%d", "grade.blend.opacity=%d", "bare=%d",           "exposure=%d",
  };
  char text[64];
  const int what = test_random_int(random, 0, 9);
  if(what >= 8)
  {
    what == 8 ? dt_history_undo(h) : dt_history_redo(h);
    return;
  }
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  const int number = test_random_int(random, 0, what >= 6 ? 1 : 12);
  g_snprintf(text, sizeof(text), settings[what], number); /* NOLINT(clang-diagnostic-format-nonliteral) */
  assert_true(dt_history_set(h, text, remarks, NULL));
  g_ptr_array_unref(remarks);
}

static void _test_random_histories(void **state)
{
  (void)state;
  for(uint64_t seed = 1; seed <= 300; seed++)
  {
    test_random_t random = { seed };
    dt_history_t *h = _new();
    const int steps = test_random_int(&random, 1, 40);
    for(int i = 0; i < steps; i++) _do_something(&random, h);
    dt_history_t *copy = dt_history_copy(h);
    assert_true(dt_history_equal(h, copy));
    const guint end = h->end;
    const guint64 hash = dt_history_hash(h, NULL);
    while(dt_history_undo(h))
      ;
    assert_true(end == 0 || !dt_history_equal(h, copy));
    while(h->end < end) assert_true(dt_history_redo(h));
    assert_true(dt_history_equal(h, copy));
    if(dt_history_hash(h, NULL) != hash) fail_msg("seed %d", (int)seed);
    /* parameters are within their limits whatever the texts are */
    const test_grade_t p = _grade(h);
    assert_true(p.steps >= 1 && p.steps <= 9 && p.tint == 0.25f);
    dt_history_free(h);
    dt_history_free(copy);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_empty_is_standard),
    cmocka_unit_test(_test_registered_modules),
    cmocka_unit_test(_test_last_item_wins),
    cmocka_unit_test(_test_doing_after_undoing),
    cmocka_unit_test(_test_settings),
    cmocka_unit_test(_test_append_keeps_blending),
    cmocka_unit_test(_test_masks_of_raws),
    cmocka_unit_test(_test_hash_of_standard),
    cmocka_unit_test(_test_refused_settings),
    cmocka_unit_test(_test_kept_as_text),
    cmocka_unit_test(_test_versions),
    cmocka_unit_test(_test_items_that_cannot_count),
    cmocka_unit_test(_test_always_on),
    cmocka_unit_test(_test_remarks_are_fit_to_print),
    cmocka_unit_test(_test_hash),
    cmocka_unit_test(_test_hash_of_what_is_off),
    cmocka_unit_test(_test_random_histories),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
