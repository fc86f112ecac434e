/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Priority strings: what every kind of token does, what is remarked about it and where, and a second reader of the
 * grammar, written from its description alone, that has to agree on any string. */
#include "support.h"

#include "common/conf.h"
#include "common/opencl_priority.h"

#include <stdlib.h>
#include <string.h>

#define NEEDLESS DT_OPENCL_REMARK_FIELDS /* about missing fields: every short string has it */

static const dt_opencl_names_t _three[] = {
  { "Alpha GPU", NULL, NULL },
  { "Beta-GPU (R)", NULL, NULL },
  { "Gamma", NULL, NULL },
};
static const dt_opencl_names_t _two[] = {
  { "GeForce GTS 450", "NVIDIA CUDA", "pci:0000:01:00.0" },
  { "Tahiti", "AMD Accelerated Parallel Processing", "pci:0000:02:00.0" },
};
static const dt_opencl_names_t _twins[] = {
  { "Twin", "Works", "Twin#1" },
  { "Twin", "Works", "Twin#2" },
};

/* --- the lists --- */

/* "0 2", "+1", "" */
static char *_format_order(const dt_opencl_order_t *order)
{
  GString *text = g_string_new(order->mandatory ? "+" : "");
  for(int i = 0; i < order->n; i++) g_string_append_printf(text, "%s%d", i ? " " : "", order->devices[i]);
  return g_string_free(text, FALSE);
}

/* "0 1|1|0 1||1" */
static char *_format(const dt_opencl_priorities_t *p)
{
  GString *text = g_string_new(NULL);
  for(int i = 0; i < DT_OPENCL_PIPES; i++)
  {
    char *order = _format_order(&p->orders[i]);
    g_string_append_printf(text, "%s%s", i ? "|" : "", order);
    g_free(order);
  }
  return g_string_free(text, FALSE);
}

static void _expect(const char *string, const dt_opencl_names_t *devices, int n, const char *expected)
{
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(string, devices, n);
  char *found = _format(p);
  if(strcmp(found, expected) != 0)
    fail_msg("\"%s\" is read as %s instead of %s", string ? string : "(NULL)", found, expected);
  g_free(found);
  dt_opencl_priorities_free(p);
}

static const struct
{
  const char *field, *list;
} _fields[] = {
  { "*", "0 1 2" },
  { "+*", "+0 1 2" },
  { "", "" },
  { "+", "" },
  { "!0,*", "1 2" },
  { "*,!0", "0 1 2" },
  { "0,!0", "0" },
  { "!0,0", "" },
  { "!!0,*", "1 2" },
  { "!*", "" },
  { "!", "" },
  { ",", "" },
  { "0,0,1", "0 1" },
  { "2,1,0", "2 1 0" },
  { "2,*", "2 0 1" },
  { "1,*,0", "1 0 2" },
  { "GAMMA,Beta GPU (R)", "2 1" },
  { "Nope", "" },
  { "Nope,1", "1" },
  { "!Nope,*", "0 1 2" },
  { "+Nope", "" },
  { "3", "" },
  { "-1", "1" },
  { "1abc", "1" },
  { "0*", "0" },
  { "0*,1", "0 1" },
  { "Gamma*", "2" },
  { "*foo,0", "0 1 2" },
  { "0,+1", "0 1" },
  { "+!0,*", "+1 2" },
  { "!+0,*", "1 2" },
  { "++*", "" },
  { "1 0", "" },
  { "01", "1" },
  { "0x1", "0" },
  { "99999999999999999999", "" },
  { "18446744073709551616", "" },
  { "4294967297", "" },
  { ",,1", "1" },
  { " + * ", "+0 1 2" },
  { "!*gamma,*", "0 1" },
  { "\xff\xfe\x01Gam\xc3\xa4ma", "2" },
};

/* Each list in the place of every pipe, between fields of other pipes. */
static void test_fields(void **state)
{
  (void)state;
  for(gsize i = 0; i < G_N_ELEMENTS(_fields); i++)
    for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
    {
      GString *string = g_string_new(NULL), *expected = g_string_new(NULL);
      for(int k = 0; k < DT_OPENCL_PIPES; k++)
      {
        g_string_append_printf(string, "%s%s", k ? "/" : "", k == pipe ? _fields[i].field : "1");
        g_string_append_printf(expected, "%s%s", k ? "|" : "", k == pipe ? _fields[i].list : "1");
      }
      _expect(string->str, _three, 3, expected->str);
      g_string_free(string, TRUE);
      g_string_free(expected, TRUE);
    }
}

static void test_strings(void **state)
{
  (void)state;
  _expect(NULL, _three, 3, "||||");
  _expect("", _three, 3, "||||");
  _expect("/", _three, 3, "||||");
  _expect("*/", _three, 3, "0 1 2||||");
  _expect("+*/+*/+*/+*/+*", _three, 3, "+0 1 2|+0 1 2|+0 1 2|+0 1 2|+0 1 2");
  _expect("0/1/2/0/1/2", _three, 3, "0|1|2|0|1");
  _expect("*/!0,*/*/*/!0,*", _three, 1, "0||0|0|");
  _expect("*/!0,*/*/*/!0,*", _three, 2, "0 1|1|0 1|0 1|1");
  _expect("!GeForce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*", _two, 2, "1|0|1 0|1 0|0");
  _expect("Twin,*/!Twin,*", _twins, 2, "0 1|1|||1");
  _expect("*/+*/!0/0", NULL, 0, "||||");
}

