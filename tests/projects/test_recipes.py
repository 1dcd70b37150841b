"""The recipes: the page is the command's output, and each fits its card and its command line."""

import importlib.util

import pytest

from acnet.config import load_config
from acnet.modeling.recipe import Length


@pytest.fixture(scope="module")
def recipes(repo_root):
    path = repo_root / "projects" / "ACNet" / "recipes.py"
    spec = importlib.util.spec_from_file_location("recipes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_page_is_what_the_command_prints(recipes, repo_root):
    page = (repo_root / "docs" / "recipes.md").read_text(encoding="utf-8")
    _, begin, rest = page.partition("<!-- python projects/ACNet/recipes.py -->\n\n")
    generated, end, _ = rest.partition("\n<!-- end -->")
    assert begin
    assert end
    assert generated == recipes.report(Length())


def test_a_recipe_s_command_line_says_what_was_estimated(recipes):
    for recipe in recipes.RECIPES:
        words = recipe.options.split()
        flags = {"--num-gpus", str(recipe.cards)} & set(words)
        cfg = load_config(recipe.config, [word for word in words if "=" in word])
        assert (len(flags) == 2) == (recipe.cards > 1)
        assert cfg.dataloader.train.total_batch_size == recipe.batch_size
        assert cfg.train.accumulate == recipe.step.parts
        assert cfg.train.amp.enabled == recipe.step.amp
        assert cfg.train.activation_checkpointing == recipe.step.checkpointing


def test_the_tuned_recipe_has_the_usual_rate_of_its_batch(recipes):
    recipe = recipes.RECIPES[-1]
    cfg = load_config(recipe.config, [word for word in recipe.options.split() if "=" in word])
    assert recipe.batch_size == 16
    rates = {row[0]: row[2] for row in recipes.rate_rows((recipe.batch_size,))}
    assert f"{cfg.optimizer.lr:g}" == rates["16"]
    assert f"{load_config('acne04/acnet_r101').optimizer.lr:g}" == recipes.rate_rows((4,))[0][1]
