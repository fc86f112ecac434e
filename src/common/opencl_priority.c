/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads opencl_device_priority as darktable does, and remarks upon whatever darktable ignores without a word. */
#include "common/opencl_priority.h"
#include "common/ai_manifest.h"
#include "common/conf.h"
#include "common/opencl_names.h"

#include <string.h>

#define MAX_BYTES 2047 /* that count, in darktable too */
#define MAX_FIELDS 5
#define OLD_FIELDS 4  /* without preview2 */
#define MAX_REMARKS 8 /* about the tokens of one field; then one about all others */
#define MAX_SHOWN 60  /* characters of a token in a remark */

static const char *const _pipes[DT_OPENCL_PIPES] = { "full", "preview", "export", "thumbnail", "preview2" };

const char *dt_opencl_pipe_name(dt_opencl_pipe_t pipe)
{
  return _pipes[pipe];
}

dt_opencl_pipe_t dt_opencl_pipe_from_name(const char *name)
{
  int pipe = 0;
  while(pipe < DT_OPENCL_PIPES && g_strcmp0(name, _pipes[pipe]) != 0) pipe++;
  return (dt_opencl_pipe_t)pipe;
}

/* --- what counts --- */

/* The characters that count, and where each of them stood. */
typedef struct _clean_t
{
  char text[MAX_BYTES + 1];
  gsize at[MAX_BYTES + 1]; /* behind the last: where reading ended */
  gsize length;
} _clean_t;

static gboolean _counts(char c)
{
  return g_ascii_isalnum(c) || strchr("/!,*+", c) != NULL;
}

static void _clean(_clean_t *clean, const char *text)
{
  gsize i = 0;
  for(clean->length = 0; text[i]; i++)
  {
    if(!_counts(text[i])) continue;
    if(clean->length == MAX_BYTES) break;
    clean->text[clean->length] = text[i];
    clean->at[clean->length++] = i;
  }
  clean->text[clean->length] = '\0';
  clean->at[clean->length] = i;
}

/* A stretch of the string as it was given. */
typedef struct _place_t
{
  gsize offset, length;
} _place_t;

/* A stretch of what counts: a field, a token. */
typedef struct _range_t
{
  gsize from, to;
} _range_t;

/* --- one field --- */

typedef enum _state_t
{
  _LEFT,
  _NAMED,
  _EXCLUDED,
} _state_t;

typedef struct _field_t
{
  dt_opencl_priorities_t *out;
  const _clean_t *clean;
  const dt_opencl_name_table_t *table;
  const dt_opencl_names_t *devices;
  int n;

  dt_opencl_pipe_t pipe;
  dt_opencl_order_t *order;
  _state_t *states;            /* of each device */
  gboolean is_full;            /* a `*` took all that were left */
  gboolean is_odd;             /* something was remarked that is not harmless */
  guint remarks, left_out;     /* made, and not made any more */
  dt_opencl_remark_t *gap;     /* about the empty tokens right before */
  dt_opencl_remark_t *summary; /* of those left out */
} _field_t;

typedef struct _token_t
{
  _range_t range;
  _place_t place;
  char *shown;      /* as the user wrote it, printable */
  char *body;       /* what counts, behind the exclamation marks */
  gsize marks;      /* exclamation marks */
  gsize sign;       /* 1: a plus stands before the number */
  gsize digits;     /* of the number; 0: it begins with none */
  gboolean by_name; /* how the device was found */
  int device, twin; /* -1: none */
} _token_t;

/* Blanks around it do not belong to it. */
static _place_t _place(const _field_t *f, _range_t range)
{
  const char *text = f->out->text;
  gsize from = range.from ? f->clean->at[range.from - 1] + 1 : 0, to = f->clean->at[range.to];
  while(from < to && g_ascii_isspace(text[from])) from++;
  while(to > from && g_ascii_isspace(text[to - 1])) to--;
  return (_place_t){ from, to - from };
}

