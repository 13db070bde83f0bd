"""Weka's and KEEL's files as CSV: names in a head of attributes, values below ``@data``."""

import csv
import io
import re

from xpnn.tables.columns import TableError

_ATTRIBUTE = re.compile(
    r"""^\s*@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|([^\s{\[]+))[ \t]*(\{?)""",
    re.IGNORECASE | re.MULTILINE,
)


def csv_of_arff(text: str, source: str) -> tuple[str, frozenset[str]] | None:
    r"""The table of an ARFF file as CSV, and which columns it says are categories.

    Returns
    -------
    (str, frozenset of str) or None
        None for any other text.

    Examples
    --------
    >>> csv_of_arff("@relation r\n@attribute 'the size' {1, 2}\n@data\n1\n2\n", "t.arff")
    ('the size\n1\n2\n', frozenset({'the size'}))
    """
    if not re.match(r"(?:\s|%[^\r\n]*+)*+@(relation|attribute)\b", text, re.IGNORECASE):
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = re.search(r"^[ \t]*@data[ \t]*$", text, re.IGNORECASE | re.MULTILINE)
    if data is None:
        raise TableError(f"{source} is an ARFF file without @data; get it anew.")
    head, body = text[: data.start()], text[data.end() :].lstrip()
    found = [("".join(name), bool(brace)) for *name, brace in _ATTRIBUTE.findall(head)]
    lines = [line for line in io.StringIO(body) if not line.lstrip().startswith("%")]
    if lines and lines[0].lstrip().startswith("{"):
        raise TableError(f"{source} is a sparse ARFF file; write all its values, as CSV.")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name, _ in found])
    if "'" in body:
        writer.writerows(csv.reader(lines, quotechar="'", escapechar="\\", skipinitialspace=True))
    else:
        out.writelines(lines)
    return out.getvalue(), frozenset(name for name, nominal in found if nominal)
