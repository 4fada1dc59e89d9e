from __future__ import annotations

import builtins
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from organizations.models import Organization, OrganizationQuerySet
from subscribers.models.lists import List


class ImportState(models.TextChoices):
    UPLOADED = "uploaded", _("Waiting for its columns")
    QUEUED = "queued", pgettext_lazy("import", "Waiting")
    READING = "reading", _("Reading")
    MERGING = "merging", _("Merging")
    DONE = "done", _("Done")
    FAILED = "failed", pgettext_lazy("import", "Failed")
    CANCELLED = "cancelled", _("Cancelled")


class ImportMode(models.TextChoices):
    ADD = "add", _("Add new people only")
    ADD_AND_UPDATE = "add_update", _("Add new people, update those already here")
    UPDATE = "update", _("Update those already here only")


class Import(models.Model):
    """One file of people. The account adds up: read = created + updated + unchanged + rejected + duplicates."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    list = models.ForeignKey(List, on_delete=models.SET_NULL, null=True, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=12, choices=ImportState.choices, default=ImportState.UPLOADED)
    mode = models.CharField(max_length=12, choices=ImportMode.choices, default=ImportMode.ADD_AND_UPDATE)
    file_name = models.CharField(max_length=255)
    path = models.CharField(max_length=500)  # below the data folder
    size = models.BigIntegerField(default=0)
    encoding = models.CharField(max_length=40, blank=True)
    delimiter = models.CharField(max_length=4, blank=True)
    has_header = models.BooleanField(default=True)
    # in this class body `list` is the foreign key above
    mapping = models.JSONField(default=builtins.list)  # per column: {"column", "field", "type"}
    tags = models.JSONField(default=builtins.list)
    consent_text = models.TextField(blank=True)
    is_sample = models.BooleanField(default=False)
    is_dry_run = models.BooleanField(default=False)  # everything is counted, nothing kept
    rows_expected = models.IntegerField(default=0)  # lines of the file: what progress is measured against
    read = models.IntegerField(default=0)
    created = models.IntegerField(default=0)
    updated = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    duplicates = models.IntegerField(default=0)
    kept_out = models.IntegerField(default=0)  # present, and stayed unmailable: they had left, bounced or complained
    kept_out_reasons = models.JSONField(default=dict)  # reason: people
    reject_reasons = models.JSONField(default=dict)  # reason: rows; also those beyond the stored rejects
    dropped_cells = models.JSONField(default=dict)  # column: cells that did not fit its type and stayed empty
    bytes_read = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    claim = models.IntegerField(default=0)  # of the worker that runs it; an older claim may write nothing
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Import]] = OrganizationQuerySet["Import"].as_manager()

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return self.file_name


class ImportChunk(models.Model):
    """A range of addresses (after, up_to] of an import that is merged in one transaction, with what came of it.

    Written when the whole file has been read. A worker that takes over merges the chunks without `merged_at`; progress
    is their sum.
    """

    import_run = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="chunks")
    number = models.IntegerField()
    after = models.CharField(max_length=320)
    up_to = models.CharField(max_length=320)
    created = models.IntegerField(default=0)
    updated = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    duplicates = models.IntegerField(default=0)
    kept_out = models.JSONField(default=dict)  # reason: people
    merged_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["import_run", "number"], name="import_chunk_once")]

    def __str__(self) -> str:
        return f"chunk {self.number} of import {self.import_run_id}"


class ImportReject(models.Model):
    """A row that did not come in: line number, reason, and the row as it was."""

    import_run = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rejects")
    line = models.IntegerField()
    reason = models.CharField(max_length=40)
    detail = models.CharField(max_length=300, blank=True)
    row = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["import_run", "line"], name="import_reject_once_per_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
