"""The catalogue: every code a finding can have, and its story. One file for each room it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.checks.stories.boot import BOOT
from xenp2m.checks.stories.diagnosis import DIAGNOSIS
from xenp2m.checks.stories.explore import EXPLORE
from xenp2m.checks.stories.faults import FAULTS, UNRELEASED
from xenp2m.checks.stories.frames import FRAMES
from xenp2m.checks.stories.map import MAP
from xenp2m.checks.stories.older import OLDER
from xenp2m.checks.stories.passthrough import PASSTHROUGH
from xenp2m.checks.stories.stream import STREAM

if TYPE_CHECKING:
    from xenp2m.findings import Story

__all__ = ["STORIES"]

STORIES: dict[str, Story] = {
    story.code: story
    for room in (BOOT, OLDER, FRAMES, FAULTS, UNRELEASED, EXPLORE, STREAM, DIAGNOSIS, MAP, PASSTHROUGH)
    for story in room
}
