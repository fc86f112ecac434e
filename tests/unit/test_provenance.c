/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stamp in XMP, and the editing of packets below it: forms that programs write, damaged ones, long ones. */
#include "support.h"

#include "imageio/provenance.h"
#include "imageio/xmp.h"

#include <string.h>

#define RDF "xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\""
#define PACKET(inside)                                                                                       \
  "<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"       \
  "<rdf:RDF " RDF ">" inside "</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"

static const dt_provenance_t _denoise = { .task = "denoise",
                                          .model = "denoise-leaves",
                                          .model_hash = "ab12",
                                          .strength = 62.5,
                                          .mask = "ef56",
                                          .sigma = 25,
                                          .scale = 1,
                                          .version = "1.2.3" };
static const dt_provenance_t _upscale = { .task = "upscale",
                                          .model = "large & <larger>",
                                          .model_hash = "cd34",
                                          .strength = 100,
                                          .scale = 1.5,
                                          .version = "1.2.4" };

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

/** Stamps @p packet (taken, may be NULL). */
static GBytes *_stamp(GBytes *packet, const dt_provenance_t *provenance)
{
  GBytes *stamped = dt_provenance_stamp(packet, provenance, NULL);
  if(packet) g_bytes_unref(packet);
  return stamped;
}

static void _assert_property(GBytes *packet, const char *uri, const char *name, const char *want)
{
  dt_xmp_t *xmp = dt_xmp_read(packet);
  assert_non_null(xmp);
  char *got = dt_xmp_get(xmp, uri, name);
  if(!want)
    assert_null(got);
  else
    assert_string_equal(got, want);
  g_free(got);
  dt_xmp_destroy(xmp);
}

static void _assert_steps(GBytes *packet, int n)
{
  GPtrArray *steps = dt_provenance_read(packet);
  assert_int_equal(steps->len, n);
  for(int i = 0; i < n; i++)
  {
    const dt_provenance_t *step = steps->pdata[i], *want = i == 0 ? &_denoise : &_upscale;
    assert_string_equal(step->task, want->task);
    assert_string_equal(step->model, want->model);
    assert_string_equal(step->model_hash, want->model_hash);
    assert_string_equal(step->version, want->version);
    assert_true(step->strength == want->strength && step->scale == want->scale);
    assert_true(g_strcmp0(step->mask, want->mask) == 0 && step->sigma == want->sigma);
  }
  g_ptr_array_unref(steps);
}

// --- The stamp

static void test_a_new_packet(void **state)
{
  (void)state;
  GBytes *packet = _stamp(_stamp(NULL, &_denoise), &_upscale),
         *again = _stamp(_stamp(NULL, &_denoise), &_upscale);
  _assert_steps(packet, 2);
  assert_true(g_bytes_equal(packet, again));
  char *text = _text(packet);
  assert_null(strstr(text, "stEvt:when"));
  assert_non_null(
      strstr(text, "denoise, model denoise-leaves (sha256 ab12), strength 62.5 with a mask, scale 1"));
  assert_true(g_str_has_suffix(text, "<?xpacket end=\"w\"?>"));
  g_free(text);
  g_bytes_unref(packet);
  g_bytes_unref(again);
}

/** Ways in which packets begin, each extended in place. */
static void test_packets_of_many_kinds(void **state)
{
  (void)state;
  static const char *const packets[] = {
    PACKET("<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' dc:format='mine'/>"),
    PACKET("<rdf:Description rdf:about='a>b'>\n</rdf:Description><rdf:Description rdf:about='2'/>"),
    PACKET("<!-- <rdf:Description> --><rdf:Description rdf:about=''><a:b "
           "xmlns:a='u:'><![CDATA[</rdf:RDF>]]></a:b>"
           "</rdf:Description>"),
    PACKET(""),
    "<rdf:RDF " RDF "/>",
    "\xef\xbb\xbf<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description "
    "r:about=''/></r:RDF>",
    "<RDF xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><Description/></RDF>",
    // the prefixes of the stamp mean something else here
    PACKET("<rdf:Description rdf:about='' xmlns:dtai='u:1' xmlns:stEvt='u:2' xmlns:xmpMM='u:3' dtai:steps='x'"
           " xmpMM:History='y'/>"),
  };
  for(size_t i = 0; i < G_N_ELEMENTS(packets); i++)
  {
    GBytes *packet = _stamp(_stamp(_bytes(packets[i]), &_denoise), &_upscale);
    _assert_steps(packet, 2);
    // nothing of the old packet was touched: it is what is left when the new parts are taken out
    char *text = _text(packet);
    size_t at = 0;
    for(const char *c = text; *c && packets[i][at]; c++) at += *c == packets[i][at];
    assert_true(at + 2 >= strlen(packets[i]));
    g_free(text);
    g_bytes_unref(packet);
  }
}

