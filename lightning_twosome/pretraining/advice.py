"""Questions and answers, tips and very short situations with the next step, one after another."""

import random

from . import facts
from . import vocabulary as words
from .household import EVENTS, MISTAKES
from .language import Voice, choose_voice, gerund, sentence
from .procedures import reason_document, short_situation

ASKS = (
    "What should I do when {c}?", "What do you do if {c}?", "Help, {c}! What now?", "{c}. What is to be done?",
    "Excuse me, {c}. What can I do?", "I have noticed that {c}. And now?", "What helps when {c}?",
)  # fmt: skip
ANSWERS = (
    "{a}", "You should {a}", "The answer is simple: {a}", "It is best to {a}", "Just {a}", "You can {a}", "I would {a}",
    "Why don't you {a}?", "First of all, {a}",
)  # fmt: skip


def _present(text: str, rng: random.Random) -> str:
    return Voice(2, "you", "he", False).fill(text, rng, {"room": rng.choice(words.ROOMS[:6])})


def _question(rng: random.Random) -> str:
    condition, step, result = (_present(text, rng) for text in rng.choice(EVENTS))
    told = [rng.choice(ASKS).format(c=condition), rng.choice(ANSWERS).format(a=step)]
    if rng.random() < 0.4:
        told.append(f"Then {result}")
    return " ".join(sentence(text) for text in told)


def _choice(rng: random.Random) -> str:
    first, second = rng.sample(EVENTS, 2)
    condition, right = _present(first[0], rng), first[1]
    wrong = second[1]
    if wrong == right:
        return _question(rng)
    right, wrong = _present(right, rng), _present(wrong, rng)
    options = [right, wrong]
    rng.shuffle(options)
    answer = rng.choice(
        (
            f"{right}, of course",
            f"it is better to {right}",
            f"you should {right}",
            f"{right}. It would not help to {wrong}",
        )
    )
    ask = rng.choice(
        (
            "{c}. Should you {a} or {b}?",
            "{c}. What is better, to {a} or to {b}?",
            "Would you {a} or {b} when {c}?",
            "{c}. Which makes sense: to {a} or to {b}?",
        )
    )
    return f"{sentence(ask.format(c=condition, a=options[0], b=options[1]))} {sentence(answer)}"


def _tip(rng: random.Random) -> str:
    wrong, right = rng.choice(MISTAKES)
    rule = rng.choice(facts.RULES)
    return rng.choice(
        (
            f"Never {wrong}. {sentence(right)}",
            f"Here is a tip: {right}. {sentence(gerund(wrong))[:-1]} does not help.",
            f"Remember: {rule[0].lower()}{rule[1:]}",
            f"My mother used to say: {rule}",
            f"{rule} That is why you should not {wrong}.",
        )
    )


def advice(rng: random.Random) -> str:
    """Writes a list of questions and answers, tips or short situations."""
    kind = rng.random()
    if kind < 0.22:
        return reason_document(rng)
    if kind < 0.6:
        voice = choose_voice(rng, words.PEOPLE)
        voice.past = False
        return " ".join(short_situation(rng, voice) for _ in range(rng.randint(1, 4)))
    makers = (_question, _choice, _tip)
    return " ".join(rng.choice(makers)(rng) for _ in range(rng.randint(2, 5)))
