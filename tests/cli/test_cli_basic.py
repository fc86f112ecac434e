# SPDX-License-Identifier: GPL-3.0-or-later
"""Help, version, usage errors, the switch, the settings, completions and the manual page."""
import json
import os
import re
import shutil
import statistics
import time
import unittest

import harness
from harness import CliTest, open_bug

COMMANDS = ("denoise", "upscale", "rawdenoise", "mask", "export", "history", "thumbnail", "models", "providers", "runtime", "opencl", "cache",
            "prefs", "enable", "disable", "bench", "doctor")
OFF = "AI features are switched off. Switch them on with: darktable-ai enable"


class Help(CliTest):
    enabled = False
    models = ()

    def bare(self, *args):
        return self.run_command([harness.PROGRAM, *args])

    def test_version(self):
        result = self.assert_ok(self.bare("--version"))
        self.assertRegex(result.out, r"\Adarktable-ai \d+\.\d+\.\d+\n")
        self.assertIn("AI support: yes", result.out)
        self.assertEqual(result.err, "")

    def test_version_after_a_command(self):
        result = self.assert_ok(self.bare("denoise", "--version"))
        self.assertTrue(result.out.startswith("darktable-ai "), result)

    def test_help(self):
        for flag in ("--help", "-h"):
            result = self.assert_ok(self.bare(flag))
            self.assertEqual(result.err, "")
            for command in COMMANDS:
                self.assertRegex(result.out, r"(?m)^  %s +\S" % command)

    def test_help_of_every_command(self):
        for command in COMMANDS:
            for flag in ("--help", "-h", "--help-all", "--help-global"):
                with self.subTest(command=command, flag=flag):
                    result = self.assert_ok(self.bare(command, flag))
                    self.assertEqual(result.err, "")
                    self.assertIn("darktable-ai " + command, result.out)

    def test_help_wins_over_bad_operands(self):
        self.assert_ok(self.bare("denoise", "missing.jpg", "--help"))

    def test_no_command(self):
        self.assert_fails(self.bare(), 2, "See: darktable-ai --help")

    def test_unknown_command(self):
        self.assert_fails(self.bare("restore"), 2, '"restore"', "darktable-ai --help")

    def test_unknown_option(self):
        self.assert_fails(self.bare("--frobnicate"), 2, "--frobnicate", "darktable-ai --help")
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assert_fails(self.bare(command, "--frobnicate"), 2, "--frobnicate",
                                  "darktable-ai %s --help" % command)

    def test_options_without_their_value(self):
        for args in (["--configdir"], ["--conf"], ["-d"], ["denoise", "-o"], ["denoise", "--sigma"]):
            with self.subTest(args=args):
                self.assert_fails(self.bare(*args), 2, args[-1])

    def test_operands_where_none_belong(self):
        for command in ("providers", "enable", "disable", "doctor"):
            with self.subTest(command=command):
                self.assert_fails(self.run_cli(command, "surplus"), 2, "surplus")
        self.assertEqual(self.read_airc(), "")

    def test_verbs_of_prefs_and_models(self):
        for args in (["prefs", "frob"], ["prefs", "get"], ["prefs", "set", "key"], ["prefs", "reset"],
                     ["prefs", "list", "surplus"], ["prefs", "set", "a", "b", "c"],
                     ["opencl", "frob"], ["opencl", "devices", "surplus"], ["models", "frob"], ["models", "info"], ["models", "list", "surplus"]):
            with self.subTest(args=args):
                self.assert_fails(self.run_cli(*args), 2, args[0] + " takes")

    def test_diagnostic_topics(self):
        self.assert_fails(self.run_cli("-d", "nonsense", "doctor"), 2, "nonsense", "memory")
        for topic in ("ai", "opencl", "perf", "pipe", "tiling", "memory", "all"):
            self.assert_ok(self.run_cli("-d", topic, "prefs", "list"))

    def test_malformed_override(self):
        for setting in ("plugins/ai/enabled", "=TRUE", ""):
            with self.subTest(setting=setting):
                self.assert_fails(self.run_cli("--conf", setting, "doctor"), 2, "KEY=VALUE")

    def test_global_options_stand_anywhere(self):
        self.assert_ok(self.bare("--configdir", self.config, "doctor"))
        result = self.assert_ok(self.bare("doctor", "--configdir", self.config))
        self.assertIn(self.config, result.out)

    def test_every_line_fits_a_terminal(self):
        for args in [[]] + [[c] for c in COMMANDS]:
            for line in self.bare(*args, "--help").out.splitlines():
                with self.subTest(args=args):
                    self.assertLessEqual(len(line), 130, line)


