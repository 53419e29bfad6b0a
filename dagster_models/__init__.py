"""A folder of plain SQL models and Python scripts as Dagster assets."""
