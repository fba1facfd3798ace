"""Documents which begin in the middle of a task and continue with the steps that are left."""

import random
from collections.abc import Sequence

from .language import Voice, choose_voice, gerund, sentence
from .narration import Style, action_phrase, choose_style, place_name, update_sentence
from .planner import Task
from .situations import describe, goal_sentence
from .tasks_household import HOUSEHOLD_TASKS
from .tasks_kitchen import KITCHEN_TASKS
from .vocabulary import PEOPLE
from .world import HANDS, Action, ImpossibleAction, World

ADVISED = (
    "{S} should {step}", "{S} should {step} now", "Now {S} should {step}", "Next {S} should {step}",
    "{S} should first {step}", "The next step is to {step}", "The first thing to do is to {step}",
    "It is time to {step}", "{S} {v:need} to {step}", "{S} {v:have} to {step}", "So {S} should {step}",
    "The best thing to do now is to {step}", "What is left is to {step}", "{S} must {step}", "{S} can now {step}",
    "It makes sense to {step} next", "The sensible thing is to {step}", "First of all {S} {v:have} to {step}",
    "So the next thing is to {step}", "{S} had better {step}", "Therefore {S} {v:have} to {step}",
    "It would be wise to {step}",
)  # fmt: skip
PURPOSES = (
    "In order to {goal}, {S} should {step}", "To {goal}, {S} should first {step}", "To {goal}, {S} {v:need} to {step}",
    "So that {S} can {goal}, {S} {v:have} to {step}", "In order to {goal}, the next step is to {step}",
    "To {goal}, it is best to {step} now", "To {goal}, {S} should next {step}",
)  # fmt: skip
QUESTIONS = (
    "What should {S} do next? {step}", "What comes next? {step}", "What now? {step}", "What is the next step? {step}",
    "What would a sensible person do now? {step}", "What does it take now? {step}", "What has to happen first? {step}",
)  # fmt: skip
TOLD = (
    "{S} {done}", "Then {S} {done}", "Now {S} {done}", "Next {S} {done}", "So {S} {done}", "After that {S} {done}",
    "{S} {done}", "First {S} {done}", "{S} therefore {done}",
)  # fmt: skip
PLAIN_ENDS = (
    "That {is} all", "Now everything {is} done", "The task {is} finished", "So the work {is} done", "{S} {v:be} done",
)  # fmt: skip


def _choose_task(rng: random.Random, household: float) -> Task:
    table: Sequence[tuple] = HOUSEHOLD_TASKS if rng.random() < household else KITCHEN_TASKS
    builder = rng.choices([entry[0] for entry in table], [entry[1] for entry in table])[0]
    return builder(rng)


def _world_after(task: Task, done: int) -> World:
    world = task.start.clone()
    for action in task.actions[:done]:
        world.apply(action)
    return world


def _pick(templates: Sequence[str], first: bool, rng: random.Random) -> str:
    """Chooses a template; those which speak of a first step only at the start."""
    avoided = "After that" if first else "irst"
    return rng.choice([text for text in templates if avoided not in text])


def _lead(phrase: str, task: Task, first: bool, voice: Voice, rng: random.Random) -> str:
    """Puts a verb phrase into the sentence which answers what to do next."""
    kind = rng.random()
    if voice.past or kind < 0.35:
        return voice.fill(_pick(TOLD, first, rng), rng, {"done": voice.conjugate(phrase)})
    if kind < 0.68:
        return voice.fill(_pick(ADVISED, first, rng), rng, {"step": phrase})
    if kind < 0.84:
        return voice.fill(_pick(PURPOSES, first, rng), rng, {"step": phrase, "goal": rng.choice(task.goals)})
    if kind < 0.92:
        return voice.fill(_pick(QUESTIONS, first, rng), rng, {"step": sentence(phrase)})
    return _pick(("{}", "Now {}", "First {}", "Next, {}", "Please {}", "So {}"), first, rng).format(phrase)


def _purpose(actions: Sequence[Action], position: int, rng: random.Random) -> str:
    """Returns ``to get the milk`` for a walk which leads to taking something."""
    target = _taken_next(actions, position)
    if target and rng.random() < 0.35:
        return f" {rng.choice(('to get', 'to fetch', 'for', 'in order to take', 'to pick up'))} the {target}"
    return ""