class Start(CliTest):
    models = ()

    def test_no_runtime_is_loaded_to_answer(self):
        strace = shutil.which("strace")
        if not strace:
            self.skipTest("strace is not installed")
        log = self.path("trace")
        for args in (["--version"], ["--help"], ["denoise", "--help"], ["prefs", "list"], ["enable"]):
            with self.subTest(args=args):
                result = self.run_command([strace, "-f", "-e", "trace=openat,open", "-o", log]
                                          + self.command(*args),
                                          env=self.environment(ASAN_OPTIONS="detect_leaks=0"))
                if result.code and "ptrace" in result.err:
                    self.skipTest("strace is not permitted here")
                self.assert_ok(result)
                with open(log) as f:
                    trace = f.read()
                self.assertIn("libglib", trace)
                self.assertNotIn("onnxruntime", trace)

    def test_starts_at_once(self):
        for args in (["--version"], ["--help"], ["denoise", "--help"]):
            times = []
            for _ in range(16):
                began = time.monotonic()
                self.assert_ok(self.run_command([harness.PROGRAM, *args]))
                times.append(time.monotonic() - began)
            times = [1000 * t for t in times[1:]]
            print("  %-16s %5.1f ms, median of 15 warm starts; at best %.1f" % (" ".join(args), statistics.median(times), min(times)))
            # the best: whatever else the machine does only makes the others longer
            if not harness.SANITIZED:
                self.assertLessEqual(min(times), 20, args)


class Off(CliTest):
    enabled = False

    def test_what_needs_ai_says_how_to_switch_it_on(self):
        picture = self.make("a.tif")
        before = self.snapshot()
        for args in (["denoise", picture], ["denoise", "--dry-run", picture], ["models"], ["models", "list"],
                     ["models", "info", "denoise-conv3"], ["providers"], ["providers", "--json"]):
            with self.subTest(args=args):
                result = self.run_cli(*args)
                self.assert_fails(result, 10)
                self.assertEqual(result.err, "darktable-ai: %s\n" % OFF)
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(os.listdir(self.config), ["models"])

    def test_what_works(self):
        self.assertIn("switched off", self.assert_ok(self.run_cli("doctor")).out)
        self.assertIn("plugins/ai/enabled=FALSE", self.assert_ok(self.run_cli("prefs")).out)
        self.assert_ok(self.run_cli("disable"))
        self.assert_ok(self.run_cli("enable"))
        self.assertIn("switched on", self.assert_ok(self.run_cli("doctor")).out)
        self.assert_ok(self.run_cli("models"))
        self.assert_ok(self.run_cli("disable"))
        self.assert_fails(self.run_cli("models"), 10)

    def test_the_switch_is_kept_in_airc_alone(self):
        rc = os.path.join(self.config, "darktablerc")
        with open(rc, "w") as f:
            f.write("plugins/lighttable/x=1\nplugins/ai/enabled=FALSE\n")
        stamp = os.stat(rc)
        self.assert_ok(self.run_cli("enable"))
        self.assertEqual(self.read_airc(), "plugins/ai/enabled=TRUE\n")
        self.assert_ok(self.run_cli("disable"))
        self.assertNotIn("TRUE", self.read_airc())
        after = os.stat(rc)
        self.assertEqual((stamp.st_mtime_ns, stamp.st_ino, stamp.st_size),
                         (after.st_mtime_ns, after.st_ino, after.st_size))

    def test_darktablerc_is_read(self):
        with open(os.path.join(self.config, "darktablerc"), "w") as f:
            f.write("plugins/ai/enabled=TRUE\n")
        self.assert_ok(self.run_cli("models"))
        self.assertIn("plugins/ai/enabled=TRUE  (darktablerc)", self.run_cli("prefs").out)
        self.assert_ok(self.run_cli("disable"))
        self.assert_fails(self.run_cli("models"), 10)

    def test_override_is_for_one_run(self):
        self.assert_ok(self.run_cli("--conf", "plugins/ai/enabled=TRUE", "models"))
        self.assert_ok(self.run_cli("models", "--conf=plugins/ai/enabled=TRUE"))
        self.assertEqual(os.listdir(self.config), ["models"])
        self.assert_fails(self.run_cli("models"), 10)
        self.assert_ok(self.run_cli("enable"))
        self.assert_fails(self.run_cli("--conf", "plugins/ai/enabled=no", "models"), 10)
        self.assert_ok(self.run_cli("models"))


