"""A test file for otter-grader: its doctest prints what the exercise's own check says, and expects "correct"."""

OK_FORMAT = True

CODE = """
>>> from companion.exercises import check
>>> check("nn.softmax", softmax)
nn.softmax: correct. All 3 cases agree.
"""

test = {
    "name": "softmax",
    "points": 2,
    "suites": [
        {
            "cases": [{"code": CODE, "hidden": False, "locked": False}],
            "scored": True,
            "setup": "",
            "teardown": "",
            "type": "doctest",
        }
    ],
}
