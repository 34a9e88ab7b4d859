"""The name of a contig says, for a species, whether it is an autosome, X, Y, MT or unplaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversion.genomes import AUTOSOME, GENOMES, MT, UNPLACED, X, Y, genome_of, roles_of
from daskgen.errors import InputError, UsageError

CASES = {
    "human": {
        AUTOSOME: [
            "1",
            "22",
            "chr7",
            "Chr7",
            "CHR22",
            "PAR1",
            "PAR2",
            "XY",
            "25",
            "chr25",
            "NC_000001.11",
            "NC_000022.10",
        ],
        X: ["X", "chrX", "x", "23", "NC_000023.11"],
        Y: ["Y", "chrY", "24", "NC_000024.10"],
        MT: ["MT", "M", "chrM", "chrMT", "26", "NC_012920.1"],
        UNPLACED: ["0", "chrUn_KI270302v1", "GL000207.1", "chr1_KI270706v1_random", "HLA-A", "scaffold_12", "foo"],
    },
    "mouse": {AUTOSOME: ["1", "19", "22"], X: ["X", "20"], Y: ["21"], MT: ["23", "MT"]},
    "cattle": {AUTOSOME: ["1", "29", "32"], X: ["30", "X"], Y: ["31"], MT: ["33", "MT"]},
    "pig": {AUTOSOME: ["18"], X: ["19"]},
    "sheep": {AUTOSOME: ["26"], X: ["27"]},
    "horse": {AUTOSOME: ["31"], X: ["32"]},
    "dog": {AUTOSOME: ["38"], X: ["39"], MT: ["42"]},
    "chicken": {AUTOSOME: ["1", "33", "chr39"], X: ["Z", "chrZ"], Y: ["W"], MT: ["MT"], UNPLACED: ["X"]},
    "maize": {AUTOSOME: ["1", "10", "chr10"], MT: ["Mt", "Pt"], UNPLACED: ["X", "B73V4_ctg1_scaffold"]},
    "plant": {
        AUTOSOME: ["1", "44", "Gm05", "3B", "LG2", "A01", "X"],
        MT: ["Mt", "Pt"],
        UNPLACED: ["0", "Un", "scaffold_9"],
    },
}


@pytest.mark.parametrize(
    ("genome", "role", "contig"),
    [(genome, role, contig) for genome, roles in CASES.items() for role, names in roles.items() for contig in names],
)
def test_roles(genome: str, role: int, contig: str) -> None:
    assert genome_of(genome).role(contig) == role


@pytest.mark.parametrize(("genome", "contig"), [("human", "27"), ("human", "chr29"), ("cattle", "34"), ("maize", "11")])
def test_a_number_beyond_the_genome_stops_and_names_genomes_that_have_it(genome: str, contig: str) -> None:
    with pytest.raises(InputError, match=rf"genome {genome} has no chromosome") as error:
        genome_of(genome).role(contig)
    assert "genome=" in error.value.do
    assert "dog" in error.value.do
    assert "plant" in error.value.do


def test_only_birds_have_haploid_females() -> None:
    assert [name for name, genome in GENOMES.items() if genome.haploid_sex == 2] == ["chicken"]


def test_a_file_of_two_columns_gives_the_roles(tmp_path: Path) -> None:
    path = tmp_path / "genome.txt"
    path.write_text("c1 autosome\nc2 X\nc3 Y\nc4 MT\n\nc5 unplaced\nc6 PAR\n")
    genome = genome_of(path)
    assert roles_of(genome, ["c6", "c5", "c4", "c3", "c2", "c1"]).tolist() == [0, 4, 3, 2, 1, 0]
    with pytest.raises(InputError, match="'c7' is not in the genome file"):
        genome.role("c7")


@pytest.mark.parametrize(
    ("text", "match"), [("c1 autosome\nc2 Q\n", "line 2"), ("c1\n", "line 1"), ("", "names no contigs")]
)
def test_a_genome_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "genome.txt").write_text(text)
    with pytest.raises(InputError, match=match):
        genome_of(tmp_path / "genome.txt")


def test_an_unknown_genome_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no genome 'unicorn'") as error:
        genome_of("unicorn")
    assert "human" in str(error.value)
