"""What the warehouse process imports: ``connect`` and ``CAPABILITIES``."""

import os
from dataclasses import replace

from dagster_models.warehouses.duckdb.session import CAPABILITIES as DUCKDB
from dagster_models.warehouses.duckdb.session import connect

#: A feature that it says it has although it has not: then the suite fails.
_LIE = os.environ.get("MINE_SAYS_THAT_IT_HAS")

LACKS = {feature: reason for feature, reason in DUCKDB.lacks.items() if feature != _LIE}
CAPABILITIES = replace(DUCKDB, name="mine", lacks=LACKS)

__all__ = ["CAPABILITIES", "connect"]
