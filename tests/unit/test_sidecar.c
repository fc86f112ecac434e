/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sidecars and styles: what is written reads back to the last bit, what others wrote stays, and what is no sidecar is left
 * alone. */
#include "support.h"

#include "common/errors.h"
#include "develop/history_xmp.h"
#include "develop/sidecar.h"
#include "develop/style.h"
#include "history_modules.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS "xmlns:dtai='" DT_HISTORY_NS "'"
#define RDF "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'"
#define PACKET(inside) "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF " RDF ">" inside "</rdf:RDF></x:xmpmeta>"
#define DESCRIPTION(fields, items)                                                                           \
  "<rdf:Description rdf:about='' " NS " " fields "><dtai:history><rdf:Seq>" items                            \
  "</rdf:Seq></dtai:history></rdf:Description>"
#define HISTORY(items) PACKET(DESCRIPTION("dtai:schema='1'", items))
#define ITEM(fields, inside) "<rdf:li><rdf:Description " fields ">" inside "</rdf:Description></rdf:li>"
#define GRADE(inside) ITEM("dtai:module='grade' dtai:version='3' dtai:enabled='true'", inside)

static GBytes *_bytes(const char *text)
{
  return g_bytes_new(text, strlen(text));
}

static char *_text(GBytes *bytes)
{
  gsize size;
  const char *data = g_bytes_get_data(bytes, &size);
  return g_strndup(data, size);
}

static dt_history_t *_read(GBytes *xmp, GPtrArray *remarks)
{
  GError *error = NULL;
  dt_history_t *h = dt_history_from_xmp(xmp, test_history_modules, remarks, &error);
  assert_no_error(error);
  assert_non_null(h);
  return h;
}

static dt_history_t *_read_text(const char *text, GPtrArray *remarks)
{
  GBytes *xmp = _bytes(text);
  dt_history_t *h = _read(xmp, remarks);
  g_bytes_unref(xmp);
  return h;
}

static GBytes *_write(const dt_history_t *h, GBytes *old)
{
  GError *error = NULL;
  GBytes *xmp = dt_history_to_xmp(h, old, FALSE, &error);
  assert_no_error(error);
  assert_non_null(xmp);
  return xmp;
}

/* @p text with what @p h says (transfer full). */
static char *_rewrite(const dt_history_t *h, const char *text)
{
  GBytes *old = _bytes(text), *xmp = _write(h, old);
  char *result = _text(xmp);
  g_bytes_unref(old);
  g_bytes_unref(xmp);
  return result;
}

static void _set(dt_history_t *h, const char *setting)
{
  GError *error = NULL;
  dt_history_set(h, setting, NULL, &error);
  assert_no_error(error);
}

static void _expect(const char *text, const char *words)
{
  if(!strstr(text, words)) fail_msg("\"%s\" is not in:\n%s", words, text);
}

static void _expect_not(const char *text, const char *words)
{
  if(strstr(text, words)) fail_msg("\"%s\" is in:\n%s", words, text);
}

static void _expect_remark(const GPtrArray *remarks, const char *words)
{
  for(guint i = 0; i < remarks->len; i++)
    if(strstr(remarks->pdata[i], words)) return;
  fail_msg("no remark of %u says \"%s\"", remarks->len, words);
}

static GPtrArray *_remarks(void)
{
  return g_ptr_array_new_with_free_func(g_free);
}

/* --- round trips --- */

static char *_random_text(test_random_t *random)
{
  static const char *const pieces[] = { "a", "0.5", " ", "<",  ">",   "&",    "\"",
                                        "'", "=",   "é", "象", "]]>", "&lt;", "/>" };
  GString *text = g_string_new("x");
  for(int n = test_random_int(random, 0, 8); n > 0; n--)
    g_string_append(text, pieces[test_random_int(random, 0, G_N_ELEMENTS(pieces) - 1)]);
  return g_string_free(g_string_append_c(text, 'x'), FALSE);
}

static float _random_float(test_random_t *random)
{
  union
  {
    uint32_t bits;
    float number;
  } u = { test_random(random) };
  return isfinite(u.number) && fabsf(u.number) <= 1e30f ? u.number : -0.0f;
}

static void _append_random(test_random_t *random, dt_history_t *h)
{
  if(test_random_int(random, 0, 3) == 0)
  {
    char *text = _random_text(random), *setting = g_strdup_printf("nosuch.blend.a-%u=%s", h->end, text);
    GPtrArray *remarks = _remarks();
    assert_true(dt_history_set(h, setting, remarks, NULL));
    g_ptr_array_unref(remarks);
    g_free(setting);
    g_free(text);
    return;
  }
  const test_grade_t p = { (float)test_random_range(random, -1, 1), _random_float(random),
                           test_random_int(random, 1, 9), test_random_int(random, 0, 1),
                           test_random_int(random, 0, 2) };
  dt_history_append(h, &_test_grade, test_random_int(random, 0, 1), &p);
}

static dt_history_t *_random_history(test_random_t *random)
{
  dt_history_t *h = dt_history_create(test_history_modules);
  for(int n = test_random_int(random, 0, 12); n > 0; n--) _append_random(random, h);
  for(int n = test_random_int(random, 0, 3); n > 0; n--) dt_history_undo(h);
  return h;
}

