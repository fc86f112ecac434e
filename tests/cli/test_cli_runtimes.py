# SPDX-License-Identifier: GPL-3.0-or-later
"""One program, three real ONNX Runtimes: the oldest it works with, one from the middle, and the one it was made with."""
import contextlib
import json
import os

import harness
import runtimes

SETTING = "plugins/ai/ort_library_path"
LIMIT = 1e-4
SMALL = "150M"  # cuts the large picture below into several tiles


class Runtimes(runtimes.RuntimeTest):
    @classmethod
    def setUpClass(cls):
        cls.libraries = {version: runtimes.onnxruntime(version) for version in sorted(runtimes.NODE)}
        super().setUpClass()

    @contextlib.contextmanager
    def runtime(self, version):
        with self.subTest(version):
            self.use(self.libraries[version])
            yield self.libraries[version]

    def assert_quiet(self, result):
        """Nothing on stderr is the runtime's own."""
        for line in result.err.splitlines():
            self.assertTrue(line.startswith("darktable-ai: "), result)
            self.assertNotIn("API version", line)

    def test_which_one_it_is(self):
        for version in self.libraries:
            with self.runtime(version) as library:
                doctor = self.assert_ok(self.run_cli("doctor"))
                self.assertRegex(doctor.out, r"(?m)^runtime +ONNX Runtime %s, %s\b" % (version, library))
                self.assertRegex(doctor.out, r"(?m)^provider +CPU: works$")
                self.assert_quiet(doctor)
                shown, = [json.loads(line) for line in self.assert_ok(self.run_cli("runtime", "--json")).out.splitlines()]
                self.assertEqual((shown["version"], shown["path"], shown["origin"], shown["warnings"]),
                                 (version, library, "the setting " + SETTING, []))
                self.assertIn("CPU", shown["providers"])
                providers = self.assert_ok(self.run_cli("providers"))
                self.assertRegex(providers.out, r"(?m)^CPU +CPU +works$")
                self.assertRegex(providers.out, r"(?m)^auto +auto +takes ")
                self.assert_quiet(providers)

    def test_by_the_variable(self):
        self.use(None)
        library = self.libraries["1.21.0"]
        env = self.environment(DT_ORT_LIBRARY=library)
        self.assertRegex(self.assert_ok(self.run_cli("doctor", env=env)).out,
                         r"(?m)^runtime +ONNX Runtime 1\.21\.0, %s\b" % library)
        result = self.assert_ok(self.denoise("-d", "ai", "-o", self.file("o.tif"), self.make("a.tif"), env=env))
        self.assertIn("loaded ONNX Runtime 1.21.0 from '%s' (the variable DT_ORT_LIBRARY)" % library, result.err)
        # the setting comes first
        self.use(self.libraries["1.18.0"])
        self.assertIn("ONNX Runtime 1.18.0, ", self.assert_ok(self.run_cli("doctor", env=env)).out)

    def compare(self, model, picture):
        self.use(None)
        _, wanted = self.floats(picture, "CPU", "--model", model)
        for version in self.libraries:
            with self.runtime(version):
                result, got = self.floats(picture, "CPU", "--model", model)
                self.assert_quiet(result)
                self.assert_close(wanted, got, LIMIT, "%s on %s, %s" % (model, os.path.basename(picture), version))

    def test_results_are_those_of_the_bundled_one(self):
        picture = self.make("a.tif", 300, 260)
        for model in self.models:
            self.compare(model, picture)

    def test_a_photograph(self):
        picture = self.photograph()
        for model in self.models + (self.bundled_model(),):
            self.compare(model, picture)

    def test_the_last_line_for_programs(self):
        picture = self.make("a.tif")
        for version in self.libraries:
            with self.runtime(version):
                result = self.assert_ok(self.denoise("--json", "--provider", "CPU", "--overwrite", "-o", self.file("o.tif"),
                                                     picture))
                done = json.loads(result.out)
                self.assertEqual((done["provider"], done["fallback"], done["device"]), ("CPU", "", ""))
                self.assertRegex(done["nodes"], r"^CPU [1-9]\d*$")
                self.assertEqual(result.err, "")

    def test_tiles_leave_no_trace(self):
        """Many tiles, one tile: the same bytes."""
        picture = self.make("large.tif", 700, 600)
        for version in self.libraries:
            with self.runtime(version):
                for model in ("denoise-unet", self.bundled_model()):
                    written, tiles = [], []
                    for memory in (SMALL, "2G"):
                        out = self.file("o-%s.tif" % memory)
                        done = json.loads(self.assert_ok(self.denoise(
                            "--json", "--provider", "CPU", "--model", model, "--memory", memory, "--bit-depth", 32,
                            "--compression", "none", "--overwrite", "-o", out, picture)).out)
                        self.assertIs(done["exact"], True)
                        tiles.append(done["columns"] * done["rows"])
                        written.append(harness.read_bytes(out))
                    self.assertGreater(tiles[0], tiles[1], model)
                    self.assertEqual(written[0], written[1], "%s: %d tiles and %d differ" % (model, *tiles))

    def test_what_cannot_be_done(self):
        """The exit codes are the program's, whichever runtime says no."""
        self.add_model("broken-onnx")
        self.add_model("broken-run-fails")
        picture, out = self.make("a.tif"), self.file("o.tif")
        refused = ((("--provider", "MIGraphX"), picture, 6), (("--model", "broken-onnx"), picture, 5),
                   (("--model", "broken-run-fails"), picture, 5), (("--memory", "1M"), picture, 7),
                   ((), self.file("absent.tif"), 3))
        for version in self.libraries:
            with self.runtime(version):
                for options, source, code in refused:
                    result = self.denoise("--provider", "CPU", *options, "-o", out, source)
                    self.assertEqual(result.code, code, result)
                    self.assert_quiet(result)
                    self.assertFalse(os.path.exists(out), result)


if __name__ == "__main__":
    harness.main()
