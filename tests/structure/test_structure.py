#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The house rules that a compiler does not check.

    test_structure.py SOURCE_DIR BUILD_DIR

Which room knows which, headers that stand alone, what the library exports and needs, how long
functions are, how files begin, and which functions are not called. Every violation is one line.
"""

import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

SOURCE, BUILD = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
SRC = SOURCE / "src"
LIBRARY = BUILD / "lib" / "libdarktable_ai.so"

# Rooms by floor; a room may know itself and every floor below its own.
FLOORS = [["common"], ["ai", "imageio", "iop"], ["develop"], ["libs"], ["cli", "gui"]]
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

PUBLIC_HEADERS = ["ai/backend.h", "ai/restore.h", "ai/restore_raw.h", "ai/seg_edges.h", "ai/segmentation.h",
                  "ai/darktable_ai.h", "common/conf.h", "common/errors.h", "common/log.h",
                  "common/mosaic.h", "common/rows.h"]

NEEDED = re.compile(r"lib(glib-2\.0|gobject-2\.0|gio-2\.0|gmodule-2\.0|json-glib-1\.0|c|m|dl|pthread)"
                    r"\.so\.\d+$|ld-linux.*\.so\.\d+$")

LONGEST, MEDIAN = 80, 12

# Unbounded, unchecked, or not thread-safe.
NEVER_CALLED = """strcpy strcat sprintf vsprintf gets atoi atol atoll atof strtok scanf sscanf fscanf
    mktemp tmpnam tempnam system popen alloca rand srand asctime ctime gmtime localtime""".split()
# What an embedding program would not forgive.
NEVER_IN_LIBRARY = """printf vprintf puts putchar fprintf vfprintf fputs perror exit _exit quick_exit
    abort setlocale umask chdir fchdir signal sigaction g_print g_printerr g_error g_warning g_message
    g_critical g_assert assert""".split()
NEVER_IMPORTED = """printf __printf_chk vprintf puts putchar fprintf __fprintf_chk vfprintf perror exit
    _exit abort setlocale umask chdir fchdir signal sigaction stdout stderr g_print g_printerr""".split()
# (file, function): why it may.
ALLOWED = {
    ("ai/ort_runtime.c", "atoi"): "the first digits of a version, whatever follows; 0 is refused",
}


def run(*command):
    """The command's output; what it says when it fails is a problem of its own."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def cache_value(name):
    match = re.search(rf"^{name}(?::\w+)?=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
    return match.group(1) if match else ""


def sources():
    return sorted(path for path in SRC.rglob("*.[ch]"))


def shown(path):
    return path.relative_to(SRC).as_posix()


def without_comments(text, strings=True):
    """C code with comments, and on request the insides of literals, blanked; lines are kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found if strings else '""'
        return "\n" * found.count("\n") or " "

    return pattern.sub(blank, text)


# --- arrows ---------------------------------------------------------------------------------------

def check_arrows():
    for path in sources():
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', without_comments(path.read_text()), re.M):
            beside, below = (path.parent / name).resolve(), SRC / name
            target = beside if beside.exists() else below
            if not target.exists() or SRC not in target.parents:
                yield f"{shown(path)}: includes \"{name}\", which is not in src/"
                continue
            here, there = path.relative_to(SRC).parts[0], target.relative_to(SRC).parts[0]
            if here not in FLOOR_OF or there not in FLOOR_OF:
                yield f"{shown(path)}: {here} or {there} is not a room of the house"
            elif here != there and FLOOR_OF[there] >= FLOOR_OF[here]:
                yield f"{shown(path)}: {here} must not know {there} (\"{name}\")"


# --- public headers -------------------------------------------------------------------------------

def declared(header):
    """Functions and variables a public header promises."""
    text = re.sub(r"^\s*#.*?(?<!\\)$", "", without_comments((SRC / header).read_text()), flags=re.M | re.S)
    text = re.sub(r"static inline.*?\n}", "", text, flags=re.S)
    functions = re.findall(r"\b(dt_\w+)\s*\([^;{}]*\)[^;{}()]*(?:G_GNUC_PRINTF\([^)]*\))?\s*;", text)
    return set(functions), set(re.findall(r"\bextern\b[^;]*?\b(dt_\w+)\s*\[", text))


def all_declared():
    functions, variables = set(), set()
    for header in PUBLIC_HEADERS:
        more = declared(header)
        functions |= more[0]
        variables |= more[1]
    return functions, variables


def compilers():
    """(command, language and standard) for C and, where there is one, C++."""
    yield [cache_value("CMAKE_C_COMPILER")], ["-x", "c", "-std=c17"]
    cxx = next((shutil.which(name) for name in ("c++", "g++", "clang++") if shutil.which(name)), None)
    if cxx:
        yield [cxx], ["-x", "c++", "-std=c++17"]
    else:
        print("there is no C++ compiler here; headers are checked as C only")


def check_headers(folder):
    _, flags, _ = run("pkg-config", "--cflags", "glib-2.0", "gio-2.0")
    for command, language in compilers():
        for header in PUBLIC_HEADERS:
            main = folder / "alone"
            functions = sorted(declared(header)[0])
            uses = ", ".join(f"(void (*)(void)){name}" for name in functions) or "0"
            main.write_text(f'#include "{SRC / header}"\nvoid (*used[])(void) = {{ {uses} }};\n')
            warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type"]
            code, _, words = run(*command, *language, *flags.split(), *warnings, "-c", main, "-o",
                                 folder / "alone.o")
            if code:
                yield f"{header} does not compile alone as {language[2]}:\n{words}"
                continue
            _, undefined, _ = run("nm", "-u", folder / "alone.o")
            missing = set(functions) - {line.split()[-1] for line in undefined.splitlines()}
            if missing:
                yield (f"{header}: as {language[2]} these have no C linkage (G_BEGIN_DECLS): "
                       + " ".join(sorted(missing)))


# --- the library ----------------------------------------------------------------------------------

def dynamic_symbols(which):
    code, out, words = run("nm", "-D", which, LIBRARY)
    assert code == 0, words
    lines = (line.split() for line in out.splitlines())
    return {line[-1].split("@")[0] for line in lines if line[-2] != "A"}


def check_exports():
    functions, variables = all_declared()
    exported, promised = dynamic_symbols("--defined-only"), functions | variables
    for name in sorted(exported - promised):
        yield f"{LIBRARY.name} exports {name}, which no public header declares"
    for name in sorted(promised - exported):
        yield f"{LIBRARY.name} does not export {name}, which a public header declares"
    if len(functions) < 40:
        yield f"only {len(functions)} functions were found in the public headers"


def check_dependencies():
    _, out, _ = run("readelf", "-d", LIBRARY)
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", out)
    if soname != ["libdarktable_ai.so.0"]:
        yield f"the soname is {soname}"
    if cache_value("SANITIZE"):
        return
    for name in re.findall(r"\(NEEDED\).*\[(.*)\]", out):
        if not NEEDED.match(name):
            yield f"{LIBRARY.name} needs {name}"
    for name in sorted(dynamic_symbols("--undefined-only") & set(NEVER_IMPORTED)):
        yield f"{LIBRARY.name} calls {name}"


# --- functions ------------------------------------------------------------------------------------

def functions_of(path):
    """(name, first line, number of lines) of each function: a brace at the margin opens its body."""
    lines = without_comments(path.read_text()).split("\n")
    for i, line in enumerate(lines):
        if line.rstrip() != "{":
            continue
        first = i
        while first and lines[first - 1].strip() and not re.search(r"[;}]\s*$|^#", lines[first - 1]):
            first -= 1
        head = " ".join(lines[first:i])
        last = next((j for j in range(i, len(lines)) if lines[j].startswith("}")), None)
        if "(" in head and last is not None and lines[last].rstrip() == "}":
            yield re.search(r"(\w+)\s*\(", head).group(1), first + 1, last - first + 1


def check_lengths():
    lengths = []
    for path in sources():
        for name, line, length in functions_of(path):
            lengths.append(length)
            if length > LONGEST:
                yield f"{shown(path)}:{line}: {name}() has {length} lines, more than {LONGEST}"
    if len(lengths) < 300:
        yield f"only {len(lengths)} functions were found"
    median = statistics.median(lengths)
    if median >= MEDIAN:
        yield f"half of the {len(lengths)} functions have {median} lines or more, not under {MEDIAN}"


def check_beginnings():
    for path in sources():
        lines = path.read_text().split("\n")
        if lines[0] != "/* SPDX-License-Identifier: GPL-3.0-or-later */":
            yield f"{shown(path)}: the first line is not the SPDX line"
        if not re.match(r"/\*\*? ?\S", lines[1]):
            yield f"{shown(path)}: no comment about its purpose follows the first line"
    for path in SRC.rglob("CMakeLists.txt"):
        if not path.read_text().startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n"):
            yield f"{shown(path)}: the first line is not the SPDX line"


def check_calls():
    unused = set(ALLOWED)
    for path in sources():
        code = without_comments(path.read_text(), strings=False)
        never = set(NEVER_CALLED)
        if path.relative_to(SRC).parts[0] in ("ai", "common"):
            never |= set(NEVER_IN_LIBRARY)
        for name in re.findall(r"(?<![\w.>])(\w+)\s*\(", code):
            if name in never and (shown(path), name) not in ALLOWED:
                yield f"{shown(path)}: calls {name}()"
            unused.discard((shown(path), name))
    for path, name in sorted(unused):
        yield f"{path} does not call {name}() any more; take the exception back"


def main():
    with tempfile.TemporaryDirectory() as folder:
        checks = [check_arrows(), check_headers(pathlib.Path(folder)), check_exports(), check_dependencies(),
                  check_lengths(), check_beginnings(), check_calls()]
        problems = [problem for check in checks for problem in check]
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
