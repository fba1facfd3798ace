"""The run report: read, averaged, drawn and laid out; on hand-written run folders, and once on a real run."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image

from lightning_twosome.errors import UserError
from lightning_twosome.report.command import report
from lightning_twosome.report.estimates import Curve, Estimate, curve, number, over_runs, thinned
from lightning_twosome.report.groups import group_runs
from lightning_twosome.report.runs import Run, load_run, load_runs
from tests.cli_runs import quick_config, run, save_tiny
from tests.report_runs import NASTY, write_run

SECTIONS = [
    "Results", "Learning curves", "Entropy and KL divergence", "Normalisation and action length", "Forgetting",
    "Generalisation", "Episodes", "Time", "Cost", "Configuration",
]  # fmt: skip
VOID = {"meta", "link", "img", "path", "circle", "use", "br"}


class Page(HTMLParser):
    """What a page consists of: ids, links, texts of elements, and whether its tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("href", "src", "srcset", "action") if name in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def text(self, tag: str) -> list[str]:
        return [data for place, data in self.texts if place == tag and data.strip()]

    def all_text(self) -> str:
        return " ".join(" ".join(data.split()) for place, data in self.texts if place != "style")


def check_page(path: Path) -> Page:
    """What holds for every report: one file, nothing to fetch or run, ids unique, every section and name there."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags and "@import" not in text and "xmlns" not in text
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address[:60]
        assert not address.startswith("#") or address[1:] in page.ids
    for target in re.findall(r"url\((.*?)\)", text):
        assert target.startswith("#") and target[1:] in page.ids
    assert [re.sub(r"^\d+\. ", "", heading) for heading in page.text("h2")] == SECTIONS
    assert all(found.get("alt") for tag, found in page.attributes if tag == "img")
    assert all(found.get("aria-label") for tag, found in page.attributes if tag == "svg" and "id" in found)
    assert "nan" not in page.all_text().lower()
    return page


def page_of(tmp_path: Path, *runs: Path) -> Page:
    (path,) = report([str(folder) for folder in runs], output=str(tmp_path / "page.html"))
    return check_page(path)


# The page


def test_page_of_one_run(tmp_path):
    text = page_of(tmp_path, write_run(tmp_path / "run")).all_text()
    assert re.search(r"the optimum is 0\.950 \(regret 0\.\d{3}\)", text)
    assert "bootstrap" in text and "Student" not in text
    for caption in ("Table 1.", "Figure 1.", "home_choice", "word_perplexity", "After 96 environment steps"):
        assert caption in text
    assert not re.search(r"is written by|are written by", text), "nothing is missing"
    assert re.search(r"after, greedy 1 – 0\.\d{3} – –", text), "one greedy episode has no interval"
    assert "early, since its KL divergence passed target_kl , in 1 of 12 iterations" in text


def test_costs_and_curves_over_them(tmp_path):
    runs = [write_run(tmp_path / f"seed-{seed}", seed) for seed in range(2)]
    (path,) = report([str(folder) for folder in runs], output=str(tmp_path / "page.html"), x="ledger/flops")
    page = check_page(path)
    assert "made 8.00 GFLOP" in page.all_text() and "200 GFLOP, of which 96.0% were saved" in page.all_text()
    assert re.search(r"total 192 100 k 40.0 k 8.00 G 75% 96.0% 100.0 80.0 M 1.00", page.all_text())
    figures = {found["id"]: found["aria-label"] for tag, found in page.attributes if tag == "svg" and "id" in found}
    assert figures["learning-curve-1"].startswith("discounted return against FLOPs.")
    places = curve([load_run(folder) for folder in runs], "val/return", "return", "ledger/flops").steps
    assert places == [0, 32e6, 64e6, 96e6]


def test_page_of_several_seeds_averages_them(tmp_path):
    runs = [write_run(tmp_path / f"seed-{seed}", seed) for seed in range(3)]
    page = page_of(tmp_path, *runs)
    text = page.all_text()
    expected = over_runs([load_run(folder).result("before_and_after", "after", "return") for folder in runs])
    assert f"to {expected.text()} in 96 environment steps, over 3 seeds" in text
    assert "mean of 3" in text and "95 % Student's t interval of the mean over seeds" in text
    assert "Settings in which the runs differ" not in text


def test_page_of_two_settings_lays_them_over_each_other(tmp_path):
    runs = [write_run(tmp_path / f"{name}-{seed}", seed, name) for name in ("word", "sum") for seed in range(2)]
    page = page_of(tmp_path, *runs)
    text = page.all_text()
    assert "normalization word, evaluation" in text and "normalization sum, evaluation" in text
    assert "Settings in which the runs differ" in text and "2 seeds of each setting" in text
    figures = [found for tag, found in page.attributes if tag == "svg" and "id" in found]
    curves = next(found["aria-label"] for found in figures if found["id"] == "learning-curve-1")
    assert curves.startswith("discounted return against environment steps. normalization word, evaluation: from")


def test_page_of_a_run_with_metrics_alone_says_what_makes_the_rest(tmp_path):
    nothing = dict.fromkeys(
        ("config", "results", "lengths", "forgetting", "tests", "episodes", "costs", "evaluations"), False
    )  # fmt: skip
    text = page_of(tmp_path, write_run(tmp_path / "run", **nothing)).all_text()
    for source in ("BeforeAndAfter", "ActionLengths", "ForgettingCheck", "lightning-twosome test", "EpisodeRecorder",
                   "lightning-twosome fit", "check_val_every_n_epoch", "CostTable"):  # fmt: skip
        assert source in text


def test_page_of_a_run_that_is_under_way(tmp_path):
    folder = write_run(tmp_path / "run", results=False, evaluations=False)
    metrics = (folder / "metrics.csv").read_text().splitlines()
    (folder / "metrics.csv").write_text("\n".join(metrics[:2]) + "\n")
    assert "return" in page_of(tmp_path, folder).all_text()


def test_page_of_a_mixture_has_a_curve_for_each_task(tmp_path):
    folder = write_run(tmp_path / "run")
    metrics = (folder / "metrics.csv").read_text().replace("val/success", "val/twosome/Tea-v0/return")
    (folder / "metrics.csv").write_text(metrics)
    page = page_of(tmp_path, folder)
    drawings = [found["aria-label"] for tag, found in page.attributes if tag == "svg" and "id" in found]
    assert [text for text in drawings if text.startswith("discounted return, twosome/Tea-v0 against environment steps")]


def test_films_of_other_formats_play_too(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "episodes/step_000000096/greedy_1.mp4").write_bytes(b"film")
    page = page_of(tmp_path, folder)
    videos = [found for tag, found in page.attributes if tag == "video"]
    assert [video["src"] for video in videos] == ["data:video/mp4;base64,ZmlsbQ=="]
    assert videos[0]["aria-label"] == "After 96 environment steps, most probable actions"


def test_what_a_run_says_cannot_break_out_of_the_page(tmp_path):
    path = tmp_path / "page.html"
    report([str(write_run(tmp_path / "run"))], output=str(path), title=NASTY)
    page = check_page(path)
    assert page.text("h1") == [NASTY] and page.text("title") == [NASTY]
    assert any(NASTY in text for text in page.text("pre"))


def test_colours_come_from_the_page_in_both_schemes(tmp_path):
    write_run(tmp_path / "run")
    (path,) = report([str(tmp_path / "run")])
    assert path == tmp_path / "run/report.html"
    text = path.read_text()
    drawings = "".join(re.findall(r'<svg viewBox[^>]*role="img".*?</svg>', text, re.DOTALL))
    assert "#0" not in re.sub(r"url\(#[^)]*\)|href=\"#[^\"]*\"", "", drawings), "no colour but by variable"
    used = set(re.findall(r"var\((--[\w-]+)\)", drawings))
    light, dark = re.findall(r":root \{.*?\}", text, re.DOTALL)[:2]
    assert used and all(f"{name}:" in light and f"{name}:" in dark for name in used)


# The figures


def test_figures_alone_for_a_paper(tmp_path):
    runs = [str(write_run(tmp_path / f"seed-{seed}", seed)) for seed in range(2)]
    written = report(runs, format="png")
    names = ["learning-curve", "exploration", "action-lengths", "normalizations", "forgetting", "speed"]
    assert written == [written[0].parent / f"{name}.png" for name in names]
    assert written[0].parent.resolve() == tmp_path / "figures", "the folder that both runs lie in"
    with Image.open(written[0]) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.width == 2 * 3.5 * 300
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert len(image.convert("RGB").getcolors(maxcolors=2**24)) > 50, "drawn"


# Numbers


def test_interval_over_runs_is_students():
    estimate = over_runs([1.0, 2.0, 3.0])  # t of two degrees of freedom: 4.303
    assert (estimate.mean, estimate.high) == (2.0, pytest.approx(2 + 4.302653 / 3**0.5))
    assert estimate.mean - estimate.low == pytest.approx(estimate.high - estimate.mean)
    assert over_runs([1.5]) == Estimate(1.5)


def test_curve_over_runs_is_their_mean_where_all_have_it(tmp_path):
    runs = load_runs([write_run(tmp_path / str(seed), seed) for seed in range(2)])
    del runs[1].columns["val/return"][64.0]
    drawn = curve(runs, "val/return", "return")
    assert drawn.steps == [0.0, 32.0, 96.0]
    assert drawn.y[0] == sum(each.result("before_and_after", "before", "return") for each in runs) / 2
    assert drawn.y[2] == sum(each.columns["val/return"][96.0] for each in runs) / 2
    assert all(estimate.low < estimate.mean < estimate.high for estimate in drawn.estimates)


def test_curve_of_one_run_keeps_the_intervals_over_its_episodes(tmp_path):
    runs = load_runs([write_run(tmp_path / "run")])
    drawn = curve(runs, "val/return")
    low, high = drawn.ends(ceiling=0.5)
    assert low == list(runs[0].columns["val/return_low"].values())
    assert high == [min(0.5, end) for end in runs[0].columns["val/return_high"].values()]


def test_long_curve_is_thinned_to_means():
    drawn = thinned(Curve([float(i) for i in range(1000)], [Estimate(float(i % 2)) for i in range(1000)]))
    assert len(drawn.steps) == 250 and set(drawn.y) == {0.5} and drawn.steps[:2] == [3.0, 7.0]


@pytest.mark.parametrize(
    ("value", "decimals", "percent", "text"),
    [
        (-0.1234, 3, False, "−0.123"),
        (-0.0001, 3, False, "0.000"),
        (12345.6, 0, False, "12\N{NARROW NO-BREAK SPACE}346"),
        (0.5, 2, True, "50 %"),
    ],
)
def test_numbers_for_people(value, decimals, percent, text):
    assert number(value, decimals, percent) == text


# Runs and groups


def test_runs_that_differ_in_seed_folder_and_display_are_one_group(tmp_path):
    groups = group_runs(load_runs([write_run(tmp_path / str(seed), seed) for seed in range(3)]))
    assert [len(group.runs) for group in groups] == [3]
    assert groups[0].label == "" and groups[0].settings["trainer.total_env_steps"] == 96


def test_groups_are_named_by_what_differs(tmp_path):
    folders = [write_run(tmp_path / name, normalization=name) for name in ("word", "sum")]
    assert [group.label for group in group_runs(load_runs(folders))] == ["normalization word", "normalization sum"]
    for folder in folders:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["model"]["init_args"]["notes"] = f"{folder.name} " * 20
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert [group.label for group in group_runs(load_runs(folders))] == ["variant A", "variant B"]


def test_another_wording_is_the_same_task(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("a", "b")]
    config = (folders[1] / "config.yaml").read_text()
    (folders[1] / "config.yaml").write_text(config.replace("prompt_style", "restate"))
    assert len(group_runs(load_runs(folders))) == 2
    (folders[1] / "config.yaml").write_text(config.replace("prompt_style", "length"))
    with pytest.raises(UserError, match="cannot be compared"):
        load_runs(folders)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("twosome/TomatoSalad-v0", "twosome/TomatoSalad-v0"),
        ({"class_path": "toys.Corridor", "init_args": {"length": 3}}, 'toys.Corridor {"length": 3}'),
        ([{"env": "a-v0", "weight": 2}, {"env": "b-v0", "env_kwargs": {"size": 1}}], 'a-v0 + b-v0 {"size": 1}'),
        (None, ""),
    ],
)
def test_task_is_named_by_its_environments(env, name):
    config = {"data": {"init_args": {"env": env}}}
    assert Run(Path(), config, {}).task == name


# Mistakes


def mistakes(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    empty, started = tmp_path / "empty", tmp_path / "started"
    empty.mkdir()
    started.mkdir()
    (started / "metrics.csv").write_text("")
    run_dir, other = write_run(tmp_path / "seeds/run"), write_run(tmp_path / "other", env="toy/Buttons-v0")
    (broken := write_run(tmp_path / "broken") / "forgetting.json").write_text("{")
    return {
        "missing": ([tmp_path / "none"], f"There is no run '{tmp_path / 'none'}'"),
        "file": ([run_dir / "metrics.csv"], "is a file, no run's folder"),
        "empty": ([empty], "holds no metrics.csv: no iteration of the run has ended"),
        "started": ([started], "has no metrics yet"),
        "folder of runs": ([run_dir.parent], f"name those, as in {run_dir}"),
        "tasks": ([run_dir, other], "is a run of toy/Corridor-v0 and"),
        "broken": ([broken.parent], "is no JSON"),
        "output": ([run_dir, "--output", tmp_path], "is a folder; with format='html' name a file"),
        "figures": ([run_dir, "--format", "png", "--output", run_dir / "config.yaml"], "name a folder"),
        "format": ([run_dir, "--format", "pdf"], "format"),
        "axis": ([run_dir, "--x", "loss/total"], "x is 'loss/total'; it must be one of env_steps,"),
        "not logged": ([run_dir, "--x", "ledger/seconds"], "has not logged ledger/seconds: draw its curves against"),
    }


@pytest.mark.parametrize(
    "name",
    ["missing", "file", "empty", "started", "folder of runs", "tasks", "broken", "output", "figures", "format", "axis",
     "not logged"],
)  # fmt: skip
def test_mistakes_are_told_in_one_sentence(name, tmp_path, capsys):
    arguments, sentence = mistakes(tmp_path)[name]
    assert run("report", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and sentence in error


# From training to page


def test_report_of_a_real_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lightning_twosome.callbacks.before_and_after.held_out_texts", lambda n: ["the lamp is on"] * n)
    config = quick_config(tmp_path, save_tiny(tmp_path / "model"))
    settings = yaml.safe_load(config.read_text())
    listed = {"BeforeAndAfter": {"episodes": 4, "texts": 1}, "ActionLengths": {"decisions": 16}, "EpisodeRecorder": {},
              "ForgettingCheck": {"limit": 2, "every_n_epochs": 0}}  # fmt: skip
    settings["trainer"]["callbacks"] = [
        {"class_path": f"lightning_twosome.callbacks.{name}", "init_args": init} for name, init in listed.items()
    ]
    config.write_text(yaml.safe_dump(settings))
    assert run("fit", "--config", config) == 0
    assert run("test", "--config", config, "--ckpt_path", "last") == 0
    assert run("report", tmp_path / "run") == 0
    assert f"Wrote {tmp_path / 'run/report.html'}" in capsys.readouterr().out
    text = check_page(tmp_path / "run/report.html").all_text()
    assert not re.search(r"(is|are) written by", text), "every callback and command has left what the page reads"
    assert load_run(tmp_path / "run").total("time/evaluation_seconds") > 0


def test_a_report_needs_no_torch(tmp_path):
    write_run(tmp_path / "run")
    code = f"""
import sys
from lightning_twosome.report.command import report
report([{str(tmp_path / "run")!r}])
print(sorted({{"torch", "transformers", "lightning"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
