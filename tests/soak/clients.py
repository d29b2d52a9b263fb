"""People at work while everything is killed: `davit exec` and `davit run`, one after another.

Each command writes its number to a volume, passes on a line from its standard input, and ends with a status of its own. It
must have run once, and what it wrote and how it ended must have come to its client, whatever died in between.
"""
import threading
import time

SECONDS = 600  # for one command: on a slow machine many a davitd is killed before it has done anything


class Client(threading.Thread):
    def __init__(self, davit, directory, container, stop):
        super().__init__(daemon=True)
        self.davit, self.container, self.stop = davit, container, stop
        self.done_file = f"{directory}/state/volumes/{container}/_data/done"
        self.number, self.problems = 0, []

    def command(self):
        """Its words, the status that it must end with, and what it must write."""
        n = self.number
        words = ["sh", "-c", f"echo {n} >>/data/done; read -r x; echo got $x; exit {n % 100}"]
        volume = ["-v", f"{self.container}:/data", "busybox"]
        name = f"{self.container}-{n}"
        return (
            (["exec", "-i", self.container, *words], n % 100, f"got {n}\n"),
            (["run", "-i", *volume, *words], n % 100, f"got {n}\n"),
            (["run", "--detach", "--name", name, *volume, *words], 0, f"{name}.container\n"),
        )[n % 3]

    def done(self):
        with open(self.done_file, encoding="ascii") as f:
            return [int(line) for line in f]

    def run(self):
        while not self.stop.is_set():
            self.number += 1
            words, status, output = self.command()
            r = self.davit(*words, text=str(self.number).encode(), timeout=SECONDS)
            if r.returncode != status or r.stdout != output.encode():
                self.problems.append(f"davit {words[0]} {words[1]} {self.number}: status {r.returncode}, "
                                     f"{r.stdout.decode()!r}, {r.stderr.decode()!r}")
            elif "--detach" in words:
                self.wait_until_done()

    def wait_until_done(self):
        end = time.monotonic() + SECONDS
        while self.number not in self.done() and time.monotonic() < end:
            time.sleep(0.01)

    def check(self):
        """What is wrong, a line each. After join()."""
        done = self.done()
        if done != list(range(1, self.number + 1)):
            wrong = next((i for i, n in enumerate(done, 1) if i != n), len(done) + 1)
            self.problems.append(f"{self.number} commands, {len(done)} of them ran; at the {wrong}th it goes wrong: "
                                 f"{done[max(wrong - 3, 0):wrong + 2]}")
        return self.problems


class Clients:
    """One for each of these containers, which run."""

    def __init__(self, davit, directory, containers):
        self.stop = threading.Event()
        self.threads = [Client(davit, directory, name, self.stop) for name in containers]
        for t in self.threads:
            t.start()

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join()

    def commands(self):
        return sum(t.number for t in self.threads)

    def problems(self):
        return [(t.container, problem) for t in self.threads for problem in t.check()]