static void _test_round_trip(void **state)
{
  (void)state;
  for(uint64_t seed = 1; seed <= 300; seed++)
  {
    test_random_t random = { seed };
    dt_history_t *h = _random_history(&random);
    GBytes *xmp = _write(h, NULL), *same = _write(h, xmp);
    dt_history_t *again = _read(xmp, NULL);
    if(!dt_history_equal(h, again)) fail_msg("seed %d", (int)seed);
    assert_true(g_bytes_equal(xmp, same)); /* nothing new, nothing moves */
    test_grade_t *one = dt_history_params(h, &_test_grade), *other = dt_history_params(again, &_test_grade);
    assert_memory_equal(one, other, sizeof(*one));
    assert_true(dt_history_hash(h, NULL) == dt_history_hash(again, NULL));
    g_free(one);
    g_free(other);
    g_bytes_unref(xmp);
    g_bytes_unref(same);
    dt_history_free(h);
    dt_history_free(again);
  }
}

/* One history over another, and a third over that: nothing of the earlier ones is left. */
static void _test_one_over_another(void **state)
{
  (void)state;
  for(uint64_t seed = 1; seed <= 200; seed++)
  {
    test_random_t random = { seed };
    GBytes *xmp = NULL;
    for(int i = 0; i < 3; i++)
    {
      dt_history_t *h = _random_history(&random);
      GBytes *next = _write(h, xmp);
      dt_history_t *again = _read(next, NULL);
      if(!dt_history_equal(h, again)) fail_msg("seed %d", (int)seed);
      dt_history_free(h);
      dt_history_free(again);
      if(xmp) g_bytes_unref(xmp);
      xmp = next;
    }
    g_bytes_unref(xmp);
  }
}

static void _test_reads_like_this(void **state)
{
  (void)state;
  dt_history_t *h = dt_history_create(NULL);
  _set(h, "exposure.exposure=1.5");
  _set(h, "exposure.blend.opacity=0.5");
  GBytes *xmp = _write(h, NULL);
  char *text = _text(xmp);
  static const char *const words[] = { "xmlns:dtai=\"" DT_HISTORY_NS "\"",
                                       "dtai:schema=\"1\"",
                                       "dtai:historyEnd=\"1\"",
                                       "dtai:module=\"exposure\"",
                                       "dtai:version=\"1\"",
                                       "dtai:enabled=\"true\"",
                                       "dtai:exposure=\"1.5\"",
                                       "dtai:black=\"0\"",
                                       "<dtai:blend\n       dtai:opacity=\"0.5\"/>" };
  for(guint i = 0; i < G_N_ELEMENTS(words); i++) _expect(text, words[i]);
  g_free(text);
  g_bytes_unref(xmp);
  dt_history_free(h);
}

/* --- written by others --- */

/* The same history in every form that RDF has for it. */
static void _test_forms(void **state)
{
  (void)state;
  static const char *const forms[] = {
    HISTORY(GRADE("<dtai:params dtai:steps='7'/>")),
    HISTORY("<rdf:li dtai:module='grade' dtai:version='3' dtai:enabled='true'><dtai:params "
            "dtai:steps='7'/></rdf:li>"),
    HISTORY("<rdf:li rdf:parseType='Resource'><dtai:module>grade</dtai:module><dtai:version>3</dtai:version>"
            "<dtai:enabled> on </dtai:enabled><dtai:params "
            "rdf:parseType='Resource'><dtai:steps>\n7\n</dtai:steps>"
            "</dtai:params></rdf:li>"),
    HISTORY(ITEM("module='grade' enabled='True'", "<dtai:params steps='7'/>")),
    HISTORY(GRADE("<dtai:params><rdf:Description dtai:steps='&#x37;'/></dtai:params>")),
    HISTORY("<!-- "
            "--><rdf:li><rdf:Description><dtai:module><![CDATA[grade]]></dtai:module><dtai:enabled>1</"
            "dtai:enabled>"
            "<dtai:params><rdf:Description><dtai:steps>7</dtai:steps></rdf:Description></dtai:params>"
            "</rdf:Description></rdf:li>"),
    /* our prefix means something else inside of an item */
    HISTORY("<rdf:li dtai:module='grade' dtai:enabled='true'><rdf:Description xmlns:dtai='urn:other' "
            "xmlns:h='" DT_HISTORY_NS "'><h:params h:steps='7'/></rdf:Description></rdf:li>"),
    "<?xml version='1.0' encoding='utf-8'?><R:RDF xmlns:R='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<R:Description xmlns:h='" DT_HISTORY_NS "'><h:schema>1</h:schema><h:historyEnd>1</h:historyEnd>"
    "<h:history><R:Bag><R:li><R:Description h:module='grade' h:enabled='yes'><h:params h:steps='7'/>"
    "</R:Description></R:li></R:Bag></h:history></R:Description></R:RDF>",
    "\xef\xbb\xbf" PACKET("<rdf:Description " NS " dtai:schema=''><history xmlns='" DT_HISTORY_NS
                          "'><rdf:Seq><rdf:li>"
                          "<module>grade</module><enabled>true</enabled><params><steps>7</steps></params>"
                          "</rdf:li></rdf:Seq></history></rdf:Description>"),
  };
  dt_history_t *want = _read_text(forms[0], NULL);
  assert_int_equal(want->items->len, 1);
  for(guint i = 0; i < G_N_ELEMENTS(forms); i++)
  {
    dt_history_t *h = _read_text(forms[i], NULL);
    if(!dt_history_equal(h, want)) fail_msg("form %u", i);
    /* and changed, in each of them */
    _set(h, "grade.steps=2");
    _set(h, "grade.tint=1");
    _set(h, "grade.blend.opacity=0.5");
    _set(h, "grade=off");
    _set(h, "exposure.exposure=-1");
    GBytes *old = _bytes(forms[i]);
    GBytes *xmp = dt_history_to_xmp(h, old, TRUE, NULL);
    if(!xmp) fail_msg("form %u cannot be written", i);
    dt_history_t *again = _read(xmp, NULL);
    assert_true(dt_history_equal(h, again));
    g_bytes_unref(old);
    g_bytes_unref(xmp);
    dt_history_free(h);
    dt_history_free(again);
  }
  dt_history_free(want);
}