/* Four fields are of an older darktable: the second window has what the first has. */
static void test_preview2_follows_preview(void **state)
{
  (void)state;
  _expect("*/!0,*/*/*", _three, 3, "0 1 2|1 2|0 1 2|0 1 2|1 2");
  _expect("*/+2,0/*/*", _three, 3, "0 1 2|+2 0|0 1 2|0 1 2|+2 0");
  _expect("*/2", _three, 3, "0 1 2|2|||2");
  _expect("*/2/*/*/", _three, 3, "0 1 2|2|0 1 2|0 1 2|");
  _expect("*/2/*/*/1", _three, 3, "0 1 2|2|0 1 2|0 1 2|1");
}

static void test_names(void **state)
{
  (void)state;
  const dt_opencl_names_t odd[] = {
    { "1", NULL, NULL },
    { "Tahiti 2", NULL, NULL },
    { "Tahiti", "rusticl", "Tahiti#2" },
    { "AMD RX 580 (radeonsi, polaris10)", "rusticl", "uuid:00ff" },
    { NULL, NULL, NULL },
  };
  _expect("1", odd, 5, "0||||");        /* a name before a number */
  _expect("2", odd, 5, "2||||");        /* no name */
  _expect("Tahiti#2", odd, 5, "1||||"); /* a name before an identity */
  _expect("uuid 00FF,RUSTICL Tahiti", odd, 5, "3 2||||");
  _expect("rusticlAMDRX580/rusticlAMDRX580radeonsipolaris10/AMDRX580", odd, 5, "3|3|||3");
  _expect("Twin#2,works twin", _twins, 2, "1 0||||");
  _expect("nvidiacudageforcegts450/pci:0000:02:00.0/!PCI000001000,*", _two, 2, "0|1|1||1");
}

/* Letters outside ASCII are none; a name of nothing else is no name. */
static void test_names_in_utf8(void **state)
{
  (void)state;
  const dt_opencl_names_t devices[] = {
    { "显卡", NULL, NULL },
    { "Радеон RX", NULL, NULL },
    { "Gerät Ä7", NULL, NULL },
  };
  _expect("gerät ä7,*", devices, 3, "2 0 1||||");
  _expect("Gert7,rx", devices, 3, "2 1||||");
  _expect("显卡,1", devices, 3, "1||||");
  _expect("!显卡,*", devices, 3, "0 1 2||||");
  _expect("!*,*/++*/!,显", devices, 3, "0 1 2||||");
}

/* --- the remarks --- */

/* Parses one field and returns the only remark about it. */
static const dt_opencl_remark_t *_only(const dt_opencl_priorities_t *p)
{
  const dt_opencl_remark_t *found = NULL;
  for(guint i = 0; i < p->remarks->len; i++)
  {
    const dt_opencl_remark_t *r = p->remarks->pdata[i];
    if(r->kind == NEEDLESS) continue;
    if(found) fail_msg("\"%s\": \"%s\" and \"%s\"", p->text, found->text, r->text);
    found = r;
  }
  return found;
}

typedef struct _remarked_t
{
  const char *text;
  dt_opencl_remark_kind_t kind;
  const char *token; /* what is marked: its last occurrence */
  const char *words[2];
  gboolean harmless;
} _remarked_t;

static void _expect_remark(const _remarked_t *e, const dt_opencl_names_t *devices, int n)
{
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(e->text, devices, n);
  const dt_opencl_remark_t *r = _only(p);
  if(!r)
    fail_msg("nothing is said about \"%s\"", e->text);
  else
  {
    const gsize offset = (gsize)(g_strrstr(e->text, e->token) - e->text);
    if(r->kind != e->kind || r->offset != offset || r->length != strlen(e->token)
       || r->harmless != e->harmless)
      fail_msg("\"%s\": kind %d at %" G_GSIZE_FORMAT ", %" G_GSIZE_FORMAT " long, harmless %d: %s", e->text,
               (int)r->kind, r->offset, r->length, r->harmless, r->text);
    for(int i = 0; i < 2; i++)
      if(e->words[i] && !strstr(r->text, e->words[i]))
        fail_msg("\"%s\": \"%s\" does not say \"%s\"", e->text, r->text, e->words[i]);
  }
  dt_opencl_priorities_free(p);
}

