"""A check on a target -> the SQL that counts its failures: one function per kind.

May import: what compilation may.
"""