#define FOREIGN                                                                                              \
  "<?pi kept?><!-- a note --><rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' "     \
  "dc:format =\n"                                                                                            \
  " 'image/x&#45;nikon'><dc:subject><rdf:Bag><rdf:li>a  &amp; b</rdf:li></rdf:Bag></dc:subject>"             \
  "<crs:ToneCurve xmlns:crs='http://ns.adobe.com/camera-raw-settings/1.0/'/></rdf:Description>"

static void _test_foreign_parts_stay(void **state)
{
  (void)state;
  static const char before[] = PACKET(FOREIGN) "\n<?xpacket end='w'?>";
  dt_history_t *h = dt_history_create(test_history_modules);
  char *text = g_strdup(before);
  for(int i = 0; i < 5; i++)
  {
    static const char *const settings[] = { "grade.steps=1", "exposure.black=0.5", "grade=off", "bare=off",
                                            "grade.tint=-1" };
    _set(h, settings[i]);
    if(i == 3) dt_history_undo(h);
    char *next = _rewrite(h, text);
    _expect(next, FOREIGN);
    assert_true(g_str_has_suffix(next, "</rdf:RDF></x:xmpmeta>\n<?xpacket end='w'?>"));
    g_free(text);
    text = next;
  }
  g_free(text);
  dt_history_free(h);
}

/* What others wrote into our own items stays while the item is about the same module. */
static void _test_items_are_changed_in_place(void **state)
{
  (void)state;
  static const char before[] = PACKET(DESCRIPTION(
      "dtai:schema='1' dtai:later='kept'",
      "<!-- one -->" ITEM(
          "dtai:module='grade'\n dtai:version='3' dtai:enabled='true' xmlns:my='urn:my' my:mood='good'",
          "<!-- two --><dtai:params   dtai:steps='7' my:why='because'\n "
          "dtai:tint='0.5'/><my:note>three</my:note>")
          ITEM("dtai:module='exposure' dtai:enabled='maybe'",
               "<dtai:params dtai:black='0.5'/>") "<rdf:li>no item at all</rdf:li>"));
  GPtrArray *remarks = _remarks();
  dt_history_t *h = _read_text(before, remarks);
  _expect_remark(remarks, "history item 2: enabled is true or false");
  _expect_remark(remarks, "item 3 (): There is no module");
  char *same = _rewrite(h, before);
  /* the end was not written down, nothing else changes */
  _expect(same,
          "<!-- one --><rdf:li><rdf:Description dtai:module='grade'\n dtai:version='3' dtai:enabled='true'");
  _expect(same, "dtai:enabled='maybe'><dtai:params dtai:black='0.5'/></rdf:Description></rdf:li><rdf:li>no "
                "item at all");
  dt_history_undo(h);
  dt_history_undo(h);
  _set(h, "grade.steps=2");
  _set(h, "grade.kind=rich");
  _set(h, "grade.blend.opacity=1");
  char *after = _rewrite(h, same);
  _expect(after,
          "<!-- one --><rdf:li><rdf:Description dtai:module='grade'\n dtai:version='3' dtai:enabled='true' "
          "xmlns:my='urn:my' my:mood='good'><!-- two --><dtai:params");
  _expect(after, "dtai:steps='2' my:why='because'\n dtai:tint='0.5'/><my:note>three</my:note>");
  _expect(after, "dtai:kind=\"rich\"");
  _expect(after, "dtai:later='kept'");
  _expect_not(after, "exposure");
  _expect_not(after, "no item");
  g_free(after);
  g_free(same);
  g_ptr_array_unref(remarks);
  dt_history_free(h);
}

