"""Counts the words of one file that are at least `least` letters long."""

with open(context["file_path"], encoding="utf-8") as file:
    words = file.read().split()
result = {"file": context["file_path"], "words": sum(len(word) >= context["least"] for word in words)}
