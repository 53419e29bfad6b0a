"""MariaDB: a table is built beside the old one, and one RENAME TABLE puts it in its place, along
with the proof."""