static const _remarked_t _remarked[] = {
  { "1, Nope /1", DT_OPENCL_REMARK_UNKNOWN, "Nope", { "\"Nope\" is ignored", "no device has that name" }, 0 },
  { "!Gama,*",
    DT_OPENCL_REMARK_UNKNOWN,
    "!Gama",
    { "excludes nothing", "did you mean device 2 (\"Gamma\")?" },
    0 },
  { "0,Beta", DT_OPENCL_REMARK_UNKNOWN, "Beta", { "did you mean device 1 (\"Beta-GPU (R)\")?" }, 0 },
  { "0,1080Ti", DT_OPENCL_REMARK_UNKNOWN, "1080Ti", { "no device has that name" }, 0 },
  { "0,CUDA Gamma", DT_OPENCL_REMARK_UNKNOWN, "CUDA Gamma", { "did you mean device 2 (\"Gamma\")?" }, 0 },
  { "0,\t 3\n", DT_OPENCL_REMARK_UNKNOWN, "3", { "\"3\" is ignored", "from 0 to 2" }, 0 },
  { "!99999999999999999999,*", DT_OPENCL_REMARK_UNKNOWN, "!99999999999999999999", { "excludes nothing" }, 0 },
  { "0,Alpha (GPU)",
    DT_OPENCL_REMARK_REPEATED,
    "Alpha (GPU)",
    { "changes nothing", "has named device 0" },
    1 },
  { "2,!Gamma", DT_OPENCL_REMARK_REPEATED, "!Gamma", { "comes too late", "has named device 2" }, 0 },
  { "!2,Gamma,1", DT_OPENCL_REMARK_REPEATED, "Gamma", { "changes nothing", "has excluded device 2" }, 0 },
  { "!2,!Gamma,*", DT_OPENCL_REMARK_REPEATED, "!Gamma", { "has excluded device 2" }, 1 },
  { "!!1,*", DT_OPENCL_REMARK_REPEATED, "!!1", { "excludes device 1", "one exclamation mark is enough" }, 1 },
  { "*,!0", DT_OPENCL_REMARK_AFTER_WILDCARD, "!0", { "asterisk before it", "put that last" }, 0 },
  { "1,*,Nope", DT_OPENCL_REMARK_AFTER_WILDCARD, "Nope", { "asterisk before it" }, 0 },
  { "*, *", DT_OPENCL_REMARK_AFTER_WILDCARD, "*", { "an asterisk stands before it" }, 1 },
  { "0, ! ", DT_OPENCL_REMARK_NOTHING, "!", { "excludes nothing" }, 0 },
  { "!*,1", DT_OPENCL_REMARK_NOTHING, "!*", { "an asterisk cannot be excluded" }, 0 },
  { "0,,,,1", DT_OPENCL_REMARK_NOTHING, ",,,", { "a comma without a device" }, 1 },
  { "0,", DT_OPENCL_REMARK_NOTHING, ",", { "a comma without a device" }, 1 },
  { "0,1*",
    DT_OPENCL_REMARK_TRAILING,
    "1*",
    { "names device 1 (\"Beta-GPU (R)\") alone", "was \",*\" meant?" },
    0 },
  { "!0*,1", DT_OPENCL_REMARK_TRAILING, "!0*", { "excludes device 0 (\"Alpha GPU\") alone" }, 0 },
  { "1,Gamma*", DT_OPENCL_REMARK_TRAILING, "Gamma*", { "names device 2", "an asterisk only counts" }, 0 },
  { "0,Gamma!1", DT_OPENCL_REMARK_UNKNOWN, "Gamma!1", { "did you mean device 2" }, 0 },
  { "0!1", DT_OPENCL_REMARK_TRAILING, "0!1", { "names device 0", "was \",!\" meant?" }, 0 },
  { "1abc",
    DT_OPENCL_REMARK_TRAILING,
    "1abc",
    { "names device 1", "what follows the number is ignored" },
    0 },
  { "*foo", DT_OPENCL_REMARK_TRAILING, "*foo", { "read as an asterisk", "is a comma missing?" }, 0 },
  { "**", DT_OPENCL_REMARK_TRAILING, "**", { "read as an asterisk" }, 1 },
  { "0,+1", DT_OPENCL_REMARK_PLUS, "+1", { "names device 1", "only counts at the start of a field" }, 0 },
  { "!+0,*", DT_OPENCL_REMARK_PLUS, "!+0", { "excludes device 0" }, 0 },
  { "*/+", DT_OPENCL_REMARK_PLUS, "+", { "\"+\" has no device to wait for" }, 0 },
  { "-1",
    DT_OPENCL_REMARK_DELETED,
    "-1",
    { "is read as 1 and names device 1", "before it does not count" },
    0 },
  { "!\xe2\x88\x92"
    "1,*",
    DT_OPENCL_REMARK_DELETED,
    "!\xe2\x88\x92"
    "1",
    { "is read as 1 and excludes" },
    0 },
  { "*/0, 1 0", DT_OPENCL_REMARK_DELETED, "1 0", { "is read as 10: only commas", "from 0 to 2" }, 0 },
  { "0;1",
    DT_OPENCL_REMARK_DELETED,
    "0;1",
    { "is read as 01 and names device 1", "only commas separate" },
    0 },
  { "0, - ", DT_OPENCL_REMARK_DELETED, "-", { "\"-\" is ignored", "letters A to Z" }, 0 },
  { "1/2/*/*/!2,!0,!1", DT_OPENCL_REMARK_CPU, "!2,!0,!1", { "leaves no device" }, 1 },
  { "1/2/*/*/ +!2,!0,!1", DT_OPENCL_REMARK_PLUS, "+", { "\"+!2,!0,!1\" has no device to wait for" }, 1 },
};