/** The structure as other programs write it. */
static void test_steps_in_other_words(void **state)
{
  (void)state;
  static const char *const items[] = {
    "<rdf:li d:task='denoise' d:model='m'/>",
    "<rdf:li rdf:parseType='Resource'><d:task>denoise</d:task><d:model>m</d:model></rdf:li>",
    "<rdf:li><rdf:Description d:task='denoise'><d:model>&#109;</d:model></rdf:Description></rdf:li>",
    "<rdf:li><rdf:Description><d:task><![CDATA[denoise]]></d:task><d:model>m</d:model></rdf:Description></"
    "rdf:li>",
  };
  for(size_t i = 0; i < G_N_ELEMENTS(items); i++)
  {
    char *text =
        g_strdup_printf(PACKET("<rdf:Description/><rdf:Description xmlns:d='" DT_PROVENANCE_NS "'><d:steps>"
                               "<rdf:Seq>%s</rdf:Seq></d:steps></rdf:Description>"),
                        items[i]);
    GBytes *packet = _bytes(text);
    GPtrArray *steps = dt_provenance_read(packet);
    assert_int_equal(steps->len, 1);
    assert_string_equal(((dt_provenance_t *)steps->pdata[0])->task, "denoise");
    assert_string_equal(((dt_provenance_t *)steps->pdata[0])->model, "m");
    g_ptr_array_unref(steps);
    packet = _stamp(packet, &_upscale);
    steps = dt_provenance_read(packet);
    assert_int_equal(steps->len, 2);
    assert_string_equal(((dt_provenance_t *)steps->pdata[1])->task, "upscale");
    g_ptr_array_unref(steps);
    g_bytes_unref(packet);
    g_free(text);
  }
}

static void test_history_of_others_is_kept(void **state)
{
  (void)state;
  GBytes *packet =
      _stamp(_bytes(PACKET(
                 "<rdf:Description xmlns:m='http://ns.adobe.com/xap/1.0/mm/' "
                 "xmlns:e='http://ns.adobe.com/xap/1.0/sType/ResourceEvent#'><m:History><rdf:Seq>"
                 "<rdf:li e:action='created' e:when='2024-01-01'/></rdf:Seq></m:History></rdf:Description>")),
             &_denoise);
  dt_xmp_t *xmp = dt_xmp_read(packet);
  GPtrArray *events = dt_xmp_get_items(xmp, DT_XMP_NS_MM, "History");
  assert_int_equal(events->len, 2);
  assert_string_equal(g_hash_table_lookup(events->pdata[0], "action"), "created");
  assert_string_equal(g_hash_table_lookup(events->pdata[1], "action"), "edited");
  assert_string_equal(g_hash_table_lookup(events->pdata[1], "softwareAgent"), "darktable-ai 1.2.3");
  g_ptr_array_unref(events);
  dt_xmp_destroy(xmp);
  g_bytes_unref(packet);
}

/** What cannot be extended without a loss is not extended. */
static void test_damaged_packets_are_left_alone(void **state)
{
  (void)state;
  static const char *const packets[] = {
    "",
    "no XML",
    "<a/>",
    "<rdf:RDF " RDF "><rdf:Description>",
    "<rdf:RDF " RDF "><rdf:Description></rdf:RDF></rdf:Description>",
    "<rdf:RDF " RDF "><rdf:Description a=b/></rdf:RDF>",
    "<!DOCTYPE x [<!ENTITY e 'e'>]><rdf:RDF " RDF "/>",
    "<rdf:RDF " RDF "><rdf:Description>\xff</rdf:Description></rdf:RDF>",
    "<RDF/>",
    PACKET("<rdf:Description xmlns:d='" DT_PROVENANCE_NS "' d:steps='no array'/>"),
    PACKET("<rdf:Description xmlns:d='" DT_XMP_NS_MM "'><d:History>text</d:History></rdf:Description>"),
  };
  for(size_t i = 0; i < G_N_ELEMENTS(packets); i++)
  {
    GBytes *packet = _bytes(packets[i]);
    assert_null(dt_provenance_stamp(packet, &_denoise, "x"));
    GPtrArray *steps = dt_provenance_read(packet);
    assert_int_equal(steps->len, 0);
    g_ptr_array_unref(steps);
    g_bytes_unref(packet);
  }
}

