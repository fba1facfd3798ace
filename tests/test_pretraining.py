import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_twosome.pretraining.__main__ import HELD_OUT_DOCUMENTS, load_folder, save_folder
from lightning_twosome.pretraining.corpus import KINDS, corpus_digest, generate_documents
from lightning_twosome.pretraining.evaluate import (
    Question,
    accuracy,
    fact_questions,
    next_step_probes,
    option_scores,
    perplexity,
)
from lightning_twosome.pretraining.language import gerund, indefinite, listing, past_tense, third_person
from lightning_twosome.pretraining.planner import Task
from lightning_twosome.pretraining.tasks_household import HOUSEHOLD_TASKS
from lightning_twosome.pretraining.tasks_kitchen import KITCHEN_TASKS
from lightning_twosome.pretraining.tokenization import train_tokenizer
from lightning_twosome.pretraining.train import CorpusDataModule, Recipe, build_model, pretrain
from lightning_twosome.pretraining.world import HANDS, Action, ImpossibleAction, Place, Thing, World

BUNDLED = Path(__file__).parents[1] / "lightning_twosome" / "bundled"
BUILDERS = [builder for builder, _ in (*KITCHEN_TASKS, *HOUSEHOLD_TASKS)]


def tasks(builder, count=60):
    return [builder(random.Random(seed)) for seed in range(count)]


# --- corpus ---------------------------------------------------------------------------------------------------------


def test_corpus_is_a_function_of_the_seed():
    first = list(generate_documents(3, 60))
    assert first == list(generate_documents(3, 60))
    assert first != list(generate_documents(4, 60))


def test_first_documents_do_not_depend_on_the_count():
    assert list(generate_documents(0, 80))[:30] == list(generate_documents(0, 30))


