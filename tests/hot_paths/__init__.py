"""What a request costs, without a clock: SQL statements, Python calls and processor instructions.

``python -m tests.hot_paths`` shows the figures, and ``--write`` puts them into ``figures.json``,
which a test compares.
"""
