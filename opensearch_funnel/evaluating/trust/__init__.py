"""How far each leg of a plan is trusted on an index, told by its own documents and without labels.

* ``probed``     a query made of a document, and where each leg has that document
* ``quality``    what the ranks say: a leg's health, and which leg is better than another
* ``guard``      the fused order must not be worse than the best leg's
* ``deciding``   from what was measured to the plan's ``Trust``
* ``probes``     queries made of documents that are drawn from the index
* ``cut``        what each leg gives a document without its title
* ``measuring``  the probes sent through the legs
"""
