"""Folders: which one a request means, and the operations that list them.

Only so many folders exist as a client needs that looks for the calendar before it reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from dev.exchange.mailboxes import Directory, Mailbox
from dev.exchange.soap import M, MessageError, Refusal, T, escape, failure, success


@dataclass(frozen=True, slots=True)
class Folder:
    """``name`` is its DistinguishedFolderId, ``element`` its type in the schema."""

    name: str
    display_name: str
    element: str
    folder_class: str
    parent: str


FOLDERS = {
    folder.name: folder
    for folder in (
        Folder("root", "", "Folder", "", ""),
        Folder("msgfolderroot", "Top of Information Store", "Folder", "IPF.Note", "root"),
        Folder("calendar", "Calendar", "CalendarFolder", "IPF.Appointment", "msgfolderroot"),
        Folder("inbox", "Inbox", "Folder", "IPF.Note", "msgfolderroot"),
        Folder("deleteditems", "Deleted Items", "Folder", "IPF.Note", "msgfolderroot"),
    )
}


def folder_id(mailbox: Mailbox, name: str, tag: str = "FolderId") -> str:
    """The element that names a folder of the mailbox."""
    return f'<t:{tag} Id="{mailbox.opaque_id(f"folder:{name}")}" ChangeKey="AQAAAA=="/>'


def find_folder(
    element: etree._Element, caller: Mailbox | None, directory: Directory
) -> tuple[Mailbox, Folder]:
    """The folder that a FolderId or DistinguishedFolderId means, and whose it is.

    Raises MessageError: ErrorAccessDenied for another's, ErrorFolderNotFound, ErrorMissingEmailAddress,
    ErrorInvalidIdMalformed, ErrorNonExistentMailbox.
    """
    identifier = element.get("Id", "")
    if element.tag == f"{T}DistinguishedFolderId":
        address = element.findtext(f"{T}Mailbox/{T}EmailAddress")
        owner = caller if address is None else directory.with_primary(address)
        if owner is None:
            raise MessageError("ErrorMissingEmailAddress" if address is None else "ErrorNonExistentMailbox")
        name = identifier
    else:
        try:
            owner, name = directory.owner(identifier)
        except KeyError:
            raise MessageError("ErrorFolderNotFound") from None
        except ValueError:
            raise MessageError("ErrorInvalidIdMalformed") from None
        name = name.removeprefix("folder:")
    if owner is not caller:
        raise MessageError("ErrorAccessDenied")
    if name not in FOLDERS:
        raise MessageError("ErrorFolderNotFound")
    return owner, FOLDERS[name]


def write_folder(mailbox: Mailbox, folder: Folder) -> str:
    """The folder with the few properties it has here."""
    parent = folder_id(mailbox, folder.parent or folder.name, "ParentFolderId")
    folder_class = f"<t:FolderClass>{folder.folder_class}</t:FolderClass>" if folder.folder_class else ""
    children = sum(other.parent == folder.name for other in FOLDERS.values())
    total = len(mailbox.appointments) if folder.name == "calendar" else 0
    return (
        f"<t:{folder.element}>{folder_id(mailbox, folder.name)}{parent}{folder_class}"
        f"<t:DisplayName>{escape(folder.display_name)}</t:DisplayName><t:TotalCount>{total}</t:TotalCount>"
        f"<t:ChildFolderCount>{children}</t:ChildFolderCount>"
        f"<t:DistinguishedFolderId>{folder.name}</t:DistinguishedFolderId></t:{folder.element}>"
    )


def get_folder(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """One response message a folder."""
    messages = []
    for element in body.iterfind(f"{M}FolderIds/*"):
        try:
            mailbox, folder = find_folder(element, caller, directory)
        except Refusal as refusal:
            messages.append(failure("GetFolder", refusal, content="<m:Folders/>"))
        else:
            content = f"<m:Folders>{write_folder(mailbox, folder)}</m:Folders>"
            messages.append(success("GetFolder", content))
    return messages


def find_folders(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """FindFolder: the folders below each given one, Deep at all levels. Restrictions are ignored."""
    messages = []
    for element in body.iterfind(f"{M}ParentFolderIds/*"):
        try:
            mailbox, parent = find_folder(element, caller, directory)
        except Refusal as refusal:
            messages.append(failure("FindFolder", refusal))
            continue
        found = _below(parent.name, deep=body.get("Traversal") == "Deep")
        folders = "".join(write_folder(mailbox, folder) for folder in found)
        messages.append(
            success(
                "FindFolder",
                f'<m:RootFolder IndexedPagingOffset="{len(found)}" TotalItemsInView="{len(found)}" '
                f'IncludesLastItemInRange="true"><t:Folders>{folders}</t:Folders></m:RootFolder>',
            )
        )
    return messages


def sync_folder_hierarchy(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """All folders the first time, nothing new after that."""
    element = body.find(f"{M}SyncFolderId/*")
    try:
        if element is None:
            if caller is None:
                raise MessageError("ErrorMissingEmailAddress")
            mailbox, parent = caller, FOLDERS["msgfolderroot"]
        else:
            mailbox, parent = find_folder(element, caller, directory)
    except Refusal as refusal:
        return [failure("SyncFolderHierarchy", refusal)]
    found = [] if body.findtext(f"{M}SyncState") else _below(parent.name, deep=True)
    changes = "".join(f"<t:Create>{write_folder(mailbox, folder)}</t:Create>" for folder in found)
    return [
        success(
            "SyncFolderHierarchy",
            "<m:SyncState>H4sIAAA=</m:SyncState><m:IncludesLastFolderInRange>true</m:IncludesLastFolderInRange>"
            f"<m:Changes>{changes}</m:Changes>",
        )
    ]


def _below(parent: str, *, deep: bool) -> list[Folder]:
    found = []
    for folder in FOLDERS.values():
        if folder.parent == parent:
            found.append(folder)
            found += _below(folder.name, deep=deep) if deep else []
    return found
