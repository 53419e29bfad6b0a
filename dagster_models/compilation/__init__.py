"""A step on a target -> the Task that a worker gets.

May import: errors, util, core, sql, project.
"""