static char *_show(const _field_t *f, _place_t place)
{
  char *bytes = g_strndup(f->out->text + place.offset, place.length);
  char *shown = dt_manifest_printable(bytes, MAX_SHOWN);
  g_free(bytes);
  return shown;
}

/* --- remarks --- */

static void _free_remark(gpointer data)
{
  dt_opencl_remark_t *remark = data;
  g_free(remark->text);
  g_free(remark);
}

/* Takes @p text over. */
static dt_opencl_remark_t *_remark(dt_opencl_priorities_t *out, dt_opencl_remark_kind_t kind,
                                   dt_opencl_pipe_t pipe, _place_t place, gboolean harmless, char *text)
{
  dt_opencl_remark_t *remark = g_new(dt_opencl_remark_t, 1);
  *remark = (dt_opencl_remark_t){ kind, pipe, place.offset, place.length, harmless, text };
  g_ptr_array_add(out->remarks, remark);
  return remark;
}

/* One more that there is no room for; @p remark is about it alone. */
static void _leave_out(_field_t *f, dt_opencl_remark_kind_t kind, _place_t place, gboolean harmless)
{
  dt_opencl_remark_t *s = f->summary;
  if(!s) s = f->summary = _remark(f->out, kind, f->pipe, place, harmless, NULL);
  s->length = place.offset + place.length - s->offset;
  s->harmless = s->harmless && harmless;
  g_free(s->text);
  s->text = g_strdup_printf("and %u more in this field", ++f->left_out);
}

/* About a token; bounded. Takes @p text over. @return NULL: it was left out */
static dt_opencl_remark_t *_remark_token(_field_t *f, dt_opencl_remark_kind_t kind, _place_t place,
                                         gboolean harmless, char *text)
{
  f->is_odd = f->is_odd || !harmless;
  if(f->remarks++ < MAX_REMARKS) return _remark(f->out, kind, f->pipe, place, harmless, text);
  g_free(text);
  _leave_out(f, kind, place, harmless);
  return NULL;
}

/* The token in quotes, and what there is to say. */
static void _say(_field_t *f, const _token_t *t, dt_opencl_remark_kind_t kind, gboolean harmless,
                 const char *format, ...) G_GNUC_PRINTF(5, 6);
static void _say(_field_t *f, const _token_t *t, dt_opencl_remark_kind_t kind, gboolean harmless,
                 const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *words = g_strdup_vprintf(format, args);
  va_end(args);
  _remark_token(f, kind, t->place, harmless, g_strdup_printf("\"%s\" %s", t->shown, words));
  g_free(words);
}

/* `device 1 ("Tahiti")` */
static char *_describe(const _field_t *f, int device)
{
  char *name = dt_manifest_printable(f->devices[device].name ? f->devices[device].name : "", MAX_SHOWN);
  char *text = g_strdup_printf("device %d (\"%s\")", device, name);
  g_free(name);
  return text;
}

/* `; did you mean device 1 ("Tahiti")?`, or nothing. */
static char *_guess(const _field_t *f, const _token_t *t)
{
  char *word = dt_opencl_canonical_name(t->body);
  const int device = dt_opencl_name_guess(f->table, word);
  g_free(word);
  if(device < 0) return g_strdup("");
  char *described = _describe(f, device);
  char *text = g_strdup_printf("; did you mean %s?", described);
  g_free(described);
  return text;
}

static char *_describe_numbers(const _field_t *f)
{
  return f->n == 1 ? g_strdup("there is device 0 alone")
                   : g_strdup_printf("devices are numbered from 0 to %d", f->n - 1);
}

/* --- tokens without a device --- */

/* Whether its place holds anything but blanks that does not count. */
static gboolean _has_ignored(const _field_t *f, _place_t place)
{
  for(gsize i = 0; i < place.length; i++)
  {
    const char c = f->out->text[place.offset + i];
    if(!g_ascii_isspace(c) && !_counts(c)) return TRUE;
  }
  return FALSE;
}

