"""Ways to judgments: a person at a terminal, what people clicked, a language model.

* ``pool``        what several systems found → pairs of query and document to judge
* ``passages``    the texts of these documents
* ``journal``     every judgement on disk before the next is asked for
* ``sitting``     a judge goes through the pairs: grade, skip, back
* ``prompt``, ``model_judge``   a language model as the judge
* ``review``      a person judges some of it again, blind
* ``click_log``   UBI events → what was shown where, and what of it was clicked
* ``click_model``, ``click_grades``   clicks → attractiveness without the bias of the place → grades
"""
