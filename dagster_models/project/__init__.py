"""A folder -> a Project.

May import: errors, util, core, sql.
"""