static void test_remarks(void **state)
{
  (void)state;
  for(gsize i = 0; i < G_N_ELEMENTS(_remarked); i++) _expect_remark(&_remarked[i], _three, 3);
  const _remarked_t twins[] = {
    { "Twin,*", DT_OPENCL_REMARK_TWINS, "Twin", { "names device 0", "write 1 or \"Twin#2\"" }, 0 },
    { "!works twin,*", DT_OPENCL_REMARK_TWINS, "!works twin", { "excludes device 0" }, 0 },
    { "0,Twin",
      DT_OPENCL_REMARK_REPEATED,
      "Twin",
      { "has named device 0", "has that name too, write 1" },
      0 },
    { "1,Twins", DT_OPENCL_REMARK_UNKNOWN, "Twins", { "did you mean device 0" }, 0 },
  };
  for(gsize i = 0; i < G_N_ELEMENTS(twins); i++) _expect_remark(&twins[i], _twins, 2);
  const _remarked_t two[] = {
    { "NVIDIA GeForce GTS 450,*",
      DT_OPENCL_REMARK_UNKNOWN,
      "NVIDIA GeForce GTS 450",
      { "did you mean device 0" },
      0 },
    { "!geforce,*", DT_OPENCL_REMARK_UNKNOWN, "!geforce", { "did you mean device 0" }, 0 },
    { "Tahity,*", DT_OPENCL_REMARK_UNKNOWN, "Tahity", { "did you mean device 1 (\"Tahiti\")?" }, 0 },
    { "AMD Accelerated,*", DT_OPENCL_REMARK_UNKNOWN, "AMD Accelerated", { "did you mean device 1" }, 0 },
  };
  for(gsize i = 0; i < G_N_ELEMENTS(two); i++) _expect_remark(&two[i], _two, 2);
}

static gboolean _has_question(const char *text, const dt_opencl_names_t *devices, int n)
{
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text, devices, n);
  const gboolean asks = strstr(_only(p)->text, "did you mean") != NULL;
  dt_opencl_priorities_free(p);
  return asks;
}

/* Several devices of one name are one guess. */
static void test_guess_among_twins(void **state)
{
  (void)state;
  const dt_opencl_names_t cards[] = { { "GeForce GTS 450", NULL, NULL },
                                      { "GeForce GTS 450", NULL, NULL },
                                      { "GeForce GT 710", NULL, NULL } };
  assert_true(_has_question("0,GTS", cards, 3));
  assert_false(_has_question("0,GeForce", cards, 3));
}

/* A wrong guess is worse than none. */
static void test_no_guess(void **state)
{
  (void)state;
  assert_true(_has_question("0,gamme", _three, 3));
  assert_false(_has_question("0,GPU", _three, 3)); /* part of two names */
  assert_false(_has_question("0,ga", _three, 3));  /* too short to tell */
  assert_false(_has_question("0,Quadro", _three, 3));
  assert_false(_has_question("0,Gabby", _three, 3));
  assert_false(_has_question("0,pci:0000:03:00.0", _two, 2)); /* one digit off, another place */
}

static void test_nothing_to_remark(void **state)
{
  (void)state;
  const char *fine[] = {
    "*/!0,*/*/*/!0,*",   "+*/+*/+*/+*/+*",        "////", " gamma , Alpha GPU/(beta) GPU [R]/2,1,0/!1,*/",
    "*/0,1,2,*/ /\t/+1", "01/! 1,*/\"2\"/#1/ + *"
  };
  for(gsize i = 0; i < G_N_ELEMENTS(fine); i++)
  {
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(fine[i], _three, 3);
    if(p->remarks->len) fail_msg("\"%s\": %s", fine[i], ((dt_opencl_remark_t *)p->remarks->pdata[0])->text);
    dt_opencl_priorities_free(p);
  }
}

/* Kinds, harmless or not, as text: "unknown cpu-". */
static char *_kinds(const dt_opencl_priorities_t *p)
{
  static const char letters[] = "URWNTPISDLC";
  GString *text = g_string_new(NULL);
  for(guint i = 0; i < p->remarks->len; i++)
  {
    const dt_opencl_remark_t *r = p->remarks->pdata[i];
    g_string_append_c(text, r->harmless ? g_ascii_tolower(letters[r->kind]) : letters[r->kind]);
  }
  return g_string_free(text, FALSE);
}

static void _expect_kinds(const char *string, int n, const char *expected)
{
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(string, _three, n);
  char *found = _kinds(p);
  if(strcmp(found, expected) != 0) fail_msg("\"%s\": %s instead of %s", string, found, expected);
  g_free(found);
  dt_opencl_priorities_free(p);
}

/* A letter for each remark in the order of UNKNOWN, REPEATED, WILDCARD, NOTHING, TRAILING, PLUS, "identity" (twins),
 * FIELDS (S), DELETED, LENGTH and CPU; a small one for a harmless remark. */
static void test_several_remarks(void **state)
{
  (void)state;
  _expect_kinds("*/*/*/*", 3, "s");
  _expect_kinds("*/!0,*/*/*", 1, "cs"); /* the default, as it is meant */
  _expect_kinds("", 3, "S");
  _expect_kinds("*/*/*", 3, "S");
  _expect_kinds("*/*/*/*/*/", 3, "s");
  _expect_kinds("*/*/*/*/*/*/*", 3, "S");
  _expect_kinds("Nope////", 3, "UC");
  _expect_kinds("+Nope////", 3, "PU");
  _expect_kinds("++*////", 3, "PP");
  _expect_kinds(",////", 3, "nc");
  _expect_kinds("显卡////", 3, "DC");
  _expect_kinds("-////", 3, "DC");
  _expect_kinds("Nope,0*,!0,,*,1////", 3, "UTRnW");
  _expect_kinds("*/0/Nope/!Nope,*/+", 0, "c"); /* nothing is known where there is no device */
  _expect_kinds("*,*/0", 0, "cwS");
}

