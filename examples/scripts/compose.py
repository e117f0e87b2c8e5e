"""Puts summaries, people, and dates together as one Markdown brief."""

PEOPLE_SHOWN = 10

ranking = context["ranking"]
lines = [f"# Brief of {ranking['documents']} documents", ""]

lines += ["## People named most often", ""]
for person in ranking["people"][:PEOPLE_SHOWN]:
    count = person["documents"]
    lines.append(f"- {person['name']}: {count} document{'s' if count != 1 else ''}")
if not ranking["people"]:
    lines.append("Nobody is named.")

lines += ["", "## Dates", ""]
lines.append(", ".join(ranking["dates"]) or "No dates are mentioned.")

lines += ["", "## Documents", ""]
for file, summary, fact in zip(context["files"], context["summaries"], context["facts"]):
    lines += [f"### {fact['title']}", "", f"*{file}*", "", summary.strip(), ""]

result = "\n".join(lines).rstrip() + "\n"
