"""What a run reports: terminal, journal, run_results.json, explanation.

May import: errors, util, core, project, compilation, scheduling.
"""
