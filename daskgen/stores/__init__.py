"""What lies on disk: schemas, the one writer, readers, marks and fingerprints."""

from __future__ import annotations

from daskgen.stores.copying import CopiedColumns, StageCopy
from daskgen.stores.layout import ChunkLayout, column_layout, n_objects, row_layout
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.packed_text import PackedText
from daskgen.stores.reader import open_dataset, open_group, reopen_array
from daskgen.stores.result import write_result
from daskgen.stores.run_key import FORMAT, RunKey
from daskgen.stores.schema import SCHEMAS
from daskgen.stores.table import StoreTable, open_table
from daskgen.stores.target import StageTarget
from daskgen.stores.verify import verify
from daskgen.stores.writer import ArrayPlan, Stage, StoreWriter

__all__ = [
    "FORMAT",
    "SCHEMAS",
    "ArrayPlan",
    "ChunkLayout",
    "CopiedColumns",
    "Location",
    "PackedText",
    "RunKey",
    "Stage",
    "StageCopy",
    "StageTarget",
    "StoreLike",
    "StoreTable",
    "StoreWriter",
    "column_layout",
    "n_objects",
    "open_dataset",
    "open_group",
    "open_table",
    "reopen_array",
    "row_layout",
    "verify",
    "write_result",
]
