"""podman, with a store of its own that goes when it is done, on machines that have neither systemd nor overlay mounts."""

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time


def limits():
    """As many files as this machine lets anybody have, and some processes: podman's defaults are more than root may have in a
    sandbox, and then nothing starts."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return ["--ulimit", f"nofile={min(files, 1024)}:{files}", "--ulimit", "nproc=4096:4096"]


class Podman:
    """One store; `with` ends every container of it and removes it."""

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="klatsch-image-")
        self.flags = [
            "podman", "--root", f"{self.home}/root", "--runroot", f"{self.home}/run", "--runtime", "runc",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "vfs",
        ]
        # Without systemd nobody runs health checks on a timer; `healthcheck run` does when asked.
        self.environment = dict(os.environ, DISABLE_HC_SYSTEMD="true")
        return self

    def __exit__(self, *_):
        self("rm", "--all", "--force", "--time", "0", check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def __call__(self, *args, check=True, seconds=60):
        done = subprocess.run(
            [*self.flags, *map(str, args)], capture_output=True, text=True, env=self.environment, timeout=seconds, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(map(str, args))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def inspect(self, kind, name):
        """What podman knows of an image or a container."""
        return json.loads(self(kind, "inspect", name).stdout)[0]

    def run(self, name, image, environment, *args, network="none", command=()):
        """Starts a container as a careful orchestrator would: nothing to write to, no rights. Its first process."""
        settings = [word for pair in environment.items() for word in ("--env", "=".join(map(str, pair)))]
        self(
            "run", "--detach", "--name", name, "--pull=never", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all",
            "--security-opt=no-new-privileges", f"--network={network}", *limits(), *settings, *args, image, *command,
        )
        return self.inspect("container", name)["State"]["Pid"]

    def logs(self, name):
        """stdout and stderr of it so far."""
        done = self("logs", name)
        return done.stdout + done.stderr

    def healthy(self, name):
        """What the image's own HEALTHCHECK says."""
        return self("healthcheck", "run", name, check=False).returncode == 0

    def until_healthy(self, name, seconds=60):
        """Until it says so; its last words if it does not or has ended."""
        end = time.monotonic() + seconds
        while not self.healthy(name):
            state = self.inspect("container", name)["State"]
            if state["Status"] != "running" or time.monotonic() > end:
                raise AssertionError(f"{name} is {state['Status']} and not healthy:\n{self.logs(name)[-3000:]}")
            time.sleep(0.1)

    def ends(self, name, signal, seconds=30):
        """Its exit code after that signal."""
        self("kill", "--signal", signal, name)
        return int(self("wait", name, seconds=seconds).stdout)
