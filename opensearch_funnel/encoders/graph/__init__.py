"""Safetensors of the BERT family into fused ONNX graphs, with numpy and ``onnx`` alone.

* ``safetensors``   a reader of the format
* ``architecture``  what a checkpoint is, and its weights under one set of names
* ``draft``         a graph while it is being drawn
* ``linear``        matrix products, and in float32
* ``int8``          the same in 8 bits
* ``body``          embeddings and encoder layers
* ``heads``         SPLADE, dense and pair heads
* ``exported``      weights out of a graph that somebody else exported
* ``foreign``       refuses graphs that would read other files
* ``building``      a checkpoint into a graph file
"""