class Prefs(CliTest):
    enabled = False
    models = ()

    def get(self, key, *options):
        return self.run_cli(*options, "prefs", "get", key)

    def test_set_get_reset(self):
        key = "plugins/ai/memory"
        self.assertEqual(self.assert_ok(self.get(key)).out, "\n")
        self.assert_ok(self.run_cli("prefs", "set", key, "2G"))
        self.assertEqual(self.get(key).out, "2G\n")
        self.assertIn("plugins/ai/memory=2G  (darktable-airc)", self.run_cli("prefs", "list").out)
        self.assertIn("plugins/ai/memory=1G  (--conf)",
                      self.run_cli("--conf", key + "=1G", "prefs", "list").out)
        self.assert_ok(self.run_cli("prefs", "reset", key))
        self.assertEqual(self.get(key).out, "\n")
        self.assertEqual(self.read_airc(), "")

    def test_unset_key(self):
        result = self.assert_fails(self.get("plugins/ai/models/active/denoise"), 1,
                                   "plugins/ai/models/active/denoise", "prefs list")
        self.assertEqual(result.out, "")

    def test_values_keep_their_characters(self):
        for value in ("", "a=b=c", "ä ö €", "with  two spaces", "#hash", "-dash", "\ttab"):
            with self.subTest(value=value):
                self.assert_ok(self.run_cli("prefs", "set", "plugins/ai/ort_library_path", "--", value))
                self.assertEqual(self.get("plugins/ai/ort_library_path").out, value + "\n")

    def test_a_repository_is_checked_when_it_is_set(self):
        for value in ("owner/name", "https://example.org/models", "file:///media/stick", "/media/stick"):
            self.assert_ok(self.run_cli("prefs", "set", "plugins/ai/repository", value))
        for value in ("owner", "a/b/c", "http://example.org/models", "ftp://example.org"):
            self.assert_fails(self.run_cli("prefs", "set", "plugins/ai/repository", value), 2)

    def test_refused_keys_and_values(self):
        for key, value in (("a=b", "x"), ("", "x"), ("#c", "x"), ("two\nlines", "x"), ("key", "two\nlines"),
                           (" k", "x")):
            with self.subTest(key=key, value=value):
                self.assert_fails(self.run_cli("prefs", "set", "--", key, value), 2)
        self.assertEqual(self.read_airc(), "")

    def test_comments_and_unknown_keys_are_kept(self):
        text = "# mine\n\nsome/other/key=42\nnot a setting\nplugins/ai/memory=1G\n# end\n"
        self.write_airc(text)
        self.assert_ok(self.run_cli("prefs", "set", "plugins/ai/memory", "3G"))
        self.assertEqual(self.read_airc(), text.replace("1G", "3G"))
        self.assert_ok(self.run_cli("enable"))
        self.assertEqual(self.read_airc(), text.replace("1G", "3G") + "plugins/ai/enabled=TRUE\n")
        self.assert_ok(self.run_cli("prefs", "reset", "plugins/ai/memory"))
        self.assert_ok(self.run_cli("disable"))
        self.assertEqual(self.read_airc(), text.replace("plugins/ai/memory=1G\n", ""))

    def test_writers_side_by_side(self):
        keys = ["plugins/ai/test/key%d" % i for i in range(8)]
        running = [self.start("prefs", "set", key, "v") for key in keys]
        for process in running:
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
        self.assertEqual(sorted(self.read_airc().split()), sorted(key + "=v" for key in keys))

    def test_configuration_that_cannot_be_written(self):
        blocker = self.write("file", b"")
        for config in (os.path.join(blocker, "below"), "/proc/darktable"):
            for command in (["enable"], ["prefs", "set", "plugins/ai/memory", "1G"]):
                with self.subTest(config=config, command=command):
                    result = self.run_command([harness.PROGRAM, "--configdir", config, *command])
                    self.assert_fails(result, 4, config, "--configdir")
            self.assert_ok(self.run_command([harness.PROGRAM, "--configdir", config, "prefs", "list"]))

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_read_only_configuration(self):
        os.chmod(self.config, 0o500)
        self.assert_fails(self.run_cli("enable"), 4, "--configdir")

    def test_default_places(self):
        """XDG variables count when absolute; HOME otherwise; nothing is made by looking."""
        program = [harness.PROGRAM]
        home = self.path("home")
        result = self.run_command(program + ["doctor"])
        self.assertIn("~/.config/darktable", result.out)
        self.assertIn("~/.cache/darktable", result.out)
        self.assertNotIn(home, result.out, "a report need not tell whose it is")
        self.assertEqual(os.listdir(home), [])
        env = self.environment(XDG_CONFIG_HOME=self.path("xc"), XDG_CACHE_HOME="relative")
        result = self.run_command(program + ["doctor"], env=env)
        self.assertIn(self.path("xc", "darktable"), result.out)
        self.assertIn("~/.cache/darktable", result.out)
        self.assert_ok(self.run_command(program + ["enable"], env=env))
        self.assertTrue(os.path.exists(self.path("xc", "darktable", "darktable-airc")))


