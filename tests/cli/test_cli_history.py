# SPDX-License-Identifier: GPL-3.0-or-later
"""history from outside: what is shown, what is written into sidecars, what is left alone."""
import json
import os
import stat
import struct

import harness
from harness import CliTest, read_bytes

FOREIGN = """<?xml version="1.0"?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' dc:source='a film'
 xmlns:dtai='urn:x-darktable-ai:history:1.0#' dtai:schema='%d'><dtai:history><rdf:Seq>
<rdf:li><rdf:Description dtai:module='dream' dtai:version='3' dtai:enabled='true'><dtai:params dtai:depth='7'/>
</rdf:Description></rdf:li>
<rdf:li><rdf:Description dtai:module='exposure' dtai:version='9' dtai:enabled='true'><dtai:params dtai:x='1'/>
</rdf:Description></rdf:li>
</rdf:Seq></dtai:history></rdf:Description></rdf:RDF></x:xmpmeta>
"""


class History(CliTest):
    models = ()
    enabled = False

    def setUp(self):
        super().setUp()
        self.picture = self.make_picture("in.pfm")
        self.sidecar = self.picture + ".dtai.xmp"
        self.original = self.snapshot()

    def make_picture(self, name):
        return self.write(name, b"PF\n4 3\n-1.0\n" + struct.pack("<f", 0.25) * 36)

    def history(self, *args, **options):
        return self.run_cli("history", *args, **options)

    def events(self, *args):
        return [json.loads(line) for line in self.assert_ok(self.history(*args, "--json")).out.splitlines()]

    def event(self, *args):
        events = self.events(*args)
        self.assertEqual([e["event"] for e in events], ["history"])
        return events[0]

    def steps(self, event):
        return [(s["module"], s["enabled"], s["in_force"]) for s in event["steps"]]

    def set(self, *settings, photo=None):
        args = [word for setting in settings for word in ("--module", setting)]
        return self.event("set", photo or self.picture, *args)

    def first_pixel(self):
        out = self.path("out.pfm")
        self.assert_ok(self.run_cli("--conf", "opencl=FALSE", "export", self.picture, "-o", out, "--overwrite"))
        return struct.unpack("<f", read_bytes(out)[-144:-140])[0]

    def assert_untouched(self):
        self.assertEqual(self.snapshot(), self.original)

    def test_nothing_yet(self):
        self.assertEqual(self.assert_ok(self.history("show", self.picture)).out, self.picture + ": no history\n")
        event = self.event("show", self.picture)
        self.assertEqual((event["steps"], event["in_force"], event["changed"], event["written"], event["sidecar"]),
                         ([], 0, False, False, self.sidecar))
        self.assert_untouched()

    def test_set_is_what_export_does(self):
        self.assertAlmostEqual(self.first_pixel(), 0.25, places=5)
        event = self.set("exposure.exposure=1")
        self.assertTrue(event["changed"] and event["written"])
        self.assertEqual(event["steps"][0]["params"]["exposure"], "1")
        self.assertAlmostEqual(self.first_pixel(), 0.5, places=5)
        after = self.snapshot()
        self.assertTrue(stat.S_ISREG(after.pop("in.pfm.dtai.xmp")[0]))
        self.assertEqual(after, self.original, "the photograph itself is as it was")
        self.assertEqual(self.parts(), [])

    def test_steps_undo_and_redo(self):
        self.set("exposure.exposure=1", "sharpen=on", "exposure=off")
        self.assertEqual(self.steps(self.event("show", self.picture)),
                         [("exposure", True, True), ("sharpen", True, True), ("exposure", False, True)])
        self.assertEqual(self.event("undo", self.picture, "--steps", "2")["in_force"], 1)
        self.assertEqual(self.event("redo", self.picture)["in_force"], 2)
        self.assertEqual(self.event("reset", self.picture)["in_force"], 0)
        self.assertAlmostEqual(self.first_pixel(), 0.25, places=5)
        event = self.event("redo", self.picture, "--steps", "99")
        self.assertEqual((event["in_force"], len(event["steps"])), (3, 3))
        self.event("undo", self.picture, "--steps", "2")
        self.assertEqual(self.steps(self.set("sigmoid.contrast=2")),
                         [("exposure", True, True), ("sigmoid", True, True)], "what was undone is replaced")

    def test_words(self):
        self.set("exposure.exposure=1.5", "exposure.blend.opacity=0.5", "sharpen=off")
        self.event("undo", self.picture)
        lines = self.assert_ok(self.history("show", self.picture)).out.splitlines()
        self.assertEqual(lines[0], self.picture + ": 1 of 2 steps in force")
        self.assertEqual(lines[1].split(), ["1", "exposure", "on", "exposure=1.5", "blend.opacity=0.5"])
        self.assertEqual(lines[2].split(), ["2", "sharpen", "off", "(undone)"])

    def test_same_again_writes_nothing(self):
        self.set("exposure.exposure=1")
        os.utime(self.sidecar, (1, 1))
        event = self.set("exposure.exposure=1")
        self.assertEqual((event["changed"], event["written"]), (False, False))
        self.assertEqual(os.path.getmtime(self.sidecar), 1)

    def test_dry_run(self):
        event = self.event("set", self.picture, "--module", "exposure.exposure=1", "--dry-run")
        self.assertEqual((event["changed"], event["written"], len(event["steps"])), (True, False, 1))
        result = self.assert_ok(self.history("set", self.picture, "--module", "exposure.exposure=1", "--dry-run"))
        self.assertIn("would be written", result.out)
        self.assert_untouched()

    def test_what_others_wrote_stays(self):
        with open(self.sidecar, "w") as f:
            f.write(FOREIGN % 1)
        event = self.set("exposure.exposure=1")
        self.assertEqual([s["module"] for s in event["steps"]], ["dream", "exposure", "exposure"])
        self.assertAlmostEqual(self.first_pixel(), 0.5, places=5)
        text = read_bytes(self.sidecar).decode()
        for kept in ("dc:source='a film'", "dtai:module='dream' dtai:version='3'", "dtai:depth='7'",
                     "dtai:module='exposure' dtai:version='9'"):
            self.assertIn(kept, text)
        result = self.assert_ok(self.history("show", self.picture))
        self.assertIn("dream", result.err)
        self.assertIn("version 9", result.err)

    def test_a_newer_sidecar(self):
        with open(self.sidecar, "w") as f:
            f.write(FOREIGN % 2)
        before = self.snapshot()
        result = self.history("set", self.picture, "--module", "exposure.exposure=1")
        self.assertEqual((result.code, result.out), (4, ""), result)
        self.assertIn("--force", result.err)
        self.assertEqual(self.snapshot(), before)
        event = self.event("set", self.picture, "--module", "exposure.exposure=1", "--force")
        self.assertEqual([s["module"] for s in event["steps"]], ["dream", "exposure", "exposure"])
        self.assertIn("dc:source='a film'", read_bytes(self.sidecar).decode())

    def test_damaged_sidecars_stay(self):
        for damaged in ("", "no XMP", (FOREIGN % 1)[:300]):
            with open(self.sidecar, "w") as f:
                f.write(damaged)
            for verb in (["show"], ["reset"], ["set", "--module", "sharpen=on", "--force"]):
                with self.subTest(damaged=damaged[:9], verb=verb):
                    self.assert_fails(self.history(*verb, self.picture), 3, ".dtai.xmp")
                    self.assertEqual(read_bytes(self.sidecar).decode(), damaged)

    def test_styles_and_other_sidecars(self):
        style = self.write("film.style", b"# a style\nexposure.exposure=2\nsharpen=on\n")
        self.assertEqual(self.steps(self.event("set", self.picture, "--style", style)),
                         [("exposure", True, True), ("sharpen", True, True)])
        other = self.make_picture("other.pfm")
        event = self.event("set", other, "--style", self.sidecar, "--module", "exposure.exposure=-1")
        exposures = [s["params"]["exposure"] for s in event["steps"] if s["module"] == "exposure"]
        self.assertEqual(exposures, ["2", "-1"], "the modules come on top of the style")
        self.assert_fails(self.history("set", self.picture, other, "--style", self.path("gone")), 3, "gone")

    def test_a_mask_is_found_from_everywhere(self):
        mask = self.write("mask.pfm", b"Pf\n4 3\n-1.0\n" + struct.pack("<f", 0.5) * 12)
        event = self.event("set", self.picture, "--module", "exposure.exposure=1", "--module",
                           "exposure.blend.mask=" + os.path.basename(mask))
        self.assertEqual(event["steps"][0]["blend"]["mask"], mask)
        os.chdir("/")
        self.assertAlmostEqual(self.first_pixel(), 0.375, places=5)

    def test_several(self):
        pictures = [self.make_picture("%d.pfm" % i) for i in range(3)]
        events = self.events("set", *pictures, "--module", "exposure.exposure=1")
        self.assertEqual([e["input"] for e in events], pictures)
        result = self.history("set", pictures[0], self.path("gone.nef"), "--module", "sharpen=on", "--json")
        self.assertEqual(result.code, 9, result)
        lines = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([(e["event"], e["input"]) for e in lines],
                         [("history", pictures[0]), ("error", self.path("gone.nef"))])
        self.assertEqual(lines[1]["code"], 3)
        self.assertFalse(os.path.exists(self.path("gone.nef.dtai.xmp")), "no sidecar beside nothing")

    def test_bad_operands(self):
        self.set("exposure.exposure=1")
        before = self.snapshot()
        for photo, words in ((self.path("gone.nef"), "gone.nef"), (self.sidecar, "is a sidecar"), ("-", "no such")):
            with self.subTest(photo=photo):
                self.assert_fails(self.history("set", photo, "--module", "sharpen=on"), 3, words)
        self.assertEqual(self.snapshot(), before)

    def test_usage(self):
        for args, words in (([], "history takes"), (["frob", self.picture], "history takes"), (["show"], "which"),
                            (["set", self.picture], "--module"), (["reset", self.picture, "--module", "a=on"], "only set"),
                            (["undo", self.picture, "--steps", "0"], "--steps"),
                            (["show", self.picture, "--steps", "2"], "--steps")):
            with self.subTest(args=args):
                self.assert_fails(self.history(*args), 2, words)
        for setting, words in (("nonsense.x=1", "nonsense"), ("exposure.exposure=99", "18"), ("exposure", "setting"),
                               ("exposure.blend.opacity=2", "opacity"), ("exposure.blend.frob=2", "frob"),
                               ("exposure.exposure=\x1b[2J", "setting")):
            with self.subTest(setting=setting):
                self.assert_fails(self.history("set", self.picture, "--module", setting), 2, words)
        self.assert_untouched()

    def test_no_place(self):
        if os.geteuid() == 0:
            os.mkdir(self.sidecar)
            self.assert_fails(self.history("set", self.picture, "--module", "sharpen=on"), 3, "no plain file")
            return
        os.chmod(self.work, 0o500)
        try:
            self.assert_fails(self.history("set", self.picture, "--module", "sharpen=on"), 4)
        finally:
            os.chmod(self.work, 0o700)

    def test_control_characters_of_a_sidecar(self):
        with open(self.sidecar, "w") as f:
            f.write((FOREIGN % 1).replace("'7'", "'&#x85;a&#x9;b'"))
        result = self.assert_ok(self.history("show", self.picture))
        self.assertNotRegex(result.out + result.err, "[\x00-\x09\x0b-\x1f\x7f]")


if __name__ == "__main__":
    harness.main()
