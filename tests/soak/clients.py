"""People at work while everything is killed: `davit exec` and `davit run`, one after another.

Each command writes its number to a volume, passes on a line from its standard input, and ends with a status of its own. It
must have run once, and what it wrote and how it ended must have come to its client, whatever died in between. Only who
finds no davitd at all when it comes may be sent away, and then nothing has run.
"""
import threading

NOT_THERE = b"Cannot reach davitd"


class Client(threading.Thread):
    def __init__(self, davit, directory, container, stop):
        super().__init__(daemon=True)
        self.davit, self.container, self.stop = davit, container, stop
        self.done_file = f"{directory}/state/volumes/{container}/_data/done"
        self.number, self.sent_away, self.problems = 0, 0, []

    def command(self):
        words = ["sh", "-c", f"echo {self.number} >>/data/done; read -r x; echo got $x; exit {self.number % 100}"]
        if self.number % 2:
            return ["exec", "-i", self.container, *words]
        return ["run", "-i", "-v", f"{self.container}:/data", "busybox", *words]

    def run(self):
        while not self.stop.is_set():
            self.number += 1
            command = self.command()
            r = self.davit(*command, text=str(self.number).encode())
            if r.returncode == 125 and NOT_THERE in r.stderr:
                self.number -= 1
                self.sent_away += 1
            elif r.returncode != self.number % 100 or r.stdout != f"got {self.number}\n".encode():
                self.problems.append(f"davit {command[0]} {self.number}: status {r.returncode}, "
                                     f"{r.stdout.decode()!r}, {r.stderr.decode()!r}")

    def check(self):
        """What is wrong, a line each. After join()."""
        with open(self.done_file, encoding="ascii") as f:
            done = [int(line) for line in f]
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