class Inventory(CliTest):
    models = ("denoise-conv3", "denoise-sigma", "upscale-x2")

    def test_models_list(self):
        result = self.assert_ok(self.run_cli("models"))
        self.assertEqual(result.out, self.run_cli("models", "list").out)
        self.assertRegex(result.out, r"(?m)^denoise-conv3 +denoise +1\.0 +yes +downloaded +user +denoise conv3$")
        self.assertRegex(result.out, r"(?m)^denoise-sigma +denoise +1\.0 +downloaded +user +denoise sigma$")

    def test_models_json(self):
        import json
        rows = [json.loads(line) for line in self.assert_ok(self.run_cli("models", "--json")).out.splitlines()]
        self.assertTrue(all(row["schema_version"] == 1 for row in rows))
        by_id = {row["id"]: row for row in rows}
        self.assertTrue(by_id["denoise-conv3"]["active"])
        self.assertFalse(by_id["denoise-sigma"]["active"])
        self.assertEqual(by_id["denoise-sigma"]["num_inputs"], 2)
        one = json.loads(self.assert_ok(self.run_cli("models", "--json", "info", "denoise-sigma")).out)
        self.assertEqual(one, by_id["denoise-sigma"])

    def test_models_info(self):
        result = self.assert_ok(self.run_cli("models", "info", "upscale-x2"))
        self.assertIn(os.path.join(self.config, "models", "upscale-x2"), result.out)
        self.assert_fails(self.run_cli("models", "info", "nobody"), 5, '"nobody"', "models list")

    def test_broken_manifests_are_named(self):
        folder = os.path.join(harness.FIXTURES, "broken-configs")
        names = sorted(n for n in os.listdir(folder) if os.path.exists(os.path.join(folder, n, "config.json")))
        for name in names:
            os.symlink(os.path.join(folder, name), os.path.join(self.config, "models", name))
        result = self.assert_ok(self.run_cli("models"))
        self.assertIn("denoise-conv3", result.out)
        for name in names:
            self.assertEqual(sum("/%s/config.json: " % name in m for m in result.messages), 1,
                             (name, str(result)))

    def test_providers(self):
        import json
        result = self.assert_ok(self.run_cli("providers"))
        self.assertRegex(result.out, r"(?m)^CPU +CPU +works$")
        rows = [json.loads(line) for line in self.run_cli("providers", "--json").out.splitlines()]
        cpu = [row for row in rows if row["provider"] == "CPU"]
        self.assertEqual(len(cpu), 1)
        self.assertTrue(cpu[0]["works"])
        for row in rows:
            self.assertEqual(row["schema_version"], 1)
            self.assertEqual(row["reason"] == "", row["works"], row)

    def test_doctor(self):
        result = self.assert_ok(self.run_cli("doctor"))
        for words in ("ONNX Runtime 1.", "denoise-conv3", "libonnxruntime", self.config, self.cache):
            self.assertIn(words, result.out)

    def test_runtime_that_cannot_be_used(self):
        """The chosen library is broken: said in words, and the bundled one takes over."""
        text = self.write("lib.so", b"no library")
        result = self.run_cli("--conf", "plugins/ai/ort_library_path=" + text, "doctor")
        self.assert_ok(result)
        self.assertIn("lib.so", result.out + result.err)
        self.assertIn("ONNX Runtime 1.", result.out)


