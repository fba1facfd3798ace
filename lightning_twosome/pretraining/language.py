"""English helpers: inflection, articles, lists and the person and tense a text is told in."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IRREGULAR_PAST = {
    "take": "took", "get": "got", "put": "put", "set": "set", "lay": "laid", "go": "went", "bring": "brought",
    "cut": "cut", "shut": "shut", "sit": "sat", "eat": "ate", "drink": "drank", "have": "had", "hold": "held",
    "stand": "stood", "see": "saw", "find": "found", "let": "let", "make": "made", "give": "gave", "feed": "fed",
    "hang": "hung", "sweep": "swept", "read": "read", "leave": "left", "spread": "spread", "feel": "felt",
    "need": "needed", "want": "wanted", "keep": "kept", "think": "thought", "know": "knew", "run": "ran", "do": "did",
    "lie": "lay", "begin": "began", "choose": "chose", "wear": "wore",
}  # fmt: skip
DOUBLED = {"grab", "chop", "stir", "fit", "plan", "drop", "mop", "plug", "step", "pat", "tip", "pop", "slip", "wrap"}
DOUBLED_GERUND = DOUBLED | {"cut", "put", "set", "get", "sit", "shut", "let", "run", "begin"}
VOWELS = "aeiou"
ORDINALS = ("first", "second", "third")


def third_person(verb: str) -> str:
    """Returns the third person singular present form of a verb, such as ``carries`` for ``carry``."""
    if verb == "have":
        return "has"
    if verb.endswith(("s", "sh", "ch", "x", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def past_tense(verb: str) -> str:
    """Returns the simple past form of a verb, such as ``chopped`` for ``chop``."""
    if verb in IRREGULAR_PAST:
        return IRREGULAR_PAST[verb]
    if verb in DOUBLED:
        return verb + verb[-1] + "ed"
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return verb + "ed"


def gerund(phrase: str) -> str:
    """Returns a verb phrase with its first word in the -ing form, such as ``putting down the cup``."""
    verb, _, rest = phrase.partition(" ")
    if verb in DOUBLED_GERUND:
        verb = verb + verb[-1] + "ing"
    elif verb.endswith("ie"):
        verb = verb[:-2] + "ying"
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1] + "ing"
    else:
        verb += "ing"
    return f"{verb} {rest}".rstrip()


def indefinite(noun: str, number: str = "count") -> str:
    """Returns the noun with ``a``, ``an`` or ``some``; ``number`` is ``count``, ``mass`` or ``plural``."""
    if number != "count":
        return f"some {noun}"
    return f"{'an' if noun[0] in VOWELS else 'a'} {noun}"


def singular(noun: str) -> str:
    """Returns a plural noun as it stands before another noun: ``mushroom`` in ``mushroom salad``."""
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    if noun.endswith("oes"):
        return noun[:-2]
    return (
        noun[:-1]
        if noun.endswith("s") and noun not in ("couscous", "peas") and not noun.endswith("ss")
        else noun.replace("peas", "pea")
    )


def listing(items: Sequence[str], conjunction: str = "and") -> str:
    """Joins items as English does: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"


def sentence(text: str) -> str:
    """Capitalises the first letter and adds a full stop unless the text already ends with a mark."""
    text = text.strip()
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?:" else text + "."


class _Conjugator:
    """Lets templates write ``{v:want}`` and get the form which agrees with a subject."""

    def __init__(self, singular_third: bool, past: bool, be: str) -> None:
        self._singular_third = singular_third
        self._past = past
        self._be = be

    def __format__(self, verb: str) -> str:
        if verb == "be":
            return self._be
        if self._past:
            return past_tense(verb)
        return third_person(verb) if self._singular_third else verb


@dataclass
class Voice:
    """The person and tense of a text.

    Attributes:
        person: 1, 2 or 3.
        name: How a third person is introduced, such as ``Anna`` or ``the boy``.
        pronoun: ``he`` or ``she`` for a third person.
        past: Whether the text is told in the past tense.
        introduced: Whether the name has been used already.
    """

    person: int
    name: str
    pronoun: str
    past: bool
    introduced: bool = False

    def subject(self, rng: random.Random) -> str:
        """Returns the subject of the next sentence: a name at first, later mostly a pronoun."""
        if self.person != 3:
            return "I" if self.person == 1 else "you"
        if self.introduced and rng.random() < 0.8:
            return self.pronoun
        self.introduced = True
        return self.name

    def conjugate(self, phrase: str) -> str:
        """Returns a base-form verb phrase with its first word agreeing with the subject."""
        verb, _, rest = phrase.partition(" ")
        rest = rest.replace(" and serve ", f" and {self._conjugator():serve} ").replace(
            " and eat ", f" and {self._conjugator():eat} "
        )
        return f"{self._conjugator():{verb}} {rest}".rstrip()

    def _conjugator(self) -> _Conjugator:
        present_be = {1: "am", 2: "are", 3: "is"}[self.person]
        past_be = "were" if self.person == 2 else "was"
        return _Conjugator(self.person == 3, self.past, past_be if self.past else present_be)

    def fill(self, template: str, rng: random.Random, values: Mapping[str, str] | None = None) -> str:
        """Fills ``{S}``, ``{v:verb}``, ``{is}``, ``{are}``, ``{has}``, ``{poss}``, ``{obj}`` and the given values."""
        words: dict[str, object] = {
            "v": self._conjugator(),
            "is": "was" if self.past else "is",
            "are": "were" if self.past else "are",
            "has": "had" if self.past else "has",
            "can": "could" if self.past else "can",
            "poss": {1: "my", 2: "your"}.get(self.person, "his" if self.pronoun == "he" else "her"),
            "obj": {1: "me", 2: "you"}.get(self.person, "him" if self.pronoun == "he" else "her"),
            **(values or {}),
        }
        if "{S}" in template:
            words["S"] = self.subject(rng)
        elif self.person == 3 and not self.introduced and ("{poss}" in template or "{obj}" in template):
            self.introduced = True
            words["poss"], words["obj"] = f"{self.name}'s", self.name
        return template.format_map(words)


def choose_voice(rng: random.Random, people: Sequence[tuple[str, str]]) -> Voice:
    """Chooses second person most often, then third, then first; ``people`` are (name, pronoun) pairs."""
    name, pronoun = rng.choice(people)
    person = rng.choices((1, 2, 3), (12, 50, 38))[0]
    past = person != 2 and rng.random() < 0.25
    return Voice(person, name, pronoun, past)
