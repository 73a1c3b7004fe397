from __future__ import annotations

import subprocess
import sys


def test_the_main_process_loads_no_numerical_library() -> None:
    script = (
        "import sys; from tuning_operator.search import auto, grid, pool, problem, searcher, replay, worker;"
        "print([name for name in ('optuna', 'torch', 'scipy', 'numpy') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