static void test_the_software_before(void **state)
{
  (void)state;
  GBytes *first = dt_provenance_stamp(NULL, &_denoise, "darktable 4.6"); // nobody is named yet
  _assert_property(first, DT_XMP_NS_XMP, "CreatorTool", "darktable 4.6");
  GBytes *second =
      dt_provenance_stamp(first, &_upscale, "darktable-ai 1.2.3"); // this program is in the steps
  _assert_property(second, DT_XMP_NS_XMP, "CreatorTool", "darktable 4.6");
  GBytes *third = dt_provenance_stamp(second, &_upscale, "J\xfcrgen's \x01 program");
  char *text = _text(third);
  assert_non_null(strstr(text, "dtai:previousSoftware=\"J\xc3\xbcrgen&apos;s   program\""));
  g_free(text);
  g_bytes_unref(first);
  g_bytes_unref(second);
  g_bytes_unref(third);
}

static void test_dates_come_from_the_environment(void **state)
{
  (void)state;
  static const struct
  {
    const char *epoch, *date;
  } cases[] = { { "0", "1970-01-01T00:00:00Z" },
                { "1700000000", "2023-11-14T22:13:20Z" },
                { "253402300799", "9999-12-31T23:59:59Z" },
                { "253402300800", NULL },
                { "-1", NULL },
                { "soon", NULL },
                { "", NULL } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    g_setenv("SOURCE_DATE_EPOCH", cases[i].epoch, TRUE);
    GBytes *packet = _stamp(NULL, &_denoise);
    char *text = _text(packet);
    assert_true((strstr(text, "stEvt:when") != NULL) == (cases[i].date != NULL));
    _assert_property(packet, DT_XMP_NS_XMP, "MetadataDate", cases[i].date);
    g_free(text);
    g_bytes_unref(packet);
  }
  g_setenv("SOURCE_DATE_EPOCH", "0", TRUE);
  GBytes *packet = _stamp(
      _bytes(PACKET("<rdf:Description xmlns:x='" DT_XMP_NS_XMP "' x:MetadataDate='2020'/>")), &_denoise);
  _assert_property(packet, DT_XMP_NS_XMP, "MetadataDate", "1970-01-01T00:00:00Z");
  g_bytes_unref(packet);
  g_unsetenv("SOURCE_DATE_EPOCH");
  packet = _stamp(_bytes(PACKET("<rdf:Description xmlns:x='" DT_XMP_NS_XMP "' x:MetadataDate='2020'/>")),
                  &_denoise);
  _assert_property(packet, DT_XMP_NS_XMP, "MetadataDate", "2020");
  g_bytes_unref(packet);
}

static void test_wide_characters(void **state)
{
  (void)state;
  static const char text[] =
      "<rdf:RDF " RDF "><rdf:Description xmlns:x='" DT_XMP_NS_XMP "' x:Label='\xc3\xa9'/></rdf:RDF>";
  static const char *const encodings[] = {
    "UTF-16LE", "UTF-16BE", "UTF-16", "UTF-32LE", "UTF-32BE", "UTF-32"
  };
  for(size_t i = 0; i < G_N_ELEMENTS(encodings); i++)
  {
    gsize size;
    char *wide = g_convert(text, -1, encodings[i], "UTF-8", NULL, &size, NULL);
    GBytes *packet = _stamp(g_bytes_new_take(wide, size), &_denoise);
    assert_non_null(packet);
    _assert_property(packet, DT_XMP_NS_XMP, "Label", "\xc3\xa9");
    g_bytes_unref(packet);
  }
}

// --- Properties

