# SPDX-License-Identifier: GPL-3.0-or-later
"""models: from a folder to a package to an installed, active, updated and removed model; no network here."""
import json
import os
import shutil
import subprocess
import time
import unittest
import zipfile

import harness
from harness import CliTest

HOSTILE = {  # name of the only other entry -> a word of the message
    "../evil": "name",
    "/evil": "name",
    "denoise-tried/../../evil": "name",
    "denoise-tried\\evil": "name",
    "other/evil": "folder",
}


class Models(CliTest):
    models = ()

    def setUp(self):
        super().setUp()
        self.write_airc("plugins/ai/enabled=TRUE\n")
        self.installed = os.path.join(self.config, "models")

    def without_bundled_models(self):
        """From here on a program beside which there is the catalogue, and no model."""
        alone = self.path("alone")
        os.makedirs(os.path.join(alone, "bin"))
        os.makedirs(os.path.join(alone, "data"))
        self.program = shutil.copy(harness.PROGRAM, os.path.join(alone, "bin"))
        os.symlink(os.path.join(harness.BUILD, "lib"), os.path.join(alone, "lib"))
        os.symlink(os.path.join(harness.SOURCE, "data", "ai_models.json"), os.path.join(alone, "data", "ai_models.json"))

    # --- making packages

    def folder(self, fixture="denoise-conv3", model_id="denoise-tried", **changes):
        """A model's folder in the working directory, a fixture under another id."""
        path = self.file("folder")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(os.path.join(harness.FIXTURES, fixture), path)
        config = os.path.join(path, "config.json")
        with open(config) as f:
            manifest = json.load(f)
        manifest.update({"id": model_id, "version": "1.0", **changes})
        with open(config, "w") as f:
            json.dump({k: v for k, v in manifest.items() if v is not None}, f)
        return path

    def package(self, fixture="denoise-conv3", model_id="denoise-tried", **changes):
        folder = self.folder(fixture, model_id, **changes)
        path = self.file("%s-%s.dtmodel" % (model_id, changes.get("version", "1.0")))
        self.assert_ok(self.run_models("pack", folder, "-o", path, "--overwrite"))
        return path

    def zip(self, name, entries):
        path = self.file(name)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for entry, data in entries.items():
                z.writestr(entry, data)
        return path

    # --- asking

    def run_models(self, *args, **options):
        return self.run_cli("models", *args, **options)

    def list(self):
        lines = self.assert_ok(self.run_models("list", "--json")).out.splitlines()
        return {m["id"]: m for m in map(json.loads, lines) if "event" not in m}

    def active(self, task="denoise"):
        return [m["id"] for m in self.list().values() if m["task"] == task and m["active"]]

    def names(self):
        return sorted(os.listdir(self.installed)) if os.path.isdir(self.installed) else []