def _taken_next(actions: Sequence[Action], position: int) -> str:
    """Returns the thing which a walk leads to, or an empty string."""
    for action in actions[position + 1 :]:
        if action.kind not in ("go", "approach", "open"):
            return action.thing if action.kind == "take" else ""
    return ""


def _step(
    task: Task, position: int, world: World, known: set[str], style: Style, voice: Voice, rng: random.Random
) -> str:
    action = task.actions[position]
    phrase = action_phrase(action, world, style, voice, rng)
    if action.kind in ("go", "approach"):
        target = _taken_next(task.actions, position)
        if target and target not in known and rng.random() < 0.6:
            known.add(target)
            return rng.choice(
                (
                    f"look for the {target}",
                    f"find the {target} first",
                    f"search for the {target} in the {place_name(style, action.place)}",
                )
            )
        phrase += _purpose(task.actions, position, rng)
    return phrase


def _declined(world: World, task: Task, action: Action, style: Style, voice: Voice, rng: random.Random) -> str:
    """Returns a remark on a step which would be wrong now, or an empty string."""
    remarks = [
        f"the {key} {{is}} not needed for this" for key in task.distractors[:2] if world.things[key].number != "plural"
    ]
    for key in task.relevant:
        thing = world.things[key]
        if "cut" in thing.states and thing.number == "count":
            remarks += [
                f"the {key} {{is}} already {style.cut_verb}ped, so there {{is}} no need to do it again"
                if style.cut_verb == "chop"
                else f"there {{is}} no need to {style.cut_verb} the {key} again"
            ]
        elif (
            thing.number != "plural"
            and "cut" not in thing.states
            and any(later.result == "cut" and later.thing == key for later in task.actions)
        ):
            remarks.append(
                f"the {key} cannot go into the salad whole"
                if "salad" in task.product
                else f"the {key} {{is}} still whole"
            )
        if thing.vessel and not world.contents(key) and not thing.states:
            remarks += [
                f"there {{is}} no point in serving an empty {key}",
                f"an empty {key} {{is}} of no use to anybody",
                f"nobody wants an empty {key}, so it {{is}} too early to serve it",
            ]
        full = world.holding and not world.things[world.holding].vessel and thing.number != "plural"
        if full and world.place_of(key) != HANDS and key not in (action.thing, action.place):
            remarks += [
                f"with the {world.holding} in {{poss}} hands, {{S}} cannot pick up the {key}",
                f"{{poss}} hands {{are}} full, so the {key} {{has}} to wait",
            ]
    for name, place in world.places.items():
        if place.closable and not place.open and action.place == name and action.kind == "open":
            remarks.append(f"nothing can be put into a closed {place_name(style, name)}")
    return voice.fill(rng.choice(remarks), rng) if remarks else ""


def _choice(
    world: World, task: Task, position: int, phrase: str, style: Style, voice: Voice, rng: random.Random
) -> str:
    """Returns a question between the right step and one which is impossible or done; empty where none is found."""
    for other in rng.sample(task.actions, min(6, len(task.actions))):
        try:
            world.clone().apply(other)
        except ImpossibleAction:
            wrong = action_phrase(other, world, Style(style.cut_verb, style.aliases), voice, rng)
            options = [phrase, wrong]
            rng.shuffle(options)
            if wrong == phrase or wrong in phrase or phrase in wrong:
                continue
            ask = voice.fill(
                rng.choice(
                    (
                        "Should {S} {a} or {b}?",
                        "What comes first, to {a} or to {b}?",
                        "Is it better to {a} or to {b} now?",
                    )
                ),
                rng,
                {"a": options[0], "b": options[1]},
            )
            answer = rng.choice(
                (
                    "It is right to {x}. There is no reason to {y} now",
                    "{x}, because it makes no sense to {y} now",
                    "It is better to {x}",
                    "Now it is time to {x}, not to {y}",
                )
            )
            return f"{sentence(ask)} {sentence(answer.format(x=phrase, y=wrong))}"
    return ""


