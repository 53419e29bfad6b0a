"""From a step on a target to the Task that its runner gets.

May import: errors, util, core, sql, project.
"""