class Lifetime(Models):
    def test_pack_install_activate_use_update_remove(self):
        picture = self.make("a.png")
        first = self.package(version="1.0")
        second = self.package(version="2.0", description="better")
        installed = self.assert_ok(self.run_models("install", first))
        self.assertIn("denoise-tried installed 1.0", installed.out)
        self.assertEqual(self.active(), ["denoise-leaves"], "the task had a model already")
        self.assert_ok(self.run_models("activate", "denoise-tried"))
        self.assertEqual(self.active(), ["denoise-tried"])
        used = self.assert_ok(self.denoise("-o", self.file("o.png"), picture))
        self.assertIn("denoise-tried", used.err)
        self.assert_ok(self.run_models("install", second))
        self.assertEqual(self.list()["denoise-tried"]["version"], "2.0")
        self.assertEqual(self.active(), ["denoise-tried"], "an update leaves the choice alone")
        self.assert_ok(self.run_models("verify"))
        self.assert_ok(self.run_models("remove", "denoise-tried"))
        self.assertEqual(self.active(), ["denoise-leaves"])
        self.assertEqual(self.names(), [".lock"])
        self.assertTrue(os.path.exists(first) and os.path.exists(second), "the packages are the user's")

    def test_several_at_once(self):
        good = self.package(model_id="denoise-one")
        other = self.package(model_id="denoise-two")
        bad = self.write("bad.dtmodel", b"no package")
        result = self.run_models("install", good, bad, other)
        self.assertEqual(result.code, 9, result)
        self.assertEqual(len(result.messages), 1, result)
        self.assertLessEqual({"denoise-one", "denoise-two"}, set(self.list()))

    def test_packing_is_reproducible_and_atomic(self):
        folder = self.folder()
        with open(os.path.join(folder, ".hidden"), "w") as f:
            f.write("not the model's")
        one, two = self.file("one.dtmodel"), self.file("two.dtmodel")
        self.assert_ok(self.run_models("pack", folder, "-o", one))
        time.sleep(1.1)
        os.utime(os.path.join(folder, "config.json"))
        self.assert_ok(self.run_models("pack", folder, "-o", two))
        self.assertEqual(harness.read_bytes(one), harness.read_bytes(two))
        with zipfile.ZipFile(one) as z:
            self.assertEqual(z.namelist(), ["denoise-tried/config.json", "denoise-tried/model.onnx"])
        self.assert_fails(self.run_models("pack", folder, "-o", one), 4, "exists")
        self.assert_fails(self.run_models("pack", folder, "-o", self.file("no/where.dtmodel")), 4)
        self.assertEqual(self.parts(), [])

    def test_packing_works_while_ai_is_off(self):
        folder = self.folder()
        self.write_airc("")
        self.assert_ok(self.run_models("pack", folder, "-o", self.file("p.dtmodel")))
        self.assertFalse(os.path.exists(os.path.join(self.installed, ".lock")))

    def test_names_that_break_the_convention_are_remarked_and_load(self):
        for model_id in ("Tried", "denoise", "upscale-x", "denoise_tried"):
            with self.subTest(model_id):
                folder = self.folder(model_id=model_id)
                result = self.assert_ok(self.run_models("pack", folder, "-o", self.file("n.dtmodel"), "--overwrite"))
                self.assertRegex(result.err, "id")
                self.assert_ok(self.run_models("install", self.file("n.dtmodel")))
                self.assertIn(model_id, self.list())

    def test_unknown_keys_are_reported(self):
        package = self.package(colour_of_the_sky="blue", attributes={"input_sizes": [256], "wrong_key": 1})
        self.assert_ok(self.run_models("install", package))
        result = self.assert_ok(self.run_models("verify", "denoise-tried"))
        self.assertIn("$.colour_of_the_sky", result.err)

    def test_other_tasks_are_kept_and_listed(self):
        self.assert_ok(self.run_models("install", self.package("test-identity", "embed-tried", task="embed")))
        self.assertEqual(self.list()["embed-tried"]["task"], "embed")
        self.assertEqual(self.active("embed"), ["embed-tried"])

    def test_published_packages(self):
        for fixture, task in (("denoise-published", "denoise"), ("rawdenoise-published", "rawdenoise"),
                              ("upscale-published", "upscale"), ("mask-object-published-sam2", "mask"),
                              ("mask-object-published-segnext", "mask")):
            with self.subTest(fixture):
                package = self.file(fixture + ".dtmodel")
                self.assert_ok(self.run_models("pack", os.path.join(harness.FIXTURES, fixture), "-o", package))
                self.assert_ok(self.run_models("install", package))
                self.assert_ok(self.run_models("verify", fixture))
                self.assertEqual(self.list()[fixture]["task"], task)


class Choice(Models):
    def test_the_first_of_a_task_becomes_active_the_second_does_not(self):
        self.without_bundled_models()
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-one")))
        self.assertEqual(self.active("upscale"), ["upscale-one"])
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-a")))
        self.assertEqual(self.active("upscale"), ["upscale-one"])
        self.assert_ok(self.run_models("activate", "upscale-a"))
        self.assertEqual(self.active("upscale"), ["upscale-a"])

    def test_none_is_remembered(self):
        self.assert_ok(self.run_models("deactivate", "denoise"))
        self.assertEqual(self.active(), [])
        self.assert_ok(self.run_models("install", self.package()))
        self.assertEqual(self.active(), [], "an explicit none is not overridden")
        picture = self.make("a.png")
        result = self.assert_fails(self.denoise("-o", self.file("o.png"), picture), 5, "none is active",
                                   "models activate")
        self.assertNotIn("No model", result.err)

    def test_none_installed_at_all(self):
        self.without_bundled_models()
        self.assert_fails(self.denoise(self.make("a.png")), 5, "No model for denoise is installed",
                          "models download --default")

    def test_a_choice_that_is_gone_says_so(self):
        """The same exit code, another message, another command."""
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/models/active/denoise=denoise-gone\n")
        self.assert_fails(self.denoise("-o", self.file("o.png"), self.make("a.png")), 5, "not installed",
                          "models download denoise-gone")

    def test_removing_the_active_one_falls_back(self):
        self.without_bundled_models()
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-one")))
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-two")))
        self.assert_ok(self.run_models("remove", "upscale-one"))
        self.assertEqual(self.active("upscale"), ["upscale-two"])
        self.assert_ok(self.run_models("remove", "upscale-two"))
        self.assertEqual(self.active("upscale"), [])

    def test_darktables_own_setting_is_overruled_not_changed(self):
        self.without_bundled_models()
        rc = os.path.join(self.config, "darktablerc")
        with open(rc, "w") as f:
            f.write("plugins/ai/models/active/upscale=upscale-one\n")
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-one")))
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-two")))
        self.assert_ok(self.run_models("remove", "upscale-one"))
        self.assertEqual(self.active("upscale"), ["upscale-two"])
        self.assertEqual(harness.read_bytes(rc), b"plugins/ai/models/active/upscale=upscale-one\n")

    def test_unknown_names(self):
        for args in (("activate", "nosuch"), ("remove", "nosuch"), ("deactivate", "nosuch"), ("verify", "nosuch"),
                     ("info", "nosuch"), ("update", "nosuch")):
            self.assert_fails(self.run_models(*args), 5, "nosuch")

    def test_usage(self):
        for args in (("install",), ("remove",), ("nosuch",), ("list", "x"), ("pack",), ("download",),
                     ("download", "x", "--all")):
            self.assert_fails(self.run_models(*args), 2)