static void test_changing_properties(void **state)
{
  (void)state;
  GBytes *packet =
      _bytes(PACKET("<rdf:Description xmlns:x='" DT_XMP_NS_XMP "' x:A = \"1\" x:B='2'\n x:C='3'/>"
                    "<rdf:Description xmlns:y='" DT_XMP_NS_XMP "'><y:A>1</y:A><y:D><z>9</z></y:D>"
                    "<q:A xmlns:q='u:'>kept</q:A></rdf:Description>"));
  dt_xmp_t *xmp = dt_xmp_read(packet);
  assert_true(dt_xmp_replace(xmp, DT_XMP_NS_XMP, "A", "<\">"));
  assert_false(dt_xmp_replace(xmp, DT_XMP_NS_XMP, "Z", "1"));
  dt_xmp_remove(xmp, DT_XMP_NS_XMP, "B");
  dt_xmp_remove(xmp, DT_XMP_NS_XMP, "D");
  dt_xmp_add(xmp, DT_XMP_NS_XMP, "x", "E", "5");
  GBytes *written = dt_xmp_write(xmp), *twice = dt_xmp_write(xmp);
  assert_true(g_bytes_equal(written, twice));
  char *text = _text(written);
  assert_non_null(strstr(text, " x:A = \"&lt;&quot;&gt;\"\n x:C='3'>"));
  assert_non_null(strstr(text, "<y:A>&lt;&quot;&gt;</y:A><q:A xmlns:q='u:'>kept</q:A></rdf:Description>"));
  _assert_property(written, DT_XMP_NS_XMP, "A", "<\">");
  _assert_property(written, DT_XMP_NS_XMP, "B", NULL);
  _assert_property(written, DT_XMP_NS_XMP, "D", NULL);
  _assert_property(written, DT_XMP_NS_XMP, "E", "5");
  _assert_property(written, "u:", "A", "kept");
  g_free(text);
  g_bytes_unref(twice);
  g_bytes_unref(written);
  g_bytes_unref(packet);
  dt_xmp_destroy(xmp);
}

// --- Two packets

/** A packet with properties of @p sizes, the first as an attribute. */
static GBytes *_make_long(const gsize *sizes, int n)
{
  GString *text = g_string_new("<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:o='u:outer'><rdf:RDF " RDF
                               "><rdf:Description rdf:about='' xmlns:p='u:p'");
  for(int i = 0; i < n; i++)
  {
    char *filling = g_strnfill(sizes[i], (char)('a' + i));
    g_string_append_printf(text, i == 0 ? " p:p%d='%s'>" : "<p:p%d o:q='1'>%s</p:p%d>", i, filling, i);
    g_free(filling);
  }
  g_string_append(text, "</rdf:Description></rdf:RDF></x:xmpmeta>");
  return g_string_free_to_bytes(text);
}

static void test_division_of_long_packets(void **state)
{
  (void)state;
  static const struct
  {
    gsize sizes[4];
    gboolean possible;
  } cases[] = { { { 10, 20, 100000, 30 }, TRUE },
                { { 100000, 20, 10, 30 }, TRUE },
                { { 40000, 40000, 40000, 40000 }, TRUE },
                { { 1, 1, 1, 65001 }, TRUE } };
  for(size_t c = 0; c < G_N_ELEMENTS(cases); c++)
  {
    char guid[33];
    GBytes *rest = NULL, *packet = _make_long(cases[c].sizes, 4);
    GBytes *first = dt_xmp_split(packet, 65000, &rest, guid);
    assert_non_null(first);
    assert_true(g_bytes_get_size(first) <= 65000);
    assert_int_equal(strlen(guid), 32);
    char *named = dt_xmp_get_extension(first);
    assert_string_equal(named, guid);
    GBytes *whole = dt_xmp_merge(first, rest);
    for(int i = 0; i < 4; i++)
    {
      char name[8], *filling = g_strnfill(cases[c].sizes[i], (char)('a' + i));
      g_snprintf(name, sizeof(name), "p%d", i);
      _assert_property(whole, "u:p", name, filling);
      g_free(filling);
    }
    assert_null(dt_xmp_get_extension(whole));
    // without the second, or with a damaged one, the first is left
    GBytes *half = dt_xmp_merge(first, NULL), *damaged = _bytes("damaged"),
           *other = dt_xmp_merge(first, damaged);
    assert_true(g_bytes_equal(half, other));
    assert_null(dt_xmp_get_extension(half));
    GBytes *const all[] = { half, damaged, other, whole, first, rest, packet };
    for(size_t i = 0; i < G_N_ELEMENTS(all); i++) g_bytes_unref(all[i]);
    g_free(named);
  }
}

