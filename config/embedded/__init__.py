"""Django's PostgreSQL backend over a server that starts by itself (docs/decisions/0001).

Used as a database engine: the first connection of a process starts the server or joins it.
"""
