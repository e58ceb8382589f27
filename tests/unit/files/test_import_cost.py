"""A Dag file is parsed every few seconds: importing this package must not load what only a transfer needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("requests", "urllib3", "fsspec", "pyarrow", "pandas", "filetype", "zipfile", "boto3", "upath")
MODULES = sorted(
    path.stem
    for path in (Path(__file__).parents[3] / "airflow_provider" / "files").glob("*.py")
    if path.stem != "__init__"
)


def test_nothing_heavy_and_nothing_of_the_layers_above_is_loaded() -> None:
    program = (
        "import sys\n"
        # What Airflow's own exceptions bring along is not ours to count.
        "import airflow_provider.exceptions\n"
        "before = set(sys.modules)\n"
        f"for name in {MODULES!r}: __import__('airflow_provider.files.' + name)\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        f"print(*sorted(new & set({HEAVY!r})))\n"
        "known = ('files', 'exceptions', 'compat', 'get_provider_info')\n"
        "ours = {n for n in sys.modules if n.startswith('airflow_provider.')}\n"
        "print(*sorted(n for n in ours if n.split('.')[1] not in known))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.splitlines() == ["", ""]
