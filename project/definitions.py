from pathlib import Path

from dagster import Definitions

from dagster_models import load_project, models_executor

defs = Definitions.merge(
    load_project(Path(__file__).parent),
    Definitions(executor=models_executor),  # of runs without a job, too
)
