"""Azure Managed Lustre file systems and their jobs, as Microsoft.StorageCache answers them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.azure.networks import prefixes_of
from local.azure.resources import Child, Kind

if TYPE_CHECKING:
    from local.azure.estate import Estate
    from local.azure.paths import ResourceId
    from local.azure.resources import Document, Resource

CREATING = "Creating"
JOBS = ("importJobs", "autoImportJobs", "autoExportJobs")

IMPORTED = (
    "importedFiles",
    "importedDirectories",
    "importedSymlinks",
    "preexistingFiles",
    "preexistingDirectories",
    "preexistingSymlinks",
)
BLOBS = ("totalBlobsImported", "rateOfBlobImport", "totalErrors", "totalConflicts")
STATUSES: dict[str, tuple[str, ...]] = {
    "importJobs": ("totalBlobsWalked", "totalBlobsImported", "totalErrors", "totalConflicts"),
    "autoExportJobs": (
        "totalFilesExported",
        "totalMiBExported",
        "totalFilesFailed",
        "exportIterationCount",
        "currentIterationFilesDiscovered",
        "currentIterationMiBDiscovered",
        "currentIterationFilesExported",
        "currentIterationMiBExported",
        "currentIterationFilesFailed",
    ),
    "autoImportJobs": ("totalBlobsWalked", "rateOfBlobWalk", *BLOBS, *IMPORTED),
}
"""What the status of a new job counts."""


class FileSystems(Kind):
    """Microsoft.StorageCache/amlFilesystems; a PUT is always answered 201 and Creating (recorded)."""

    child_kinds = JOBS
    has_etag = False

    def read(self, body: Document, old: Resource | None) -> tuple[Document, dict[str, Any]]:
        """Read a file system; its jobs stay."""
        properties = body.get("properties") or {}
        hidden = {"provisioningState", "health", "clientInfo", "throughputProvisionedMBps"}
        content = {k: v for k, v in properties.items() if k not in hidden}
        content["hsm"] = (
            {"settings": v} if (v := (content.get("hsm") or {}).get("settings")) else {}
        )
        return content, dict(old.children) if old else {}

    def read_child(self, resource_id: ResourceId, body: Document, old: Child | None) -> Document:
        """Read a job."""
        content = super().read_child(resource_id, body, old)
        content.pop("status", None)
        kind = resource_id.child_kind
        status: Document = {"state": "InProgress"}
        status |= dict.fromkeys(STATUSES[kind], 0)
        if kind == "autoImportJobs":
            events = dict.fromkeys((*IMPORTED, *BLOBS, "deletions"), 0)
            status |= {"blobSyncEvents": events, "lastStartedTimeUTC": now()}
        else:
            status["lastStartedTime"] = now()
        return {**content, "status": status}

    def properties(self, resource: Resource, api: str, estate: Estate) -> Document:
        """Show a file system: what it is reached by, once it is there."""
        del api
        is_there = resource.content.get("_made", False)
        content = {k: v for k, v in resource.content.items() if not k.startswith("_")}
        address = estate.address_in(str(content.get("filesystemSubnet", ""))) if is_there else ""
        per_tib = re.search(r"(\d+)$", str((resource.top.get("sku") or {}).get("name", "")))
        size = content.get("storageCapacityTiB") or 0
        return {
            "provisioningState": resource.state,
            "health": {
                "state": "Available" if is_there else "Transitioning",
                "statusDescription": "The cluster is available"
                if is_there
                else "The cluster is in the process of changing states",
            },
            "clientInfo": {
                "mgsAddress": address,
                "mountCommand": f"mount -t lustre -o noatime,user_xattr {address}@tcp0:/lustrefs"
                " /<local path>"
                if address
                else "",
                "lustreVersion": "2.15" if is_there else "",
                "containerStorageInterface": {
                    "persistentVolumeClaim": "",
                    "persistentVolume": "",
                    "storageClass": "",
                },
            },
            "throughputProvisionedMBps": int(size * int(per_tib[1])) if per_tib else 0,
            **content,
        }

    def finish(self, resource: Resource, child: Child | None) -> None:
        """Note that an operation is done."""
        if child is None:
            resource.content["_made"] = True
        elif "blobsWalkedPerSecond" not in child.content["status"] and is_import(child):
            child.content["status"] |= {
                "state": "Completed",
                "blobsWalkedPerSecond": 0,
                "blobsImportedPerSecond": 0,
                "lastCompletionTime": now(),
            }
        elif "exportIterationCount" in child.content["status"]:
            child.content["status"] |= {
                "exportIterationCount": 1,
                "lastSuccessfulIterationCompletionTime": now(),
            }


def is_import(job: Child) -> bool:
    """Whether a job is one that ends by itself."""
    return "importPrefixes" in job.content


def new_system_data(old: Document | None) -> Document:
    """Return who made a file system, and when it was last changed."""
    stamp, person = now(), {"By": "box", "ByType": "User"}
    made = old or {f"created{k}": v for k, v in person.items()} | {"createdAt": stamp}
    changed = {f"lastModified{k}": v for k, v in person.items()} | {"lastModifiedAt": stamp}
    return {**made, **changed}


def now() -> str:
    """Return the time as ARM spells it."""
    return datetime.now(UTC).isoformat()


def first_address(subnet: Document) -> str:
    """Return the address in a subnet that a file system answers at; the last number is an assumption."""
    for prefix in prefixes_of(subnet):
        head, _, _ = prefix.partition("/")
        front, _, last = head.rpartition(".")
        return f"{front}.{int(last) + 7}"
    return ""
