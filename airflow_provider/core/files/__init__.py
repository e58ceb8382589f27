"""
Files in, files out: any size, any store, whole or not at all.

Nothing is imported here: a Dag file that names a module of this package pays for that module alone, and the
heavy libraries (``requests``, ``fsspec``, ``pyarrow``) are imported by the function that needs them.
"""
