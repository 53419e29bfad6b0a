"""Pages of HTML to look at: values in, the text of one file out, which fetches nothing.

May import: errors, util, core, scheduling, reporting.
"""