/* The device whose name was written to the letter, though none of its letters counts. */
static int _find_spelt(const _field_t *f, _place_t place)
{
  const char *text = f->out->text + place.offset;
  const gsize skipped = strspn(text, "! ");
  for(int i = 0; i < f->n; i++)
    if(f->devices[i].name && place.length > skipped && strlen(f->devices[i].name) == place.length - skipped
       && strncmp(text + skipped, f->devices[i].name, place.length - skipped) == 0)
      return i;
  return -1;
}

static void _say_nothing_counts(_field_t *f, const _token_t *t)
{
  const int spelt = _find_spelt(f, t->place);
  char *hint = spelt < 0 ? g_strdup("") : g_strdup_printf("; to name device %d write %d", spelt, spelt);
  _say(f, t, DT_OPENCL_REMARK_DELETED, FALSE,
       "%s: names are compared by the letters A to Z and digits alone, and it has none%s",
       t->marks ? "excludes nothing" : "is ignored", hint);
  g_free(hint);
}

/* Nothing between two commas: one remark for all of them in a row, marking the commas. */
static void _say_gap(_field_t *f, const _token_t *t)
{
  const gsize to = t->range.to, from = t->range.from;
  const gboolean before = f->clean->text[to] == ',';
  if(!before && (from == 0 || f->clean->text[from - 1] != ',')) return;
  const _place_t comma = { f->clean->at[before ? to : from - 1], 1 };
  if(f->gap)
    f->gap->length = comma.offset + 1 - f->gap->offset;
  else
    f->gap = _remark_token(f, DT_OPENCL_REMARK_NOTHING, comma, TRUE,
                           g_strdup("a comma without a device beside it means nothing"));
}

static void _say_empty(_field_t *f, const _token_t *t)
{
  if(_has_ignored(f, t->place))
    _say_nothing_counts(f, t);
  else if(t->marks)
    _say(f, t, DT_OPENCL_REMARK_NOTHING, FALSE, "excludes nothing: no device follows");
  else
    _say_gap(f, t);
}

/* Signs alone. */
static void _say_signs(_field_t *f, const _token_t *t)
{
  if(t->marks && t->body[0] == '*')
    _say(f, t, DT_OPENCL_REMARK_NOTHING, FALSE,
         "excludes nothing: an asterisk cannot be excluded; to keep every device away leave the field empty");
  else
    _say(f, t, DT_OPENCL_REMARK_PLUS, FALSE,
         "is ignored: a plus only counts at the start of a field, and only one");
}

/* --- numbers --- */

/* How what was deleted made another number: "1 0" is 10, "-1" is 1. NULL: it did not. */
static const char *_why_other_number(const _field_t *f, const _token_t *t)
{
  const gsize first = t->range.from + t->marks + t->sign, last = first + t->digits - 1;
  const gsize *at = f->clean->at;
  if(at[last] - at[first] != last - first) return "only commas separate devices";
  const char *text = f->out->text;
  const gsize before = first > t->range.from ? at[first - 1] + 1 : t->place.offset;
  for(gsize i = before; i < at[first]; i++)
    if(text[i] == '-' || (guchar)text[i] >= 0x80) return "what stands before it does not count";
  return NULL;
}

static void _say_no_number(_field_t *f, const _token_t *t)
{
  char *numbers = _describe_numbers(f);
  const char *why = _why_other_number(f, t);
  if(why)
    _say(f, t, DT_OPENCL_REMARK_DELETED, FALSE, "is read as %.*s: %s, and %s", (int)t->digits,
         t->body + t->sign, why, numbers);
  else
    _say(f, t, DT_OPENCL_REMARK_UNKNOWN, FALSE, "%s: %s", t->marks ? "excludes nothing" : "is ignored",
         numbers);
  g_free(numbers);
}

static void _say_unknown(_field_t *f, const _token_t *t)
{
  if(f->n == 0) return; /* every name would be */
  if(t->digits && !t->body[t->sign + t->digits])
  {
    _say_no_number(f, t);
    return;
  }
  char *guess = _guess(f, t);
  _say(f, t, DT_OPENCL_REMARK_UNKNOWN, FALSE, "%s: no device has that name%s",
       t->marks ? "excludes nothing" : "is ignored", guess);
  g_free(guess);
}

