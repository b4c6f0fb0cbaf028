"""Plan a migration: look at an index, decide, measure, and change nothing.

* ``source``         the one index behind an alias
* ``obstacles``      what makes an index one that cannot be migrated
* ``visibility``     whether the user sees all of it
* ``sampling``       some documents of it
* ``text_fields``    which of their text is encoded
* ``slots``          which funnel fields the target has
* ``deciding``       all that together: the migration
* ``feasibility``    whether the engine would make the target as planned
* ``measuring``      how fast documents are encoded, and what their fields take
* ``room``           whether the target fits on the disks
* ``changes``        what becomes of the mapping and the settings
* ``risks``          what may surprise
* ``report``         what a person reads
* ``saving``         the plan, stored for ``run``
"""

from opensearch_funnel.migrating.planning.planned import SAMPLE, plan_migration
from opensearch_funnel.migrating.planning.report import PlannedMigration, PlanReport
from opensearch_funnel.migrating.planning.saving import save_plan

__all__ = ["SAMPLE", "PlanReport", "PlannedMigration", "plan_migration", "save_plan"]
