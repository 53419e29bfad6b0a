"""From the text as written to the text that is parsed, and to the text that is sent.

May import: what sql may.
"""
