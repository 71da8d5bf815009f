"""What `make bench` measures happens at all: one endpoint of a hundred changes,
and every worker uses it; see t/bench/publish.c."""
import os
import subprocess

from mesh import GODWIT, PATIENCE_S


def test_a_changed_endpoint_is_in_use(m):
    publish = os.path.join(os.path.dirname(GODWIT), "t", "bench", "publish")
    done = subprocess.run([publish, "-n", "50", "-c", "10", "100"],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:2] == ["100", "10"], \
        done.stdout
