"""Safetensors of the BERT family into fused ONNX graphs, with numpy and ``onnx`` alone.

* ``safetensors``   a reader of the format
* ``architecture``  what a checkpoint is, and its weights under one set of names
* ``draft``         a graph while it is being drawn
* ``linear``        matrix products in fp32 and int8
* ``body``          embeddings and encoder layers
* ``heads``         SPLADE, dense and pair heads
* ``building``      a checkpoint into a graph file
"""
