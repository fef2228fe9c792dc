"""Which classes of a network are tracked, and which of them are people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv

from ..config import PERSON_NAME
from ..errors import UsageError, did_you_mean

# The number of people, whatever number a network gives them.
PERSON = 0


@dataclass(frozen=True)
class Classes:
    """Classes that a run tracks.

    Attributes:
        wanted: their numbers in the network.
        number: what each of them is called in results: people 0, all others as in the network, but for one
            that has the number 0 there and changes places with them.
        names: names by number in results.
        by_motion: numbers in results of those that are no people.
    """

    wanted: list[int]
    number: dict[int, int]
    names: dict[int, str]
    by_motion: frozenset[int]


def choose_classes(asked: Sequence[str], known: Mapping[int, str], weights: str) -> Classes:
    """The classes that ``asked`` names.

    Args:
        asked: names, in any case, or numbers of the network.
        known: names of the network's classes.
        weights: name of the network, for messages.

    Raises:
        UsageError: one that the network does not know, with the nearest that it does.

    >>> chosen = choose_classes(["person", "32"], {0: "person", 32: "sports ball"}, "yolo11n.pt")
    >>> chosen.wanted, chosen.names, sorted(chosen.by_motion)
    ([0, 32], {0: 'person', 32: 'sports ball'}, [32])
    """
    by_name = {str(name).casefold(): number for number, name in known.items()}
    wanted = list[int]()
    for word in asked:
        found = by_name.get(word.casefold())
        if found is None and word.isdecimal() and int(word) in known:
            found = int(word)
        if found is None:
            hint = did_you_mean(word.casefold(), by_name)
            raise UsageError(f"detector.classes: {weights} knows no class {word!r}{hint}")
        wanted.append(found)
    people = by_name.get(PERSON_NAME)
    swap = {} if people is None else {people: PERSON, PERSON: people}
    number = {each: swap.get(each, each) for each in dict.fromkeys(wanted)}
    return Classes(
        list(number),
        number,
        {mine: str(known[theirs]) for theirs, mine in number.items()},
        frozenset(mine for theirs, mine in number.items() if theirs != people),
    )


@dataclass(frozen=True)
class Kept:
    """Classes of a network whose boxes are kept.

    Attributes:
        wanted: their numbers in the network; None for all.
        asked: what was asked for; None where nothing was.
    """

    wanted: list[int] | None
    asked: Classes | None

    @property
    def names(self) -> dict[int, str]:
        """Names by number in results of the classes that were asked for; empty where none were."""
        return {} if self.asked is None else self.asked.names

    @property
    def by_motion(self) -> frozenset[int]:
        """Numbers in results of those that are no people."""
        return frozenset() if self.asked is None else self.asked.by_motion

    def numbered(self, class_id: np.ndarray) -> np.ndarray:
        """The network's class of each box as results number it, int [N]."""
        if self.asked is not None:
            return np.array([self.asked.number[number] for number in class_id.tolist()], int)
        return class_id.astype(int) if self.wanted is None else np.full(len(class_id), PERSON)


def kept_classes(asked: Sequence[str], known: Mapping[int, str], weights: str, *, is_pose: bool) -> Kept:
    """What is kept of a network's boxes: what ``asked`` names, else people, else all.

    Args:
        asked: as for ``choose_classes``; empty where nothing is.
        known: names of the network's classes.
        weights: name of the network, for messages.
        is_pose: the network was trained for keypoints: of people, whatever it calls them.

    Raises:
        UsageError: a class that the network does not know.
    """
    if asked:
        chosen = choose_classes(asked, known, weights)
        return Kept(chosen.wanted, chosen)
    persons = [number for number, name in known.items() if str(name).casefold() == PERSON_NAME]
    if not persons and not is_pose:
        return Kept(None, None)
    return Kept(persons or [0], None)


def classes_by_motion(detector: object) -> frozenset[int]:
    """Numbers of the classes that ``detector`` finds and that are no people."""
    found: frozenset[int] = getattr(detector, "by_motion", frozenset())
    return found


def class_names(detector: object) -> Mapping[int, str]:
    """Names by number of the classes that ``detector`` was asked for; empty where it was not."""
    found: Mapping[int, str] = getattr(detector, "class_names", {})
    return found


def named_classes(detections: sv.Detections, names: Mapping[int, str]) -> np.ndarray:
    """The name of each box's class, object [N]."""
    out = np.full(len(detections), "", object)
    out[:] = [names[number] for number in detections.class_id.tolist()]
    return out