class Protection(Models):
    def test_bundled_and_darktables_own(self):
        self.assert_fails(self.run_models("remove", "denoise-leaves"), 2, "came with the program")
        data = self.path("home", ".local", "share", "darktable", "models", "denoise-theirs")
        os.makedirs(os.path.dirname(data))
        shutil.copytree(self.folder(model_id="denoise-theirs"), data)
        before = self.snapshot(os.path.dirname(data))
        self.assertEqual(self.list()["denoise-theirs"]["origin"], "darktable")
        self.assert_fails(self.run_models("remove", "denoise-theirs"), 2, "belongs to darktable")
        # a newer one of the same id goes into our directory and wins there; darktable's stays as it is
        self.assert_ok(self.run_models("install", self.package(model_id="denoise-theirs", version="3.0")))
        self.assertEqual(self.list()["denoise-theirs"]["version"], "3.0")
        self.assert_ok(self.run_models("remove", "denoise-theirs"))
        self.assertEqual(self.list()["denoise-theirs"]["version"], "1.0")
        self.assertEqual(self.snapshot(os.path.dirname(data)), before)

    def test_a_linked_folder_is_unlinked_and_its_target_kept(self):
        os.makedirs(self.installed, exist_ok=True)
        target = self.folder(model_id="denoise-linked")
        os.symlink(target, os.path.join(self.installed, "denoise-linked"))
        before = self.snapshot(target)
        self.assert_ok(self.run_models("remove", "denoise-linked"))
        self.assertEqual(self.snapshot(target), before)
        self.assertNotIn("denoise-linked", self.list())


class Dropped(Models):
    def test_folders_appear(self):
        self.without_bundled_models()
        os.makedirs(self.installed, exist_ok=True)
        shutil.copytree(self.folder(model_id="upscale-hand", fixture="upscale-x2"),
                        os.path.join(self.installed, "upscale-hand"))
        self.assertEqual(self.active("upscale"), ["upscale-hand"])

    def test_packages_wait_and_are_taken(self):
        os.makedirs(self.installed, exist_ok=True)
        package = os.path.join(self.installed, "x.dtmodel")
        shutil.move(self.package(), package)
        listed = self.assert_ok(self.run_models("list"))
        self.assertIn("models rescan", listed.err)
        self.assertNotIn("denoise-tried", listed.out)
        self.assert_ok(self.run_models("rescan"))
        self.assertIn("denoise-tried", self.list())
        self.assertFalse(os.path.exists(package))
        self.assert_ok(self.run_models("verify", "denoise-tried"))

    def test_bad_packages_are_reported_and_left_alone(self):
        os.makedirs(self.installed, exist_ok=True)
        package = os.path.join(self.installed, "bad.dtmodel")
        with open(package, "wb") as f:
            f.write(b"PK\3\4 and nothing more")
        result = self.run_models("rescan")
        self.assertEqual(result.code, 9, result)
        self.assertIn("bad.dtmodel", result.err)
        self.assertEqual(harness.read_bytes(package), b"PK\3\4 and nothing more")


