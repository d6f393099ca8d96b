"""The cases that are done, in a file that is whole at any moment."""

import json
import pathlib
from typing import Any

from mmjax.files import read_json, write_text


class Book:
    """Lists of cases by kind, written to a JSON file with every case that is added."""

    def __init__(self, path: pathlib.Path, about: dict[str, Any]):
        """Opens ``path``, or begins it with what is said ``about`` the cases.

        Raises:
          ValueError: the cases there are about something else.
        """
        self.path = path
        self.content = read_json(path) if path.exists() else {"about": about, "cases": {}}
        for name in ("run", "seed"):
            if self.content["about"][name] != about[name]:
                raise ValueError(f"{path}: is about another {name}; give another --out")

    def cases(self, kind: str, /, **values: Any) -> list[dict[str, Any]]:
        """The cases of a kind that have these values."""
        found = self.content["cases"].get(kind, [])
        return [case for case in found if all(case[k] == v for k, v in values.items())]

    def add(self, kind: str, case: dict[str, Any]) -> None:
        """Adds a case of a kind."""
        self.content["cases"].setdefault(kind, []).append(case)
        self.save()

    def save(self) -> None:
        """Writes the file, a case a line."""
        kinds = [
            f"  {json.dumps(kind)}: [\n   " + ",\n   ".join(map(json.dumps, cases)) + "\n  ]"
            for kind, cases in self.content["cases"].items()
        ]
        about = json.dumps(self.content["about"])
        write_text(
            self.path, f'{{\n "about": {about},\n "cases": {{\n' + ",\n".join(kinds) + "\n }\n}\n"
        )
