"""The bundled model's corpus must not know the environments' texts."""

import pytest

from benchmarks.overlap import KITCHEN_TASKS, kitchen_texts, measure
from lightning_twosome.pretraining.corpus import generate_documents


@pytest.fixture(scope="module")
def kitchen_overlap():
    texts = {text for task in KITCHEN_TASKS for text in kitchen_texts(task)}
    return measure(generate_documents(0, 27000), texts)


def test_no_prompt_and_no_goal_of_the_kitchen_stands_in_the_corpus(kitchen_overlap):
    assert kitchen_overlap.prompts == 0
    assert kitchen_overlap.goals == 0


def test_phrases_are_shared_no_more_than_the_docs_say(kitchen_overlap):
    assert kitchen_overlap.grams < 0.005
    assert kitchen_overlap.actions < 0.02
    assert kitchen_overlap.templates < 0.5


def test_a_leaked_text_would_be_seen():
    prompt, actions = min(kitchen_texts("TomatoSalad"))
    leaked = measure([f"Once upon a time. {prompt} {actions[0]}. The end."], [(prompt, actions)])
    assert leaked.prompts == leaked.goals == 1.0
    assert actions[0] in leaked.found_actions
    assert leaked.grams > 0.5
    assert leaked.templates == 1.0