class MaskCache(CliTest):
    """Pictures encoded for masks are listed and cleared, by their name or with everything else."""

    models = ()

    def setUp(self):
        super().setUp()
        self.own = self.path("own cache")
        self.folder = os.path.join(self.own, "segmentation")

    def fill(self):
        os.makedirs(self.folder, exist_ok=True)
        for i in range(3):
            path = os.path.join(self.folder, "%064x-%064x.seg" % (i, 7))
            with open(path, "wb") as f:
                f.write(bytes(1 << 20))
            os.utime(path, (1700000000 + i, 1700000000 + i))
        with open(os.path.join(self.folder, "%064x.key" % 9), "wb") as f:
            f.write(b"x")

    def run_cache(self, *words):
        return self.run_cli("--cachedir", self.own, "--conf", "plugins/ai/mask_cache_limit=7M", "cache", *words)

    def test_list(self):
        self.assertEqual(self.assert_ok(self.run_cache("list")).out, "")
        self.fill()
        text = self.assert_ok(self.run_cache("list")).out
        self.assertRegex(text, r"(?m)^mask +3 encoded pictures +3\.0 MiB  of at most 7M$")
        entry, = map(json.loads, self.assert_ok(self.run_cache("list", "--json")).out.splitlines())
        self.assertEqual(entry, {"schema_version": 1, "task": "mask", "pictures": 3, "bytes": 3 * (1 << 20) + 1,
                                 "used": 1700000002, "path": self.folder})

    def test_doctor(self):
        def page():
            return self.assert_ok(self.run_cli("--cachedir", self.own, "--conf", "plugins/ai/mask_cache_limit=7M", "doctor")).out
        self.assertIn("0 pictures encoded for masks, 0.0 MiB of at most 7M", page())
        self.fill()
        self.assertIn("3 pictures encoded for masks, 3.0 MiB of at most 7M", page())

    def test_clear(self):
        for words in (("mask",), ("MASK",), ()):
            with self.subTest(words):
                self.fill()
                self.assert_fails(self.run_cache("clear", "openvino"), 1, "cache list")
                self.assertEqual(len(os.listdir(self.folder)), 4)
                self.assertIn("3.0 MiB cleared", self.assert_ok(self.run_cache("clear", *words)).err)
                self.assertEqual(os.listdir(self.folder), [])
                self.assert_fails(self.run_cache("clear", "mask"), 1, "cache list")