/* --- tokens with one --- */

static void _say_repeated(_field_t *f, const _token_t *t)
{
  const _state_t before = f->states[t->device];
  const gboolean agrees = before == (t->marks ? _EXCLUDED : _NAMED);
  char *device = _describe(f, t->device);
  char *twin = t->twin < 0 ? g_strdup("")
                           : g_strdup_printf("; device %d has that name too, write %d", t->twin, t->twin);
  _say(f, t, DT_OPENCL_REMARK_REPEATED, agrees && t->twin < 0, "%s: the field has %s %s before%s",
       t->marks && !agrees ? "comes too late" : "changes nothing", before == _EXCLUDED ? "excluded" : "named",
       device, twin);
  g_free(twin);
  g_free(device);
}

/* An asterisk, or an exclamation mark, in the wrong place of a name or behind a number. */
static gboolean _say_misplaced(_field_t *f, const _token_t *t, const char *does, const char *device)
{
  if(strchr(t->body, '*'))
    _say(f, t, DT_OPENCL_REMARK_TRAILING, FALSE,
         "%s %s alone: an asterisk only counts behind a comma; was \",*\" meant?", does, device);
  else if(strchr(t->body, '!'))
    _say(f, t, DT_OPENCL_REMARK_TRAILING, FALSE,
         "%s %s: an exclamation mark only counts at the start; was \",!\" meant?", does, device);
  else
    return FALSE;
  return TRUE;
}

static void _say_rest_of_number(_field_t *f, const _token_t *t, const char *does, const char *device)
{
  char *guess = _guess(f, t);
  _say(f, t, DT_OPENCL_REMARK_TRAILING, FALSE, "%s %s: what follows the number is ignored%s", does, device,
       guess);
  g_free(guess);
}

/* @return whether there was something to say */
static gboolean _say_how_read(_field_t *f, const _token_t *t, const char *does, const char *device)
{
  const char *why = t->by_name ? NULL : _why_other_number(f, t);
  const char *rest = t->by_name ? "" : t->body + t->sign + t->digits;
  if(why)
    _say(f, t, DT_OPENCL_REMARK_DELETED, FALSE, "is read as %.*s and %s %s: %s", (int)t->digits,
         t->body + t->sign, does, device, why);
  else if(*rest && !strpbrk(t->body, "*!"))
    _say_rest_of_number(f, t, does, device);
  else
    return _say_misplaced(f, t, does, device);
  return TRUE;
}

static void _say_twins(_field_t *f, const _token_t *t, const char *does, const char *device)
{
  const char *identity = f->devices[t->twin].identity;
  char *name = dt_manifest_printable(identity ? identity : "", MAX_SHOWN);
  char *or_name = *name ? g_strdup_printf(" or \"%s\"", name) : g_strdup("");
  _say(f, t, DT_OPENCL_REMARK_TWINS, FALSE,
       "%s %s, the first of several devices with that name; for the next write %d%s", does, device, t->twin,
       or_name);
  g_free(or_name);
  g_free(name);
}

/* It has an effect. Is it the one that was meant? */
static void _say_odd(_field_t *f, const _token_t *t)
{
  const char *does = t->marks ? "excludes" : "names";
  char *device = _describe(f, t->device);
  const gboolean said = _say_how_read(f, t, does, device);
  if(!said && strchr(t->body, '+'))
    _say(f, t, DT_OPENCL_REMARK_PLUS, FALSE, "%s %s: a plus only counts at the start of a field", does,
         device);
  else if(!said && t->twin >= 0)
    _say_twins(f, t, does, device);
  else if(!said && t->marks > 1)
    _say(f, t, DT_OPENCL_REMARK_REPEATED, TRUE, "%s %s: one exclamation mark is enough", does, device);
  g_free(device);
}

static void _take(_field_t *f, int device)
{
  f->states[device] = _NAMED;
  f->order->devices[f->order->n++] = device;
}

