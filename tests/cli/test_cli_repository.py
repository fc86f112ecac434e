# SPDX-License-Identifier: GPL-3.0-or-later
"""models against a repository: a local web server that behaves or does not, a directory, a file:// address."""
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import unittest

import harness
from harness import CliTest

MODEL = "denoise-tried"


class Repository(CliTest):
    models = ()

    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        sys.path.insert(0, os.path.join(harness.SOURCE, "tests", "support"))
        import http_server
        self.root = self.path("repository")
        os.makedirs(self.root)
        self.server = http_server.Server(self.root)
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)
        self.use("/ok")
        self.publish("1.0")

    def use(self, prefix):
        self.use_setting(self.server.url(prefix))

    def use_setting(self, setting):
        self.write_airc("plugins/ai/enabled=TRUE\nplugins/ai/stall_seconds=1\nplugins/ai/repository=%s\n" % setting)

    # --- the repository's side

    def package(self, version, model_id=MODEL, fixture="denoise-conv3", padding=0, **changes):
        folder = self.file("%s-%s" % (model_id, version))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(harness.FIXTURES, fixture), folder)
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        config.update(id=model_id, version=version, **changes)
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(config, f)
        if padding:
            with open(os.path.join(folder, "notes.bin"), "wb") as f:
                f.write(os.urandom(padding))
        path = self.file("%s-%s.dtmodel" % (model_id, version))
        result = self.run_cli("models", "pack", folder, "-o", path, "--overwrite")
        self.assertEqual(result.code, 0, result)
        return path

    def publish(self, version, index=None, versions=None, **options):
        """Release r1 offers the model at this version; a given text replaces what would be served."""
        release = os.path.join(self.root, "r1")
        os.makedirs(release, exist_ok=True)
        package = os.path.join(release, options.get("model_id", MODEL) + ".dtmodel")
        shutil.copy(self.package(version, **options), package)
        data = harness.read_bytes(package)
        entry = {"version": version, "sha256": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data),
                 "license": "CC0-1.0", "description": "tried", "task": "denoise", "name": "tried"}
        self.offers = getattr(self, "offers", {})
        self.offers[options.get("model_id", MODEL)] = entry
        self.write_index(index or json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                         versions or json.dumps({"schema": 1, "models": self.offers}))
        return data

    def write_index(self, index, versions):
        for name, text in (("releases-index.json", index), ("r1/versions.json", versions)):
            with open(os.path.join(self.root, name), "w") as f:
                f.write(text)

    # --- asking

    def run_models(self, *args, **options):
        return self.run_cli("models", *args, **options)

    def list(self, *args):
        lines = self.assert_ok(self.run_models("list", "--json", *args)).out.splitlines()
        return {m["id"]: m for m in map(json.loads, lines) if "event" not in m}

    def version(self):
        return self.list().get(MODEL, {}).get("version")

    def downloads(self):
        folder = os.path.join(self.cache, "ai_downloads")
        return os.listdir(folder) if os.path.isdir(folder) else []


