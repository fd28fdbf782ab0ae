"""Pack the service tag lists that Microsoft publishes; `python3 dev.py service-tags` runs this."""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import re
import sys
from pathlib import Path

from shared.nsg.locations import Cloud
from shared.nsg.service_tags import read_published, unpack

HERE = Path(__file__).parent
CLOUDS = {
    "Public": Cloud.PUBLIC,
    "AzureGovernment": Cloud.GOVERNMENT,
    "China": Cloud.CHINA,
    "AzureChina": Cloud.CHINA,
}


def main() -> int:
    """Pack every list given, and say what it holds and what the one before it held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", nargs="*", type=Path, help="ServiceTags_*.json, gzipped or not")
    parser.add_argument("--published", help="their day, where the file's name does not end with it")
    options = parser.parse_args()
    for path in options.lists:
        pack(path, options.published)
    for cloud in Cloud:
        describe(cloud)
    return 0


def pack(path: Path, published: str | None) -> None:
    """Write one list's packed form beside this file."""
    content = path.read_bytes()
    document = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    stamped = re.search(r"_(\d{4})(\d{2})(\d{2})\.json", path.name)
    day = published or ("-".join(stamped.groups()) if stamped else None)
    if day is None:
        sys.exit(f"{path.name} does not end with its day: say it with --published YYYY-MM-DD")
    datetime.date.fromisoformat(day)
    cloud = CLOUDS[document["cloud"]]
    (HERE / f"{cloud}.tags").write_bytes(read_published(document, cloud, day).pack())


def describe(cloud: Cloud) -> None:
    """Say what ships for one cloud and how old it is."""
    packed = (HERE / f"{cloud}.tags").read_bytes()
    tags = unpack(packed)
    age = datetime.datetime.now(tz=datetime.UTC).date() - datetime.date.fromisoformat(
        tags.published
    )
    sys.stdout.write(
        f"{cloud}: {len(tags)} tags, change {tags.change_number}, published {tags.published}"
        f" ({age.days} days ago), {len(packed):,} bytes\n"
    )


if __name__ == "__main__":
    sys.exit(main())