static void _take_or_exclude(_field_t *f, const _token_t *t)
{
  if(f->states[t->device] != _LEFT)
  {
    _say_repeated(f, t);
    return;
  }
  if(t->marks)
    f->states[t->device] = _EXCLUDED;
  else
    _take(f, t->device);
  _say_odd(f, t);
}

/* --- reading --- */

static void _read_wildcard(_field_t *f, const _token_t *t)
{
  const gboolean is_more = t->body[1] != '\0';
  for(int i = 0; i < f->n; i++)
    if(f->states[i] == _LEFT) _take(f, i);
  f->is_full = TRUE;
  if(is_more)
    _say(f, t, DT_OPENCL_REMARK_TRAILING, strspn(t->body, "*") == strlen(t->body),
         "is read as an asterisk: what follows is ignored; is a comma missing?");
}

static void _say_too_late(_field_t *f, const _token_t *t)
{
  if(t->body[0] == '*' && !t->marks)
    _say(f, t, DT_OPENCL_REMARK_AFTER_WILDCARD, !t->body[1], "changes nothing: an asterisk stands before it");
  else
    _say(f, t, DT_OPENCL_REMARK_AFTER_WILDCARD, FALSE,
         "changes nothing: the asterisk before it stands for every device that was left; put that last");
}

/* Digits, and which device they are. */
static void _read_number(const _field_t *f, _token_t *t)
{
  t->sign = t->body[0] == '+';
  const char *digits = t->body + t->sign;
  t->digits = strspn(digits, "0123456789");
  const guint64 number = g_ascii_strtoull(t->digits ? digits : "", NULL, 10);
  t->by_name = t->device >= 0;
  if(!t->by_name && t->digits && number < (guint64)f->n) t->device = (int)number;
}

static void _judge(_field_t *f, _token_t *t)
{
  char *word = dt_opencl_canonical_name(t->body);
  t->device = dt_opencl_name_find(f->table, word, &t->twin);
  _read_number(f, t);
  if(!*t->body)
    _say_empty(f, t);
  else if(f->is_full)
    _say_too_late(f, t);
  else if(t->body[0] == '*' && !t->marks)
    _read_wildcard(f, t);
  else if(!*word)
    _say_signs(f, t);
  else if(t->device < 0)
    _say_unknown(f, t);
  else
    _take_or_exclude(f, t);
  g_free(word);
}

static void _read_token(_field_t *f, _range_t range)
{
  _token_t t = { .range = range, .place = _place(f, range) };
  const char *text = f->clean->text + range.from;
  while(t.marks < range.to - range.from && text[t.marks] == '!') t.marks++;
  t.body = g_strndup(text + t.marks, range.to - range.from - t.marks);
  t.shown = _show(f, t.place);
  if(range.from < range.to || _has_ignored(f, t.place)) f->gap = NULL;
  _judge(f, &t);
  g_free(t.shown);
  g_free(t.body);
}

static void _read_tokens(_field_t *f, _range_t field)
{
  for(gsize from = field.from, to; from <= field.to; from = to + 1)
  {
    for(to = from; to < field.to && f->clean->text[to] != ',';) to++;
    _read_token(f, (_range_t){ from, to });
  }
}

/* What becomes of a field as a whole. */
static void _conclude(_field_t *f, _range_t field, gsize plus)
{
  const _place_t whole = _place(f, field), sign = { f->clean->at[field.from], 1 };
  f->order->mandatory = plus && f->order->n > 0;
  if(f->order->n > 0 || f->n == 0 || whole.length == 0) return;
  const gboolean harmless = !f->is_odd && field.to - field.from > plus;
  char *shown = _show(f, whole);
  if(plus)
    _remark(f->out, DT_OPENCL_REMARK_PLUS, f->pipe, sign, harmless,
            g_strdup_printf("\"%s\" has no device to wait for: everything is left to the CPU", shown));
  else
    _remark(f->out, DT_OPENCL_REMARK_CPU, f->pipe, whole, harmless,
            g_strdup_printf("\"%s\" leaves no device: everything is left to the CPU", shown));
  g_free(shown);
}