class Working(Repository):
    def test_download_update_remove(self):
        offered = self.list("--remote")[MODEL]
        self.assertEqual((offered["status"], offered["license"], offered["remote_version"]),
                         ("not downloaded", "CC0-1.0", "1.0"))
        info = self.assert_ok(self.run_models("info", "--remote", MODEL))
        self.assertRegex(info.out, r"(?m)^license +CC0-1\.0$")
        result = self.assert_ok(self.run_models("download", MODEL))
        self.assertIn("CC0-1.0", result.err, "the licence is shown before the download")
        self.assertEqual(self.version(), "1.0")
        self.assertEqual(self.list()[MODEL]["license"], "CC0-1.0", "and is not forgotten")
        self.assert_ok(self.run_models("verify", MODEL))
        self.assertEqual(self.downloads(), [])
        self.assertIn("nothing to update", self.assert_ok(self.run_models("update")).err)
        self.publish("2.0")
        self.assertEqual(self.list()[MODEL]["status"], "downloaded", "nobody asked the repository")
        self.assertEqual(self.list("--remote")[MODEL]["status"], "update available")
        self.assert_ok(self.run_models("update", "--dry-run"))
        self.assertEqual(self.version(), "1.0")
        self.assert_ok(self.run_models("update"))
        self.assertEqual(self.version(), "2.0")
        self.publish("2.0", description="packed anew")
        self.assertEqual(self.list("--remote")[MODEL]["status"], "update available", "the same version, rebuilt")
        self.publish("1.5")
        self.assertEqual(self.list("--remote")[MODEL]["status"], "downloaded", "older ones are no update")
        self.assert_ok(self.run_models("remove", MODEL))
        self.assertNotIn(MODEL, self.list())

    def test_the_licence_is_shown_before_the_package_is_asked_for(self):
        package = "/ok/r1/%s.dtmodel" % MODEL
        result = self.assert_ok(self.run_models("download", "--dry-run", MODEL))
        self.assertIn("CC0-1.0", result.err)
        self.assertNotIn(package, [r["path"] for r in self.server.requests])

    def test_two_downloads_at_once(self):
        """One fetches, the other waits and finds it done: the package goes over the line once."""
        for _ in range(4):
            self.server.take_log()
            both = [self.start("models", "download", MODEL) for _ in range(3)]
            for process in both:
                out, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 0, err)
            self.assertEqual(self.version(), "1.0")
            self.assert_ok(self.run_models("remove", MODEL))

    def test_models_the_program_never_heard_of(self):
        self.publish("1.0", model_id="depth-unheard", task="depth")
        self.assertEqual(self.list("--remote")["depth-unheard"]["status"], "not downloaded")
        self.assert_ok(self.run_models("download", "depth-unheard"))
        self.assertIn("depth-unheard", self.list())

    def test_default_and_all(self):
        self.publish("1.0", model_id="denoise-nind")
        self.publish("1.0", model_id="denoise-other")
        self.assert_ok(self.run_models("download", "--default"))
        self.assertEqual({"denoise-nind"}, {m for m in self.list() if self.list()[m]["origin"] == "user"})
        result = self.assert_ok(self.run_models("download", "--all"))
        self.assertIn("denoise-nind 1.0 is up to date", result.err)
        self.assertLessEqual({"denoise-nind", "denoise-other", MODEL}, set(self.list()))

    def test_offline_mirrors(self):
        for setting in (self.root, "file://" + self.root):
            with self.subTest(setting):
                self.use_setting(setting)
                self.assert_ok(self.run_models("download", MODEL))
                self.assertEqual(self.version(), "1.0")
                self.assert_ok(self.run_models("remove", MODEL))
        flat = self.path("flat")
        shutil.copytree(os.path.join(self.root, "r1"), flat)
        self.use_setting(flat)
        self.assert_ok(self.run_models("download", MODEL))
        self.assertEqual(self.server.requests, [])

    def test_a_version_that_is_not_listed(self):
        self.publish("1.0", index=json.dumps({"schema": 1, "compatible_releases": {"5.4.0": "old", "5.5.0": "r1",
                                                                                  "9.0.0": "new"}}))
        result = self.assert_ok(self.run_models("download", MODEL))
        self.assertIn("5.5.0", result.err)
        self.publish("1.0", index=json.dumps({"schema": 1, "compatible_releases": {"9.0.0": "new"}}))
        self.assert_fails(self.run_models("list", "--remote"), 8, "9.0.0")

    def test_progress(self):
        self.publish("1.0", padding=3 << 20)
        lines = self.assert_ok(self.run_models("download", "--progress=json", MODEL)).err.splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        self.assertTrue(events and all("seconds_left" in e and "mb_per_s" in e for e in events), lines)

    def test_the_network_is_used_only_when_asked(self):
        for args in (("list",), ("info", MODEL), ("verify",), ("rescan",)):
            self.run_models(*args)
        self.assertEqual(self.server.requests, [])


