"""The commands of `osteonode`, one module for each group in its help.

Imports that take long stay inside the commands that need them, so that `osteonode --help` answers at once.
"""
