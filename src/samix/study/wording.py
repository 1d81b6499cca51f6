"""The words of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from samix.pages.words import (
    NOTHING,
    Words,
    amount_words,
    chained,
    listed,
    name_words,
    paragraph,
    range_words,
    seeds_words,
)
from samix.study.statistics.candidates import Candidate, Case
from samix.study.statistics.effects import Effect
from samix.study.statistics.power import Needed

_FEW = 3  # classes that are named one by one
WHAT = {
    "accuracy": Words("accuracy", "精度"),
    "balanced_accuracy": Words("balanced accuracy", "クラス平均精度"),
    "detection": Words("detection accuracy", "検出精度"),
}


def gain_words(measure: str, effect: Effect) -> Words:
    """Say what a policy gains over the baseline, and on how many seeds and parts."""
    gained, balanced = effect.avoided[0], measure != "accuracy"
    fewer, what = gained >= 0, WHAT[measure]
    inside, seeds = range_words(effect.low, effect.high), seeds_words(effect.seeds)
    same = " with as many of each class" if balanced else ""
    same_ja = "(各クラス同数として)" if balanced else ""
    return Words(
        f"{effect.policy} {effect.points:+.1f} points of {what.en} ({inside.en}) over "
        f"{effect.baseline}, {abs(gained):.0f} errors {'fewer' if fewer else 'more'} per 1,000 "
        f"parts{same} ({seeds.en}, {effect.parts:,} test parts)",
        f"{effect.policy} の{what.ja}は {effect.baseline} に対して {effect.points:+.1f} ポイント"
        f"({inside.ja})、1,000 個あたりの誤判定は {abs(gained):.0f} 件{'減' if fewer else '増'}"
        f"{same_ja}({seeds.ja}、独立したテスト個体 {effect.parts:,} 個)",
    )


def points_words(effect: Effect) -> Words:
    """Write a difference with its interval."""
    inside = range_words(effect.low, effect.high)
    return Words(
        f"{effect.points:+.1f} points ({inside.en})", f"{effect.points:+.1f} ポイント({inside.ja})"
    )


def dead_words(full: str) -> Words:
    """Say that the Mixer was alive in no training."""
    return Words(
        f"The Mixer of {full} was alive at the end of no training, so SAMix itself was not tested.",
        f"{full} の Mixer はどの学習でも終了時に機能していなかった(有効なマスクを生成しなかった)"
        "ため、SAMix そのものは評価できていません。",
    )


def against_words(case: Case, one: Candidate) -> Words:
    """Say why a candidate is hopeless."""
    base = case.roles.baseline
    if one.gain.worse:
        return Words(
            f"{base} is better than {one.policy}", f"{base} の方が {one.policy} より優れている"
        )
    if one.harmed:
        lost = lost_words(one.harmed)
        return Words(
            f"{one.policy} lowers the recall of {lost.en}", f"{one.policy} は {lost.ja}下げる"
        )
    worth = amount_words(case.limits.worth)
    return Words(
        f"{one.policy} gains less than {worth.en}, if anything",
        f"{one.policy} の効果は、あっても {worth.ja}未満である",
    )


def lost_words(harms: Sequence[Effect]) -> Words:
    """Name classes and how far their recall falls; of many the range, and the worst."""
    if len(harms) <= _FEW:
        return listed(
            [
                Words(
                    f"{class_name(harm)} by {-harm.points:.1f} points",
                    f"{class_name(harm)} の再現率を {-harm.points:.1f} ポイント",
                )
                for harm in harms
            ]
        )
    worst, *_, mildest = sorted(harms, key=lambda harm: harm.points)
    least, most, name = -mildest.points, -worst.points, class_name(worst)
    return Words(
        f"{len(harms)} classes by {least:.1f} to {most:.1f} points, most of all {name}",
        f"{len(harms)} クラスの再現率を {least:.1f}〜{most:.1f} ポイント(最大は {name})",
    )


def class_name(effect: Effect) -> str:
    """Name the class of a recall."""
    return f"'{effect.measure.removeprefix('recall:')}'"


def adopt_words(
    case: Case, one: Candidate, closest: Effect | None, why: Words, *, light: bool
) -> Words:
    """Recommend a learned policy."""
    gain = gain_words(case.measure, one.gain)
    better = NOTHING
    if closest is not None:
        points = points_words(closest)
        better = Words(
            f", and better than {closest.baseline}, the best free rival within its wall time: "
            f"{points.en}",
            f"。同じ学習時間以内で最良の単純な手法 {closest.baseline} よりも優れている: "
            f"{points.ja}",
        )
    reason = Words(f"; {why.en}.", f"。{why.ja}。") if why else Words(".", "。")
    head = Words(
        f"Adopt {one.policy}: ",
        f"{'軽量版 ' if light else ''}{one.policy} の採用を推奨します: ",
    )
    return head + gain + better + reason


def unproven_full_words(full: str) -> Words:
    """Say why the light version is taken alone."""
    return Words(f"{full} is not proven itself", f"{full} 自体の効果は確認されていない")


def not_worse_words(case: Case, behind: Effect) -> Words:
    """Say that the light version is not worse."""
    margin, points = amount_words(case.limits.margin), points_words(behind)
    return Words(
        f"it is worse than {behind.baseline} by less than {margin.en}: {points.en}",
        f"{behind.baseline} に対する劣りは {margin.ja}未満: {points.ja}",
    )


def also_words(case: Case, names: Sequence[str]) -> Words:
    """Say that a light version is proven too."""
    which, margin = listed([name_words(n) for n in names]), amount_words(case.limits.margin)
    return Words(
        f"{which.en}, which costs less, is proven too, but not to be worse by less than "
        f"{margin.en}",
        f"より低コストの {which.ja} も効果は確認されたが、劣りが {margin.ja}未満とは言えない",
    )


def simple_words(case: Case, rival: Effect, ahead: Sequence[Effect], out: Sequence[Words]) -> Words:
    """Recommend a free rival."""
    gain = gain_words(case.measure, rival)
    head = Words(
        f"Use {rival.policy}, which is free: {gain.en}.",
        f"追加コストのない単純な手法 {rival.policy} の使用を推奨します: {gain.ja}。",
    )
    if not case.candidates:
        return paragraph([head, dead_words(case.roles.full)])
    shown = []
    for e in ahead:
        points = points_words(e)
        shown.append(
            Words(
                f"{e.policy} is not ahead of it: {points.en}",
                f"{e.policy} はこれを上回らない: {points.ja}",
            )
        )
    rest = chained([*shown, *out])
    return paragraph([head, Words(f"{rest.en}.", f"{rest.ja}。")])


def not_alive_words(case: Case) -> Words:
    """Say that nothing is known."""
    more = Words("Nothing is known about what it gives here.", "ここでの効果は不明です。")
    return paragraph([dead_words(case.roles.full), more])


def do_not_words(case: Case) -> Words:
    """Advise against."""
    reasons = chained([against_words(case, one) for one in case.candidates])
    shown = chained([gain_words(case.measure, one.gain) for one in case.candidates])
    return Words(
        f"Do not adopt: {reasons.en}. Measured: {shown.en}.",
        f"採用は推奨しません: {reasons.ja}。測定結果: {shown.ja}。",
    )


def not_proven_words(case: Case, one: Candidate, weakest: Effect) -> Words:
    """Say that the gain, or the lead over a rival, is not shown."""
    found = gain_words(case.measure, one.gain)
    head = Words(f"Not proven: {found.en}", f"有意な効果は確認できていません: {found.ja}")
    if weakest is one.gain:
        return head + Words(".", "。")
    margin, points = amount_words(case.limits.margin), points_words(weakest)
    return head + Words(
        f", but not shown to be ahead of {weakest.baseline} by {margin.en}: {points.en}.",
        f"。ただし {weakest.baseline} を {margin.ja}上回るとは言えない: {points.ja}。",
    )


def too_short_words(case: Case, policy: str) -> Words:
    """Say that no rival had as much time."""
    seconds = case.costs[policy].seconds
    return Words(
        f"No rival had as much wall time as {policy} ({seconds:,.0f} s a cell): train plainly for "
        "as long.",
        f"{policy} と同じ学習時間(1 回 {seconds:,.0f} 秒)を与えた比較対象がありません。none を"
        "同じ時間だけ学習してください。",
    )


def needed_words(aim: float, more: Needed) -> Words:
    """Say what would tell."""
    points = amount_words(round(aim, 1))
    return Words(
        f"For a difference of {points.en}: {more.sentence.en}.",
        f"{points.ja}の差については、{more.sentence.ja}。",
    )


def ruled_out_words(reasons: Sequence[Words]) -> Words:
    """Say which candidates are out."""
    shown = chained(reasons)
    return Words(f"Ruled out: {shown.en}.", f"除外: {shown.ja}。")


def until_then_words(case: Case, rival: Effect) -> Words:
    """Name the free rival that helps meanwhile."""
    gain = gain_words(case.measure, rival)
    return Words(
        f"Until then use {rival.policy}, which is free: {gain.en}.",
        f"それまでは追加コストのない {rival.policy} を使用してください: {gain.ja}。",
    )


def alive_risk(policy: str, alive: float) -> Words:
    """Say in how many seeds the Mixer was alive at the end."""
    if alive == 0:
        return Words(
            f"The Mixer of {policy} was alive at the end in no seed.",
            f"{policy} の Mixer は、どのシードでも学習終了時に機能していませんでした。",
        )
    return Words(
        f"The Mixer of {policy} was alive at the end in {alive:.0%} of the seeds only.",
        f"学習終了時に {policy} の Mixer が機能していたのは、シードの {alive:.0%} のみです。",
    )


def harm_risk(policy: str, harms: Sequence[Effect]) -> Words:
    """Say which recalls are lowered."""
    lost = lost_words(harms)
    return Words(f"{policy} lowers the recall of {lost.en}.", f"{policy} は {lost.ja}下げます。")


def guessing_words(policy: str, score: float, guess: float) -> Words:
    """Say that what would be recommended is not shown to be better than guessing."""
    return Words(
        f"Not proven: {policy} is ahead, but is not shown to be better than guessing "
        f"({100 * score:.1f} % against {100 * guess:.1f} %).",
        f"有意な効果は確認できていません: {policy} が最も良い結果ですが、"
        f"当て推量より良いとは言えません({100 * score:.1f} % 対 {100 * guess:.1f} %)。",
    )