class Documents(CliTest):
    """Every option of --help is in the completions and the manual page, and the other way round."""

    models = ()

    def options(self):
        """{command: options}, "" for those of the program."""
        found = {}
        for command in ("",) + COMMANDS:
            flags = ["--help-all"] if command else ["--help"]
            text = self.assert_ok(self.run_cli(*([command] if command else []), *flags)).out
            found[command] = set(re.findall(r"(?m)^  (?:-\w, )?--([a-z-]+)", text))
        return found

    def completion(self, shell):
        name = os.path.join(harness.SOURCE, "packaging", "completions", "darktable-ai." + shell)
        if not os.path.exists(name):
            self.skipTest(name + " does not exist yet")
        with open(name) as f:
            return f.read()

    def check(self, mentioned):
        options = set().union(*self.options().values())
        self.assertIn("skip-existing", options)
        self.assertEqual(options - mentioned, set(), "missing there")
        self.assertEqual(mentioned - options, set(), "not in --help")

    def test_bash(self):
        text = re.sub(r"(?m)^ *#.*", "", self.completion("bash"))
        self.check(set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text)))

    def test_zsh(self):
        self.check(set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", self.completion("zsh"))))

    def test_fish(self):
        text = re.sub(r"(?m)^#.*", "", self.completion("fish"))
        self.check(set(re.findall(r"(?<!set) -l ([a-z][a-z-]+)", text)))

    def test_commands_are_completed(self):
        for shell in ("bash", "zsh", "fish"):
            text = self.completion(shell)
            for command in COMMANDS:
                self.assertRegex(text, r"\b%s\b" % command)

    @open_bug("--progress=auto is not completed (packaging/completions)")
    def test_values_are_completed(self):
        """The words an option takes are those the program names when it refuses others."""
        picture = self.make("a.tif")
        for option, text in (("progress", None), ("compression", None)):
            refusal = self.denoise("--%s=nonsense" % option, picture).err
            words = re.findall(r"[a-z-]+", refusal.split("takes", 1)[1].replace(" or ", " "))
            for shell in ("bash", "zsh", "fish"):
                for line in self.completion(shell).splitlines():
                    if re.search(r"(--| -l )%s\b.*\bnone\b" % option, line):
                        for word in words:
                            self.assertRegex(line, r"(?<![\w-])%s(?![\w-])" % word, (shell, option))

    def test_bash_completes(self):
        bash = shutil.which("bash")
        if not bash:
            self.skipTest("bash is not installed")
        script = self.write("try.sh", (self.completion("bash") + """
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _darktable_ai; echo "${COMPREPLY[*]}"; }
try darktable-ai den
try darktable-ai denoise --ov
try darktable-ai denoise --bit-depth ""
try darktable-ai rawdenoise --bit-depth ""
try darktable-ai rawdenoise --output-k
try darktable-ai mask --overlay-
try darktable-ai mask --holes ""
try darktable-ai --configdir x pre
try darktable-ai prefs se
""").encode())
        result = self.run_command([bash, "--norc", script])
        self.assertEqual(result.out.splitlines(), ["denoise", "--overwrite", "8 16 32", "16 half 32",
                                                   "--output-kind", "--overlay-size", "all none", "prefs", "set"], result)

    def test_manual_page(self):
        page = os.path.join(harness.SOURCE, "doc", "darktable-ai.1")
        if not os.path.exists(page):
            self.skipTest("doc/darktable-ai.1 does not exist yet")
        with open(page) as f:
            text = f.read()
        self.check(set(re.findall(r"Fl -([a-z][a-z-]+)", text)))
        for command in COMMANDS:
            self.assertRegex(text, r"(?m)^\.(It )?Cm .*\b%s\b" % command)
        for code in ("0", "1", "2", "3", "4", "5", "6", "7", "9", "10", "130"):
            self.assertRegex(text, r"(?m)^\.It (Li |Cm )?.*\b%s\b" % code)
        if shutil.which("man"):
            env = self.environment(MANWIDTH="80", MANPAGER="cat", LC_ALL="C.UTF-8")
            result = self.run_command(["man", "--warnings", "-l", page], env=env)
            self.assertEqual((result.code, result.err), (0, ""), result)


if __name__ == "__main__":
    harness.main()
