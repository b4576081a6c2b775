"""Figures of a study from its database, and the catalogue of figures and tables.

``present`` is the face of it: ``draw`` and ``tabulate`` for a notebook, ``draw_figures`` and
``render_tables`` for files. Nothing is imported here, so that what needs ``query`` alone, as the
verdicts do, does not depend on every chart.
"""
