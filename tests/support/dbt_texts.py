"""Prints texts of dbt's own tests as JSON; run by a Python that has dbt-tests-adapter.

python dbt_texts.py MODULE:NAME ...
"""

import importlib
import json
import sys

texts = {}
for place in sys.argv[1:]:
    module, _, name = place.partition(":")
    texts[place] = getattr(importlib.import_module(f"dbt.tests.adapter.{module}"), name)
print(json.dumps(texts))
