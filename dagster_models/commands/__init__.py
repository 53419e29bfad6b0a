"""The larger commands of the shell, one file each; cli.py reads their arguments."""
