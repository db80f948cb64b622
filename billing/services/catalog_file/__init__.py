"""The catalogue as code: a YAML document of meters, plans and what else is sold.

A new section is one class in one file, named in `applying.SECTIONS`. docs/catalog.md describes the
document.
"""
