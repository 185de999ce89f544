"""The subjects that a picture can show: their words, where they are at home and how large they are.

Knows nothing about how a subject looks; `art` draws it by its name.
"""

from dataclasses import dataclass

# Where a subject can be: on the ground, on the water, in the air, under water, in space.
HABITATS = ("ground", "water", "air", "under", "space")


@dataclass(frozen=True)
class Subject:
    """One subject.

    Attributes:
        name: what captions call it most often.
        plural: of the name.
        synonyms: other words for one of it; each has a regular plural, or none.
        art: the name of its picture in the art package or in `drawings`.
        habitats: where it can be, the usual one first; values of `HABITATS`.
        size: its longer side, near the viewer, in picture heights.
    """

    name: str
    plural: str
    synonyms: tuple[str, ...]
    art: str
    habitats: tuple[str, ...]
    size: float


# name; other words; art, where it has another name; size. A plural that is not made with "s"
# stands in PLURALS.
ROWS = {
    "ground": """
        cat; kitten, kitty, tabby cat; ; .36
        black cat; black kitten; ; .36
        dog; puppy, doggy, hound; ; .38
        poodle; ; ; .36
        fox; red fox; sitting-fox; .36
        wolf; grey wolf; sitting-wolf; .40
        bear; brown bear, grizzly; sitting-bear; .44
        polar bear; white bear; sitting-polar-bear; .44
        panda; panda bear; sitting-panda; .42
        koala; ; sitting-koala; .36
        lion; ; sitting-lion; .44
        raccoon; ; sitting-raccoon; .36
        tiger; ; ; .42
        leopard; cheetah, jaguar; ; .42
        horse; pony, stallion; ; .46
        unicorn; ; whole-unicorn; .46
        zebra; ; ; .44
        deer; stag, doe; ; .44
        bison; buffalo; ; .46
        cow; calf; ; .42
        pig; piglet; ; .34
        sheep; lamb; ewe; .36
        goat; ; ; .38
        camel; dromedary; ; .46
        llama; alpaca; ; .44
        giraffe; ; ; .54
        elephant; ; ; .50
        mammoth; ; ; .52
        rhino; rhinoceros; rhinoceros; .44
        hippo; hippopotamus; hippopotamus; .42
        mouse; ; ; .26
        rabbit; bunny, hare; ; .30
        squirrel; chipmunk; chipmunk; .30
        hedgehog; ; ; .28
        monkey; chimp; ; .36
        gorilla; ape; ; .44
        kangaroo; ; ; .44
        rooster; cock, hen, chicken; ; .32
        chick; baby chick; baby-chick; .26
        penguin; ; ; .34
        flamingo; ; ; .40
        peacock; ; ; .38
        parrot; ; ; .32
        owl; ; ; .32
        goose; ; ; .34
        frog; toad; sitting-frog; .26
        crocodile; alligator; ; .42
        snake; serpent; ; .36
        dragon; ; ; .52
        dinosaur; brontosaurus; sauropod; .54
        t-rex; tyrannosaurus; ; .52
        turtle; tortoise; ; .32
        crab; red crab; ; .28
        lobster; crayfish; ; .30
        astronaut; spaceman, cosmonaut; standing-astronaut; .44
        alien; martian, extraterrestrial; standing-alien; .42
        snail; ; ; .26
        ladybug; ladybird, beetle; lady-beetle; .22
        spider; tarantula; ; .24
        robot; android, bot; whole-robot; .42
        wizard; sorcerer, magician; standing-wizard; .46
        witch; sorceress, enchantress; standing-witch; .46
        princess; queen; standing-princess; .44
        prince; king; standing-prince; .44
        ninja; ; standing-ninja; .42
        vampire; dracula; standing-vampire; .44
        superhero; hero; standing-superhero; .44
        man; guy, boy, walking man; man-walking; .44
        woman; lady, girl, walking woman; woman-walking; .44
        dancer; dancing woman; woman-dancing; .44
        snowman; ; snowman-without-snow; .38
        teddy bear; teddy, stuffed bear; ; .32
        train; locomotive, steam train; locomotive; .46
        bus; coach; ; .44
        car; red car, automobile; automobile; .40
        taxi; cab, yellow car; ; .40
        race car; racing car, sports car; racing-car; .46
        truck; pickup; pickup-truck; .42
        tractor; ; ; .42
        fire truck; fire engine; fire-engine; .46
        ambulance; ; ; .42
        bicycle; bike; ; .38
        motorcycle; motorbike; ; .40
        scooter; moped; motor-scooter; .36
        castle; fortress, palace; ; .58
        pagoda; japanese castle, japanese temple; japanese-castle; .54
        house; cottage, home; ; .48
        hut; cabin; ; .42
        church; chapel; ; .54
        lighthouse; ; drawn-lighthouse; .62
        windmill; mill; drawn-windmill; .58
        tent; camp; ; .40
        ferris wheel; big wheel; ; .56
        circus tent; circus; ; .48
        fountain; ; ; .42
        volcano; ; ; .56
        tree; oak, oak tree; deciduous-tree; .56
        pine tree; fir tree; evergreen-tree; .56
        palm tree; palm; ; .56
        christmas tree; ; ; .50
        cactus; saguaro; ; .42
        mushroom; toadstool; ; .32
        sunflower; ; ; .40
        flower; tulip, blossom; tulip; .36
        rose; red rose; ; .38
        pumpkin; jack-o-lantern, halloween pumpkin; jack-o-lantern; .28
        campfire; fire, bonfire; fire; .30
    """,
    "water": """
        whale; blue whale; spouting-whale; .46
        dolphin; ; ; .36
        duck; mallard; ; .28
        swan; ; ; .32
        seal; sea lion; ; .34
        sailboat; sailing boat, sailing ship, yacht; ; .46
        ship; cruise ship, ocean liner; ; .50
        ferry; ; ; .48
        boat; motorboat, speedboat; speedboat; .42
        canoe; rowing boat, kayak; ; .40
    """,
    "air": """
        bird; songbird; flying-bird; .24
        eagle; hawk, falcon; ; .34
        dove; pigeon, white bird; ; .26
        bat; ; ; .26
        butterfly; ; ; .24
        bee; honeybee, bumblebee; honeybee; .22
        phoenix; firebird; phoenix-bird; .40
        fairy; pixie; woman-fairy; .34
        ghost; spirit, phantom; ; .32
        plane; airplane, aeroplane, aircraft, jet; airplane; .34
        helicopter; chopper; ; .36
        balloon; red balloon, toy balloon; ; .28
        hot air balloon; hot-air balloon, air balloon; drawn-hot-air-balloon; .42
        kite; paper kite; ; .28
        parachute; paraglider, skydiver; ; .34
    """,
    "under": """
        fish; goldfish; ; .30
        tropical fish; coral fish; ; .30
        pufferfish; blowfish; blowfish; .28
        shark; great white; ; .42
        octopus; ; ; .34
        squid; kraken; ; .36
        jellyfish; medusa; ; .32
        mermaid; merwoman; woman-merpeople; .42
    """,
    "space": """
        rocket; spaceship, rocket ship, spacecraft, space ship; ; .40
        ufo; flying saucer, alien ship; flying-saucer; .36
        satellite; space probe; ; .36
        comet; meteor, shooting star, asteroid; ; .30
    """,
}
PLURALS = {
    "fox": "foxes", "red fox": "red foxes", "wolf": "wolves", "grey wolf": "grey wolves",
    "grizzly": "grizzlies", "puppy": "puppies", "kitty": "kitties", "doggy": "doggies",
    "pony": "ponies", "deer": "deer", "bison": "bison", "sheep": "sheep", "calf": "calves",
    "mouse": "mice", "bunny": "bunnies", "goose": "geese", "octopus": "octopuses",
    "fish": "fish", "goldfish": "goldfish", "tropical fish": "tropical fish",
    "coral fish": "coral fish", "pufferfish": "pufferfish", "blowfish": "blowfish",
    "jellyfish": "jellyfish", "witch": "witches", "princess": "princesses",
    "sorceress": "sorceresses", "enchantress": "enchantresses", "superhero": "superheroes",
    "hero": "heroes", "man": "men", "walking man": "walking men", "woman": "women",
    "walking woman": "walking women", "dancing woman": "dancing women", "lady": "ladies",
    "snowman": "snowmen", "bus": "buses", "coach": "coaches", "taxi": "taxis",
    "fortress": "fortresses", "church": "churches", "cactus": "cacti", "ferry": "ferries",
    "butterfly": "butterflies", "fairy": "fairies", "pixie": "pixies",
    "aircraft": "aircraft", "spacecraft": "spacecraft", "merwoman": "merwomen",
    "phoenix": "phoenixes",
}  # fmt: skip
# Where else some are at home than where their row stands.
ALSO = {
    "dragon": ("air",), "whale": ("under",),
    "dolphin": ("under",), "seal": ("ground", "under"), "turtle": ("under",), "duck": ("ground",),
    "swan": ("ground",), "rocket": ("air",), "ufo": ("air",), "ghost": ("ground",),
    "astronaut": ("space",), "robot": ("space",), "alien": ("space",),
    "superhero": ("air",), "cat": ("space",),
    "fairy": ("ground",),
}  # fmt: skip


def plural_of(words: str) -> str:
    """Return the plural of a subject's name or synonym."""
    return PLURALS.get(words, f"{words}s")


def _subjects() -> dict[str, Subject]:
    found = {}
    for habitat, rows in ROWS.items():
        for row in rows.strip().splitlines():
            name, others, art, size = (part.strip() for part in row.split(";"))
            synonyms = tuple(word.strip() for word in others.split(",") if word.strip())
            habitats = (habitat, *ALSO.get(name, ()))
            art = art or name.replace(" ", "-")
            found[name] = Subject(name, plural_of(name), synonyms, art, habitats, float(size))
    return found


SUBJECTS = _subjects()


def at_home(habitat: str) -> tuple[str, ...]:
    """Return the names of the subjects that can be in a habitat."""
    return tuple(name for name, one in SUBJECTS.items() if habitat in one.habitats)
