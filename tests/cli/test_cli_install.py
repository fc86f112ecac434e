# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed tree: complete, movable, and enough to build other programs with."""
import glob
import os
import shutil
import subprocess
import tempfile

import harness
from harness import CliTest, open_bug

FILES = ("bin/darktable-ai", "lib/libdarktable_ai.a", "lib/libdarktable_ai.so", "lib/libdarktable_ai.so.0",
         "lib/pkgconfig/darktable_ai.pc", "lib/darktable-ai/libonnxruntime.so.1",
         "include/darktable_ai/ai/darktable_ai.h", "include/darktable_ai/ai/backend.h",
         "include/darktable_ai/ai/restore.h", "include/darktable_ai/common/rows.h",
         "include/darktable_ai/common/errors.h", "share/man/man1/darktable-ai.1",
         "share/bash-completion/completions/darktable-ai", "share/zsh/site-functions/_darktable-ai",
         "share/fish/vendor_completions.d/darktable-ai.fish")


class Install(CliTest):
    models = ()

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="install-", dir=harness._shared)
        cls.prefix = os.path.join(cls.root, "first place")  # a space, to see who quotes
        subprocess.run(["cmake", "--install", harness.BUILD, "--prefix", cls.prefix], check=True,
                       stdout=subprocess.DEVNULL)
        # moved at once: nothing may remember where it was installed
        cls.moved = os.path.join(cls.root, "moved")

    def setUp(self):
        super().setUp()
        self.bundled = sorted(os.listdir(os.path.join(harness.SOURCE, "data", "models"))) \
            if os.path.isdir(os.path.join(harness.SOURCE, "data", "models")) else []

    def place(self, moved):
        """The tree at its first or at its second place."""
        wanted, other = (self.moved, self.prefix) if moved else (self.prefix, self.moved)
        if not os.path.isdir(wanted):
            os.rename(other, wanted)
        return wanted

    def program(self, prefix, *args, **options):
        """With an empty environment: what it needs it finds by itself."""
        options.setdefault("env", {})
        return self.run_command([os.path.join(prefix, "bin", "darktable-ai"), "--configdir", self.config,
                                 "--cachedir", self.cache, *args], **options)

    def test_everything_is_there(self):
        prefix = self.place(False)
        for name in FILES:
            with self.subTest(name=name):
                self.assertTrue(os.path.isfile(os.path.join(prefix, name)))
        for model in self.bundled:
            self.assertTrue(os.path.isfile(os.path.join(prefix, "share/darktable-ai/models", model, "config.json")))

    def test_nothing_is_there_by_accident(self):
        prefix = self.place(False)
        allowed = ("bin/darktable-ai", "lib/", "include/darktable_ai/", "share/darktable-ai/", "share/doc/darktable-ai/",
                   "share/man/", "share/bash-completion/", "share/zsh/", "share/fish/", "share/licenses/")
        for base, _, files in os.walk(prefix):
            for name in files:
                path = os.path.relpath(os.path.join(base, name), prefix)
                self.assertTrue(path.startswith(allowed), path)

    def test_no_path_of_the_build_is_left_inside(self):
        prefix = self.place(False)
        for name in ("bin/darktable-ai", "lib/libdarktable_ai.so.0", "lib/pkgconfig/darktable_ai.pc"):
            path = os.path.join(prefix, name)
            dynamic = harness.read_bytes(path) if name.endswith(".pc") else subprocess.run(
                ["readelf", "-d", path], capture_output=True).stdout
            self.assertNotIn(os.fsencode(harness.BUILD), dynamic, name)
            self.assertNotIn(os.fsencode(harness.SOURCE), dynamic, name)

    def test_works_where_it_is_and_where_it_is_moved(self):
        picture = self.make("a.tif")
        for moved in (False, True):
            with self.subTest(moved=moved):
                prefix = self.place(moved)
                doctor = self.assert_ok(self.program(prefix, "doctor")).out
                self.assertIn(os.path.join(prefix, "lib/darktable-ai/libonnxruntime.so.1"), doctor)
                self.assertIn(os.path.join(prefix, "share/darktable-ai/models"), doctor)
                if self.bundled:
                    out = self.file("o%d.tif" % moved)
                    self.assert_ok(self.program(prefix, "--conf", "plugins/ai/models/active/denoise=" + self.bundled[0],
                                                "denoise", "-o", out, picture))
                    self.assert_picture(out, (48, 40))

    def test_works_through_a_link_and_through_path(self):
        prefix = self.place(True)
        os.symlink(os.path.join(prefix, "bin", "darktable-ai"), self.file("dai"))
        runtime = os.path.join(prefix, "lib/darktable-ai/libonnxruntime.so.1")
        for command, env in (([self.file("dai")], {}), (["./dai"], {}),
                             (["darktable-ai"], {"PATH": os.path.join(prefix, "bin")}), (["dai"], {"PATH": self.work})):
            with self.subTest(command=command):
                binary = shutil.which(command[0], path=env["PATH"]) if env else None
                result = self.run_command(command + ["--configdir", self.config, "doctor"], env=env,
                                          **({"executable": binary} if binary else {}))
                self.assertIn(runtime, self.assert_ok(result).out)

    def test_first_use_as_the_readme_has_it(self):
        """Nothing but a HOME: enable, denoise."""
        if not self.bundled:
            self.skipTest("there is no bundled model")
        program = os.path.join(self.place(True), "bin", "darktable-ai")
        env = {"HOME": self.path("home")}
        self.make("photo.jpg", 64, 48)
        self.assertEqual(self.run_command([program, "denoise", "photo.jpg"], env=env).code, 10)
        self.assert_ok(self.run_command([program, "enable"], env=env))
        self.assert_ok(self.run_command([program, "denoise", "photo.jpg"], env=env))
        self.assert_picture(self.file("photo_denoise.tif"), (64, 48))
        left = sorted(os.path.relpath(os.path.join(b, f), env["HOME"]) for b, _, fs in os.walk(env["HOME"]) for f in fs)
        self.assertTrue(all(f.startswith((".config/darktable/", ".cache/darktable/")) for f in left), left)

    # --- building other programs

    def build(self, output, *sources):
        if harness.SANITIZED:
            self.skipTest("sanitized libraries need sanitized programs")
        if not shutil.which("pkg-config") or not shutil.which("cc"):
            self.skipTest("no compiler or no pkg-config")
        self.prefix_now = self.place(True)
        env = self.environment(PKG_CONFIG_PATH=os.path.join(self.prefix_now, "lib", "pkgconfig"))
        flags = self.assert_ok(self.run_command(["pkg-config", "--cflags", "--libs", "darktable_ai"], env=env)).out.split()
        self.assert_ok(self.run_command(["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", *sources, "-o", output, *flags,
                                         "-lm"], env=env))

    def use(self, *command):
        return self.run_command(list(command), env=self.environment(
            LD_LIBRARY_PATH=os.path.join(self.prefix_now, "lib"), XDG_CONFIG_HOME=self.path("xdg"),
            XDG_CACHE_HOME=self.path("xdg-cache")))

    def test_example(self):
        source = os.path.join(harness.SOURCE, "examples", "denoise.c")
        if not os.path.exists(source):
            self.skipTest("examples/denoise.c does not exist yet")
        self.build(self.file("example"), source)
        result = self.assert_ok(self.use(self.file("example"), os.path.join(harness.SOURCE, "data", "models"),
                                         self.file("out.ppm")))
        self.assertRegex(result.out, r"dB")
        with open(self.file("out.ppm"), "rb") as f:
            self.assertEqual(f.read(2), b"P6")

    @open_bug("ONNX Runtime's telemetry starts in CreateEnv: src/ai/ort_runtime.c must set ORT_DISABLE_TELEMETRY first")
    def test_the_library_leaves_nothing_behind(self):
        source = os.path.join(harness.SOURCE, "examples", "denoise.c")
        if not os.path.exists(source):
            self.skipTest("examples/denoise.c does not exist yet")
        self.build(self.file("example"), source)
        self.use(self.file("example"), os.path.join(harness.SOURCE, "data", "models"))
        found = [os.path.relpath(os.path.join(b, f), self.dir) for place in ("home", "tmp", "xdg", "xdg-cache")
                 for b, _, files in os.walk(self.path(place)) for f in files]
        self.assertEqual([f for f in found if not f.startswith("xdg-cache/darktable/")], [])

    def test_toy_task(self):
        folder = os.path.join(harness.SOURCE, "examples", "toy-task")
        if not os.path.isdir(folder):
            self.skipTest("examples/toy-task does not exist yet")
        self.build(self.file("toy"), *sorted(glob.glob(os.path.join(folder, "*.c"))))
        self.assert_ok(self.use(self.file("toy"), os.path.join(folder, "models")))

    def test_headers_alone(self):
        prefix = self.place(True)
        if not shutil.which("cc") or not shutil.which("pkg-config"):
            self.skipTest("no compiler or no pkg-config")
        env = self.environment(PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))
        flags = self.assert_ok(self.run_command(["pkg-config", "--cflags", "darktable_ai"], env=env)).out.split()
        include = os.path.join(prefix, "include")
        compilers = [("cc", "c", "-std=c11")] + ([("c++", "c++", "-std=c++17")] if shutil.which("c++") else [])
        for header in sorted(glob.glob(include + "/**/*.h", recursive=True)):
            for compiler, language, standard in compilers:
                with self.subTest(header=header, language=language):
                    source = self.write("t.%s" % ("c" if language == "c" else "cc"),
                                        b"#include <%s>\nint main(void) { return 0; }\n" %
                                        os.fsencode(os.path.relpath(header, include)))
                    self.assert_ok(self.run_command([compiler, standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                                     source, *flags], env=env))

    def test_static_library(self):
        """The archive needs only what pkg-config --static names."""
        if harness.SANITIZED or not shutil.which("cc") or not shutil.which("pkg-config"):
            self.skipTest("not here")
        prefix = self.place(True)
        env = self.environment(PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))
        flags = self.run_command(["pkg-config", "--static", "--cflags", "--libs", "darktable_ai"], env=env).out.split()
        flags = [os.path.join(prefix, "lib", "libdarktable_ai.a") if f == "-ldarktable_ai" else f for f in flags]
        source = self.write("s.c", b"#include <darktable_ai/ai/darktable_ai.h>\n#include <stdio.h>\n"
                                   b"int main(void) { puts(dt_ai_runtime_version(NULL)); return 0; }\n")
        self.assert_ok(self.run_command(["cc", source, "-o", self.file("s"), *flags], env=env))


if __name__ == "__main__":
    harness.main()