static void test_fields_in_words(void **state)
{
  (void)state;
  const struct
  {
    const char *text, *words;
    gsize offset, length;
  } all[] = {
    { "*/*/*/*", "preview2 has what preview has", 7, 0 },
    { "*/*/*", "no field for thumbnail:", 5, 0 },
    { "*/*", "no field for export and thumbnail:", 3, 0 },
    { "*", "no field for preview, export and thumbnail:", 1, 0 },
    { "*/*/*/*/*/0/1 ", "five fields", 9, 5 },
  };
  for(gsize i = 0; i < G_N_ELEMENTS(all); i++)
  {
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(all[i].text, _three, 3);
    assert_int_equal(p->remarks->len, 1);
    const dt_opencl_remark_t *r = p->remarks->pdata[0];
    assert_int_equal(r->kind, DT_OPENCL_REMARK_FIELDS);
    assert_int_equal(r->pipe, DT_OPENCL_PIPES);
    assert_int_equal(r->offset, all[i].offset);
    assert_int_equal(r->length, all[i].length);
    assert_non_null(strstr(r->text, all[i].words));
    dt_opencl_priorities_free(p);
  }
}

/* Which pipe a remark is about. */
static void test_remarks_know_their_pipe(void **state)
{
  (void)state;
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse("0*/1*/2*/0*/1*", _three, 3);
  assert_int_equal(p->remarks->len, 5);
  for(guint i = 0; i < 5; i++)
  {
    const dt_opencl_remark_t *r = p->remarks->pdata[i];
    assert_int_equal(r->pipe, i);
    assert_int_equal(r->offset, 3 * i);
  }
  dt_opencl_priorities_free(p);
}

/* What steers a terminal, or is no UTF-8, stands in a remark as something else. */
static void test_remarks_are_printable(void **state)
{
  (void)state;
  const dt_opencl_names_t devices[] = { { "Gam\x1b[31mma\xff", NULL, "\n#1" },
                                        { "Gam[31mma", NULL, "\x7f\xc3" } };
  const char *strings[] = { "\x1b[31mGame,gam31m", "0,gam31ma/gam31ma", "\xff\x07Nope\r\n" };
  for(gsize i = 0; i < G_N_ELEMENTS(strings); i++)
  {
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(strings[i], devices, 2);
    assert_true(p->remarks->len > 1);
    for(guint k = 0; k < p->remarks->len; k++)
    {
      const dt_opencl_remark_t *r = p->remarks->pdata[k];
      assert_true(g_utf8_validate(r->text, -1, NULL));
      for(const char *c = r->text; *c; c++) assert_false(g_ascii_iscntrl(*c));
    }
    dt_opencl_priorities_free(p);
  }
}

/* A name without letters cannot be written; its number can. */
static void test_name_that_cannot_be_written(void **state)
{
  (void)state;
  const dt_opencl_names_t devices[] = { { "Gamma", NULL, NULL }, { "显卡", NULL, NULL } };
  const _remarked_t all[] = {
    { "0, 显卡", DT_OPENCL_REMARK_DELETED, "显卡", { "\"显卡\" is ignored", "to name device 1 write 1" }, 0 },
    { "! 显卡,*", DT_OPENCL_REMARK_DELETED, "! 显卡", { "excludes nothing", "to name device 1 write 1" }, 0 },
  };
  for(gsize i = 0; i < G_N_ELEMENTS(all); i++) _expect_remark(&all[i], devices, 2);
}

/* All that counts of its identity is a number, which is another device's. */
static void test_identity_that_is_a_number(void **state)
{
  (void)state;
  const dt_opencl_names_t devices[] = { { "显卡", NULL, "显卡#1" }, { "Gamma", NULL, "Gamma#1" } };
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse("1/0/Gamma#1//", devices, 2);
  static const int expected[] = { 1, 0, 1 };
  for(int i = 0; i < 3; i++)
  {
    assert_int_equal(p->orders[i].n, 1);
    assert_int_equal(p->orders[i].devices[0], expected[i]);
  }
  assert_int_equal(p->remarks->len, 0);
  dt_opencl_priorities_free(p);
}

/* --- long strings --- */

static char *_repeat(const char *part, gsize length)
{
  GString *text = g_string_new(NULL);
  while(text->len < length) g_string_append(text, part);
  return g_string_free(text, FALSE);
}

static void _check(const dt_opencl_priorities_t *p, int n)
{
  const gsize length = strlen(p->text);
  assert_true(p->remarks->len <= 52);
  for(guint i = 0; i < p->remarks->len; i++)
  {
    const dt_opencl_remark_t *r = p->remarks->pdata[i];
    assert_true(r->offset <= length && r->length <= length - r->offset);
    assert_true(*r->text && strlen(r->text) < 1000 && g_utf8_validate(r->text, -1, NULL));
    assert_true(!i || r->offset >= ((dt_opencl_remark_t *)p->remarks->pdata[i - 1])->offset);
  }
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
  {
    const dt_opencl_order_t *order = &p->orders[pipe];
    guint64 seen = 0;
    assert_true(order->n >= 0 && order->n <= n && (order->n > 0 || !order->mandatory));
    for(int i = 0; i < order->n; i++)
    {
      assert_true(order->devices[i] >= 0 && order->devices[i] < n);
      assert_false(seen >> order->devices[i] & 1);
      seen |= (guint64)1 << order->devices[i];
    }
  }
}

