"""Models that turn text into what the funnel needs: sparse terms, vectors, pair scores.

* ``manifests``   what a model is, where its files come from, its fingerprint
* ``fetch``       files into ``FUNNEL_HOME/models``, verified by SHA-256
* ``graph``       safetensors of the BERT family into fused ONNX graphs, without torch
* ``opening``     ``open_encoder``: from a name to a ready encoder
* ``splade``, ``dense``, ``cross_encoder``   the encoders themselves
* ``stored_weights``   sparse weights as the index keeps them

Nothing heavy is imported before a model is opened.
"""
