"""Measure a funnel: data sets, measures, and the decisions that rest on them."""
