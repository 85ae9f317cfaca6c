"""The kinds of readers of this package: each module is one kind, and has its name.

`catalog.reader` finds a module by the kind, and takes the subclass of `Reader` that it defines. Readers do
not import each other.
"""
