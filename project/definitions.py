from pathlib import Path

from dagster_models import load_project

defs = load_project(Path(__file__).parent)
