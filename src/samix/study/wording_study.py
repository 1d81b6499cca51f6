"""The words about a whole study: beyond one mode and one budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

from samix.pages.words import Words, cell_words, listed, mode_words, name_words, range_words
from samix.study.statistics.effects import Effect
from samix.study.statistics.inspection import ClassRecall, Prices
from samix.study.wording import WHAT, points_words


def elsewhere_words(main: str, mode: str, labels: int, gain: Effect, *, advised: bool) -> Words:
    """Say what the policy does in the other mode.

    Args:
        main: Mode of the main question.
        mode: The other one.
        labels: Its budget.
        gain: Of the policy there.
        advised: Whether the policy is recommended for the main one.
    """
    here, there, points = mode_words(main), cell_words(mode, labels), points_words(gain)
    if not advised:
        return Words(
            f"In {there.en} {gain.policy} over {gain.baseline}: {points.en}.",
            f"{there.ja}での {gain.baseline} に対する {gain.policy} の差: {points.ja}。",
        )
    if gain.points > 0:
        proof = "too" if gain.low > 0 else "too, though that is not proven"
        proof_ja = "向上した" if gain.low > 0 else "向上したが、有意ではない"
        return Words(
            f"In {there.en} it gains {proof}: {points.en}.",
            f"{there.ja}でも{proof_ja}: {points.ja}。",
        )
    loss = "loses" if gain.high < 0 else "shows no gain"
    loss_ja = "悪化した" if gain.high < 0 else "向上は見られない"
    return Words(
        f"This is shown for {here.en} only: in {there.en} {gain.policy} {loss}: {points.en}.",
        f"ただしこれは{here.ja}に限ります: {there.ja}では {gain.policy} により{loss_ja}: "
        f"{points.ja}。",
    )


def unanswered_words(mode: str, labels: int) -> Words:
    """Say that the main question has no answer."""
    where = cell_words(mode, labels)
    return Words(
        f"Not proven: the main question, {where.en}, has no answer, since its trainings of plain "
        "or of learned mixing did not finish.",
        f"判定できません: 主要な問い({where.ja})に必要な学習(none または学習型 mixup)が完了して"
        "いません。",
    )


def loss_risk(mode: str, labels: int, gain: Effect) -> Words:
    """Say that plain training is better there."""
    where, points = cell_words(mode, labels), points_words(gain)
    return Words(
        f"In {where.en} {gain.policy} is worse than {gain.baseline}: {points.en}.",
        f"{where.ja}では {gain.policy} は {gain.baseline} より劣ります: {points.ja}。",
    )


def hint_words(mode: str, labels: int, policy: str, questions: int) -> Words:
    """Say that another question came out well."""
    where = cell_words(mode, labels)
    return Words(
        f"In {where.en} alone {policy} would be adopted. That was not the main question, and "
        f"{questions} were asked: a hint for the next study, not a proof.",
        f"{where.ja}だけを見れば {policy} は採用の基準を満たします。ただし主要な問いではなく、"
        f"{questions} 通りを調べた結果の一つなので、次の検証への手がかりであり、証明ではありません"
        "。",
    )


def accuracy_headline(measure: str, effect: Effect) -> Words:
    """Say what the verdict's policy gains."""
    what, points = WHAT[measure], points_words(effect)
    return Words(
        f"{effect.policy} against {effect.baseline}: {points.en} of {what.en}.",
        f"{effect.baseline} に対する {effect.policy} の{what.ja}: {points.ja}。",
    )


def consistency_words(
    policies: int, correlation: float, p: float, names: Sequence[str], same: Sequence[bool | None]
) -> Words:
    """Say whether policies rank alike in both modes, and whether the learned ones keep their sign.

    Args:
        policies: That were compared in both.
        correlation: Spearman's; NaN where it is unknown.
        p: By permutation.
        names: Learned policies.
        same: Whether each of them has the same sign in both; None where that is not clear.
    """
    if math.isnan(correlation):
        head = Words(
            f"{policies} policies are too few to rank in both modes.",
            f"比較できる手法が {policies} 個では、両モードの順位相関を求められません。",
        )
    else:
        alike = "agree" if p < 0.05 and correlation > 0 else "are not shown to agree"
        alike_ja = "一致する" if p < 0.05 and correlation > 0 else "一致するとは言えない"
        head = Words(
            f"The ranks of {policies} policies in supervised and in self-supervised learning "
            f"{alike}: rank correlation {correlation:+.2f}, p = {p:.2f}.",
            f"教師あり学習と自己教師あり学習での {policies} 手法の順位は{alike_ja}: 順位相関 "
            f"{correlation:+.2f}、p = {p:.2f}。",
        )
    for kind, said in _SIGNS.items():
        chosen = [name for name, one in zip(names, same, strict=True) if one is kind]
        if chosen:
            who = listed([name_words(name) for name in chosen])
            head += Words(f" The gain of {who.en} {said.en}", f"{who.ja} の効果の{said.ja}")
    return head


