"""A Spark Connect server for tests: Apache Spark's own, with Delta.

    SPARK_HOME                  the folder of Spark 4, which has bin/ and jars/ (as the package
                                `pyspark` of PyPI has them, in an environment of its own)
    DAGSTER_MODELS_SPARK_JARS   the jars of a Delta that fits it, with commas between them

Any jar of Delta will do. The first one was compiled from the source of Delta 4.0.1 by the Scala
compiler in Spark's own jars/, without its classes for S3 and DynamoDB. The server needs Java, half
a minute to start, and a gigabyte.
"""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import closing
from pathlib import Path

from connect_server import ConnectServer
from dagster_models.warehouses.spark.server import Server
from pages import Page

JARS = "DAGSTER_MODELS_SPARK_JARS"
#: What a test needs besides what docs/warehouses.md says: loopback only, a catalog in memory, and
#: few tasks for few rows.
_SMALL = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
}


class SparkServer(ConnectServer):
    """Started as docs/warehouses.md says. Its catalog is one for all sessions."""

    start_seconds = 180

    def command(self) -> list[str]:
        own = {
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.sql.warehouse.dir": f"{self.folder}/warehouse",
            "spark.local.dir": f"{self.folder}/local",
        }
        of_page = Page.of("warehouses.md").section("Spark").block("sh").replace("\\\n", "")
        program, *words = shlex.split(of_page)
        words[words.index("--jars") + 1] = os.environ[JARS]
        small = [f"--conf={name}={value}" for name, value in {**_SMALL, **own}.items()]
        submit = f"{os.environ['SPARK_HOME']}/bin/{program}"
        return [submit, "--master", "local[2]", *small, *words]

    def environment(self) -> dict[str, str]:
        return {"SPARK_LOCAL_IP": "127.0.0.1"}

    def empty(self) -> None:
        """Let its catalog know no relation, whichever test has made some."""
        with closing(Server({**self.settings, "user": "empties"})) as server:
            for schema in server.run("SHOW SCHEMAS").column(0).to_pylist():
                if schema != "default":
                    server.command(f"DROP SCHEMA IF EXISTS `{schema}` CASCADE")


def why_no_spark() -> str:
    """Why there is no server to test with; "" if there is one."""
    for name in ("SPARK_HOME", JARS):
        if not os.environ.get(name):
            return f"{name} is not set: see tests/support/spark_server.py"
    submit = Path(os.environ["SPARK_HOME"], "bin", "spark-submit")
    if not submit.exists():
        return f"there is no {submit}"
    return "" if shutil.which("java") else "no java"