static void test_division_that_is_impossible(void **state)
{
  (void)state;
  char guid[33], *filling = g_strnfill(70000, ' ');
  char *text = g_strconcat("<rdf:RDF " RDF ">", filling, "</rdf:RDF>", NULL);
  GBytes *rest = NULL, *packet = _bytes(text), *junk = _bytes(filling);
  assert_null(dt_xmp_split(packet, 65000, &rest, guid)); // nothing in it can be moved
  assert_null(dt_xmp_split(junk, 65000, &rest, guid));
  assert_null(rest);
  g_bytes_unref(packet);
  g_bytes_unref(junk);
  g_free(filling);
  g_free(text);
}

// --- Damage

/** Bytes at random: whatever comes out, a stamp that is given is one that can be read. */
static void test_random_damage(void **state)
{
  (void)state;
  GBytes *good =
      _stamp(_stamp(_bytes(PACKET("<rdf:Description xmlns:x='" DT_XMP_NS_XMP "' x:A='1'><x:B>2</x:B>"
                                  "</rdf:Description>")),
                    &_denoise),
             &_upscale);
  gsize size;
  const char *data = g_bytes_get_data(good, &size);
  GRand *random = g_rand_new_with_seed(20240506);
  int stamped = 0;
  for(int run = 0; run < 20000; run++)
  {
    char *copy = g_memdup2(data, size);
    for(int k = g_rand_int_range(random, 1, 4); k > 0; k--)
      copy[g_rand_int_range(random, 0, (gint32)size)] =
          g_rand_boolean(random) ? "<>/='\" :&!?-\0]"[g_rand_int_range(random, 0, 14)]
                                 : (char)g_rand_int(random);
    const gsize length =
        g_rand_int_range(random, 0, 4) ? size : (gsize)g_rand_int_range(random, 0, (gint32)size);
    GBytes *packet = g_bytes_new_take(copy, length), *rest = NULL;
    GPtrArray *before = dt_provenance_read(packet);
    GBytes *result = dt_provenance_stamp(packet, &_denoise, "x");
    if(result)
    {
      GPtrArray *after = dt_provenance_read(result);
      assert_int_equal(after->len, before->len + 1);
      g_ptr_array_unref(after);
      char guid[33];
      GBytes *first = dt_xmp_split(result, 1200, &rest, guid),
             *whole = first ? dt_xmp_merge(first, rest) : NULL;
      if(first) g_bytes_unref(first);
      if(rest) g_bytes_unref(rest);
      if(whole) g_bytes_unref(whole);
      stamped++;
    }
    g_ptr_array_unref(before);
    g_clear_pointer(&result, g_bytes_unref);
    g_bytes_unref(packet);
  }
  assert_true(stamped > 1000);
  g_rand_free(random);
  g_bytes_unref(good);
}

/** Deep and wide packets cost time in proportion. */
static void test_large_packets(void **state)
{
  (void)state;
  GString *text = g_string_new("<rdf:RDF " RDF "><rdf:Description>");
  for(int i = 0; i < 100000; i++) g_string_append(text, "<a:b xmlns:a='u:'>");
  for(int i = 0; i < 100000; i++) g_string_append(text, "</a:b>");
  for(int i = 0; i < 100000; i++) g_string_append_printf(text, "<c:c xmlns:c='u:%d'/>", i);
  g_string_append(text, "</rdf:Description></rdf:RDF>");
  const gint64 start = g_get_monotonic_time();
  GBytes *packet = _stamp(g_string_free_to_bytes(text), &_denoise);
  _assert_steps(packet, 1);
  assert_true(g_get_monotonic_time() - start < 20 * G_USEC_PER_SEC);
  g_bytes_unref(packet);
}

int main(void)
{
  g_unsetenv("SOURCE_DATE_EPOCH");
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_new_packet),
    cmocka_unit_test(test_packets_of_many_kinds),
    cmocka_unit_test(test_steps_in_other_words),
    cmocka_unit_test(test_history_of_others_is_kept),
    cmocka_unit_test(test_damaged_packets_are_left_alone),
    cmocka_unit_test(test_the_software_before),
    cmocka_unit_test(test_dates_come_from_the_environment),
    cmocka_unit_test(test_wide_characters),
    cmocka_unit_test(test_changing_properties),
    cmocka_unit_test(test_division_of_long_packets),
    cmocka_unit_test(test_division_that_is_impossible),
    cmocka_unit_test(test_random_damage),
    cmocka_unit_test(test_large_packets),
  };
  return cmocka_run_group_tests_name("provenance", tests, NULL, NULL);
}