static void test_64_kib(void **state)
{
  (void)state;
  const char *parts[] = { ",",
                          "/",
                          "!",
                          "+",
                          "*",
                          "0",
                          "a",
                          " ",
                          "0,",
                          "Nope,",
                          ",0",
                          "!,",
                          "0*,",
                          "\xff",
                          "*,!0,,/",
                          "Gamma,!Gamma,,",
                          "\xe6\x98\xbe,",
                          "Alpha GP," };
  const gint64 start = g_get_monotonic_time();
  for(gsize i = 0; i < G_N_ELEMENTS(parts); i++)
  {
    char *text = _repeat(parts[i], 65536);
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text, _three, 3);
    _check(p, 3);
    dt_opencl_priorities_free(p);
    g_free(text);
  }
  if(!test_is_sanitized()) assert_true(g_get_monotonic_time() - start < 2 * G_USEC_PER_SEC);
}

/* Many of a kind: some are told one by one, the others are counted; what is in other fields is told. */
static void test_many_remarks(void **state)
{
  (void)state;
  char *many = _repeat("Nope,", 500), *text = g_strconcat("*/", many, "1/0*/*/*", NULL);
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text, _three, 3);
  assert_int_equal(p->remarks->len, 10);
  const dt_opencl_remark_t *more = p->remarks->pdata[8], *other = p->remarks->pdata[9];
  assert_string_equal(more->text, "and 92 more in this field");
  assert_int_equal(more->offset, 2 + 8 * 5);
  assert_int_equal(more->length, 92 * 5 - 1);
  assert_int_equal(other->pipe, DT_OPENCL_EXPORT);
  assert_int_equal(p->orders[DT_OPENCL_PREVIEW].n, 1);
  dt_opencl_priorities_free(p);
  g_free(text);
  g_free(many);
}

/* What is counted together is harmless when all of it is. */
static void test_many_harmless_remarks(void **state)
{
  (void)state;
  for(int odd = 0; odd < 2; odd++)
  {
    char *many = _repeat("0,", 60), *text = g_strconcat(many, odd ? "Nope,1////" : "1////", NULL);
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text, _three, 3);
    assert_int_equal(p->remarks->len, 9);
    for(guint i = 0; i < 8; i++) assert_true(((dt_opencl_remark_t *)p->remarks->pdata[i])->harmless);
    assert_int_equal(((dt_opencl_remark_t *)p->remarks->pdata[8])->harmless, !odd);
    dt_opencl_priorities_free(p);
    g_free(text);
    g_free(many);
  }
}

/* 2047 letters, digits and signs count; what does not count has no length. */
static void test_longest(void **state)
{
  (void)state;
  char *zeros = _repeat("0", 2045), *blanks = _repeat(" -", 9000);
  char *fits = g_strconcat("*/", blanks, zeros, NULL), *longer = g_strconcat("0/", zeros, " 1/1/1/1", NULL);
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(fits, _three, 3);
  for(guint i = 0; i < p->remarks->len; i++)
    assert_int_not_equal(((dt_opencl_remark_t *)p->remarks->pdata[i])->kind, DT_OPENCL_REMARK_LENGTH);
  assert_int_equal(p->orders[DT_OPENCL_PREVIEW].n, 1);
  dt_opencl_priorities_free(p);
  _expect(longer, _three, 3, "0|0|||0");
  p = dt_opencl_priorities_parse(longer, _three, 3);
  const dt_opencl_remark_t *r = p->remarks->pdata[0];
  assert_int_equal(p->remarks->len, 2);
  assert_int_equal(r->kind, DT_OPENCL_REMARK_LENGTH);
  assert_int_equal(r->offset, 2048); /* the "1" that is one too many */
  assert_int_equal(r->length, 7);
  dt_opencl_priorities_free(p);
  g_free(longer);
  g_free(fits);
  g_free(blanks);
  g_free(zeros);
}

/* --- a second reader --- */

