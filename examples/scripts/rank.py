"""Counts in how many documents each person and each date occurs, and ranks them."""

from collections import Counter


def ranked(lists):
    counts = Counter(entry for entries in lists for entry in set(entries))
    order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"name": name, "documents": count} for name, count in order]


facts = context["facts"]
result = {
    "documents": len(facts),
    "people": ranked(fact["people"] for fact in facts),
    "dates": sorted({date for fact in facts for date in fact["dates"]}),
}