_SIGNS = {
    True: Words("has one sign in both.", "符号は両者で同じです。"),
    False: Words("has opposite signs in both.", "符号は両者で逆です。"),
    None: Words("has no clear sign in at least one of them.", "符号は少なくとも一方で不明確です。"),
}


def rarest_words(recall: ClassRecall, policy: str) -> Words:
    """Name the rarest class that can be judged, with its recall."""
    rate = recall.recall
    inside = range_words(100 * rate.low, 100 * rate.high, ".0f")
    return Words(
        f"The rarest class that can be judged is '{recall.name}' ({rate.parts:,} test parts): "
        f"{policy} finds {rate.share:.0%} of them ({inside.en}).",
        f"判定可能な最少クラスは '{recall.name}'(テスト個体 {rate.parts:,} 個): {policy} の再現率"
        f"は {rate.share:.0%}({inside.ja})。",
    )


def weakest_risk(recall: ClassRecall, policy: str) -> Words:
    """Name the class that is found least often, of those that can be judged."""
    rate = recall.recall
    inside = range_words(100 * rate.low, 100 * rate.high, ".0f")
    return Words(
        f"The weakest class of {policy} is '{recall.name}': it finds {rate.share:.0%} of "
        f"{rate.parts:,} test parts ({inside.en}).",
        f"{policy} が最も苦手とするクラスは '{recall.name}': テスト個体 {rate.parts:,} 個に対する"
        f"再現率は {rate.share:.0%}({inside.ja})。",
    )


def guard_risk(mode: str, policy: str, accepted: float) -> Words:
    """Say that the guard replaced many mixes."""
    where = mode_words(mode)
    return Words(
        f"The guard replaced or repaired {1 - accepted:.0%} of the mixes of {policy} ({where.en}).",
        f"ガードは {policy} の混合画像の {1 - accepted:.0%} を棄却または修正しました({where.ja})。",
    )


def unfinished_risk(longer: Effect) -> Words:
    """Say that plain training had not converged."""
    points = points_words(longer)
    return Words(
        f"Plain training gains from longer training alone ({points.en}): the trainings had not "
        "converged, and the verdict is about trainings as short as these.",
        f"通常学習は長く学習するだけで向上します({points.ja})。学習は収束しておらず、判定はこの短い"
        "学習についてのものです。",
    )


def guessing_risk(score: float, guess: float) -> Words:
    """Say that plain training is not shown to know more than a guess."""
    return Words(
        f"Plain training is not shown to be better than guessing ({100 * score:.1f} % against "
        f"{100 * guess:.1f} %): no policy has learned enough to be compared. Train longer, on "
        "larger photos, or from trained weights (--pretrained).",
        f"通常学習が当て推量より良いとは言えません({100 * score:.1f} % 対 {100 * guess:.1f} %)。"
        "どの方式も比較できるほど学習していません。学習を長くするか、画像を大きくするか、学習済みの重み"
        "(--pretrained)から始めてください。",
    )


def failed_note(failed: int, missing: int, planned: int) -> Words:
    """Say how many cells are left out."""
    return Words(
        f"Of {planned:,} planned trainings {failed:,} failed and {missing:,} are missing; they are "
        "left out, and policies are compared at the seeds that both have.",
        f"計画した {planned:,} 回の学習のうち {failed:,} 回が失敗、{missing:,} 回が未完了です。"
        "これらは除外し、双方に共通するシードだけで比較しました。",
    )


def primary_note(mode: str, labels: int, others: int) -> Words:
    """Say which question decides."""
    where = cell_words(mode, labels)
    return Words(
        f"The main question was set beforehand: {where.en}. {_others(others)} corroborate or "
        "restrict it, and cannot turn it into a recommendation.",
        f"主要な問いは事前に定めた{where.ja}です。他の {others} 通りの結果は補強または制限に"
        "用い、それだけで採用の推奨にはなりません。",
    )


