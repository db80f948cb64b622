import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

IMPORT_ALL = """
import importlib, pathlib, sys
sys.modules["django"] = None
import billing.rating
for file in pathlib.Path("billing/rating").rglob("*.py"):
    importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
assert not [name for name in sys.modules if name.split(".")[0] in ("config", "customers", "metering")]
"""


def test_rating_imports_without_django_and_the_other_apps() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert finished.returncode == 0, finished.stderr
