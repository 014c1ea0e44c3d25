"""Runs one target under atheris; `fuzz_session.py` and those beside it call it.

It begins with the corpus and all vectors. What reaches new code is kept in tests/fuzz/findings/
(or the folder that is named on the command line), and a fault there in a file ``crash-…``: put
it into tests/fuzz/corpus/, where every test run replays it.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import atheris

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
FINDINGS = HERE / "findings"


def main(name: str) -> None:
    """Fuzz the target *name* with libFuzzer's own options."""
    sys.path.insert(0, str(PROJECT))
    with atheris.instrument_imports(include=["pbweb"]):
        from tests.fuzz.targets import TARGETS

    arguments = [*sys.argv]
    folders = [argument for argument in arguments[1:] if not argument.startswith("-")]
    if not folders:
        arguments.append(str(FINDINGS / name))
        (FINDINGS / name).mkdir(parents=True, exist_ok=True)
        arguments.append(f"-artifact_prefix={FINDINGS}/")
    arguments += [str(HERE / "corpus" / name), seeds(name)]
    arguments += [f"-dict={HERE / 'wire.dict'}", "-max_len=8192", "-timeout=20"]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


def seeds(name: str) -> str:
    """A folder with the vectors in the form that the target takes."""
    from tests.fuzz.seeds import texts_of

    folder = Path(mkdtemp(prefix="pbweb-seeds-"))
    for number, text in enumerate(texts_of(name)):
        (folder / str(number)).write_text(text)
    return str(folder)
