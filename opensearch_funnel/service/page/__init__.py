"""The playground page at ``/``: the same search without the funnel and with it, side by side.

Plain files without a build step and without anything from elsewhere, so that the page works on a
machine that reaches nobody.
"""
