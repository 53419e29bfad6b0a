"""Prints what nightly tests need and do not find here, with the reasons; their tests are skipped.

`make test-nightly` begins with it. It installs what pip can install, so what is left are programs
of the system, and Spark with its jars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from browser import why_no_browser
from cloud_stores import why_no_cloud
from mariadb_server import why_no_mariadb
from namespaces import why_no_namespaces
from object_store import why_no_store
from ray_cluster import why_no_ray
from real_dbt import why_no_dbt
from rest_catalog import why_no_rest_catalog
from sail_server import why_no_sail
from spark_server import why_no_spark
from systems import NO_DUCKLAKE, ducklake_is_installed

NEEDS: Mapping[str, Callable[[], str]] = {
    "a browser": why_no_browser,
    "containers": why_no_namespaces,
    "dbt itself": why_no_dbt,
    "DuckLake": lambda: "" if ducklake_is_installed() else NO_DUCKLAKE,
    "Iceberg's REST catalog": why_no_rest_catalog,
    "MariaDB": why_no_mariadb,
    "a Ray cluster": why_no_ray,
    "Sail": why_no_sail,
    "Spark's own server": why_no_spark,
    "a store at s3://": why_no_store,
    "a store at az://": partial(why_no_cloud, "az"),
    "a store at gs://": partial(why_no_cloud, "gs"),
}


def lines(needs: Mapping[str, Callable[[], str]] = NEEDS) -> list[str]:
    """One for each thing that is missing."""
    found = {name: why_not() for name, why_not in needs.items()}
    return [f"Not tested here: {name} ({reason})" for name, reason in found.items() if reason]


if __name__ == "__main__":
    print(*lines(), sep="\n")
