"""Queries and what they are answered with, to look at and to listen to."""

from pathlib import Path

from mulkinet.identify.pages.page import audio_source, picture, write_page

__all__ = ["answer_data", "write_answers_page"]


def write_answers_page(path, answers, *, embed_audio=False):
    """Writes a page.

    Args:
        path: HTML file to write.
        answers: list of Answer, whose alignments are shown where there are any.
        embed_audio: Whether the audio files become part of the page; it links to them otherwise.

    Raises:
        MulkinetError: The file cannot be written, or audio to embed not be read.
    """
    page = Path(path)

    def with_audio(match):
        return {**match, "audio": audio_source(match["path"], page, embed_audio)}

    data = []
    for answer in answers:
        told = answer_data(answer, with_audio)
        data.append({**told, "audio": audio_source(answer.query, page, embed_audio)})
    title = Path(answers[0].query).name if len(answers) == 1 else f"{len(answers)} recordings"
    write_page(page, title, "answersPage", {"title": title, "answers": data})


def answer_data(answer, told):
    """An Answer as a dict for page.js; `told` says of a match (dict) what is told of it."""
    data = answer.to_dict()
    data["works"] = [told(match) for match in data["works"]]
    for match, aligned in zip(data["works"], answer.alignments):
        match["alignment"] = aligned and picture(*aligned)
    data["tracks"] = [told(match) for match in data["tracks"]]
    data["spans"] = [{**span, "match": told(span["match"])} for span in data["spans"]]
    return data
