"""A small vocabulary, in which every rule of vocabularies occurs."""

from engine.film.vocabulary import Attribute, Sense, Vocabulary

SIDES = {side: Sense(heard=(f"on the {side}", side)) for side in ("left", "right")}
WORLD = Vocabulary(
    attributes=(
        Attribute(
            name="place",
            shows=True,
            completed=True,
            values={
                "forest": Sense(heard=("a forest", "the woods")),
                "sea": Sense(heard=("the sea", "ocean")),
                "lake": Sense(heard=("a lake", "mountain lake")),
                "space": Sense(
                    heard=("space",),
                    often=0,
                    needs={"light": ("planet",), "time": (), "weather": ()},
                ),
            },
        ),
        Attribute(
            name="time",
            completed=True,
            values={
                "noon": Sense(heard=("at noon", "noon", "sunny")),
                "night": Sense(heard=("at night", "night", "starry night")),
            },
        ),
        Attribute(
            name="light",
            shows=True,
            completed=True,
            values={
                "sun": Sense(heard=("the sun", "sun"), needs={"time": ("noon",)}),
                "moon": Sense(heard=("the moon", "a full moon"), needs={"time": ("night",)}),
                "planet": Sense(heard=("a planet",), needs={"place": ("space",)}),
            },
        ),
        Attribute(name="side", completed=True, of="light", values=SIDES),
        Attribute(
            name="weather",
            shows=True,
            completed=True,
            values={
                "clear": Sense(heard=("clear sky",)),
                "stars": Sense(heard=("stars", "starry night"), needs={"time": ("night",)}),
                "storm": Sense(heard=("a storm",), often=0, needs={"light": ()}),
            },
        ),
        Attribute(
            name="subject",
            shows=True,
            values={
                "fox": Sense(heard=("fox",), needs={"place": ("land",)}),
                "city": Sense(heard=("toy city",), prefers={"place": ("lake",)}),
                "sea lion": Sense(heard=("sea lion",), needs={"place": ("sea", "lake")}),
                "rocket": Sense(heard=("rocket", "space ship"), needs={"place": ("space",)}),
            },
        ),
        Attribute(name="side of the subject", of="subject", values=SIDES),
    ),
    groups={"land": ("forest", "lake")},
    ignored=("a", "the", "in", "and", "by", "cinematic", "4k", "two"),
)