class Others(Models):
    """What somebody else put into the models directory is never lost."""

    def place(self, name, model_id="denoise-tried", **changes):
        os.makedirs(self.installed, exist_ok=True)
        target = os.path.join(self.installed, name)
        shutil.copytree(self.folder(model_id=model_id, **changes), target)
        with open(os.path.join(target, "thesis.txt"), "w") as f:
            f.write("years of work")
        return target

    def find(self, text="years of work"):
        """Where in the models directory a file holds the text."""
        return [os.path.join(base, n) for base, _, names in os.walk(self.installed) for n in names
                if n == "thesis.txt" and harness.read_bytes(base, n).decode() == text]

    def test_a_folder_that_is_no_model_is_in_the_way(self):
        os.makedirs(os.path.join(self.installed, "denoise-tried"))
        with open(os.path.join(self.installed, "denoise-tried", "thesis.txt"), "w") as f:
            f.write("years of work")
        package = self.package()
        self.assert_fails(self.run_models("install", package), 4, "in the way")
        self.assertEqual(len(self.find()), 1)
        os.unlink(self.find()[0])
        os.rmdir(os.path.join(self.installed, "denoise-tried"))
        with open(os.path.join(self.installed, "denoise-tried"), "w") as f:
            f.write("a file")
        self.assert_fails(self.run_models("install", package), 4, "in the way")

    def test_a_model_made_by_hand_is_kept_aside(self):
        self.place("denoise-tried", version="0.5")
        result = self.assert_ok(self.run_models("install", self.package(version="1.0")))
        self.assertIn(".kept-denoise-tried", result.err)
        self.assertIn("takes the place of 0.5", result.err)
        self.assertEqual(len(self.find()), 1)
        self.assertEqual(self.list()["denoise-tried"]["version"], "1.0")
        self.assert_ok(self.run_models("rescan"))
        self.assertEqual(len(self.find()), 1, "nobody sweeps it")

    def test_a_file_added_to_an_installed_model_is_kept(self):
        self.assert_ok(self.run_models("install", self.package(version="1.0")))
        with open(os.path.join(self.installed, "denoise-tried", "thesis.txt"), "w") as f:
            f.write("years of work")
        self.assert_ok(self.run_models("install", self.package(version="2.0")))
        self.assertEqual(len(self.find()), 1)

    def test_folders_of_another_name_with_the_same_id(self):
        self.place("a-mine", version="0.5")
        self.place("b-mine", version="0.6")
        self.assertEqual(self.list()["denoise-tried"]["version"], "0.5")
        self.assert_ok(self.run_models("install", self.package(version="1.0")))
        listed = self.assert_ok(self.run_models("list"))
        self.assertIn("a-mine", listed.err)
        self.assertIn("b-mine", listed.err)
        self.assertEqual(self.list()["denoise-tried"]["version"], "1.0")
        self.assertEqual(len(self.find()), 2)

    def test_an_older_copy_of_a_bundled_model_is_pointed_out(self):
        source = os.path.join(harness.SOURCE, "data", "models", "denoise-leaves")
        if not os.path.isdir(source):
            self.skipTest("there is no bundled model")
        self.assert_ok(self.run_models("install", self.package(model_id="denoise-leaves", version="0.1")))
        self.assertIn("models remove denoise-leaves", self.run_models("list").err)
        self.assert_ok(self.run_models("remove", "denoise-leaves"))


