"""Wire plans, models, cluster and service into what runs: the only place that does."""
