"""The published schemas are schemas, and say of messages what the agent says.

The agent's decoder is asked about the same messages by a test of its crate.
"""

import json
import pathlib
import unittest

from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = sorted(path for path in (ROOT / "schemas").glob("*.json") if path.name != "openapi.json")
MESSAGES = ROOT / "crates" / "wire" / "tests" / "messages.json"


class Schemas(unittest.TestCase):
    def test_every_one_is_a_schema(self):
        self.assertGreater(len(SCHEMAS), 30)
        for path in SCHEMAS:
            with self.subTest(path.name):
                Draft202012Validator.check_schema(json.loads(path.read_text()))

    def test_they_take_and_refuse_what_the_decoder_takes_and_refuses(self):
        table = json.loads(MESSAGES.read_text())
        self.assertGreater(len(table), 20)
        for case in table:
            schema = json.loads((ROOT / "schemas" / f"{case['operation']}.request.json").read_text())
            is_good = Draft202012Validator(schema).is_valid(case["message"])
            self.assertEqual(is_good, case["good"], case)


if __name__ == "__main__":
    unittest.main()
