"""What every warehouse offers (base.py), and a folder per warehouse behind it.

May import: errors, util, core.
"""
