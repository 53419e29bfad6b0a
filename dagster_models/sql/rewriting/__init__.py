"""Tokens on their way to sqlglot's parser, where its grammar is narrower than the warehouse's.

May import: errors, util, core.
"""
