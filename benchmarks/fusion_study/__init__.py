"""The study behind the technique ``auto``: what tells of one query which leg to believe.

Run it with ``scripts/study-fusion``; ``docs/fusion.md`` says what came out of it.

Collections of several kinds (``collections_of_study``) are searched once with every leg, whole and
spoiled (``recording``), and kept. From what the legs found signals are read (``signals``), with the
product's own code where the product reads them. Constants are fitted to judgments (``fitting``),
never on the collections that they are then measured on (``folds``).
"""