static void _test_values_go_away(void **state)
{
  (void)state;
  static const char before[] = HISTORY(
      GRADE("<dtai:params dtai:tint='1'><dtai:steps>7</dtai:steps><dtai:wide>4</dtai:wide></dtai:params>"
            "<dtai:blend rdf:parseType='Resource'><dtai:opacity>1</dtai:opacity></dtai:blend>"));
  dt_history_t *h = dt_history_create(test_history_modules);
  dt_history_item_t *item = dt_history_item_new("grade", 2, FALSE);
  dt_history_set_value(item->params, "wide", "5");
  dt_history_set_value(item->params, "kind", "rich");
  dt_history_push(h, item);
  char *after = _rewrite(h, before);
  _expect_not(after, "dtai:tint");
  _expect_not(after, "dtai:steps");
  _expect_not(after, "dtai:opacity");
  _expect(after, "<dtai:wide>5</dtai:wide>");
  _expect(after, "dtai:version='2' dtai:enabled='false'");
  g_free(after);
  dt_history_free(h);
}

/* Our usual prefix may be somebody else's. */
static void _test_prefixes(void **state)
{
  (void)state;
  static const char *const texts[] = {
    PACKET("<rdf:Description xmlns:dtai='urn:other' dtai:schema='9' dtai:history='mine'/>"),
    "<x xmlns:dtai='urn:other' dtai:a='1'><RDF xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
    "xmlns:rdf='urn:else'>"
    "<Description about='x'/></RDF></x>",
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF " RDF "/></x:xmpmeta>",
  };
  dt_history_t *h = dt_history_create(test_history_modules);
  _set(h, "grade.steps=2");
  _set(h, "grade.blend.opacity=0.2");
  for(guint i = 0; i < G_N_ELEMENTS(texts); i++)
  {
    char *once = _rewrite(h, texts[i]);
    dt_history_t *other = dt_history_copy(h);
    _set(other, "exposure.black=1");
    char *twice = _rewrite(other, once);
    dt_history_t *again = _read_text(twice, NULL);
    assert_true(dt_history_equal(other, again));
    if(i == 0) _expect(twice, "dtai:schema='9' dtai:history='mine'");
    dt_history_free(other);
    dt_history_free(again);
    g_free(once);
    g_free(twice);
  }
  dt_history_free(h);
}

static void _test_small_things_written(void **state)
{
  (void)state;
  /* lines within a value; a form of item that is not ours; numbers that stand there before any history */
  static const char lines[] =
      HISTORY("<rdf:li rdf:parseType='Resource'><dtai:module>nosuch</dtai:module><dtai:params "
              "rdf:parseType='Resource'>"
              "<dtai:word>a\n\tb</dtai:word></dtai:params></rdf:li>"),
                    flat[] = HISTORY("<rdf:li dtai:module='grade' my='1'/>"),
                    bare[] =
                        PACKET("<rdf:Description " NS " dtai:schema='1'><dtai:historyEnd>7</dtai:historyEnd>"
                               "</rdf:Description>"),
                    shadow[] = HISTORY(
                        "<rdf:li dtai:module='grade'><rdf:Description xmlns:dtai='urn:other'/></rdf:li>");
  dt_history_t *h = _read_text(lines, NULL);
  GBytes *xmp = _write(h, NULL);
  char *text = _text(xmp);
  _expect(text, "dtai:word=\"a&#10;&#9;b\"");
  g_free(text);
  g_bytes_unref(xmp);
  dt_history_free(h);
  h = _read_text(flat, NULL);
  _set(h, "bare=off");
  text = _rewrite(h, flat);
  _expect(text, "<rdf:li dtai:module='grade' my='1'/>");
  g_free(text);
  text = _rewrite(h, bare);
  assert_ptr_equal(strstr(text, "schema"), g_strrstr(text, "schema"));
  assert_ptr_equal(strstr(text, "historyEnd"), g_strrstr(text, "historyEnd"));
  g_free(text);
  dt_history_free(h);
  h = _read_text(shadow, NULL);
  _set(h, "grade=on");
  text = _rewrite(h, shadow);
  g_free(text);
  dt_history_free(h);
}

/* --- what is not understood --- */

static void _test_wrong_types(void **state)
{
  (void)state;
  GPtrArray *remarks = _remarks();
  static const char text[] = PACKET(DESCRIPTION(
      "dtai:schema='one' dtai:historyEnd='many'",
      ITEM("dtai:module='grade' dtai:version='3.5'", "") ITEM("dtai:module='grade' dtai:version='-1'", "")
          ITEM("dtai:module='grade' dtai:params='steps=4'", "") GRADE(
              "<dtai:params dtai:steps='seven' dtai:tint='1e9' dtai:smooth='' dtai:kind='9' dtai:new='1'/>")
              GRADE("<dtai:params dtai:steps='2'><dtai:steps>3</dtai:steps></dtai:params>")
                  ITEM("dtai:module='grade' dtai:version='4'", "<dtai:params dtai:steps='9'/>")));
  dt_history_t *h = _read_text(text, remarks);
  static const char *const words[] = {
    "dtai:schema is no version",
    "dtai:historyEnd is no number from 0 to 6",
    "item 1: its version is no number",
    "item 2: its version is no number",
    "item 1 (grade): its version is not known",
    "item 3: its params are no structure",
    "grade.steps is a whole number from 1 to 9, not \"seven\"",
    "grade.tint is",
    "grade.smooth is true or false, not \"\"",
    "grade.kind is one of",
    "no parameter \"new\"",
    "item 5: \"steps\" is given more than once",
    "item 6 (grade): it is of version 4",
  };
  for(guint i = 0; i < G_N_ELEMENTS(words); i++) _expect_remark(remarks, words[i]);
  assert_int_equal(h->end, 6);
  test_grade_t *p = dt_history_params(h, &_test_grade);
  assert_int_equal(p->steps, 2);
  g_free(p);
  h->end = 4;
  p = dt_history_params(h, &_test_grade);
  assert_true(p->steps == 3 && p->tint == 0.25f && p->smooth && p->kind == 1);
  g_free(p);
  g_ptr_array_unref(remarks);
  dt_history_free(h);
}

