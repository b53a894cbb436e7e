"""Files that students might hand in: each answers three exercises, two of them rightly, and does something in the middle one.

None can run away: what sleeps ends after a minute, what copies itself does so five times.
"""

from __future__ import annotations

from companion.exercises import EXERCISES, source

NAMES = ("nn.parameter_count", "nn.softmax", "rnn.vanishing_lag")  # in the order in which they are judged
BEFORE = "import numpy as np\nparameter_count = 2410\n"
AFTER = f"vanishing_lag = {EXERCISES[NAMES[2]].solution()!r}\n"
SOFTMAX = source(EXERCISES["nn.softmax"].solution)
GOOD = f"{BEFORE}{SOFTMAX}\n{AFTER}"


def with_body(body: str) -> str:
    """The three answers, with this for the body of softmax."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return f"{BEFORE}import ctypes, os, sys, time\ndef softmax(z):\n{lines}\n{AFTER}"


def with_top(code: str) -> str:
    """Three right answers, the last of them below this code."""
    return f"{BEFORE}{SOFTMAX}\nimport ctypes, os, sys, time\n{code.strip()}\n{AFTER}"


# What softmax does, and words of the message on it. Its neighbours are right.
IN_AN_ANSWER = {
    "endless": ("while True:\n    pass", ["was stopped after 1 seconds"]),
    "bare_except": (
        "while True:\n    try:\n        while True:\n            z = z\n    except:\n        pass",
        ["Stopped: no answer within 4 s", "bare `except:`"],
    ),
    "exit": ("sys.exit(0)", ["softmax raised SystemExit"]),
    "hard_exit": ("os._exit(3)", ["Stopped: the process ended with exit status 3"]),
    "crash": ("ctypes.string_at(0)", ["Stopped: the process was killed by signal 11 (SIGSEGV)"]),
    "large_array": ("return np.ones(50 * 2**30 // 8)", ["MemoryError", "50.0 GiB"]),
    "growth": ("rows = []\nwhile True:\n    rows.append(np.empty(2**25))", ["MemoryError"]),
    "huge_print": ("print('x' * 10**8)", ["Stopped: it printed more than 10 MiB"]),
    "huge_file": (
        "with open('big', 'wb') as file:\n    for _ in range(1000):\n        file.write(bytes(2**20))",
        ["OSError", "File too large"],
    ),
    "many_files": (
        "for i in range(8):\n    open(str(i), 'wb').truncate(40 * 2**20)\ntime.sleep(3)",
        ["Stopped: it wrote more than 256 MiB of files"],
    ),
    "deep_folders": (
        "for _ in range(1100):\n    os.mkdir('a')\n    os.chdir('a')\nreturn z",
        ["softmax"],
    ),
    "recursion": ("return softmax(z)", ["RecursionError"]),
    "endless_recursion": (
        "sys.setrecursionlimit(10**9)\nf = lambda x: max([x], key=f)\nreturn f(1)",
        ["Stopped: the process was killed by signal"],
    ),
    "long_message": ("raise ValueError('x' * 10**7)", ["raised ValueError: xxx"]),
    "interrupt": ("raise KeyboardInterrupt", ["softmax raised KeyboardInterrupt"]),
    "fork": (
        "pid = os.fork()\nif not pid: time.sleep(60)",
        ["PermissionError: starting a process is not allowed in grading (os.fork)", "at line 5: pid = os.fork()"],
    ),
    "program": (
        "import subprocess\nsubprocess.run(['sleep', '60'])",
        ["PermissionError: starting", "subprocess.Popen"],
    ),
    "signal": ("os.kill(os.getppid(), 0)", ["PermissionError: a signal to another process"]),
    "closed": ("os.closerange(0, 256)\nreturn z", ["Stopped: the process ended with exit status 1"]),
    "missing_file": ("return np.loadtxt('../data.csv')", ["FileNotFoundError", "graded alone, in an empty folder"]),
    "bomb": (
        "for _ in range(5):\n    ctypes.CDLL(None).fork()\nos.setsid() if os.getpid() != os.getpgrp() else None\n"
        "time.sleep(60)",
        ["Stopped: it started more than 8 processes"],
    ),
    "children": (
        "mine = os.getpid()\nfor _ in range(2):\n    ctypes.CDLL(None).fork()\n"
        "if os.getpid() != mine:\n    os.setsid()\n    time.sleep(60)\nreturn z",
        ["softmax"],
    ),
    "copies_that_go_on": ("ctypes.CDLL(None).fork()\nreturn z", ["That is the argument z"]),
    "forged": (
        'record = \'{"verdict": ["nn.softmax", "correct", "", null]}\\n{"done": true}\\n\'\nprint(record)\nreturn z',
        ["That is the argument z"],
    ),
    "noise": (
        "for fd in range(3, 12):\n    try: os.write(fd, b'[1\\n{}\\n7\\n{\"ran\": 3}\\n')\n    except OSError: pass\n"
        "return z",
        ["That is the argument z"],
    ),
}

# What happens while the file runs, words of the problem, and the marks of the three answers.
KEPT = ("correct", "correct", "no mark")  # the first two stand above it
LOST = ("no mark", "no mark", "no mark")
IN_THE_FILE = {
    "raises": ("print(missing)", "line 12: NameError: name 'missing' is not defined", KEPT),
    "leaves": ("sys.exit(0)", "line 12: SystemExit: 0", KEPT),
    "exits": ("os._exit(5)", "stopped while the file ran: the process ended with exit status 5", LOST),
    "crashes": ("ctypes.string_at(0)", "stopped while the file ran: the process was killed by signal 11", LOST),
    "hangs": ("while True:\n    pass", "stopped while the file ran: it did not come to its end within 4 s", LOST),
    "closes": ("os.closerange(0, 256)", "stopped while the file ran: the process ended with exit status 1", LOST),
    "forks": ("os.fork()", "line 12: PermissionError: starting a process is not allowed", KEPT),
    "reads": ("open('../data.csv')", "'../data.csv' (a file is graded alone, in an empty folder)", KEPT),
    "breaks_numpy": ("np.array_equal = np.asarray = None", "", ("wrong", "wrong", "wrong")),
    "traces": ("sys.settrace(lambda *a: None)\nnp.exp(1)", "", ("correct",) * 3),
    "lingers": (
        "import atexit, threading\natexit.register(time.sleep, 60)\nthreading.Thread(target=time.sleep, args=[60]).start()",
        "",
        ("correct",) * 3,
    ),
    "tests_itself": ("np.testing.assert_allclose(softmax(np.zeros((1, 2))), 0.5)", "", ("correct",) * 3),
}