/* What counts of a string, as the grammar's first step has it. */
static char *_second_clean(const char *text)
{
  GString *kept = g_string_new(NULL);
  for(; *text; text++)
    if((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
       || *text == '/' || *text == '!' || *text == ',' || *text == '*' || *text == '+')
      g_string_append_c(kept, *text);
  if(kept->len > 2047) g_string_truncate(kept, 2047);
  return g_string_free(kept, FALSE);
}

static char *_second_canonical(const char *text)
{
  char *lower = g_ascii_strdown(text, -1);
  GString *kept = g_string_new(NULL);
  for(const char *c = lower; *c; c++)
    if(!strchr("/!,*+ -().[]", *c) && (guchar)*c < 0x80 && *c > ' ') g_string_append_c(kept, *c);
  g_free(lower);
  return g_string_free(kept, FALSE);
}

static long _second_resolve(const char *token, const dt_opencl_names_t *devices, int n)
{
  char *word = _second_canonical(token), *end;
  long found = -1;
  for(int i = n - 1; i >= 0; i--)
  {
    char *name = _second_canonical(devices[i].name);
    if(*word && strcmp(name, word) == 0) found = i;
    g_free(name);
  }
  g_free(word);
  if(found >= 0) return found;
  const long number = strtol(token, &end, 10);
  return end == token || number >= n ? -1 : number;
}

/* The list as text. */
static char *_second_field(const char *field, const dt_opencl_names_t *devices, int n)
{
  GString *list = g_string_new(NULL);
  const gboolean plus = field[0] == '+';
  guint pool = (1u << n) - 1;
  char **tokens = g_strsplit(field + plus, ",", -1);
  for(char **token = tokens; *token && pool; token++)
  {
    const char *bare = *token + strspn(*token, "!");
    const gboolean all = **token == '*';
    const long device = all || !*bare ? -1 : _second_resolve(bare, devices, n);
    for(int i = 0; i < n; i++)
      if((all || i == device) && (pool >> i & 1))
      {
        if(**token != '!') g_string_append_printf(list, "%s%d", list->len ? " " : "", i);
        pool &= ~(1u << i);
      }
  }
  g_strfreev(tokens);
  if(plus && list->len) g_string_prepend_c(list, '+');
  return g_string_free(list, FALSE);
}

static char *_second(const char *text, const dt_opencl_names_t *devices, int n)
{
  char *kept = _second_clean(text), *lists[DT_OPENCL_PIPES + 1] = { NULL };
  char **fields = g_strsplit(kept, "/", -1);
  const int given = (int)g_strv_length(fields);
  for(int i = 0; i < DT_OPENCL_PIPES; i++)
  {
    const char *field = i < given ? fields[i] : i == DT_OPENCL_PREVIEW2 && given > 1 ? fields[1] : "";
    lists[i] = _second_field(field, devices, n);
  }
  char *all = g_strjoinv("|", lists);
  for(int i = 0; i < DT_OPENCL_PIPES; i++) g_free(lists[i]);
  g_strfreev(fields);
  g_free(kept);
  return all;
}

static const char *const _pieces[] = {
  "/",           "/",     "/",         "!",        "!",           ",",    ",",     ",",   "*", "*",
  "+",           "0",     "1",         "2",        "3",           "4",    "5",     "01",  " ", "-",
  "Gamma",       "gamma", "Alpha GPU", "alphagpu", "BETA-gpu(r)", "Twin", "Nope",  "Gam", "x", "1abc",
  "99999999999", "\xff",  "\xc3\xa4",  "\t",       ";",           "\x01", "Alpha", "~",
};

static char *_random_string(test_random_t *random)
{
  GString *text = g_string_new(NULL);
  const int n = test_random_int(random, 0, 24);
  for(int i = 0; i < n; i++)
    g_string_append(text, _pieces[test_random_int(random, 0, (int)G_N_ELEMENTS(_pieces) - 1)]);
  return g_string_free(text, FALSE);
}

static const dt_opencl_names_t _five[] = {
  { "Alpha GPU", NULL, NULL }, { "Beta-GPU (R)", NULL, NULL }, { "Gamma", NULL, NULL },
  { "Twin", NULL, NULL },      { "Twin", NULL, NULL },
};

/* Any string, any number of devices: the lists, and what is true of all lists and remarks. */
static void test_second_reader_agrees(void **state)
{
  (void)state;
  test_random_t random = { 20130402 };
  for(int run = 0; run < 100000; run++)
  {
    char *text = _random_string(&random);
    const int n = test_random_int(&random, 0, 5);
    char *expected = _second(text, _five, n);
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text, _five, n);
    char *found = _format(p);
    if(strcmp(found, expected) != 0)
      fail_msg("run %d: \"%s\" for %d devices: %s instead of %s", run, text, n, found, expected);
    assert_string_equal(p->text, text);
    _check(p, n);
    dt_opencl_priorities_free(p);
    g_free(found);
    g_free(expected);
    g_free(text);
  }
}

/* A shuffled list of all devices, some excluded: the order of mention, and nobody who was excluded first. */
static void test_order_of_mention(void **state)
{
  (void)state;
  test_random_t random = { 7 };
  for(int run = 0; run < 2000; run++)
  {
    int numbers[] = { 0, 1, 2, 3, 4 };
    GString *text = g_string_new("+"), *expected = g_string_new("+");
    for(int i = 0; i < 5; i++)
    {
      const int k = test_random_int(&random, i, 4), number = numbers[k];
      const gboolean excluded = test_random_int(&random, 0, 2) == 0;
      numbers[k] = numbers[i];
      g_string_append_printf(text, "%s%s%d", i ? " , " : "", excluded ? "!" : "", number);
      if(!excluded) g_string_append_printf(expected, "%s%d", expected->len > 1 ? " " : "", number);
    }
    if(expected->len == 1) g_string_truncate(expected, 0);
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text->str, _five, 5);
    char *found = _format_order(&p->orders[DT_OPENCL_FULL]);
    assert_string_equal(found, expected->str);
    g_free(found);
    dt_opencl_priorities_free(p);
    g_string_free(text, TRUE);
    g_string_free(expected, TRUE);
  }
}

/* Every token that has no effect is remarked upon: without the tokens of a field that are remarked upon as such, the
 * field means the same. */