class Failing(Repository):
    def fails(self, code, *words, verb=("download", MODEL), version=None):
        result = self.run_models(*verb)
        messages = [m for m in result.messages if "licence:" not in m]
        self.assertEqual(result.code, code, result)
        self.assertEqual(len(messages), 1, result)
        for word in words:
            self.assertIn(word, messages[0], result)
        self.assertRegex(messages[0], harness.NEXT_STEP)
        self.assertEqual(self.version(), version)
        return result

    def test_wrong_digest(self):
        self.offers[MODEL]["sha256"] = "sha256:" + "0" * 64
        self.write_index(json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                         json.dumps({"schema": 1, "models": self.offers}))
        self.fails(8)
        self.assertEqual([n for n in self.downloads() if n.endswith(".part")], [])

    def test_digests_without_prefix_or_absent(self):
        for value in ("0" * 64, None):
            self.offers[MODEL]["sha256"] = value
            self.write_index(json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                             json.dumps({"schema": 1, "models": self.offers}))
            self.fails(8, "SHA-256")

    def test_absurd_sizes(self):
        self.offers[MODEL]["size"] = 9000000000000000000
        self.write_index(json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                         json.dumps({"schema": 1, "models": self.offers}))
        self.fails(8, "8 GiB")
        self.offers[MODEL]["size"] = 7 << 30
        self.write_index(json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                         json.dumps({"schema": 1, "models": self.offers}))
        result = self.run_models("download", MODEL)  # refused for want of room, or fetched where there is room
        self.assertIn(result.code, (0, 4), result)

    def test_a_refused_package_does_not_stay(self):
        shutil.copy(self.package("1.0", model_id="denoise-else"), os.path.join(self.root, "r1", MODEL + ".dtmodel"))
        data = harness.read_bytes(self.root, "r1", MODEL + ".dtmodel")
        self.offers[MODEL].update(sha256="sha256:" + hashlib.sha256(data).hexdigest(), size=len(data))
        self.write_index(json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                         json.dumps({"schema": 1, "models": self.offers}))
        self.fails(5)
        self.assertEqual([n for n in self.downloads() if n.endswith(".part")], [])

    def test_broken_answers(self):
        for index, versions, words in (("<!DOCTYPE html><html>log in", "{}", ("web page",)),
                                       ("{", "{}", ()), ("[]", "{}", ()), ("[" * 5000, "{}", ()),
                                       ('{"schema":1,"compatible_releases":{"5.6.0":"r1"}}', "<html>", ("web page",)),
                                       ('{"schema":1,"compatible_releases":{"5.6.0":"../.."}}', "{}", ())):
            with self.subTest(index):
                self.write_index(index, versions)
                self.fails(8, *words)

    def test_statuses(self):
        for status, word in ((404, "404"), (403, "403"), (500, "500"), (503, "503")):
            self.use("/status/%d" % status)
            self.fails(8, word)

    def test_redirect_loop(self):
        self.use("/loop")
        self.fails(8, "redirect")

    def test_nobody_answers(self):
        self.use_setting("http://127.0.0.1:1/models")
        self.fails(8)

    def test_plain_http_elsewhere_is_refused(self):
        self.use_setting("http://192.0.2.1/models")
        self.fails(2, "https")

    def test_stall(self):
        began = time.monotonic()
        self.use("/drip")
        self.fails(8)
        self.assertLess(time.monotonic() - began, 15 * harness.SLOWER)

    def test_unknown_model(self):
        self.fails(5, "nosuch", verb=("download", "nosuch"))
        self.fails(5, "nosuch", verb=("download", "--dry-run", "nosuch"))

    def test_a_failed_update_keeps_the_installed_one(self):
        self.assert_ok(self.run_models("download", MODEL))
        self.assert_ok(self.run_models("activate", MODEL))
        self.publish("2.0", fixture="denoise-conv3")
        package = os.path.join(self.root, "r1", MODEL + ".dtmodel")
        data = bytearray(harness.read_bytes(package))
        data[len(data) // 2] ^= 255
        with open(package, "wb") as f:
            f.write(data)
        self.fails(8, verb=("update",), version="1.0")
        self.assertTrue(self.list()[MODEL]["active"])
        self.assert_ok(self.run_models("verify", MODEL))

    def test_another_model_in_the_package(self):
        release = os.path.join(self.root, "r1")
        shutil.copy(self.package("1.0", model_id="denoise-else"), os.path.join(release, MODEL + ".dtmodel"))
        data = harness.read_bytes(release, MODEL + ".dtmodel")
        self.offers[MODEL].update(sha256="sha256:" + hashlib.sha256(data).hexdigest(), size=len(data))
        self.write_index(json.dumps({"schema": 1, "compatible_releases": {"5.6.0": "r1"}}),
                         json.dumps({"schema": 1, "models": self.offers}))
        self.fails(5, "another model")

    def test_secrets_in_addresses_are_not_shown(self):
        address = self.server.url("/ok").replace("http://", "http://user:secret@")
        self.use_setting(address)
        self.assertNotIn("secret", self.run_models("download", "nosuch").err)
        self.assert_ok(self.run_models("download", MODEL))
        record = harness.read_bytes(self.config, "models", MODEL, ".installed")
        self.assertNotIn(b"secret", record)
        self.assertNotIn("secret", self.run_models("info", MODEL).out)


class Interrupted(Repository):
    def begin(self, *args):
        process = self.start("models", *args)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_cancel_and_continue(self):
        """Half of the package has come when the user stops it; the next call fetches the rest only."""
        data = self.publish("1.0", padding=2 << 20)
        self.use("/hangat/%d" % (1 << 20))
        process = self.begin("download", MODEL)
        deadline = time.monotonic() + 20 * harness.SLOWER
        while self.part_size() < 1 << 19 and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertGreater(self.part_size(), 0, "nothing came")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertLess(time.monotonic() - began, 0.5 * harness.SLOWER)
        self.assertEqual(process.returncode, 130, err)
        self.assertIsNone(self.version())
        there = self.part_size()
        self.use("/ok")
        sent = self.server.bytes_sent
        self.assert_ok(self.run_models("download", MODEL))
        self.assertLess(self.server.bytes_sent - sent, len(data) - there + 10000, "only the rest")
        self.assertEqual(self.version(), "1.0")

    def part_size(self):
        folder = os.path.join(self.cache, "ai_downloads")
        sizes = [os.path.getsize(os.path.join(folder, n)) for n in self.downloads() if n.endswith(".part")]
        return max(sizes, default=0)

    def test_killed_downloads_continue(self):
        data = self.publish("1.0", padding=2 << 20)
        self.use("/hangat/%d" % (1 << 20))
        process = self.begin("download", MODEL)
        deadline = time.monotonic() + 20 * harness.SLOWER
        while self.part_size() < 1 << 19 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.wait()
        self.use("/ok")
        sent = self.server.bytes_sent
        self.assert_ok(self.run_models("download", MODEL))
        self.assertLess(self.server.bytes_sent - sent, len(data))


if __name__ == "__main__":
    harness.main()