static void _read_field(const _field_t *common, dt_opencl_pipe_t pipe, _range_t range)
{
  _field_t f = *common;
  const gsize plus = range.from < range.to && f.clean->text[range.from] == '+';
  f.pipe = pipe;
  f.order = &f.out->orders[pipe];
  f.states = g_new0(_state_t, (gsize)f.n);
  _read_tokens(&f, (_range_t){ range.from + plus, range.to });
  _conclude(&f, range, plus);
  g_free(f.states);
}

/* @return how many fields there are */
static int _read_fields(const _field_t *common)
{
  const _clean_t *c = common->clean;
  int field = 0;
  for(gsize from = 0, to; from <= c->length; from = to + 1, field++)
  {
    for(to = from; to < c->length && c->text[to] != '/';) to++;
    if(field < MAX_FIELDS) _read_field(common, (dt_opencl_pipe_t)field, (_range_t){ from, to });
  }
  return field;
}

/* --- the string as a whole --- */

static void _say_fields_missing(dt_opencl_priorities_t *out, int fields)
{
  const _place_t end = { strlen(out->text), 0 };
  GString *names = g_string_new(NULL);
  for(int i = fields; i < OLD_FIELDS; i++)
    g_string_append_printf(names, "%s%s", i == fields ? "" : i == OLD_FIELDS - 1 ? " and " : ", ", _pipes[i]);
  if(fields < OLD_FIELDS)
    _remark(out, DT_OPENCL_REMARK_FIELDS, DT_OPENCL_PIPES, end, FALSE,
            g_strdup_printf("there is no field for %s: without one everything is left to the CPU; preview2 "
                            "has what preview has",
                            names->str));
  else
    _remark(out, DT_OPENCL_REMARK_FIELDS, DT_OPENCL_PIPES, end, TRUE,
            g_strdup("there is no fifth field: preview2 has what preview has"));
  g_string_free(names, TRUE);
}

static void _say_fields_left_over(dt_opencl_priorities_t *out, const _clean_t *clean)
{
  gsize slash = 0;
  for(int seen = 0; seen < MAX_FIELDS; slash++) seen += clean->text[slash] == '/';
  slash--;
  const gsize from = clean->at[slash];
  _remark(out, DT_OPENCL_REMARK_FIELDS, DT_OPENCL_PIPES, (_place_t){ from, clean->at[clean->length] - from },
          !clean->text[slash + 1], g_strdup("there are five fields: what follows them is ignored"));
}

static void _say_whole(const _field_t *common, int fields)
{
  dt_opencl_priorities_t *out = common->out;
  const gsize end = common->clean->at[common->clean->length];
  if(common->n == 0)
    _remark(out, DT_OPENCL_REMARK_CPU, DT_OPENCL_PIPES, (_place_t){ 0, 0 }, TRUE,
            g_strdup("there is no OpenCL device: everything is left to the CPU"));
  if(fields < MAX_FIELDS) _say_fields_missing(out, fields);
  if(fields > MAX_FIELDS) _say_fields_left_over(out, common->clean);
  if(out->text[end])
    _remark(
        out, DT_OPENCL_REMARK_LENGTH, DT_OPENCL_PIPES, (_place_t){ end, strlen(out->text + end) }, FALSE,
        g_strdup_printf("only %d letters, digits and signs are read: what follows is ignored", MAX_BYTES));
}

static void _follow_preview(dt_opencl_priorities_t *out, int n)
{
  dt_opencl_order_t *order = &out->orders[DT_OPENCL_PREVIEW2];
  int *devices = order->devices;
  *order = out->orders[DT_OPENCL_PREVIEW];
  order->devices = devices;
  if(n) memcpy(devices, out->orders[DT_OPENCL_PREVIEW].devices, (gsize)n * sizeof *devices);
}

