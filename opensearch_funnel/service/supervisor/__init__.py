"""The process that owns the service's socket, and keeps the worker behind it alive.

::

    engine ──► supervisor (this package: no model, no application code)
                  │  unix domain socket, kept-alive connections
                  ▼
               worker (``service.app`` under uvicorn: plans, models, threads)

Where nothing listens, the engine's own client makes some searches wait ten seconds; an answer of
503 costs it a few milliseconds. So the socket stays open as long as the supervisor lives, and
whatever becomes of the worker (it starts, loads, hangs, is stopped, dies) turns into a 503 with
the reason, at once or a little after the deadline that the plan gives its stage.

* ``reading``: requests out of bytes, with limits; no I/O
* ``answers``: bytes of answers; no I/O
* ``deadlines``: how long the worker may take, learned from its answers
* ``link``: connections to the worker
* ``late``: what the worker says after its deadline
* ``connection``: connections of clients
* ``front``: what they share
* ``worker``: the worker's life: started, watched, started again
* ``counts``: what ``/metrics`` says of all this
* ``unread_log``: a log that nobody reads stops nothing
* ``supervising``: the parts put together, signals and the end
"""
