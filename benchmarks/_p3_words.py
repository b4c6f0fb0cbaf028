import argparse
from dataclasses import replace
from benchmarks.migrate_setting import Words, opened
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.migration import load_migration
from opensearch_funnel.migrating.running import RunOptions, run
from opensearch_funnel.settings import Settings
p=argparse.ArgumentParser(); p.add_argument("--url"); p.add_argument("--alias"); a=p.parse_args()
c=connect(Settings(url=a.url)); m=load_migration(c,a.alias)
e=opened(m,"words"); run(c,m,encoder=e,options=RunOptions(documents_per_second=70.0))
