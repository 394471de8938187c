"""The macro, in LibreOffice without a window: cells in, cells out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe

RECIPE = recipe("A spreadsheet macro")

MODULE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="http://openoffice.org/2000/script"
 script:name="Module1" script:language="StarBasic">{}</script:module>
"""
LIBRARY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "library.dtd">
<library:library xmlns:library="http://openoffice.org/2000/library"
 library:name="Standard" library:readonly="false" library:passwordprotected="false">{}
</library:library>
"""
SPACES = {
    name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
    for name in ("office", "table", "text")
}
SHEET = f"""<?xml version="1.0" encoding="UTF-8"?>
<office:document {" ".join(f'xmlns:{name}="{uri}"' for name, uri in SPACES.items())}
 office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.spreadsheet">
<office:body><office:spreadsheet><table:table table:name="cities">{{}}</table:table>
</office:spreadsheet></office:body></office:document>
"""
TEXT = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
NUMBER = '<table:table-cell office:value-type="float" office:value="{}"/>'


def paste(macro: str, profile: Path) -> None:
    """What the editor of macros writes into a profile when this is pasted into Module1."""
    folder = profile / "basic" / "Standard"
    folder.mkdir(exist_ok=True)
    (folder / "Module1.xba").write_text(MODULE.format(escape(macro)))
    element = '<library:element library:name="Module1"/>'
    for kind, elements in (("script", element), ("dialog", "")):
        (folder / f"{kind}.xlb").write_text(LIBRARY.format(elements))


def write_sheet(path: Path, cities: list[tuple[float, float]]) -> None:
    """A sheet, as XML in one file, which stays that when the macro saves it."""
    cells = [TEXT.format("x") + TEXT.format("y")]
    cells += [NUMBER.format(x) + NUMBER.format(y) for x, y in cities]
    rows = "".join(f"<table:table-row>{row}</table:table-row>" for row in cells)
    path.write_text(SHEET.format(rows))


def third_column(path: Path) -> Iterator[str]:
    """What the cells below each other show there, all of them unlike their neighbours."""
    for row in ElementTree.parse(path).iterfind(".//table:table-row", SPACES):
        cells = row.findall("table:table-cell", SPACES)
        yield "".join(cells[2].itertext()).strip() if len(cells) > 2 else ""


def run_macro(reader: Reader, cities: list[tuple[float, float]]) -> list[str]:
    """What the macro writes into the third column beside these cities."""
    reader.sh("soffice --headless --terminate_after_init")  # makes the profile
    paste(RECIPE.files["Module1"], reader.home / ".config" / "libreoffice" / "4" / "user")
    write_sheet(reader.home / "cities.ods", cities)
    reader.sh(*RECIPE.commands)
    return list(third_column(reader.home / "cities.ods"))


def test_a_macro_reads_cells_calls_the_function_and_writes_cells(reader: Reader) -> None:
    reader.begin()
    title, *order = run_macro(reader, [(10, 20), (110.5, 130), (10.5, 130.2), (110, 20.5)])
    assert title == "order"
    assert sorted(order) == ["1", "2", "3", "4"]
    assert abs(order.index("1") - order.index("2")) == 2  # opposite corners are no neighbours
    assert reader.out("ls ~/tsp/executions") == ""


def test_a_macro_tells_in_the_sheet_that_the_function_has_failed(reader: Reader) -> None:
    reader.begin()
    title, *_ = run_macro(reader, [])
    assert title == f"failed: see {reader.home}/tsp/executions/sheet/log"
    assert "no cities" in reader.out("cat ~/tsp/executions/sheet/log")
