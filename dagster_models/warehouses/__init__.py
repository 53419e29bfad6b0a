"""One file per warehouse behind one small interface (base.py)."""