static void _test_newer_schema(void **state)
{
  (void)state;
  static const char text[] =
      PACKET(DESCRIPTION("dtai:schema='2' dtai:future='yes'",
                         GRADE("<dtai:params dtai:steps='7'/><dtai:future>x</dtai:future>")));
  GPtrArray *remarks = _remarks();
  GError *error = NULL;
  GBytes *old = _bytes(text);
  dt_history_t *h = _read(old, remarks);
  _expect_remark(remarks, "newer version of this program (schema 2, this one knows 1)");
  _expect_remark(remarks, "history item 1: \"future\" is nothing that an item has itself");
  assert_int_equal(h->items->len, 1);
  _set(h, "grade.steps=2");
  assert_null(dt_history_to_xmp(h, old, FALSE, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  _expect(error->message, "another version of this program");
  g_clear_error(&error);
  GBytes *xmp = dt_history_to_xmp(h, old, TRUE, &error);
  assert_no_error(error);
  char *after = _text(xmp);
  _expect(after, "dtai:schema='1'");
  _expect(after, "dtai:future='yes'");
  _expect(after, "<dtai:future>x</dtai:future>");
  g_free(after);
  g_bytes_unref(xmp);
  g_bytes_unref(old);
  g_ptr_array_unref(remarks);
  dt_history_free(h);
}

/* --- what is no sidecar --- */

typedef struct _refused_t
{
  const char *text, *words;
} _refused_t;

static const _refused_t _refused[] = {
  { "", "empty" },
  { "exposure=1", "damaged XML" },
  { "<a>", "damaged XML" },
  { "<a/>", "no rdf:RDF" },
  { PACKET("<rdf:Description>"), "damaged XML" },
  { PACKET("&lol;"), "damaged XML" },
  { "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" PACKET("&b;"), "" },
  { "<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'>" PACKET(""), "document type" },
  { "<?xml version='1.0' encoding='ISO-8859-1'?>" PACKET(""), "another encoding" },
  { PACKET("\xff"), "UTF-8" },
  { "\xff\xfe<", "UTF-8" },
  { PACKET("<rdf:Description " NS " dtai:history='flat'/>"), "no ordered array" },
  { PACKET("<rdf:Description " NS "><dtai:history>flat</dtai:history></rdf:Description>"),
    "no ordered array" },
  { PACKET("<rdf:Description " NS "><dtai:history/></rdf:Description>"), "no ordered array" },
};

static void _expect_refused(GBytes *xmp, const char *words)
{
  GError *error = NULL;
  dt_history_t *h = dt_history_create(NULL);
  assert_null(dt_history_from_xmp(xmp, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  _expect(error->message, words);
  g_clear_error(&error);
  assert_null(dt_history_to_xmp(h, xmp, TRUE, &error));
  _expect(error->message, words);
  g_clear_error(&error);
  dt_history_free(h);
  g_bytes_unref(xmp);
}

static void _test_refused(void **state)
{
  (void)state;
  for(guint i = 0; i < G_N_ELEMENTS(_refused); i++)
    _expect_refused(_bytes(_refused[i].text), _refused[i].words);
  _expect_refused(g_bytes_new_static("<a>\0</a>", 8), "UTF-8");
}

/* @p piece so often. */
static char *_repeat(const char *piece, int times)
{
  GString *text = g_string_new(NULL);
  while(times-- > 0) g_string_append(text, piece);
  return g_string_free(text, FALSE);
}

/* Takes @p inside. */
static GBytes *_wrap(const char *head, char *inside, const char *tail)
{
  char *text = g_strconcat(head, inside, tail, NULL);
  g_free(inside);
  return g_bytes_new_take(text, strlen(text));
}

static void _test_limits(void **state)
{
  (void)state;
  const gint64 start = g_get_monotonic_time();
  char *deep = _repeat("<a>", 100000), *end = _repeat("</a>", 100000);
  GBytes *nested = _wrap(deep, g_strdup(end), "");
  _expect_refused(nested, "no rdf:RDF");
  char *head = g_strconcat("<rdf:RDF " RDF ">", deep, NULL), *tail = g_strconcat(end, "</rdf:RDF>", NULL);
  _expect_refused(_wrap(head, g_strdup(""), tail), "nested more than 64");
  _expect_refused(_wrap(PACKET("") "<!--", g_strnfill(DT_HISTORY_MAX_SIZE, ' '), "-->"), "4 MiB");
  static const char open[] =
      "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF " RDF "><rdf:Description " NS "><dtai:history><rdf:Seq>";
  static const char close[] = "</rdf:Seq></dtai:history></rdf:Description></rdf:RDF></x:xmpmeta>";
  _expect_refused(_wrap(open, _repeat("<rdf:li/>", DT_HISTORY_MAX_ITEMS + 1), close),
                  "more than 10000 items");
  char *many = _repeat("<dtai:a>1</dtai:a>", 100000);
  dt_history_t *h = NULL;
  GBytes *repeated =
      _wrap(open, g_strconcat("<rdf:li><dtai:params>", many, "</dtai:params></rdf:li>", NULL), close);
  GPtrArray *remarks = _remarks();
  h = _read(repeated, remarks); /* all the same name: one value */
  assert_int_equal(remarks->len, 99999 + 1);
  GString *names = g_string_new("<rdf:li><dtai:params>");
  for(int i = 0; i < 100000; i++) g_string_append_printf(names, "<dtai:a%d/>", i);
  g_string_append(names, "</dtai:params></rdf:li>");
  _expect_refused(_wrap(open, g_string_free(names, FALSE), close), "more than 512 values");
  dt_history_free(h);
  g_ptr_array_unref(remarks);
  g_bytes_unref(repeated);
  g_free(many);
  g_free(head);
  g_free(tail);
  g_free(deep);
  g_free(end);
  if(!test_is_sanitized()) assert_true(g_get_monotonic_time() - start < 20 * G_USEC_PER_SEC);
}

static void _test_too_large_to_write(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_history_t *h = dt_history_create(test_history_modules);
  dt_history_item_t *item = dt_history_item_new("grade", 3, TRUE);
  char *text = g_strnfill(DT_HISTORY_MAX_SIZE, 'x');
  dt_history_set_value(item->params, "steps", text);
  dt_history_push(h, item);
  assert_null(dt_history_to_xmp(h, NULL, FALSE, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  _expect(error->message, "4 MiB");
  g_error_free(error);
  g_free(text);
  dt_history_free(h);
}

/* Cut anywhere, a sidecar is refused; never is half of it used. */
static void _test_truncated(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  dt_history_t *h = _random_history(&random);
  GBytes *xmp = _write(h, NULL);
  gsize size;
  const char *bytes = g_bytes_get_data(xmp, &size);
  for(gsize n = 0; n + 1 < size; n++)
  {
    GBytes *part = g_bytes_new(bytes, n);
    GError *error = NULL;
    dt_history_t *half = dt_history_from_xmp(part, test_history_modules, NULL, &error);
    if(half) fail_msg("%d of %d bytes are read", (int)n, (int)size);
    assert_non_null(error);
    g_error_free(error);
    g_bytes_unref(part);
  }
  g_bytes_unref(xmp);
  dt_history_free(h);
}

/* --- files --- */

static char *_path_in(const char *world, const char *name)
{
  return g_build_filename(world, name, NULL);
}

static char *_contents(const char *path)
{
  char *text = NULL;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  return text;
}

static void _test_files(void **state)
{
  (void)state;
  const char *world = test_world_create();
  char *photo = _path_in(world, "photo.nef"), *path = dt_sidecar_path(photo);
  GError *error = NULL;
  assert_true(g_str_has_suffix(path, "/photo.nef.dtai.xmp"));
  dt_history_t *h = dt_sidecar_load(photo, test_history_modules, NULL, &error);
  assert_no_error(error);
  assert_int_equal(h->items->len, 0); /* no sidecar, no history */
  assert_null(dt_sidecar_read(path, test_history_modules, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
  _set(h, "grade.steps=2");
  assert_true(dt_sidecar_write(path, h, FALSE, &error));
  dt_history_t *again = dt_sidecar_load(photo, test_history_modules, NULL, &error);
  assert_no_error(error);
  assert_true(dt_history_equal(h, again));
  dt_history_free(again);
  /* what would be the same is not written: the time stays */
  struct stat before, after;
  assert_int_equal(g_chmod(path, 0640), 0);
  g_stat(path, &before);
  assert_true(dt_sidecar_write(path, h, FALSE, &error));
  g_stat(path, &after);
  assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  _set(h, "grade.steps=3");
  assert_true(dt_sidecar_write(path, h, FALSE, &error));
  g_stat(path, &after);
  assert_true(before.st_ino != after.st_ino && before.st_mode == after.st_mode);
  assert_false(g_file_test(photo, G_FILE_TEST_EXISTS));
  dt_history_free(h);
  g_free(photo);
  g_free(path);
  test_world_destroy();
}

static void _test_files_left_alone(void **state)
{
  (void)state;
  const char *world = test_world_create();
  char *path = _path_in(world, "a.dtai.xmp");
  dt_history_t *h = dt_history_create(test_history_modules);
  _set(h, "grade.steps=2");
  for(guint i = 0; i < G_N_ELEMENTS(_refused); i++)
  {
    GError *error = NULL;
    assert_true(g_file_set_contents(path, _refused[i].text, -1, NULL));
    assert_false(dt_sidecar_write(path, h, TRUE, &error));
    assert_true(g_str_has_prefix(error->message, path)); /* says which file */
    g_clear_error(&error);
    assert_null(dt_sidecar_read(path, NULL, NULL, &error));
    assert_true(g_str_has_prefix(error->message, path));
    g_clear_error(&error);
    char *text = _contents(path);
    assert_string_equal(text, _refused[i].text);
    g_free(text);
  }
  g_unlink(path);
  GError *error = NULL;
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_false(dt_sidecar_write(path, h, TRUE, &error)); /* and nobody waits */
  _expect(error->message, "no plain file");
  g_clear_error(&error);
  assert_null(dt_sidecar_read("/dev/zero", NULL, NULL, &error));
  g_clear_error(&error);
  assert_null(dt_sidecar_read(world, NULL, NULL, &error));
  g_clear_error(&error);
  char *nowhere = _path_in(world, "none/a.dtai.xmp");
  assert_false(dt_sidecar_write(nowhere, h, FALSE, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  g_clear_error(&error);
  g_free(nowhere);
  g_free(path);
  dt_history_free(h);
  test_world_destroy();
}

/* A disk that is full, as far as this process can see. */
static void _test_no_room(void **state)
{
  (void)state;
  const char *world = test_world_create();
  char *path = _path_in(world, "a.dtai.xmp");
  GError *error = NULL;
  dt_history_t *h = dt_history_create(test_history_modules);
  _set(h, "grade.steps=2");
  assert_true(dt_sidecar_write(path, h, FALSE, NULL));
  char *before = _contents(path);
  _set(h, "exposure.black=1");
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const struct rlimit little = { 100, limit.rlim_max };
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &little);
  const gboolean done = dt_sidecar_write(path, h, FALSE, &error);
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, handler);
  assert_false(done);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  g_error_free(error);
  char *after = _contents(path);
  assert_string_equal(before, after);
  g_free(before);
  g_free(after);
  g_free(path);
  dt_history_free(h);
  test_world_destroy();
}

/* --- two writers --- */

typedef struct _writer_t
{
  const char *path;
  int number; ///< stands in all values of what it writes
  int rounds;
} _writer_t;

static dt_history_t *_numbered(int number)
{
  dt_history_t *h = dt_history_create(test_history_modules);
  for(int i = 0; i < 10 + 10 * number; i++)
  {
    const test_grade_t p = { 0, 0, number, TRUE, 0 };
    dt_history_append(h, &_test_grade, TRUE, &p);
  }
  return h;
}

static void *_run_writer(void *data)
{
  const _writer_t *w = data;
  dt_history_t *h = _numbered(w->number);
  int failed = 0;
  for(int i = 0; i < w->rounds; i++) failed += !dt_sidecar_write(w->path, h, FALSE, NULL);
  dt_history_free(h);
  return GINT_TO_POINTER(failed);
}

static void _test_two_writers(void **state)
{
  (void)state;
  const char *world = test_world_create();
  char *path = _path_in(world, "both.dtai.xmp");
  dt_history_t *want[] = { _numbered(1), _numbered(2) };
  assert_true(dt_sidecar_write(path, want[0], FALSE, NULL));
  _writer_t writers[] = { { path, 1, 40 }, { path, 2, 40 } };
  GThread *threads[2];
  for(int i = 0; i < 2; i++) threads[i] = g_thread_new("writer", _run_writer, &writers[i]);
  for(int i = 0; i < 200; i++)
  {
    GError *error = NULL;
    dt_history_t *h = dt_sidecar_read(path, test_history_modules, NULL, &error);
    assert_no_error(error);
    assert_true(dt_history_equal(h, want[0]) || dt_history_equal(h, want[1]));
    dt_history_free(h);
  }
  for(int i = 0; i < 2; i++) assert_int_equal(GPOINTER_TO_INT(g_thread_join(threads[i])), 0);
  GDir *dir = g_dir_open(world, 0, NULL);
  for(const char *name; (name = g_dir_read_name(dir));) assert_false(g_str_has_suffix(name, ".part"));
  g_dir_close(dir);
  dt_history_free(want[0]);
  dt_history_free(want[1]);
  g_free(path);
  test_world_destroy();
}

/* --- another reader --- */

static void _test_exiftool(void **state)
{
  (void)state;
  char *exiftool = g_find_program_in_path("exiftool");
  if(!exiftool) skip();
  const char *world = test_world_create();
  char *path = _path_in(world, "photo.nef.dtai.xmp"), *out = NULL, *err = NULL;
  GPtrArray *remarks = _remarks();
  dt_history_t *h = dt_history_create(test_history_modules);
  _set(h, "exposure.exposure=1.5");
  assert_true(dt_history_set(h, "nosuch.word=<&\"'>", remarks, NULL));
  _set(h, "grade.blend.opacity=0.5");
  assert_true(dt_sidecar_write(path, h, FALSE, NULL));
  const char *argv[] = { exiftool, "-json", "-struct", "-XMP:all", "-warning", path, NULL };
  assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, NULL, NULL));
  static const char *const words[] = {
    "\"Schema\": 1",     "\"HistoryEnd\": 3",      "\"Module\": \"exposure\"",
    "\"Exposure\": 1.5", "\"Word\": \"<&\\\"'>\"", "\"Opacity\": 0.5"
  };
  for(guint i = 0; i < G_N_ELEMENTS(words); i++) _expect(out, words[i]);
  _expect_not(out, "Warning");
  g_free(out);
  g_free(err);
  g_free(path);
  g_free(exiftool);
  g_ptr_array_unref(remarks);
  dt_history_free(h);
  test_world_destroy();
}

/* --- styles --- */

static gboolean _apply(dt_history_t *h, const char *style, GPtrArray *remarks, GError **error)
{
  GBytes *bytes = _bytes(style);
  const gboolean done = dt_history_apply_style_bytes(h, bytes, remarks, error);
  g_bytes_unref(bytes);
  return done;
}

static void _test_style_of_lines(void **state)
{
  (void)state;
  GPtrArray *remarks = _remarks();
  GError *error = NULL;
  dt_history_t *h = dt_history_create(test_history_modules);
  _set(h, "grade.tint=1");
  assert_true(_apply(h,
                     "\xef\xbb\xbf# warm evening\n\n  exposure.exposure = 0.5\r\nexposure.black=0.1\n"
                     "grade.steps=5\ngrade.blend.opacity=0.5\n#grade=off\nnosuch.x=1",
                     remarks, &error));
  assert_no_error(error);
  assert_int_equal(remarks->len, 1);
  _expect_remark(remarks, "There is no module \"nosuch\". It is kept");
  assert_int_equal(h->items->len, 4);
  test_grade_t *p = dt_history_params(h, &_test_grade);
  assert_true(p->steps == 5 && p->tint == 1);
  g_free(p);
  dt_history_t *before = dt_history_copy(h);
  static const char *const refused[][2] = { { "grade.steps=2\nnonsense\n", "line 2: " },
                                            { "grade.steps=2\ngrade=perhaps", "line 2: " },
                                            { "grade.steps=2\n\xff", "neither" },
                                            { "<x>", "damaged" } };
  for(guint i = 0; i < G_N_ELEMENTS(refused); i++)
  {
    assert_false(_apply(h, refused[i][0], NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
    _expect(error->message, refused[i][1]);
    g_clear_error(&error);
    assert_true(dt_history_equal(h, before));
  }
  dt_history_free(before);
  dt_history_free(h);
  g_ptr_array_unref(remarks);
}

static void _test_style_of_a_sidecar(void **state)
{
  (void)state;
  const char *world = test_world_create();
  char *path = _path_in(world, "style.xmp");
  GError *error = NULL;
  GPtrArray *remarks = _remarks();
  dt_history_t *style = dt_history_create(test_history_modules), *h = dt_history_create(test_history_modules);
  _set(style, "grade.steps=5");
  _set(style, "exposure.exposure=1");
  assert_true(dt_history_set(style, "nosuch.x=1", remarks, NULL));
  _set(style, "grade.blend.opacity=0.5");
  _set(style, "exposure.exposure=3");
  dt_history_undo(style);
  assert_true(dt_sidecar_write(path, style, FALSE, NULL));
  _set(h, "bare=off");
  _set(h, "exposure.black=0.5");
  assert_true(dt_history_apply_style(h, path, remarks, &error));
  assert_true(
      g_str_has_prefix(remarks->pdata[remarks->len - 1], path)); /* a sidecar numbers its items as well */
  assert_int_equal(h->items->len, 5); /* in the order of the pipe, what is not known behind */
  static const char *const order[] = { "bare", "exposure", "exposure", "grade", "nosuch" };
  for(guint i = 0; i < 5; i++)
    assert_string_equal(((const dt_history_item_t *)h->items->pdata[i])->module, order[i]);
  assert_int_equal(((const dt_history_item_t *)h->items->pdata[3])->blend->len, 1);
  float *p = dt_history_params(h, &dt_iop_exposure);
  assert_true(p[0] == 1 && p[1] == 0);
  g_free(p);
  assert_false(dt_history_apply_style(h, world, NULL, &error));
  assert_true(g_str_has_prefix(error->message, world));
  g_clear_error(&error);
  dt_history_free(style);
  dt_history_free(h);
  g_ptr_array_unref(remarks);
  g_free(path);
  test_world_destroy();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_round_trip),
    cmocka_unit_test(_test_one_over_another),
    cmocka_unit_test(_test_reads_like_this),
    cmocka_unit_test(_test_forms),
    cmocka_unit_test(_test_foreign_parts_stay),
    cmocka_unit_test(_test_items_are_changed_in_place),
    cmocka_unit_test(_test_values_go_away),
    cmocka_unit_test(_test_prefixes),
    cmocka_unit_test(_test_small_things_written),
    cmocka_unit_test(_test_wrong_types),
    cmocka_unit_test(_test_newer_schema),
    cmocka_unit_test(_test_refused),
    cmocka_unit_test(_test_limits),
    cmocka_unit_test(_test_too_large_to_write),
    cmocka_unit_test(_test_truncated),
    cmocka_unit_test(_test_files),
    cmocka_unit_test(_test_files_left_alone),
    cmocka_unit_test(_test_no_room),
    cmocka_unit_test(_test_two_writers),
    cmocka_unit_test(_test_exiftool),
    cmocka_unit_test(_test_style_of_lines),
    cmocka_unit_test(_test_style_of_a_sidecar),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
