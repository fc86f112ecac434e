# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents: what they link to is there, files and headings."""
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents():
    found = [p for pattern in ("*.md", "doc/**/*.md", "models/**/*.md") for p in glob.glob(os.path.join(ROOT, pattern), recursive=True)]
    return sorted(found)


def text_of(path):
    """Without code, which may hold anything."""
    with open(path, encoding="utf-8") as f:
        return re.sub(r"(?s)```.*?```", "", f.read())


def anchors(path):
    """Of headings, as they are made where this project is read."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ +(.+?) *$", text_of(path))}


class Links(unittest.TestCase):
    def test_there_are_documents(self):
        self.assertGreater(len(documents()), 20)

    def test_links_lead_somewhere(self):
        for path in documents():
            for target in LINK.findall(text_of(path)):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                with self.subTest(document=os.path.relpath(path, ROOT), target=target):
                    other = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
                    self.assertTrue(os.path.exists(other))
                    if anchor and other.endswith(".md"):
                        self.assertIn(anchor, anchors(other))


if __name__ == "__main__":
    unittest.main()