class Wishes(Models):
    def test_options_of_other_verbs_are_refused(self):
        self.assert_ok(self.run_models("install", self.package()))
        for args in (("remove", "--dry-run", "denoise-tried"), ("install", "--dry-run", "x"), ("rescan", "--all"),
                     ("list", "--overwrite"), ("verify", "--remote")):
            self.assert_fails(self.run_models(*args), 2, "does not know")
        self.assertIn("denoise-tried", self.list())

    def test_a_choice_made_while_waiting_is_kept(self):
        """The install began before the user decided, and ends after it."""
        import fcntl
        package = self.package("upscale-x2", "upscale-one")
        os.makedirs(self.installed, exist_ok=True)
        with open(os.path.join(self.installed, ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.start("models", "install", package)
            said = process.stderr.readline().decode()
            self.assertIn("waiting for another", said)
            self.assert_ok(self.run_models("deactivate", "upscale"))
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"not active", out)
        self.assertEqual(self.active("upscale"), [])

    def test_a_model_that_changes_its_task(self):
        self.assert_ok(self.run_models("install", self.package(version="1.0")))
        self.assert_ok(self.run_models("activate", "denoise-tried"))
        result = self.assert_ok(self.run_models("install", self.package(version="2.0", task="embed")))
        self.assertIn("for the task embed", result.err)
        self.assertEqual(self.active("denoise"), ["denoise-leaves"])
        self.assert_ok(self.denoise("-o", self.file("o.png"), self.make("a.png")))

    def test_a_choice_that_is_gone_leaves_the_task_open(self):
        self.without_bundled_models()
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-one")))
        shutil.rmtree(os.path.join(self.installed, "upscale-one"))
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-two")))
        self.assertEqual(self.active("upscale"), ["upscale-two"])

    def test_what_was_put_there_by_hand_is_not_displaced(self):
        self.without_bundled_models()
        os.makedirs(self.installed, exist_ok=True)
        shutil.copytree(self.folder("upscale-x2", "upscale-zzz"), os.path.join(self.installed, "upscale-zzz"))
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-realplksr")))
        self.assertEqual(self.active("upscale"), ["upscale-zzz"])

    def test_none_can_be_said_in_advance(self):
        self.assert_ok(self.run_models("deactivate", "upscale"))
        self.assert_ok(self.run_models("install", self.package("upscale-x2", "upscale-one")))
        self.assertEqual(self.active("upscale"), [])

    def test_two_removes_at_once(self):
        for _ in range(5):
            self.assert_ok(self.run_models("install", self.package()))
            both = [self.start("models", "remove", "denoise-tried") for _ in range(2)]
            codes = []
            for process in both:
                process.communicate(timeout=60)
                codes.append(process.returncode)
            self.assertEqual(sorted(codes), [0, 5])

    def test_records_that_cannot_be_read(self):
        self.assert_ok(self.run_models("install", self.package()))
        record = os.path.join(self.installed, "denoise-tried", ".installed")
        os.unlink(record)
        os.mkfifo(record)
        self.assertIn("denoise-tried", self.list())
        self.assert_fails(self.run_models("verify", "denoise-tried"), 5, ".installed")

    def test_messages_speak_of_the_package(self):
        path = self.zip("odd.dtmodel", {"denoise-tried/config.json": "{", "denoise-tried/model.onnx": b"x"})
        result = self.run_models("install", path)
        self.assertIn("odd.dtmodel", result.err)
        self.assertNotIn(".incoming", result.err)

    def test_texts_cannot_command_a_terminal(self):
        nasty = "x\x1b[31m\x1b]0;pwn\x07\u009b31m\nfaked line"
        package = self.package(name=nasty, description=nasty, version="1.0\x1b[1m", model_card={"license": nasty})
        for args in (("install", package), ("list",), ("info", "denoise-tried"), ("verify",)):
            result = self.run_models(*args)
            for text in (result.out, result.err):
                self.assertNotRegex(text, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f]", args)
                self.assertNotRegex(text, "(?m)^faked line", args)

    def test_json_everywhere(self):
        package = self.package()
        for args in (("models", "install", package), ("models", "list"), ("models", "info", "denoise-tried"),
                     ("models", "activate", "denoise-tried"), ("models", "verify"), ("models", "rescan"),
                     ("models", "deactivate", "denoise"), ("models", "remove", "denoise-tried"),
                     ("models", "pack", self.folder(), "-o", self.file("j.dtmodel")), ("prefs", "list"),
                     ("prefs", "get", "plugins/ai/provider"), ("disable",), ("enable",), ("providers",)):
            result = self.assert_ok(self.run_cli(*args, "--json"))
            lines = [json.loads(line) for line in result.out.splitlines()]
            self.assertTrue(lines and all(line["schema_version"] == 1 for line in lines), args)


class Refused(Models):
    def refuse(self, package, code, *words):
        before = self.names()
        outside = self.snapshot(self.dir)
        self.assert_fails(self.run_models("install", package), code, *words)
        self.assertEqual([n for n in self.names() if n != ".lock"], [n for n in before if n != ".lock"])
        new = set(self.snapshot(self.dir)) - set(outside)
        self.assertLessEqual(new, {"config/models/.lock"})

    def test_hostile_names(self):
        config, onnx = (harness.read_bytes(self.folder(), name) for name in ("config.json", "model.onnx"))
        for entry, word in HOSTILE.items():
            with self.subTest(entry):
                self.refuse(self.zip("h.dtmodel", {"denoise-tried/config.json": config,
                                                   "denoise-tried/model.onnx": onnx, entry: "x"}), 5)

    def test_what_is_no_package(self):
        self.refuse(self.file("nosuch.dtmodel"), 3)
        self.refuse(self.work, 3)
        self.refuse(self.write("empty.dtmodel", b""), 5)
        self.refuse(self.write("page.dtmodel", b"<!DOCTYPE html><html>log in</html>"), 5, "web page")
        self.refuse(self.make("picture.png"), 5)

    def test_bad_models(self):
        folder = self.folder()
        onnx = harness.read_bytes(folder, "model.onnx")

        def config(**changes):
            return json.dumps({"id": "denoise-tried", "name": "n", "task": "denoise", "version": "1", **changes})

        cases = {
            "another id": ({"denoise-tried/config.json": config(id="denoise-else"), "denoise-tried/model.onnx": onnx},
                           "differ"),
            "no manifest": ({"denoise-tried/model.onnx": onnx}, "config.json"),
            "syntax": ({"denoise-tried/config.json": "{\n \"id\": }", "denoise-tried/model.onnx": onnx}, "line 2"),
            "wrong type": ({"denoise-tried/config.json": config(num_inputs="two"), "denoise-tried/model.onnx": onnx},
                           "$.num_inputs"),
            "deep": ({"denoise-tried/config.json": "[" * 10000, "denoise-tried/model.onnx": onnx}, ""),
            "text": ({"denoise-tried/config.json": config(), "denoise-tried/model.onnx": "hello"}, "ONNX"),
            "no file": ({"denoise-tried/config.json": config()}, ".onnx"),
        }
        for name, (entries, words) in cases.items():
            with self.subTest(name):
                self.refuse(self.zip("m.dtmodel", entries), 5, words)

    def test_models_that_do_not_work(self):
        for fixture in ("broken-external", "broken-wrong-names", "broken-run-nan", "broken-run-mean"):
            with self.subTest(fixture):
                folder = os.path.join(harness.FIXTURES, fixture)
                entries = {"%s/%s" % (fixture, n): harness.read_bytes(folder, n) for n in os.listdir(folder)}
                self.refuse(self.zip("w.dtmodel", entries), 5)

    def test_a_failed_update_leaves_the_old_one(self):
        self.assert_ok(self.run_models("install", self.package()))
        self.assert_ok(self.run_models("activate", "denoise-tried"))
        folder = os.path.join(harness.FIXTURES, "broken-run-nan")
        config = json.loads(harness.read_bytes(folder, "config.json"))
        config.update(id="denoise-tried", version="2.0")
        self.refuse(self.zip("u.dtmodel", {"denoise-tried/config.json": json.dumps(config),
                                           "denoise-tried/model.onnx": harness.read_bytes(folder, "model.onnx")}), 5)
        self.assertEqual(self.list()["denoise-tried"]["version"], "1.0")
        self.assertEqual(self.active(), ["denoise-tried"])
        self.assert_ok(self.run_models("verify", "denoise-tried"))

    def test_verify_sees_what_changed(self):
        self.assert_ok(self.run_models("install", self.package()))
        model = os.path.join(self.installed, "denoise-tried")
        checked = subprocess.run(["sha256sum", "--quiet", "-c", ".installed"], cwd=model, capture_output=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        path = os.path.join(model, "model.onnx")
        data = bytearray(harness.read_bytes(path))
        data[len(data) // 2] ^= 1
        with open(path, "wb") as f:
            f.write(data)
        self.assert_fails(self.run_models("verify", "denoise-tried"), 5, "model.onnx", "changed")
        os.remove(path)
        self.assert_fails(self.run_models("verify", "denoise-tried"), 5, "model.onnx")

    def test_no_room(self):
        package = self.package()
        os.makedirs(self.installed, exist_ok=True)
        if os.geteuid() == 0:
            os.rmdir(self.installed)
            with open(self.installed, "w") as f:  # even root cannot make a directory of this
                f.write("in the way")
        else:
            os.chmod(self.installed, 0o500)
        self.assert_fails(self.run_models("install", package), 4)


class Off(Models):
    enabled = False

    def test_nothing_is_touched_while_ai_is_off(self):
        self.write_airc("")
        os.rmdir(self.installed)
        for args in (("list",), ("rescan",), ("verify",), ("install", "x.dtmodel"), ("download", "--default")):
            self.assert_fails(self.run_models(*args), 10, "darktable-ai enable")
        self.assertFalse(os.path.exists(self.installed))


if __name__ == "__main__":
    harness.main()
