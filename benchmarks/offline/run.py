"""ROUGE of the offline engine beside sumy's algorithms, BM25 and lead-k, at equal word budgets, on QMSum.

    pip install sumy rouge-score
    python benchmarks/offline/run.py QMSUM/val.jsonl [--meetings 35]

Two tasks: ``focused`` (each specific query; the product runs ``summarize --focus QUERY``) and ``generic`` (each general
query's answer as the summary of the whole meeting; the product runs ``summarize``). Every system's text is cut to the
same number of words. sumy's algorithms know no query: in ``focused`` they are given the whole meeting, and once more
(``+q``) only the 40 sentences that BM25 finds for the query. All systems get the same sentences.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import mean

from rouge_score.rouge_scorer import RougeScorer
from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
from sumy.nlp.stemmers import Stemmer
from sumy.summarizers.edmundson import EdmundsonSummarizer
from sumy.summarizers.kl import KLSummarizer
from sumy.summarizers.lex_rank import LexRankSummarizer
from sumy.summarizers.lsa import LsaSummarizer
from sumy.summarizers.luhn import LuhnSummarizer
from sumy.summarizers.sum_basic import SumBasicSummarizer
from sumy.summarizers.text_rank import TextRankSummarizer

import coa
from coa.documents import load
from coa.retrieval.terms import _STOP
from coa.sentences import sentence_spans
from coa.serving.offline.rank import Candidate, relevance

WORDS = {"focused": 70, "generic": 120}
METRICS = ("rouge1", "rouge2", "rougeL")
SUMY = {
    "LexRank": LexRankSummarizer,
    "TextRank": TextRankSummarizer,
    "LSA": LsaSummarizer,
    "Luhn": LuhnSummarizer,
    "SumBasic": SumBasicSummarizer,
    "KL": KLSummarizer,
    "Edmundson": EdmundsonSummarizer,
}
SLOW = frozenset({"KL"})
"""Takes minutes for the thousand sentences of a meeting: it is run on the 40 sentences of BM25 only."""
MARKER = re.compile(r"\s*\[\d+\]")


class Words:
    """What sumy asks of a tokenizer, without a download."""

    def to_words(self, text: str) -> tuple[str, ...]:
        return tuple(re.findall(r"[^\W\d_]+", text))


def sumy_text(name: str, sentences: list[str], words: int) -> str:
    tokenizer = Words()
    document = ObjectDocumentModel([Paragraph([Sentence(sentence, tokenizer) for sentence in sentences])])
    summarizer = SUMY[name](Stemmer("english"))
    if name == "Edmundson":
        summarizer.null_words, summarizer.bonus_words, summarizer.stigma_words = _STOP, ("-",), ("-",)
        summarizer = _without_cues(summarizer)
    else:
        summarizer.stop_words = _STOP
    return " ".join(str(sentence) for sentence in summarizer(document, max(1, words // 4)))


def _without_cues(summarizer):
    return lambda document, count: summarizer.location_method(document, count)


def cut(text: str, words: int) -> str:
    return " ".join(text.split()[:words])


def by_query(sentences: list[str], query: str, most: int) -> list[int]:
    scores = relevance([Candidate(text=sentence, start=0, end=0) for sentence in sentences], query)
    return sorted(range(len(sentences)), key=lambda index: -scores[index])[:most]


def candidates_of(sentences: list[str], query: str | None, words: int, generic: dict[str, str]) -> dict[str, str]:
    texts = dict(generic)
    texts["lead"] = " ".join(sentences)
    if query is not None:
        best = by_query(sentences, query, 40)
        texts["BM25"] = " ".join(sentences[index] for index in best)
        near = [sentences[index] for index in sorted(best)]
        texts |= {f"{name}+q": sumy_text(name, near, words) for name in SUMY}
    return texts


async def ours(meeting: Path, query: str | None, words: int) -> str:
    answer = await coa.aio.summarize(meeting, words=words, focus=query, model="offline", journal=False)
    return MARKER.sub("", answer.text)


def meetings_of(path: Path, most: int):
    for number, line in enumerate(path.read_text().splitlines()[:most]):
        raw = json.loads(line)
        text = "\n".join(f"{turn['speaker']}: {turn['content']}" for turn in raw["meeting_transcripts"])
        yield number, text, raw["specific_query_list"], raw["general_query_list"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--meetings", type=int, default=35)
    parser.add_argument("--task", choices=WORDS, action="append")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    args = parser.parse_args()
    scorer = RougeScorer(METRICS, use_stemmer=True)
    scores: dict[str, dict[str, list[tuple[float, ...]]]] = {task: defaultdict(list) for task in WORDS}
    for number, text, specific, general in meetings_of(args.data, args.meetings):
        meeting = args.scratch / f"coa-bench-meeting-{number}.txt"
        meeting.write_text(text)
        document = load(meeting)
        sentences = [document.text[start:end] for start, end in sentence_spans(document.text)]
        generic = {name: sumy_text(name, sentences, max(WORDS.values())) for name in SUMY if name not in SLOW}
        for task, queries in (("focused", specific), ("generic", general)):
            if args.task and task not in args.task:
                continue
            for item in queries:
                query = item["query"] if task == "focused" else None
                texts = candidates_of(sentences, query, WORDS[task], generic)
                texts["coa offline"] = asyncio.run(ours(meeting, query, WORDS[task]))
                for name, found in texts.items():
                    result = scorer.score(item["answer"], cut(found, WORDS[task]))
                    scores[task][name].append(tuple(result[metric].fmeasure for metric in METRICS))
        meeting.unlink()
    for task, systems in scores.items():
        if not systems:
            continue
        print(f"\n{task}, {WORDS[task]} words, {len(systems['coa offline'])} summaries\n")
        print("| system | ROUGE-1 | ROUGE-2 | ROUGE-L |\n|---|---|---|---|")
        for name, rows in sorted(systems.items(), key=lambda pair: -mean(row[0] for row in pair[1])):
            print(f"| {name} | " + " | ".join(f"{100 * mean(column):.2f}" for column in zip(*rows, strict=True)) + " |")


if __name__ == "__main__":
    main()
