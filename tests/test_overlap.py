"""The bundled model's corpus must not know the environments' texts."""

import pytest

from benchmarks.overlap import (
    HOUSEHOLD_TASKS,
    KITCHEN_STYLES,
    KITCHEN_TASKS,
    Corpus,
    household_goals,
    household_texts,
    kitchen_goals,
    kitchen_texts,
    measure,
)
from lightning_twosome.envs.household.text import PROMPT_STYLES
from lightning_twosome.pretraining.corpus import generate_documents


# The whole corpus, or its beginning.
@pytest.fixture(scope="module", params=[3_000, pytest.param(27_000, marks=pytest.mark.slow)])
def corpus(request):
    return Corpus(generate_documents(0, request.param))


@pytest.fixture(scope="module", params=KITCHEN_STYLES)
def kitchen_overlap(request, corpus):
    texts = {text for task in KITCHEN_TASKS for text in kitchen_texts(task, request.param)}
    return measure(corpus, texts, {goal for task in KITCHEN_TASKS for goal in kitchen_goals(task, request.param)})


@pytest.fixture(scope="module", params=PROMPT_STYLES)
def household_overlap(request, corpus):
    texts = {text for task in HOUSEHOLD_TASKS for text in household_texts(task, request.param)}
    goals = {goal for task in HOUSEHOLD_TASKS for goal in household_goals(task)}
    return measure(corpus, texts, goals)


def test_no_prompt_and_no_goal_of_the_kitchen_stands_in_the_corpus(kitchen_overlap):
    assert kitchen_overlap.prompts == 0
    assert kitchen_overlap.goals == 0


def test_phrases_are_shared_no_more_than_the_docs_say(kitchen_overlap):
    assert kitchen_overlap.grams < 0.005
    assert kitchen_overlap.actions < 0.02
    assert kitchen_overlap.templates < 0.5


def test_no_prompt_and_no_goal_of_the_household_stands_in_the_corpus(household_overlap):
    assert household_overlap.prompts == 0
    assert household_overlap.goals == 0
    assert household_overlap.grams < 0.03
    assert household_overlap.templates < 0.4  # "You are holding the chips."
    assert household_overlap.actions < 0.4  # "open the microwave"


def test_a_leaked_text_would_be_seen():
    prompt, actions = min(kitchen_texts("TomatoSalad"))
    leaked = measure(Corpus([f"Once upon a time. {prompt} {actions[0]}. The end."]), [(prompt, actions)])
    assert leaked.prompts == leaked.goals == 1.0
    assert actions[0] in leaked.found_actions
    assert leaked.grams > 0.5
    assert leaked.templates == 1.0