def test_corpus_does_not_depend_on_string_hashing():
    code = (
        "from lightning_twosome.pretraining.corpus import corpus_digest, generate_documents\n"
        "print(corpus_digest(generate_documents(0, 200)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "12345", "PATH": "", "PYTHONPATH": str(BUNDLED.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == corpus_digest(generate_documents(0, 200))


def test_documents_are_clean_english_lines():
    documents = list(generate_documents(1, 600))
    assert len(set(documents)) == len(documents)
    for document in documents:
        assert "\n" not in document and "{" not in document and "}" not in document and " ." not in document
        assert document[0].isupper() or document[0].isdigit()
        assert document[-1] in ".!?"
    # The frozen grammar leaves a double space in about one of a thousand documents.
    assert sum("  " in document for document in documents) <= 6


@pytest.mark.parametrize("write", [kind[1] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_every_kind_is_varied(write):
    documents = {write(random.Random(seed)) for seed in range(200)}
    assert len(documents) > 185


# --- simulated procedures -------------------------------------------------------------------------------------------


def replay(task: Task):
    world = task.start.clone()
    for action in task.actions:
        before = world.clone()
        world.apply(action)
        yield before, action, world


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_plans_can_be_replayed(builder):
    for task in tasks(builder):
        assert task.actions and task.goals and task.endings
        for _ in replay(task):
            pass


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_plans_respect_hands_doors_and_boards(builder):
    for task in tasks(builder):
        for before, action, after in replay(task):
            held = [key for key, thing in after.things.items() if thing.location == HANDS]
            assert held == ([after.holding] if after.holding else [])
            if action.kind == "take":
                assert not before.holding, "nothing is picked up with full hands"
                assert before.places[before.at].open, "nothing is taken out of a closed place"
            if action.kind == "put":
                assert before.places[action.place].open, "nothing is put into a closed place"
            if action.kind == "work" and action.result == "cut":
                assert before.things[action.thing].location == "cutting board"
                assert "cut" not in before.things[action.thing].states, "nothing is cut twice"
            if action.kind == "serve":
                thing = before.things[action.thing]
                filled = before.contents(action.thing) or any(state.startswith("with ") for state in thing.states)
                assert filled, "no empty dish is served"


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_plans_neither_repeat_nor_undo_a_walk(builder):
    for task in tasks(builder):
        for first, second in zip(task.actions, task.actions[1:], strict=False):
            assert first != second
            assert not (first.kind == second.kind == "approach"), "a walk leads to something"


def small_world() -> World:
    places = {
        "fridge": Place("fridge", "kitchen", "in", closable=True, open=False),
        "board": Place("board", "kitchen"),
    }
    things = {
        "leek": Thing("leek", "count", "fridge"),
        "cup": Thing("cup", "count", "board"),
        "bowl": Thing("bowl", "count", "board", vessel=True),
    }
    return World(places, things, room="kitchen", at="fridge")


@pytest.mark.parametrize(
    "action",
    [
        Action("take", "leek"),
        Action("take", "cup"),
        Action("put", "leek", "board"),
        Action("approach", place="fridge"),
        Action("close", place="fridge"),
        Action("go", place="kitchen"),
        Action("work", "leek", "board", result="cut"),
        Action("serve", "bowl", "board"),
        Action("add", "leek", "bowl"),
    ],
    ids=lambda action: f"{action.kind} {action.thing}",
)
def test_impossible_actions_are_refused(action):
    with pytest.raises(ImpossibleAction):
        small_world().apply(action)


def test_full_hands_pick_up_nothing_more():
    world = small_world()
    for action in (Action("approach", place="board"), Action("take", "cup")):
        world.apply(action)
    with pytest.raises(ImpossibleAction):
        world.apply(Action("take", "bowl"))


def test_inflection():
    assert [third_person(verb) for verb in ("carry", "wash", "go", "have", "take")] == [
        "carries", "washes", "goes", "has", "takes"]  # fmt: skip
    assert [past_tense(verb) for verb in ("chop", "take", "carry", "open", "place")] == [
        "chopped", "took", "carried", "opened", "placed"]  # fmt: skip
    assert [gerund(phrase) for phrase in ("put it down", "slice it", "lie")] == [
        "putting it down",
        "slicing it",
        "lying",
    ]
    assert (indefinite("onion"), indefinite("milk", "mass")) == ("an onion", "some milk")
    assert (listing(["a"]), listing(["a", "b", "c"])) == ("a", "a, b and c")


# --- tokenizer and training -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    documents = list(generate_documents(0, 150))
    return documents, train_tokenizer(documents, 400)


def check_tokenizer(tokenizer, texts):
    assert tokenizer.is_fast and tokenizer.model_max_length == 512 and tokenizer.eos_token is None
    for text in texts:
        encoded = tokenizer(text, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        assert ids[0] == tokenizer.bos_token_id and tokenizer.bos_token_id not in ids[1:]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert tuple(offsets[0]) == (0, 0)
        if text.isascii():
            assert "".join(text[start:end] for start, end in offsets[1:]) == text
        assert ids[1:] == tokenizer(text, add_special_tokens=False)["input_ids"]


TEXTS = [
    " led by a space",
    "Two  spaces , odd marks ; and\nlines.",
    "Crème brûlée for £5 – délicieux",
    "You take the cup.",
]


def test_tokenizer_round_trip(small):
    documents, tokenizer = small
    check_tokenizer(tokenizer, documents[:20] + TEXTS)


def test_training_reduces_the_loss_and_the_folder_loads(small, tmp_path):
    documents, tokenizer = small
    recipe = replace(
        Recipe(),
        hidden_size=32,
        layers=1,
        heads=2,
        intermediate_size=64,
        context=64,
        batch_size=4,
        steps=30,
        warmup_steps=3,
    )
    torch.manual_seed(0)
    model = build_model(recipe, tokenizer)
    before = perplexity(model, tokenizer, documents[:5])
    pretrain(model, CorpusDataModule(documents, tokenizer, recipe, seed=0), recipe, progress=False)
    after = perplexity(model, tokenizer, documents[:5])
    assert after < 0.6 * before
    save_folder(tmp_path, model, tokenizer, documents[:5])
    loaded, loaded_tokenizer = load_folder(tmp_path)
    assert perplexity(loaded, loaded_tokenizer, documents[:5]) == pytest.approx(after, rel=0.01)


def test_windows_are_fixed_by_the_seed(small):
    documents, tokenizer = small
    recipe = replace(Recipe(), context=32, batch_size=2, steps=5)
    batches = [
        torch.cat([batch[0] for batch in CorpusDataModule(documents, tokenizer, recipe, seed).train_dataloader()])
        for seed in (0, 0, 1)
    ]
    assert batches[0].shape == (10, 32)
    assert torch.equal(batches[0], batches[1]) and not torch.equal(batches[0], batches[2])


def test_a_corpus_shorter_than_one_window_is_refused(small):
    with pytest.raises(ValueError, match="fewer than one window"):
        CorpusDataModule(["Short."], small[1], Recipe(), seed=0)


# --- bundled model --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled():
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    yield model, tokenizer, json.loads((BUNDLED / "evaluation.json").read_text(encoding="utf-8"))
    patch.undo()


@pytest.fixture(scope="module")
def held_out():
    return (BUNDLED / "held_out.txt").read_text(encoding="utf-8").splitlines()


def test_bundled_files_are_small(bundled):
    model, tokenizer, report = bundled
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) <= 8_000_000
    assert (BUNDLED / "model.safetensors").stat().st_size <= 7_000_000
    assert 1_500_000 <= model.num_parameters() <= 3_500_000
    assert model.num_parameters() == report["training"]["parameters"]
    assert model.config.max_position_embeddings == 512 and model.config.tie_word_embeddings


def test_bundled_tokenizer_round_trip(bundled, held_out):
    check_tokenizer(bundled[1], held_out[:20] + TEXTS)


def test_recorded_perplexity_is_reproduced(bundled, held_out):
    model, tokenizer, report = bundled
    assert perplexity(model, tokenizer, held_out) == pytest.approx(report["figures"]["held_out_perplexity"], rel=0.005)


def test_held_out_documents_are_not_trained_on(bundled, held_out):
    corpus = bundled[2]["corpus"]
    documents = list(generate_documents(corpus["seed"], HELD_OUT_DOCUMENTS + corpus["documents"]))
    assert documents[:HELD_OUT_DOCUMENTS] == held_out
    assert set(held_out).isdisjoint(documents[HELD_OUT_DOCUMENTS:])
    assert corpus_digest(documents[HELD_OUT_DOCUMENTS:]) == corpus["sha256"]
    assert corpus_digest(held_out) == corpus["held_out_sha256"]


def test_bundled_model_knows_facts(bundled):
    model, tokenizer, report = bundled
    questions = fact_questions()
    assert len(questions) == report["figures"]["fact_questions"]
    assert accuracy(model, tokenizer, questions[::8])["sum"] >= 0.8


def test_option_scores_are_log_probabilities(bundled):
    model, tokenizer, _ = bundled
    question = Question("You open the", (" fridge", " fridge and take the milk"), 0)
    sums, means = option_scores(model, tokenizer, question)
    assert sums[0] > sums[1] and all(score < 0 for score in sums)
    length = len(tokenizer(question.options[1], add_special_tokens=False)["input_ids"])
    assert means[1] == pytest.approx(sums[1] / length)


def test_probes_are_well_formed():
    probes = next_step_probes()
    assert len(probes) == 40
    assert all(len(set(probe.options)) >= 4 and probe.answer == 0 for probe in probes)
    assert all(option.startswith(" ") for probe in probes for option in probe.options)
