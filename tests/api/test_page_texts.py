"""The table of texts: whole in both languages, and whatever the pages ask for is in it."""

import re
from pathlib import Path
from string import Formatter

import pytest

from api.http.codes import CodeRefusal
from api.http.problems import problem
from api.http.social_security import PAID_REASONS
from api.pages.texts import Language, Words, texts
from card.link_policy import Disclosure, LinkKind, LinkRefusal, Purpose
from clearing.holder.happening import Standing
from clearing.holder.holdings import Why
from clearing.online.parties import POCKETS
from clearing.online.topup_record import TopUpState
from clearing.qr_verdict import QrVerdict
from clearing.sectors.healthcare.claims import State as Claim
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.socialsecurity.schedule import Insurance
from clearing.sectors.utilities.catalogue import Supply
from clearing.sectors.utilities.states import State as BillState
from clearing.verdict import Money, Verdict
from settlement.chips import Reason
from settlement.netting import Role
from settlement.netting import Standing as NetStanding
from settlement.night import STEPS

TEMPLATES = sorted((Path(__file__).parents[2] / "api/pages/templates").glob("*.html"))
NAMED = [
    *(f"word.{one}" for kind in (Verdict, QrVerdict, Money, Role, NetStanding, Reason) for one in kind),
    *(f"why.{one}" for one in Why),
    *(f"standing.{one}" for one in Standing),
    *(f"pocket.{one}" for one in POCKETS),
    *(f"topup_state.{one}" for one in TopUpState),
    *(f"hospital_state.{one}" for one in Claim),
    *(f"bill_state.{one}" for one in BillState),
    *(f"category.{one}" for one in Category),
    *(f"insurance.{one}" for one in Insurance),
    *(f"supply.{one}" for one in Supply),
    *(f"link.{one}" for one in LinkKind),
    *(f"purpose.{one}" for one in Purpose),
    *(f"outcome.{one}" for one in Disclosure),
    *(
        f"outcome.{one}"
        for one in LinkRefusal
        if one in ("not_granted", "revoked", "expired", "holder_locked")
    ),
    *(f"problem.{one}" for one in CodeRefusal),
    *(f"step.{name}" for name, _ in STEPS),
]
UNLIKELY = ("malformed", "amount_not_positive", "leg_not_payable", "merchant_unknown", "reference_taken",
            "reversed_before", "ledger_refuses")  # fmt: skip
"""Reasons that a page's own forms cannot come to: said in the general words, with what the API says."""


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_text_is_there_in_both_languages_with_the_same_values() -> None:
    wrong = [
        key
        for key, (english, chinese) in texts().items()
        if not english.strip() or not chinese.strip() or placeholders(english) != placeholders(chinese)
    ]
    assert wrong == [] and len(texts()) > 300


def test_no_english_was_left_in_the_chinese_column() -> None:
    same = [key for key, (english, chinese) in texts().items() if english == chinese]
    assert set(same) <= {"finance.files_counts"}
    latin = [key for key, (_, chinese) in texts().items() if not re.search(r"[\u4e00-\u9fff]", chinese)]
    assert set(latin) <= {"ui.other_language", "finance.files_counts"}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_a_template_asks_only_for_texts_that_there_are(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    asked = re.findall(r"""\bt\(["']([a-z_]+\.[a-z_]+[^"'_.])["']""", text)
    assert [key for key in asked if key not in texts()] == []
    parts = {key.partition(".")[0] for key in texts()}
    assert set(re.findall(r"""\bt\.word\(["']([a-z_]+)["']""", text)) <= parts


def test_every_word_of_our_own_programs_has_a_name() -> None:
    assert [key for key in NAMED if key not in texts()] == []


def test_what_a_holder_may_be_refused_for_is_said_in_plain_words() -> None:
    silent = [reason for reason in PAID_REASONS if f"problem.{reason}" not in texts()]
    assert set(silent) <= set(UNLIKELY)


def test_a_problem_without_words_of_its_own_is_still_explained() -> None:
    words = Words(Language.ZH)
    assert words.problem(problem("ledger_refuses", "say why")) == "未能完成：say why"
    assert "7" in words.problem(problem("rate_limited", "wait", retry_after_s=7))


def test_a_word_without_a_name_is_shown_as_it_is() -> None:
    assert Words(Language.EN).word("word", "never_heard_of") == "never heard of"
