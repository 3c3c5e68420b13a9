"""Look for unsafe code with bandit and for dependencies with known weaknesses with pip-audit.

Where a tool or its list of advisories cannot be reached that is said, and nothing else fails for it. Exits with 1 where
something was found.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 120


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this Python."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def skipped(what: str, why: str) -> bool:
    """Say that a check did not run."""
    print(f"SKIPPED {what}: {why}", file=sys.stderr)
    return True


def code_is_safe() -> bool:
    """Return whether bandit finds nothing of medium or high severity."""
    if importlib.util.find_spec("bandit") is None:
        return skipped("bandit", "it is not installed, and no package index was reached")
    outcome = run("bandit", "--quiet", "--recursive", "src", "-ll", "--configfile", "pyproject.toml")
    print(outcome.stdout if outcome.returncode else "bandit: nothing of medium or high severity")
    return outcome.returncode == 0


def dependencies_are_safe() -> bool:
    """Return whether no advisory names the version of a package that is installed."""
    if importlib.util.find_spec("pip_audit") is None:
        return skipped("pip-audit", "it is not installed, and no package index was reached")
    try:
        outcome = run(
            "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json", "--timeout", "10"
        )
        packages: list[dict[str, Any]] = json.loads(outcome.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return skipped("pip-audit", f"no list of advisories was reached in {PATIENCE_S} s")
    except (ValueError, KeyError):
        last = outcome.stderr.strip().splitlines()[-1:] or ["no answer"]
        return skipped("pip-audit", f"no list of advisories was reached ({last[0]})")
    looked_at = [one for one in packages if "skip_reason" not in one]
    if not looked_at:
        return skipped("pip-audit", "no list of advisories was reached")
    bad = [(one["name"], one["version"], found) for one in looked_at for found in one["vulns"]]
    for name, version, found in bad:
        print(f"{name} {version}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version yet'}")
    print(f"pip-audit: {len(looked_at)} packages looked at, {len(bad)} advisories")
    return not bad


if __name__ == "__main__":
    sys.exit(not all((code_is_safe(), dependencies_are_safe())))
