"""Makes a few numbers; `count` says how many, and is 10 where nobody says."""

count = context.get("count", 10)
result = {"count": count, "values": [(number * 37) % 101 for number in range(count)]}
