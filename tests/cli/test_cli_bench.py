# SPDX-License-Identifier: GPL-3.0-or-later
"""bench: figures as words and JSON, and how they differ from a kept run."""
import json

import harness
from harness import CliTest

FIGURES = ("mp_per_s", "tiles_per_s", "seconds", "read_share", "run_share", "write_share", "peak_memory")


class Bench(CliTest):
    models = ("denoise-conv3", "denoise-clip", "upscale-x2")

    def setUp(self):
        super().setUp()
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-conv3\n"
                        "plugins/ai/models/active/upscale=upscale-x2\n")

    def bench(self, *args):
        return self.run_cli("bench", "--megapixels=0.05", "--runs=1", *args)

    def test_json(self):
        for task, scale in (("denoise", 1), ("upscale", 2)):
            row = json.loads(self.assert_ok(self.bench("--json", "--task", task)).out)
            self.assertEqual((row["event"], row["provider"], row["scale"]), ("bench", "CPU", scale))
            for name in FIGURES:
                self.assertGreaterEqual(row[name], 0, name)
            self.assertIsInstance(row["peak_memory"], int)
            self.assertAlmostEqual(row["read_share"] + row["run_share"] + row["write_share"], 1, 3)

    def test_compares_with_its_like(self):
        kept = self.write("kept.json", self.assert_ok(self.bench("--json")).out.encode())
        result = self.assert_ok(self.bench("--compare", kept))
        for name in FIGURES:
            self.assertIn(name, result.err)
        self.assertNotIn("not the same", result.err)
        result = self.assert_ok(self.bench("--compare", kept, "--model", "denoise-clip"))
        self.assertIn("note: not the same: model is denoise-clip and was denoise-conv3 in " + kept, result.err)

    def test_what_is_no_kept_run_is_told_first(self):
        for name, data in (("gone.json", None), ("text.json", b"x"), ("other.json", b"{}"), ("list.json", b"[1]")):
            path = self.file(name) if data is None else self.write(name, data)
            result = self.bench("--compare", path)
            self.assert_fails(result, 3, name, "bench --json")
            self.assertEqual(result.out, "")


if __name__ == "__main__":
    harness.main()
