"""Packages of Python that a test needs and the tree does not hold: installed into the build folder, once."""
import fcntl
import os
import subprocess
import sys

from http_support import BUILD


def install(name, version, *options):
    """A folder with a Python in bin/ that has the package; None when it cannot be had, and why is printed."""
    folder = os.path.join(BUILD, f"{name}-{version}")
    done = os.path.join(folder, "installed")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(done):
            return folder
        try:
            for command in ([sys.executable, "-m", "venv", folder],
                            [os.path.join(folder, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "--retries", "1", *options, f"{name}=={version}"]):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"skipped: {name} cannot be installed:", str(getattr(error, "stderr", "") or error).strip().splitlines()[-1])
            return None
        with open(done, "w", encoding="utf-8"):
            pass
    return folder