static void test_what_is_ignored_is_remarked(void **state)
{
  (void)state;
  test_random_t random = { 99 };
  static const char *const tokens[] = {
    "0", "1", "2", "!0", "!1", "Gamma", "!Gamma", "Nope", "!Nope", "7", ""
  };
  for(int run = 0; run < 20000; run++)
  {
    GString *text = g_string_new(NULL), *effective = g_string_new(NULL);
    guint ignored = 0, told = 0;
    guint seen = 0;
    for(int i = 0; i < 6; i++)
    {
      const char *token = tokens[test_random_int(&random, 0, (int)G_N_ELEMENTS(tokens) - 1)];
      const long device = *token ? _second_resolve(token + (*token == '!'), _three, 3) : -1;
      const gboolean counts = device >= 0 && !(seen >> device & 1);
      if(device >= 0) seen |= 1u << device;
      g_string_append_printf(text, "%s%s", i ? "," : "", token);
      if(counts) g_string_append_printf(effective, "%s%s", effective->len ? "," : "", token);
      ignored += *token && !counts;
    }
    dt_opencl_priorities_t *p = dt_opencl_priorities_parse(text->str, _three, 3);
    for(guint i = 0; i < p->remarks->len; i++)
    {
      const dt_opencl_remark_kind_t kind = ((dt_opencl_remark_t *)p->remarks->pdata[i])->kind;
      told += kind == DT_OPENCL_REMARK_UNKNOWN || kind == DT_OPENCL_REMARK_REPEATED;
    }
    if(told != ignored) fail_msg("\"%s\": %u remarks about %u tokens", text->str, told, ignored);
    char *found = _format(p);
    _expect(effective->str, _three, 3, found);
    g_free(found);
    dt_opencl_priorities_free(p);
    g_string_free(text, TRUE);
    g_string_free(effective, TRUE);
  }
}

/* --- names and profiles --- */

static void test_pipe_names(void **state)
{
  (void)state;
  for(int i = 0; i < DT_OPENCL_PIPES; i++)
    assert_int_equal(dt_opencl_pipe_from_name(dt_opencl_pipe_name((dt_opencl_pipe_t)i)), i);
  assert_string_equal(dt_opencl_pipe_name(DT_OPENCL_THUMBNAIL), "thumbnail");
  assert_int_equal(dt_opencl_pipe_from_name("thumbs"), DT_OPENCL_PIPES);
  assert_int_equal(dt_opencl_pipe_from_name(NULL), DT_OPENCL_PIPES);
}

static void test_canonical_names(void **state)
{
  (void)state;
  const char *const names[][2] = {
    { "GeForce GTX 1060 6GB", "geforcegtx10606gb" },
    { "Intel(R) HD-Graphics_4000/\xc3\x84", "intelrhdgraphics4000" },
    { "", "" },
    { NULL, "" },
  };
  for(gsize i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *canonical = dt_opencl_canonical_name(names[i][0]);
    assert_string_equal(canonical, names[i][1]);
    g_free(canonical);
  }
}

static void _expect_in_force(const char *profile, const char *text, const char *words)
{
  char *why = NULL;
  if(profile) dt_conf_override(DT_CONF_OPENCL_PROFILE, profile);
  char *found = dt_opencl_priority_in_force(&why);
  assert_string_equal(found, text);
  if(!strstr(why, words)) fail_msg("\"%s\" does not say \"%s\"", why, words);
  g_free(found);
  g_free(why);
}

static void test_profiles(void **state)
{
  (void)state;
  GError *error = NULL;
  test_world_create();
  _expect_in_force(NULL, "*/!0,*/*/*", "the default of opencl_device_priority");
  assert_true(dt_conf_set(DT_CONF_OPENCL_PRIORITY, "0/1/0/1", &error));
  _expect_in_force(NULL, "0/1/0/1", "your opencl_device_priority in darktable-airc");
  _expect_in_force("default", "0/1/0/1", "your opencl_device_priority");
  _expect_in_force(" Default ", "0/1/0/1", "your opencl_device_priority");
  _expect_in_force("", "0/1/0/1", "your opencl_device_priority");
  _expect_in_force("very fast GPU", "+*/+*/+*/+*/+*",
                   "\"very fast GPU\" says so; your opencl_device_priority");
  _expect_in_force("Very  Fast gpu", "+*/+*/+*/+*/+*", "is kept");
  _expect_in_force("multiple GPUs", "*/*/*/*/*", "\"multiple GPUs\" says so");
  _expect_in_force("slow\x1b", "0/1/0/1", "since \"slow?\" is no scheduling profile");
  _expect_in_force("multiple", "0/1/0/1", "since \"multiple\" is no scheduling profile");
  char *kept = dt_conf_get_string(DT_CONF_OPENCL_PRIORITY);
  assert_string_equal(kept, "0/1/0/1");
  g_free(kept);
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "+0");
  _expect_in_force("default", "+0", "the opencl_device_priority given for this run");
  test_world_destroy();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_strings),
    cmocka_unit_test(test_preview2_follows_preview),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_names_in_utf8),
    cmocka_unit_test(test_remarks),
    cmocka_unit_test(test_guess_among_twins),
    cmocka_unit_test(test_no_guess),
    cmocka_unit_test(test_nothing_to_remark),
    cmocka_unit_test(test_several_remarks),
    cmocka_unit_test(test_fields_in_words),
    cmocka_unit_test(test_remarks_know_their_pipe),
    cmocka_unit_test(test_remarks_are_printable),
    cmocka_unit_test(test_name_that_cannot_be_written),
    cmocka_unit_test(test_identity_that_is_a_number),
    cmocka_unit_test(test_64_kib),
    cmocka_unit_test(test_many_remarks),
    cmocka_unit_test(test_many_harmless_remarks),
    cmocka_unit_test(test_longest),
    cmocka_unit_test(test_second_reader_agrees),
    cmocka_unit_test(test_order_of_mention),
    cmocka_unit_test(test_what_is_ignored_is_remarked),
    cmocka_unit_test(test_pipe_names),
    cmocka_unit_test(test_canonical_names),
    cmocka_unit_test(test_profiles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