def _continuation(
    task: Task, done: int, world: World, known: set[str], style: Style, voice: Voice, rng: random.Random
) -> list[str]:
    """Tells the steps which are left, with remarks in between."""
    told: list[str] = []
    limit = rng.choice((3, 6, 10, 16, 40))
    position = done
    while position < len(task.actions) and position - done < limit:
        action = task.actions[position]
        phrase = _step(task, position, world, known, style, voice, rng)
        before = world.clone()
        world.apply(action)
        first = position == done
        line = (
            _choice(before, task, position, phrase, style, voice, rng)
            if not voice.past and rng.random() < (0.1 if first else 0.03)
            else ""
        )
        if line:
            pass
        elif first or rng.random() < 0.45:
            line = _lead(phrase, task, first, voice, rng)
        else:
            line = voice.fill(rng.choice(TOLD[:7]), rng, {"done": voice.conjugate(phrase)})
            if position + 1 < len(task.actions) and rng.random() < 0.3:
                position += 1
                following = action_phrase(task.actions[position], world, style, voice, rng)
                world.apply(task.actions[position])
                line += (
                    f" and {rng.choice(('', '', 'then '))}{voice.conjugate(following)}"
                    if voice.person == 3 or voice.past
                    else f" and {following}"
                )
        told.append(line)
        if rng.random() < 0.22:
            told.append(_update(task.actions[position], world, style, voice, rng))
        if rng.random() < 0.07:
            told.append(goal_sentence(task, voice, rng))
        if position + 1 < len(task.actions) and rng.random() < 0.07:
            told.append(_declined(world, task, task.actions[position + 1], style, voice, rng))
        position += 1
    if position >= len(task.actions):
        told.append(rng.choice(task.endings) if not voice.past else voice.fill(rng.choice(PLAIN_ENDS), rng))
    return told


def _update(action: Action, world: World, style: Style, voice: Voice, rng: random.Random) -> str:
    template = update_sentence(action, world, style, rng)
    return voice.fill(template, rng) if template else ""


def procedure(rng: random.Random, household: float = 0.42) -> str:
    """Writes one mid-task document; ``household`` is the probability of a task which is not cooking."""
    task = _choose_task(rng, household)
    voice = choose_voice(rng, PEOPLE)
    style = choose_style(rng)
    done = 0 if rng.random() < 0.25 else rng.randrange(len(task.actions))
    world = _world_after(task, done)
    told, known = describe(world, task, done, style, voice, rng)
    if rng.random() < 0.12:
        told.append(_declined(world, task, task.actions[done], style, voice, rng))
    told += _continuation(task, done, world, known, style, voice, rng)
    return " ".join(sentence(text) for text in told if text)


def reason_document(rng: random.Random) -> str:
    """Writes a short exchange about one step of a task and what follows from skipping it."""
    task = _choose_task(rng, 0.35)
    voice, style = Voice(2, "you", "he", False), choose_style(rng)
    done = rng.randrange(len(task.actions))
    world = _world_after(task, done)
    goal = rng.choice(task.goals)
    phrase = action_phrase(task.actions[done], world, style, voice, rng)
    told, _ = describe(world, task, done, style, voice, rng)
    opening = rng.choice(
        (
            f"How do you {goal}?",
            f"I want to {goal}. What should I do?",
            f"Somebody asked how to {goal}.",
            f"A tip for those who want to {goal}:",
        )
    )
    remark = _declined(world, task, task.actions[done], style, voice, rng)
    lines = [
        opening,
        *told[: rng.randint(1, 4)],
        rng.choice((f"Start by {gerund(phrase)}", f"You should {phrase}", f"The answer is to {phrase}", phrase)),
        remark,
    ]
    return " ".join(sentence(line) for line in lines if line)


def short_situation(rng: random.Random, voice: Voice) -> str:
    """Writes a situation in few sentences and only the next step."""
    task = _choose_task(rng, 0.45)
    style = choose_style(rng)
    done = rng.randrange(len(task.actions))
    world = _world_after(task, done)
    told, known = describe(world, task, done, style, voice, rng)
    if len(told) > 4 and rng.random() < 0.5:
        kept = sorted(rng.sample(range(1, len(told) - 1), 2))
        told = [told[0], *(told[index] for index in kept), told[-1]]
    phrase = _step(task, done, world, known, style, voice, rng)
    return " ".join(sentence(text) for text in [*told, _lead(phrase, task, True, voice, rng)])
