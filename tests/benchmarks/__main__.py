"""All benchmarks, one table per question: ``make bench``, or ``BENCH_QUICK=1 make bench``."""

from __future__ import annotations

from tests.benchmarks import cost_of_waiting, import_cost, one_key

import_cost.main()
cost_of_waiting.main()
one_key.main()