static int _compare_remarks(gconstpointer a, gconstpointer b)
{
  const dt_opencl_remark_t *const *x = a, *const *y = b;
  return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

dt_opencl_priorities_t *dt_opencl_priorities_parse(const char *text, const dt_opencl_names_t *devices, int n)
{
  dt_opencl_priorities_t *out = g_new0(dt_opencl_priorities_t, 1);
  _clean_t *clean = g_new(_clean_t, 1);
  dt_opencl_name_table_t *table = dt_opencl_name_table_new(devices, n);
  const _field_t common = { .out = out, .clean = clean, .table = table, .devices = devices, .n = n };
  out->text = g_strdup(text ? text : "");
  out->remarks = g_ptr_array_new_with_free_func(_free_remark);
  for(int i = 0; i < DT_OPENCL_PIPES; i++) out->orders[i].devices = g_new0(int, (gsize)n);
  _clean(clean, out->text);
  const int fields = _read_fields(&common);
  if(fields < MAX_FIELDS) _follow_preview(out, n);
  _say_whole(&common, fields);
  g_ptr_array_sort(out->remarks, _compare_remarks);
  dt_opencl_name_table_free(table);
  g_free(clean);
  return out;
}

void dt_opencl_priorities_free(dt_opencl_priorities_t *priorities)
{
  if(!priorities) return;
  for(int i = 0; i < DT_OPENCL_PIPES; i++) g_free(priorities->orders[i].devices);
  g_ptr_array_unref(priorities->remarks);
  g_free(priorities->text);
  g_free(priorities);
}

/* --- the string in force --- */

static const struct
{
  const char *name, *text;
} _profiles[] = {
  { "very fast GPU", "+*/+*/+*/+*/+*" },
  { "multiple GPUs", "*/*/*/*/*" },
};

/* By letters and digits, as all names here. */
static gboolean _is_same_name(const char *a, const char *b)
{
  char *x = dt_opencl_canonical_name(a), *y = dt_opencl_canonical_name(b);
  const gboolean same = strcmp(x, y) == 0;
  g_free(x);
  g_free(y);
  return same;
}

static const char *_describe_setting(void)
{
  switch(dt_conf_get_origin(DT_CONF_OPENCL_PRIORITY))
  {
  case DT_CONF_DARKTABLERC: return "your " DT_CONF_OPENCL_PRIORITY " in darktablerc";
  case DT_CONF_AIRC: return "your " DT_CONF_OPENCL_PRIORITY " in darktable-airc";
  case DT_CONF_OVERRIDE: return "the " DT_CONF_OPENCL_PRIORITY " given for this run";
  default: return "the default of " DT_CONF_OPENCL_PRIORITY;
  }
}

static char *_explain_profile(const char *name)
{
  return g_strdup_printf("the scheduling profile \"%s\" says so; %s is kept for the profile \"default\"",
                         name, _describe_setting());
}

static char *_explain_unknown(const char *profile)
{
  char *shown = dt_manifest_printable(profile, MAX_SHOWN);
  char *text = g_strdup_printf("%s, since \"%s\" is no scheduling profile: there are \"default\", \"%s\" and "
                               "\"%s\"",
                               _describe_setting(), shown, _profiles[0].name, _profiles[1].name);
  g_free(shown);
  return text;
}

char *dt_opencl_priority_in_force(char **why)
{
  char *profile = dt_conf_get_string(DT_CONF_OPENCL_PROFILE), *text = NULL;
  for(gsize i = 0; i < G_N_ELEMENTS(_profiles) && !text; i++)
    if(_is_same_name(profile, _profiles[i].name))
    {
      *why = _explain_profile(_profiles[i].name);
      text = g_strdup(_profiles[i].text);
    }
  if(!text)
  {
    const gboolean is_known = !profile || !*profile || _is_same_name(profile, "default");
    *why = is_known ? g_strdup(_describe_setting()) : _explain_unknown(profile);
    text = dt_conf_get_string(DT_CONF_OPENCL_PRIORITY);
  }
  g_free(profile);
  return text ? text : g_strdup("");
}