def _others(count: int) -> str:
    return "The other one can" if count == 1 else f"The {count} others can"


def intervals_note(parts: int) -> Words:
    """Say what the intervals are of."""
    return Words(
        f"All intervals are 95 % over new seeds and new parts; {parts:,} independent test parts "
        "count, not their photos. p-values are corrected over the policies, intervals are not.",
        f"信頼区間はすべて、新しいシードと新しい個体に対する 95 % 区間です。写真の枚数ではなく、"
        f"独立したテスト個体 {parts:,} 個を数えています。p 値は手法間の多重比較を補正済みですが、"
        "信頼区間は補正していません。",
    )


def balanced_note(largest: str, smallest: str) -> Words:
    """Say why balanced accuracy is compared."""
    return Words(
        f"Balanced accuracy is compared, since '{largest}' has many more test parts than "
        f"'{smallest}'.",
        f"クラス '{largest}' のテスト個体が '{smallest}' よりはるかに多いため、クラス平均精度で"
        "比較しました。",
    )


def detection_note(side: Sequence[str]) -> Words:
    """Say why and what detection accuracy is compared."""
    told = listed([name_words(f"'{name}'") for name in side])
    return Words(
        f"Detection accuracy is compared: the mean of the shares of {told.en} and of all other "
        "classes together that are told from each other; half of it is a guess. Fewer than two "
        "classes have the ten test parts that it takes to judge a class alone.",
        f"比較には検出精度を用いました。{told.ja}と、それ以外の全クラスをまとめたものとを判別できた"
        "割合の平均で、50 % が当て推量に当たります。単独で判定できる(テスト個体 10 個以上の)"
        "クラスが 2 つに満たないためです。",
    )


def unjudged_note(mode: str, labels: int, why: str) -> Words:
    """Say that a mode and budget could not be judged; ``why`` is "baseline" or "learned"."""
    where = cell_words(mode, labels)
    lacking = {
        "baseline": Words("plain training", "none の学習"),
        "learned": Words("a learned policy", "学習型手法の学習"),
    }[why]
    return Words(
        f"No verdict for {where.en}: there is no finished cell of {lacking.en}.",
        f"{where.ja}は判定できません: {lacking.ja}が 1 つも完了していません。",
    )


def no_threshold_note(mode: str, labels: int, kind: str) -> Words:
    """Say why there are no escape and overkill rates; ``kind`` is "good" or "defective"."""
    where = cell_words(mode, labels)
    return Words(
        f"No escape and overkill rates for {where.en}: validation or test has no {kind} part.",
        f"{where.ja}の見逃し率と過検出率は求められません: 検証用またはテスト用データに"
        f"{'良品' if kind == 'good' else '不良品'}がありません。",
    )


def no_curve_note() -> Words:
    """Say why there is no label efficiency."""
    return Words(
        "Label efficiency needs plain training at two label budgets or more.",
        "ラベル効率を求めるには、2 通り以上のラベル数での none の学習が必要です。",
    )


def left_out_note(shares: Sequence[float]) -> Words:
    """Say which label budgets are too small."""
    told = _percents(shares)
    return Words(
        f"Not trained with {told.en} of the labels: the smallest class has too few there.",
        f"ラベルの {told.ja}では学習していません。最も少ないクラスのラベルが足りないためです。",
    )


def not_planned_note(shares: Sequence[float]) -> Words:
    """Say for which label budgets there was no time."""
    told = _percents(shares)
    return Words(
        f"Not trained with {told.en} of the labels: the time did not suffice (--budget).",
        f"ラベルの {told.ja}では学習していません。時間(--budget)が足りなかったためです。",
    )


def _percents(shares: Sequence[float]) -> Words:
    return listed([name_words(f"{100 * share:g} %") for share in shares])


def prices_note() -> Words:
    """Say which prices were taken."""
    usual = Prices()
    return Words(
        f"No prices were given: an escaped defect is taken to cost {usual.escape:g}, a rejected "
        f"good part {usual.overkill:g}.",
        f"コストの指定がないため、見逃し 1 件を {usual.escape:g}、過検出 1 件を "
        f"{usual.overkill:g} として計算しました。",
    )
