"""GTFS timeframes as windows of the week, with the calendars that their services except."""

from collections import defaultdict
from datetime import date

from clearing.sectors.transit.fare_tariff import WEEKDAYS, Window
from clearing.sectors.transit.gtfs_feed import Feed, FeedError, NotExpressed

DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ADDED, REMOVED = "1", "2"


def timeframes(
    feed: Feed, left_out: list[NotExpressed]
) -> tuple[dict[str, tuple[Window, ...]], dict[str, tuple[date, ...]]]:
    """Windows by timeframe group, and calendars by name."""
    calendars: dict[str, list[date]] = defaultdict(list)
    for row in feed.rows("calendar_dates"):
        name = "added to" if row["exception_type"] == ADDED else "taken from"
        calendars[f"{name} {row['service_id']}"].append(_day(row["date"]))
    weeks = {
        row["service_id"]: tuple(
            day for day, name in zip(WEEKDAYS, DAY_NAMES, strict=True) if row.get(name) == "1"
        )
        for row in feed.rows("calendar")
    }
    frames: dict[str, tuple[Window, ...]] = defaultdict(tuple)
    for row in feed.rows("timeframes"):
        group, service = row["timeframe_group_id"], row["service_id"]
        start, end = _clock(row.get("start_time") or "00:00:00"), _clock(row.get("end_time") or "24:00:00")
        removed, added = f"taken from {service}", f"added to {service}"
        if weeks.get(service):
            not_on = removed if removed in calendars else None
            frames[group] += (Window(weeks[service], start, end, not_on=not_on),)
        if added in calendars:
            frames[group] += (Window(WEEKDAYS, start, end, on=added),)
        if not weeks.get(service) and added not in calendars:
            why = "calendar.txt and calendar_dates.txt have no day of it, so that it never holds"
            left_out.append(NotExpressed("timeframes.txt", f"{group}, service {service}", why))
    if frames:
        why = "a service's first and last day are not asked; end the tariff by valid_to"
        left_out.append(NotExpressed("calendar.txt", "start_date and end_date of timeframes", why))
    return dict(frames), {name: tuple(sorted(days)) for name, days in calendars.items()}


def _clock(text: str) -> str:
    hours, _, rest = text.partition(":")
    minutes = rest[:2]
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) * 60 + int(minutes) <= 24 * 60):
        raise FeedError(f"timeframes.txt: {text!r} is no time; write it from 00:00:00 to 24:00:00")
    return f"{int(hours):02d}:{minutes}"


def _day(text: str) -> date:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError as error:
        raise FeedError(f"calendar_dates.txt: {text!r} is no day; write it as 20261001") from error
